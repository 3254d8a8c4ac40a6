"""The Flask extension, which sets the defaults. Everything that needs no settings works without it."""

from __future__ import annotations

from flask import Flask

from . import config


class InvenioRecordsFiles:
    """Invenio-Records-Files extension.

    :param app: Application to register in; :meth:`init_app` does it later if none is given.
    """

    def __init__(self, app: Flask | None = None) -> None:
        """Register in the application, if one is given."""
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Register in an application: settings, and ``app.extensions["invenio-records-files"]``.

        :param app: The application.
        """
        app.config.setdefault("RECORDS_FILES_REST_ENDPOINTS", config.RECORDS_FILES_REST_ENDPOINTS)
        app.extensions["invenio-records-files"] = self
