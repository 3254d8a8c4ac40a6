"""Listening: to requests, to the signals of this package, and to tasks."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

from flask import Flask, Response, g, has_request_context, request
from flask.signals import request_started

from ..http.observation import OBSERVER
from ..http.routing import requested_endpoint
from ..instrumentation import file_verified, pool_exhausted, sweep_ended, upload_taken_over
from ..models.base import loaded_values
from ..signals import file_deleted, file_downloaded, file_uploaded
from .events import Event, Sink
from .identifiers import request_id, user_id
from .requests import Observation
from .tasks import context_of_task

F = TypeVar("F", bound=Callable[..., None])

LOGGED = "invenio_files_rest.logged"
"""Name in the environment of a request that has a line in the log, so that the server need not write one."""

_SILENT_SECONDS = 60
"""Seconds after a failure of telemetry for which another one is not logged."""

_silent_until: dict[Callable[..., None], float] = {}

_PREFIX = "invenio_files_rest"
"""How the names of our blueprints begin."""


def observation() -> Observation | None:
    """Return what is observed of the current request; ``None`` if there is none, or it is not observed."""
    return request.environ.get(OBSERVER) if has_request_context() else None


def context() -> dict[str, Any]:
    """Return the fields that whatever happens now has: those of the request, or of the task."""
    current = observation()
    if current is None:
        return context_of_task()
    current.user = user_id()
    return {**current.context, "ms": current.ms}


def harmless(function: F) -> F:
    """Have a function log what goes wrong in it, for nobody's work fails because it is observed.

    What is wrong now mostly is so with the next request, too, so that it is logged at most once a minute.

    :param function: The function, which returns nothing.
    """

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except Exception:
            if time.monotonic() >= _silent_until.get(function, 0):
                _silent_until[function] = time.monotonic() + _SILENT_SECONDS
                logging.getLogger(__name__).exception("Telemetry has failed.")

    return run  # type: ignore[return-value]


class Telemetry:
    """What makes events of all that happens in an application.

    :param app: The application.
    :param sinks: What takes the events.
    :param logs: Whether one of them writes a line for each request.
    """

    def __init__(self, app: Flask, sinks: Sequence[Sink], logs: bool) -> None:
        """Keep the sinks."""
        self._logs = logs
        self._sinks = [harmless(sink) for sink in sinks]
        self._config = app.config

    @property
    def _header(self) -> str | None:
        header: str | None = self._config["FILES_REST_REQUEST_ID_HEADER"]
        return header

    def listen(self, app: Flask) -> None:
        """Begin to listen. Receivers are held weakly, so that the application has to keep this object.

        :param app: The application.
        """
        request_started.connect(self._begin, app)
        app.after_request(self._answer)
        app.teardown_request(self._tear_down)
        file_uploaded.connect(self._stored, app)
        file_downloaded.connect(self._downloaded, app)
        file_deleted.connect(self._deleted, app)
        file_verified.connect(self._verified, app)
        pool_exhausted.connect(self._exhausted, app)
        sweep_ended.connect(self._swept, app)
        upload_taken_over.connect(self._taken_over, app)

    def emit(self, event: Event) -> None:
        """Hand an event to all sinks, which keep nobody from working.

        :param event: The event.
        """
        for sink in self._sinks:
            sink(event)

    @harmless
    def _begin(self, app: Flask) -> None:
        endpoint = requested_endpoint()
        if endpoint is None or not _is_ours(app, endpoint):
            return
        g.request_id = identifier = request_id(request, self._header)
        request.environ[LOGGED] = self._logs
        request.environ[OBSERVER] = Observation(request, identifier, endpoint, self.emit)

    def _answer(self, response: Response) -> Response:
        if (current := observation()) is not None:
            if header := self._header:
                response.headers[header] = current.request_id
            self._take_note(current, response)
        return response

    @harmless
    def _take_note(self, current: Observation, response: Response) -> None:
        current.answer(request, response)

    def _tear_down(self, error: BaseException | None) -> None:
        # Nobody answers where errors are not handled, as in tests.
        if error is not None and (current := observation()) is not None:
            current.end()

    @harmless
    def _stored(self, app: Flask, obj: Any) -> None:
        self.emit(Event("stored", {**context(), **_of_version(obj)}))

    @harmless
    def _deleted(self, app: Flask, obj: Any) -> None:
        self.emit(Event("deleted", {**context(), **_of_version(obj)}))

    @harmless
    def _downloaded(self, app: Flask, obj: Any) -> None:
        if (current := observation()) is not None:
            bucket = loaded_values(loaded_values(obj).get("bucket"))
            if bucket:
                current.uses(bucket["default_location"])
            current.downloads(_of_version(obj))

    def _verified(self, app: Flask, result: bool | None) -> None:
        self.emit(Event("verified", {"result": result}))

    def _exhausted(self, app: Flask) -> None:
        self.emit(Event("pool_exhausted", {}))

    def _swept(self, app: Flask, found: Counter[str], left: Counter[str]) -> None:
        self.emit(Event("swept", {**context(), "found": dict(found), "left": dict(left)}))

    def _taken_over(self, app: Flask, upload_id: Any) -> None:
        self.emit(Event("upload_taken_over", {"upload": upload_id}))


def _is_ours(app: Flask, endpoint: str) -> bool:
    view_class = getattr(app.view_functions.get(endpoint), "view_class", None)
    return endpoint.startswith(_PREFIX) or getattr(view_class, "is_of_files", False)


def _of_version(obj: Any) -> dict[str, Any]:
    """Return the fields of a version, as far as they are loaded."""
    row = loaded_values(obj)
    file = loaded_values(row.get("file"))
    return {
        "bucket": row.get("bucket_id"),
        "key": row.get("key"),
        "version": row.get("version_id"),
        "size": file.get("size"),
        "checksum": file.get("checksum"),
    }
