"""The Flask extension: it sets defaults, adds the commands, and loads what the settings name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from flask import Flask

from . import config
from .checksums import new_digest
from .cli import files as files_cli
from .errors import MultipartNoPart
from .utils import load_or_import_from_config, obj_or_import_string


class FilesRESTState:
    """What the settings of one application name, loaded when first asked for.

    :param app: The application.
    """

    def __init__(self, app: Flask) -> None:
        """Keep the application."""
        self.app = app

    def _load(self, key: str) -> Any:
        return load_or_import_from_config(key, app=self.app)

    def _load_list(self, key: str) -> list[Callable[[], Any]]:
        return [obj_or_import_string(value) for value in self.app.config[key]]

    @cached_property
    def storage_factory(self) -> Any:
        """Factory of storage interfaces."""
        return self._load("FILES_REST_STORAGE_FACTORY")

    @cached_property
    def permission_factory(self) -> Any:
        """Factory of permissions."""
        return self._load("FILES_REST_PERMISSION_FACTORY")

    @cached_property
    def file_size_limiters(self) -> Any:
        """Function that gives the size limits of a bucket."""
        return self._load("FILES_REST_SIZE_LIMITERS")

    @cached_property
    def upload_factories(self) -> list[Callable[[], Any]]:
        """Factories that find a file in a request."""
        return self._load_list("FILES_REST_UPLOAD_FACTORIES")

    @cached_property
    def part_factories(self) -> list[Callable[[], Any]]:
        """Factories that find a part of a multipart upload in a request."""
        return self._load_list("FILES_REST_MULTIPART_PART_FACTORIES")

    def upload_factory(self) -> Any:
        """Return what the first upload factory that fits finds in the request.

        :returns: The stream, its length in bytes or ``None``, the Content-MD5 or ``None``, and the tags.
        :raises MultipartNoPart: Where no factory fits.
        """
        return self._first(self.upload_factories)

    def multipart_partfactory(self) -> Any:
        """Return what the first part factory that fits finds in the request.

        :returns: The length in bytes, the part's number, the stream, the content type, the Content-MD5.
        :raises MultipartNoPart: Where no factory fits.
        """
        return self._first(self.part_factories)

    @staticmethod
    def _first(factories: list[Callable[[], Any]]) -> Any:
        for factory in factories:
            found = factory()
            if any(found):
                return found
        raise MultipartNoPart()


class InvenioFilesREST:
    """Invenio-Files-REST extension.

    :param app: Application to register in; :meth:`init_app` does it later where none is given.
    """

    def __init__(self, app: Flask | None = None) -> None:
        """Register in the application, where one is given."""
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Register in an application: settings, commands, and ``app.extensions["invenio-files-rest"]``.

        :param app: The application.
        :raises ValueError: Where ``FILES_REST_CHECKSUM_ALGORITHM`` cannot be had.
        """
        self.init_config(app)
        new_digest(app.config["FILES_REST_CHECKSUM_ALGORITHM"])
        app.cli.add_command(files_cli)
        app.extensions["invenio-files-rest"] = FilesRESTState(app)

    def init_config(self, app: Flask) -> None:
        """Set the defaults of the settings that the application does not set.

        :param app: The application.
        """
        for name in dir(config):
            if name.startswith("FILES_REST_"):
                app.config.setdefault(name, getattr(config, name))
