"""The body of a request as a stream that ends where the body does.

If a body is malformed or its client disconnects, each WSGI server reports that in its own way: by errors of the socket
or of its parser, or by too few bytes. All of that becomes :class:`~werkzeug.exceptions.ClientDisconnected`, a 400.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, cast

from werkzeug.exceptions import ClientDisconnected, HTTPException
from werkzeug.wsgi import get_content_length

from ..messages import lazy_gettext as _
from .observation import observer
from .pacing import paced

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_FAULT = _("The body of the request is malformed, or ended too early.")


class _Body(io.RawIOBase):
    """A body whose errors are all the client's.

    :param stream: The server's stream.
    :param length: Number of bytes that it must have; ``None`` if the stream knows where it ends.
    """

    def __init__(self, stream: Any, length: int | None) -> None:
        self._stream = stream
        self._left = length
        self._pos = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._pos

    def read(self, size: int | None = -1, /) -> Any:
        """Read without copying, if the server cannot read into a buffer of ours."""
        if size is None or size < 0 or hasattr(self._stream, "readinto"):
            return super().read(-1 if size is None else size)
        wanted = size if self._left is None else min(size, self._left)
        data = self._asked(self._stream.read, wanted) if wanted else b""
        self._count(len(data), wanted)
        return bytes(data)

    def readinto(self, buffer: Any) -> int:
        # A frame that outlives the call, in a traceback say, must not keep the buffer from being resized.
        with memoryview(buffer) as whole, whole[: self._left] as wanted:
            if not hasattr(self._stream, "readinto"):
                data = self.read(len(wanted))
                wanted[: len(data)] = data
                return len(data)
            count = (self._asked(self._stream.readinto, wanted) or 0) if wanted else 0
            self._count(count, len(wanted))
            return count

    def _asked(self, read: Callable[[Any], Any], wanted: Any) -> Any:
        try:
            return read(wanted)
        except HTTPException:
            raise
        except Exception as error:
            raise ClientDisconnected(_FAULT) from error

    def _count(self, count: int, wanted: int) -> None:
        self._pos += count
        if self._left is not None:
            if wanted and not count:
                raise ClientDisconnected(_FAULT)
            self._left -= count


class _UwsgiChunks:
    """A chunked body under uWSGI, which returns whole chunks."""

    def __init__(self) -> None:
        self._chunk = memoryview(b"")
        self._ended = False

    def read(self, size: int) -> memoryview:
        if not self._chunk and not self._ended:
            import uwsgi

            self._chunk = memoryview(uwsgi.chunked_read())
            self._ended = not self._chunk
        data, self._chunk = self._chunk[:size], self._chunk[size:]
        return data


def _length(environ: WSGIEnvironment) -> int | None:
    length = get_content_length(environ)
    if length is None and "uwsgi.version" in environ and environ.get("CONTENT_LENGTH"):
        # nginx has joined the chunks, but passes Transfer-Encoding on. uWSGI reads that many bytes in any case.
        length = get_content_length({"CONTENT_LENGTH": environ["CONTENT_LENGTH"]})
    return length


def keeps_what_came(environ: WSGIEnvironment) -> bool:
    """Return whether a read of the body returns what came of it if the client disconnects meanwhile.

    :param environ: Environment of the request.
    """
    return "gunicorn.socket" in environ and _length(environ) is not None


def request_body(environ: WSGIEnvironment) -> IO[bytes] | None:
    """Return the body of a request, which may have any length.

    Reading it raises :class:`~werkzeug.exceptions.ClientDisconnected` if it is malformed or ends too early, and
    :class:`~werkzeug.exceptions.RequestTimeout` if it comes too slowly.

    :param environ: Environment of the request.
    :returns: The body; ``None`` if its end is not known.
    """
    stream, length = environ["wsgi.input"], _length(environ)
    if length is None:
        if environ.get("wsgi.input_terminated"):
            # With a buffer of fixed size, Werkzeug's development server notices that a chunk is cut short. It would
            # otherwise shrink the interpreter's own buffer and crash it.
            stream = io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
        elif "uwsgi.version" in environ and environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
            stream = _UwsgiChunks()
        else:
            return None
    body = _Body(stream, length)
    if observed := observer(environ):
        observed.reads(body)
    return cast("IO[bytes]", paced(body, environ))
