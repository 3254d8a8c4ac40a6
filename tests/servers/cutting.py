"""What lies between a client and a server, and cuts the connection now and then."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SLACK = 0.2
"""Seconds by which the pace may be behind, and is made up for."""


class Cutting:
    """Passes connections on, and cuts them after so many bytes of their clients.

    :param port: Port of the server.
    :param after: After how many bytes to cut, once each; then no more.
    :param pace: Largest number of bytes of a connection's client in a second, about.
    :param unheard: What is in the first bytes of a request whose answer does not get through, once.
    """

    def __init__(self, port: int, after: list[int], pace: float | None = None, unheard: bytes | None = None) -> None:
        """Begin to listen."""
        self._pace = pace
        self._unheard = unheard
        self.passed = 0
        """Bytes that clients have sent."""
        self._server = port
        self._after = after
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        if pace is not None:
            # What waits between client and server is not to be the whole file.
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._server)) as server:
            is_deaf = threading.Event()
            back = threading.Thread(target=self._pass_on, args=(server, client, False, is_deaf))
            back.start()
            self._pass_on(client, server, True, is_deaf)
            back.join()

    def _pass_on(
        self, source: socket.socket, target: socket.socket, from_client: bool, is_deaf: threading.Event
    ) -> None:
        passed, due = 0, time.monotonic()
        with suppress(OSError):
            while data := source.recv(65536):
                if from_client and self._unheard and self._unheard in data:
                    self._unheard = None
                    is_deaf.set()
                if not from_client and is_deaf.is_set():
                    self.cuts += 1
                    target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                if from_client and self._after and passed + len(data) > self._after[0]:
                    # The server may have shut the connection itself.
                    self.cuts += 1
                    target.sendall(data[: self._after.pop(0) - passed])
                    # Chromium would wait for ever for room in the buffers of a connection that is closed in peace.
                    source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                passed += len(data)
                target.sendall(data)
                if from_client:
                    self.passed += len(data)
                if from_client and self._pace:
                    # By the clock: on a busy machine a sleep takes longer, and small pieces have many.
                    due = max(due, time.monotonic() - _SLACK) + len(data) / self._pace
                    time.sleep(max(0.0, due - time.monotonic()))
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


@contextmanager
def cutting(port: int, after: list[int], pace: float | None = None, unheard: bytes | None = None) -> Iterator[Cutting]:
    """Run one; see :class:`Cutting`."""
    between = Cutting(port, after, pace, unheard)
    try:
        yield between
    finally:
        between.close()
