"""What is observed of one request, from its first function to the last byte of its answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from flask import Request, Response
from werkzeug.exceptions import HTTPException

from ..errors import StorageError, TranslatedException
from .events import Event, Sink
from .identifiers import location_name, user_id
from .redaction import redact, secrets_of


class Observation:
    """An observer of a request; see :class:`~invenio_files_rest.http.observation.Observer`.

    :param request: The request.
    :param request_id: Its identifier.
    :param endpoint: Name of the view that it asks.
    :param sink: What takes its events.
    """

    def __init__(self, request: Request, request_id: str, endpoint: str, sink: Sink) -> None:
        """Begin to measure."""
        self.request_id = request_id
        self.user: str | None = None
        self.bucket: Any = None
        self.key: str | None = None
        self._location_id: int | None = None
        self._location: str | None = None
        self._client, self._method, self._route = request.remote_addr, request.method, endpoint
        self._sink = sink
        self._begun = time.perf_counter()
        self._bodies: list[Any] = []
        self._error: Exception | None = None
        self._cause: str | None = None
        self._status = 500
        self._to_send: int | None = None
        self._sends = self._ended = False
        self._sent: int | None = None
        self._version: dict[str, Any] | None = None
        self._by: str | None = None

    def concerns(self, bucket_id: Any, key: str | None) -> None:
        """Take note of the bucket and the key."""
        self.bucket, self.key = bucket_id, key

    def uses(self, location_id: int) -> None:
        """Take note of the location."""
        self._location_id = location_id

    def reads(self, body: Any) -> None:
        """Take note of the body."""
        self._bodies.append(body)

    def fails(self, error: Exception) -> None:
        """Take note of the error. An error of a protocol is caused by that of the core."""
        self._error = error

    def sends(self, length: int | None) -> None:
        """Take note that a file will be sent."""
        self._to_send, self._sends = length, True

    def sent(self, count: int | None) -> None:
        """Take note of what was sent, which is the end."""
        self._sent = count
        self.end()

    def downloads(self, version: dict[str, Any]) -> None:
        """Take note of the version whose bytes are sent.

        :param version: Its fields.
        """
        self._version = version

    @property
    def ms(self) -> float:
        """Milliseconds since the beginning."""
        return round((time.perf_counter() - self._begun) * 1000, 2)

    @property
    def context(self) -> dict[str, Any]:
        """The fields of whatever happens in the request."""
        return {"request_id": self.request_id, "user": self.user, "bucket": self.bucket, "key": self.key}

    def answer(self, request: Request, response: Response) -> None:
        """Take note of the answer, and of when it ends.

        :param request: The request.
        :param response: The answer.
        """
        self.user = user_id()
        if self._location_id is not None:
            self._location = location_name(self._location_id)
        self._status = response.status_code
        self._error = self._error or request.routing_exception
        if self._error is not None and self._status >= 400:
            self._cause = redact(_described(self._error), secrets_of(request))
        if "X-Accel-Redirect" in response.headers:
            self._by = "nginx"
        if self._sends:
            return
        if response.direct_passthrough:
            # Nobody closes a response without a body.
            self.end()
        else:
            response.call_on_close(self.end)

    def end(self) -> None:
        """Tell of the request, once."""
        if not self._ended:
            self._ended = True
            for event in self._events():
                self._sink(event)

    def _events(self) -> Iterator[Event]:
        common, ms = self.context, self.ms
        received = sum(body.tell() for body in self._bodies)
        if self._version is not None:
            yield Event("read", {**common, **self._version, **self._transfer(), "ms": ms, "location": self._location})
        if 400 <= self._status < 500:
            reason = type(_origin(self._error)).__name__ if self._error is not None else None
            refusal = {"status": self._status, "reason": reason, "cause": self._cause}
            yield Event("refused", {**common, **refusal, "error": self._error, "ms": ms})
        elif isinstance(self._error, StorageError):
            # Its line has been written, with the traceback.
            yield Event("failed", {"status": self._status})
        yield Event(
            "request",
            {
                **common,
                "client": self._client,
                "method": self._method,
                "route": self._route,
                "status": self._status,
                "received": received or None,
                "bytes": self._sent,
                "ms": ms,
                "location": self._location,
            },
        )

    def _transfer(self) -> dict[str, Any]:
        """Return how the file was sent."""
        broken = self._sent is not None and self._to_send is not None and self._sent < self._to_send
        cause = f"The client took {self._sent} of {self._to_send} bytes." if broken else None
        return {"bytes": self._sent, "by": self._by, "cause": cause}


def _origin(error: Exception | None) -> Exception | None:
    """Return the error of the core that a protocol says in its own way."""
    cause = getattr(error, "__cause__", None)
    return cause if isinstance(error, HTTPException) and isinstance(cause, HTTPException) else error


def _described(error: Exception) -> str:
    if not isinstance(error, HTTPException):
        return str(error)
    said = [error.get_english() if isinstance(error, TranslatedException) else str(error.description)]
    details = (getattr(detail, "res", None) for detail in getattr(error, "errors", None) or ())
    said += [f"{told['field']}: {told['message']}" for told in details if told]
    return " ".join(said)
