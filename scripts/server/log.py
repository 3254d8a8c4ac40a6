"""The access log of gunicorn."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import unquote

from gunicorn.glogging import Logger as GunicornLogger

from invenio_files_rest.http.routing import without_token
from invenio_files_rest.telemetry.logs import for_people, own_handler
from invenio_files_rest.telemetry.observer import LOGGED


class Logger(GunicornLogger):
    """Logs the requested path without the query, which may have an access token, and without the token of a link.

    Requests that have a line in the log of files get no other one.
    """

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Write the line of a request."""
        if not environ.get(LOGGED):
            super().access(resp, req, environ, request_time)

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """Return the values for the log format."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        path, decoded = without_token(req.path), unquote(req.path)
        # Letters of the path may be encoded as well.
        hidden = path == req.path and without_token(decoded) != decoded
        return atoms | {"U": "/files/links/[hidden]" if hidden else path}


def set_up(style: str | None) -> None:
    """Have gunicorn write JSON where the log of files is JSON.

    :param style: ``FILES_REST_LOG_FORMAT``.
    """
    handler = own_handler()
    if style is not None and handler is not None and not for_people(style):
        for name in ("gunicorn.access", "gunicorn.error"):
            for each in logging.getLogger(name).handlers:
                each.setFormatter(handler.formatter)
