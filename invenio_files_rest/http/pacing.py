"""A minimum rate for bodies: a client that sends too slowly gets an error, and the worker is free again.

When a body is read, a WSGI server waits until it has all the requested bytes, however slowly they arrive. One thread of
this process watches all such reads. If a client sends too slowly, the thread shuts down the reading side of the
connection, which ends the wait; the writing side stays open for the response.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from flask import current_app
from werkzeug.exceptions import RequestTimeout

if TYPE_CHECKING:
    from _typeshed import SupportsRead
    from _typeshed.wsgi import WSGIEnvironment

PIECE = 64 * 1024
"""Number of bytes to read at a time if the operating system does not report how many have been received."""

_LOOK_SECONDS = 0.25

_BYTES_RECEIVED = struct.Struct("=128xQ")
"""Position of ``tcpi_bytes_received`` in the ``struct tcp_info`` of ``linux/tcp.h``."""


class _Watch:
    """A thread that watches all streams that are being read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: set[PacedStream] = set()
        self._busy = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, stream: PacedStream) -> None:
        """Start watching a stream."""
        with self._lock:
            self._reading.add(stream)
            self._busy.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="files-rest-pacing", daemon=True)
                self._thread.start()

    def end(self, stream: PacedStream) -> None:
        """Stop watching a stream."""
        with self._lock:
            self._reading.discard(stream)

    def _run(self) -> None:
        while self._busy.wait():
            time.sleep(_LOOK_SECONDS)
            # The lock keeps a read from ending now, after which its connection might serve another request.
            with self._lock:
                for stream in self._reading:
                    stream.look()
                if not self._reading:
                    self._busy.clear()


_watch = _Watch()


def _watch_anew() -> None:
    # A forked process inherits the lock, perhaps taken, and no thread.
    global _watch
    _watch = _Watch()


os.register_at_fork(after_in_child=_watch_anew)


class PacedStream:
    """The body of a request, with a minimum rate.

    :param stream: Stream to read.
    :param connection: File descriptor of the client's connection.
    :param rate: Smallest rate in bytes per second.
    :param patience: Seconds for which the client may be slower.
    """

    def __init__(self, stream: SupportsRead[bytes], connection: int, rate: float, patience: float) -> None:
        """Store the arguments."""
        self._stream = stream
        self._connection = connection
        self._rate = rate
        self._patience = patience
        self._counted = self._received() is not None
        self._mark: int | None = None
        self._since = self._deadline = 0.0
        self._gave_up = False

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the stream."""
        return getattr(self._stream, name)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; negative, or ``None``, for all.
        :returns: The bytes, which may be fewer; none at the end.
        :raises werkzeug.exceptions.RequestTimeout: If they arrive too slowly.
        """
        wanted = -1 if size is None else size
        if not self._counted:
            if wanted < 0:
                return b"".join(iter(lambda: self._read(PIECE), b""))
            wanted = min(wanted, PIECE)
        return self._read(wanted)

    def _read(self, size: int) -> bytes:
        self._mark, self._since = None, time.monotonic()
        self._deadline = self._since + self._patience + size / self._rate
        _watch.begin(self)
        try:
            data = self._stream.read(size)
        except Exception as error:
            if self._gave_up:
                raise self._too_slow() from error
            raise
        finally:
            _watch.end(self)
        if self._gave_up:
            raise self._too_slow()
        return data

    def look(self) -> None:
        """Check the progress of the read, from another thread, and end the read if it is too slow."""
        now, received = time.monotonic(), self._received()
        if received is None:
            if self._counted or now > self._deadline:
                self._give_up()
        elif self._mark is None or received - self._mark >= PIECE:
            self._mark, self._since = received, now
        elif received - self._mark < self._rate * (now - self._since - self._patience):
            self._give_up()

    def _give_up(self) -> None:
        self._gave_up = True
        # If the client has disconnected, there is nothing to shut down.
        with suppress(OSError), self._copy() as connection:
            connection.shutdown(socket.SHUT_RD)

    def _received(self) -> int | None:
        """Return the number of bytes received on the connection so far; ``None`` if that is not known."""
        if sys.platform != "linux":
            return None
        try:
            with self._copy() as connection:
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED.size)
            return int(_BYTES_RECEIVED.unpack(info)[0])
        except (OSError, struct.error):
            return None

    @contextmanager
    def _copy(self) -> Iterator[socket.socket]:
        """Duplicate the socket, since the server's own may be a TLS one, which would shut down the encryption."""
        descriptor = os.dup(self._connection)
        try:
            connection = socket.socket(fileno=descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        with connection:
            yield connection

    def _too_slow(self) -> RequestTimeout:
        return RequestTimeout(
            description=f"The body came too slowly: at least {self._rate:g} bytes per second are expected."
        )


def connection_of(environ: WSGIEnvironment) -> int | None:
    """Return the file descriptor of a request's connection, or ``None`` if the server does not expose it.

    :param environ: Environment of the request.
    """
    connection = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if connection is not None:
        return int(connection.fileno())
    if "uwsgi.version" in environ:
        import uwsgi

        return int(uwsgi.connection_fd())
    return None


def paced(stream: Any, environ: WSGIEnvironment) -> Any:
    """Return the body of a request with the minimum rate in the settings.

    If the server does not expose its connections, the body is returned unchanged: the server, or the web server in
    front, has to deal with slow clients.

    :param stream: The body.
    :param environ: Environment of the request.
    :returns: A stream with ``read(n)``, which may return fewer bytes than asked for.
    """
    connection = connection_of(environ)
    rate = current_app.config.get("FILES_REST_UPLOAD_MIN_RATE") if current_app else None
    if connection is None or not rate:
        return stream
    return PacedStream(stream, connection, rate, current_app.config["FILES_REST_UPLOAD_PATIENCE"])
