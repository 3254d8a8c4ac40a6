"""Who observes a request: an object in its environment, where telemetry has put one, that is told how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

OBSERVER = "invenio_files_rest.observer"
"""Name of the :class:`Observer` in the environment of a request."""


class Observer(Protocol):
    """What is told how a request goes. None of it may raise."""

    def concerns(self, bucket_id: Any, key: str | None) -> None:
        """Take note of the bucket, and the key, that the request is about."""

    def uses(self, location_id: int) -> None:
        """Take note of the location that the bucket's files are in."""

    def reads(self, body: Any) -> None:
        """Take note of the body, whose ``tell()`` says how much of it has come."""

    def fails(self, error: Exception) -> None:
        """Take note of why the answer is an error."""

    def sends(self, length: int | None) -> None:
        """Take note that a file will be sent, of which so many bytes; :meth:`sent` follows."""

    def sent(self, count: int | None) -> None:
        """Take note of how many bytes the server took; ``None`` if it does not tell."""


def observer(environ: WSGIEnvironment) -> Observer | None:
    """Return who observes a request; ``None`` if nobody does.

    :param environ: Environment of the request.
    """
    return cast("Observer | None", environ.get(OBSERVER))
