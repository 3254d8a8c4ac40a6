"""Patience with slow clients, and its end: who sends a body too slowly is told so, and gives the worker back.

A WSGI server that is asked for some bytes of a body waits until it has them all, however slowly they come. One thread
of this process looks after all who wait so. Where a client sends too slowly it shuts the reading side of the
connection, which ends the wait; the other side stays open for the answer.
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
"""Bytes that are read at a time where the operating system does not tell how many of them have come."""

_LOOK_SECONDS = 0.25

_BYTES_RECEIVED = struct.Struct("=128xQ")
"""Where Linux has ``tcpi_bytes_received`` in the ``struct tcp_info`` of its ``linux/tcp.h``."""


class _Watch:
    """A thread that looks after all streams that are being read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: set[PacedStream] = set()
        self._busy = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, stream: PacedStream) -> None:
        """Look after a stream."""
        with self._lock:
            self._reading.add(stream)
            self._busy.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="files-rest-pacing", daemon=True)
                self._thread.start()

    def end(self, stream: PacedStream) -> None:
        """Leave a stream alone."""
        with self._lock:
            self._reading.discard(stream)

    def _run(self) -> None:
        while self._busy.wait():
            time.sleep(_LOOK_SECONDS)
            # The lock keeps a read from ending, and its connection from going on to another request.
            with self._lock:
                for stream in self._reading:
                    stream.look()
                if not self._reading:
                    self._busy.clear()


_watch = _Watch()


def _watch_anew() -> None:
    # A forked process has the lock as it was, and no thread.
    global _watch
    _watch = _Watch()


os.register_at_fork(after_in_child=_watch_anew)


class PacedStream:
    """The body of a request that has to keep coming.

    :param stream: Stream to read.
    :param connection: File descriptor of the connection that it comes from.
    :param rate: Bytes per second that have to arrive.
    :param patience: Seconds that they may come late.
    """

    def __init__(self, stream: SupportsRead[bytes], connection: int, rate: float, patience: float) -> None:
        """Keep the stream."""
        self._stream = stream
        self._connection = connection
        self._rate = rate
        self._patience = patience
        self._counted = self._received() is not None
        self._mark: int | None = None
        self._since = self._deadline = 0.0
        self._gave_up = False

    def __getattr__(self, name: str) -> Any:
        """Return what the stream has besides."""
        return getattr(self._stream, name)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; negative, or ``None``, for all.
        :returns: The bytes, or only some; none at the end.
        :raises werkzeug.exceptions.RequestTimeout: If they come too slowly.
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
        """See how far the read has come, from another thread, and end it where that is not far enough."""
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
        # Where the client has gone there is nothing to shut.
        with suppress(OSError), self._copy() as connection:
            connection.shutdown(socket.SHUT_RD)

    def _received(self) -> int | None:
        """Return how many bytes the connection has brought so far; ``None`` where that cannot be told."""
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
        """Open the connection a second time: the server's own may be encrypted, and shut that in the clear."""
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
    """Return the file descriptor of a request's connection, where the server tells it.

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
    """Return the body of a request as a stream that nobody waits for longer than the settings have it.

    Servers that keep their connections to themselves have theirs returned as it is: it is for them, or for the web
    server in front, to tell who is too slow.

    :param stream: The body.
    :param environ: Environment of the request.
    :returns: A stream with ``read(n)``, which may bring less than asked for.
    """
    connection = connection_of(environ)
    rate = current_app.config.get("FILES_REST_UPLOAD_MIN_RATE") if current_app else None
    if connection is None or not rate:
        return stream
    return PacedStream(stream, connection, rate, current_app.config["FILES_REST_UPLOAD_PATIENCE"])
