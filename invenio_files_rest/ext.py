"""The Flask extension: it sets defaults, adds the commands, and loads the objects named in the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import repeat
from typing import Any

from flask import Flask, request
from werkzeug.exceptions import UnprocessableEntity

from . import config, tasks  # noqa: F401 (who sends a task finds it by its name)
from .checksums import new_digest
from .cli import files as files_cli
from .errors import InvalidArguments, MultipartNoPart, field_errors
from .http.languages import tell_language
from .http.streamed_form import with_whole_form
from .http.talisman import keep_referrer_policies
from .messages import lazy_gettext as _
from .models import bulk
from .services import batch, deposit, presence
from .telemetry import setup as telemetry
from .utils import load_or_import_from_config, obj_or_import_string


class FilesRESTState:
    """The objects named in the settings of an application, loaded on first use, and services for the models.

    :param app: The application.
    """

    batch, bulk, deposit, presence = batch, bulk, deposit, presence
    """Modules that the models use but cannot import."""

    def __init__(self, app: Flask) -> None:
        """Store the application."""
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
        """Function that returns the size limits of a bucket."""
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
        """Return the file that the first matching upload factory finds in the request.

        :returns: The stream, its length in bytes or ``None``, the Content-MD5 or ``None``, and the tags or ``None``.
        :raises MultipartNoPart: If no factory matches.
        :raises InvalidArguments: If no factory matches, and one found invalid arguments.
        """
        nothing = _("The request has no file: a body needs a Content-Length, or to be chunked.")
        return with_whole_form(request, lambda: _first(self.upload_factories, 4, nothing))

    def multipart_partfactory(self) -> Any:
        """Return the part that the first matching part factory finds in the request.

        :returns: The length in bytes, the part's number, the stream, the content type, the Content-MD5 or ``None``.
        :raises MultipartNoPart: If no factory matches.
        :raises InvalidArguments: If no factory matches, and one found invalid arguments.
        """
        nothing = MultipartNoPart.description
        return with_whole_form(request, lambda: _first(self.part_factories, 5, nothing))


def _first(factories: list[Callable[[], Any]], length: int, nothing: str) -> tuple[Any, ...]:
    """Return the result of the first factory that finds something.

    A factory that refuses the arguments of the request, as webargs does with 422, does not match. Any other error of a
    factory is sent to the client.

    :param factories: The factories.
    :param length: Number of elements to return; factories may omit the last ones.
    :param nothing: Message for the client if no factory matches or gives a reason.
    """
    errors: list[Any] = []
    wrong: InvalidArguments | None = None
    for factory in factories:
        try:
            found = factory()
        except InvalidArguments as refusal:
            wrong = wrong or refusal
        except (MultipartNoPart, UnprocessableEntity) as refusal:
            if refusal.description != type(refusal).description:
                nothing = refusal.description or nothing
            # Set by webargs' own parser.
            data = getattr(refusal, "data", None)
            errors += field_errors(data.get("messages") if isinstance(data, Mapping) else data)
        else:
            if any(found):
                return (*found, *repeat(None, length - len(found)))
    raise wrong or MultipartNoPart(description=nothing, errors=errors or None)


class InvenioFilesREST:
    """Invenio-Files-REST extension.

    :param app: Application to register in; :meth:`init_app` does it later if none is given.
    """

    def __init__(self, app: Flask | None = None) -> None:
        """Register in the application, if one is given."""
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Register in an application: settings, commands, and ``app.extensions["invenio-files-rest"]``.

        :param app: The application.
        :raises ValueError: If ``FILES_REST_CHECKSUM_ALGORITHM`` or ``FILES_REST_LOG_FORMAT`` cannot be had, or
            ``FILES_REST_S3_LOCATIONS`` or the lifetime of signed links is wrong.
        """
        self.init_config(app)
        new_digest(app.config["FILES_REST_CHECKSUM_ALGORITHM"])
        if settings := app.config["FILES_REST_S3_LOCATIONS"]:
            # Who has no object store need not have boto3.
            from .storage.s3 import check_lifetime, check_settings

            check_settings(settings)
            for name in ("FILES_REST_S3_DIRECT_UPLOAD", "FILES_REST_S3_REDIRECT"):
                check_lifetime(name, app.config[name])
        app.cli.add_command(files_cli)
        app.extensions["invenio-files-rest"] = FilesRESTState(app)
        telemetry.init_app(app)
        app.after_request(tell_language)
        keep_referrer_policies(app)

    def init_config(self, app: Flask) -> None:
        """Set the defaults of the settings that the application does not set.

        :param app: The application.
        """
        for name in dir(config):
            if name.startswith("FILES_REST_"):
                app.config.setdefault(name, getattr(config, name))
