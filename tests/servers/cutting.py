"""What lies between a client and a server, and cuts the connection now and then."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Cutting:
    """Passes connections on, and cuts them after so many bytes of their clients.

    :param port: Port of the server.
    :param after: After how many bytes to cut, once each; then no more.
    """

    def __init__(self, port: int, after: list[int]) -> None:
        """Begin to listen."""
        self._server = port
        self._after = after
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._server)) as server:
            back = threading.Thread(target=self._pass_on, args=(server, client, False))
            back.start()
            self._pass_on(client, server, True)
            back.join()

    def _pass_on(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if from_client and self._after and passed + len(data) > self._after[0]:
                    target.sendall(data[: self._after.pop(0) - passed])
                    self.cuts += 1
                    break
                passed += len(data)
                target.sendall(data)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


@contextmanager
def cutting(port: int, after: list[int]) -> Iterator[Cutting]:
    """Run one; see :class:`Cutting`."""
    between = Cutting(port, after)
    try:
        yield between
    finally:
        between.close()
