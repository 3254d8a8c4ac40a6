"""Minimum rates for uploads and downloads: a client that sends or reads too slowly does not keep the worker.

When a body is read, a WSGI server waits until it has all the requested bytes, however slowly they arrive; when a file
is sent, it waits until the client has taken it. One thread of this process watches all of them. If a client sends too
slowly, the thread shuts down the reading side of the connection, which ends the wait; the writing side stays open for
the response. If a client reads too slowly, it shuts down the whole connection.
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
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, cast
from weakref import WeakSet

from flask import current_app, request
from werkzeug.exceptions import RequestTimeout

from ..messages import lazy_gettext as _

if TYPE_CHECKING:
    from _typeshed import SupportsRead
    from _typeshed.wsgi import WSGIEnvironment

PIECE = 64 * 1024
"""Number of bytes to read at a time if the operating system does not report how many have been received."""

_LOOK_SECONDS = 0.25

_TCP_INFO = struct.Struct("=24xI92xQQ8xI")
"""Positions of the members of :class:`_Transfer` in the ``struct tcp_info`` of ``linux/tcp.h``."""


class _Transfer(NamedTuple):
    """Counters of a TCP connection."""

    unacked: int
    bytes_acked: int
    bytes_received: int
    notsent_bytes: int


class _Waiting(Protocol):
    """A read or a download that waits for a client."""

    def look(self) -> None:
        """Check the progress, and end the wait if the client is too slow."""


class _Watch:
    """A thread that watches all reads and downloads that wait for a client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Weak, since a server may drop a response without closing it.
        self._waiting: WeakSet[_Waiting] = WeakSet()
        self._busy = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, waiting: _Waiting) -> None:
        """Start watching."""
        with self._lock:
            self._waiting.add(waiting)
            self._busy.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="files-rest-pacing", daemon=True)
                self._thread.start()

    def end(self, waiting: _Waiting) -> None:
        """Stop watching."""
        with self._lock:
            self._waiting.discard(waiting)

    def _run(self) -> None:
        while self._busy.wait():
            time.sleep(_LOOK_SECONDS)
            # The lock keeps a wait from ending, and its connection from going on to another request.
            with self._lock:
                for waiting in self._waiting:
                    waiting.look()
                if not self._waiting:
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
        _shut(self._connection, socket.SHUT_RD)

    def _received(self) -> int | None:
        """Return the number of bytes received on the connection so far; ``None`` if that is not known."""
        transfer = _transfer(self._connection)
        return transfer and transfer.bytes_received

    def _too_slow(self) -> RequestTimeout:
        return RequestTimeout(
            description=_(
                "The body came too slowly: at least %(rate)s bytes per second are expected.", rate=f"{self._rate:g}"
            )
        )


class PacedFile:
    """A file that is sent, with a minimum rate.

    Only the time counts in which sent bytes have not been acknowledged, so that slow storage is not the client's fault.
    Where the operating system does not report acknowledged bytes there is no limit.

    :param stream: The file; its sender closes it.
    :param connection: File descriptor of the client's connection.
    :param rate: Smallest rate in bytes per second.
    :param patience: Seconds for which the client may be slower.
    """

    def __init__(self, stream: IO[bytes], connection: int, rate: float, patience: float) -> None:
        """Start watching."""
        self._stream = stream
        self._connection = connection
        self._rate = rate
        self._patience = patience
        self._mark, self._since = -PIECE, 0.0
        _watch.begin(self)

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the file."""
        return getattr(self._stream, name)

    def close(self) -> None:
        """Close the file."""
        _watch.end(self)
        self._stream.close()

    def look(self) -> None:
        """Check the progress, from another thread, and shut down the connection if the client is too slow."""
        now, transfer = time.monotonic(), _transfer(self._connection)
        if transfer is None:
            return
        waiting = transfer.unacked or transfer.notsent_bytes
        if not waiting or transfer.bytes_acked - self._mark >= PIECE:
            self._mark, self._since = transfer.bytes_acked, now
        elif transfer.bytes_acked - self._mark < self._rate * (now - self._since - self._patience):
            _shut(self._connection, socket.SHUT_RDWR)


def _transfer(descriptor: int) -> _Transfer | None:
    """Return the counters of a connection; ``None`` if they are not known."""
    if sys.platform != "linux":
        return None
    try:
        with _copy(descriptor) as connection:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        return _Transfer(*_TCP_INFO.unpack(info))
    except (OSError, struct.error):
        return None


def _shut(descriptor: int, how: int) -> None:
    # If the client has disconnected, there is nothing to shut down.
    with suppress(OSError), _copy(descriptor) as connection:
        connection.shutdown(how)


@contextmanager
def _copy(descriptor: int) -> Iterator[socket.socket]:
    """Duplicate the socket, since the server's own may be a TLS one, which would shut down the encryption."""
    copied = os.dup(descriptor)
    try:
        connection = socket.socket(fileno=copied)
    except BaseException:
        os.close(copied)
        raise
    with connection:
        yield connection


def connection_of(environ: WSGIEnvironment) -> int | None:
    """Return the file descriptor of a request's connection, or ``None`` if the server does not expose it.

    :param environ: Environment of the request.
    """
    connection = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if connection is not None:
        return int(connection.fileno())
    if "uwsgi.version" in environ:
        # Only in a process of uWSGI itself.
        with suppress(ImportError):
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


def paced_file(stream: IO[bytes]) -> IO[bytes]:
    """Return the body of the response with the minimum rate in the settings.

    There is no limit behind a proxy that the application knows of by Werkzeug's ``ProxyFix``: it takes many bytes at
    once, and none while its client reads them; the proxy has deadlines of its own.

    :param stream: The body.
    :returns: The body, which can be read and closed as before.
    """
    connection = connection_of(request.environ)
    rate = current_app.config.get("FILES_REST_DOWNLOAD_MIN_RATE")
    if connection is None or not rate or "werkzeug.proxy_fix.orig" in request.environ:
        return stream
    return cast("IO[bytes]", PacedFile(stream, connection, rate, current_app.config["FILES_REST_DOWNLOAD_PATIENCE"]))
