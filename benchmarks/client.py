"""A client that costs little beside the servers that it measures."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

BLOCK = 1024 * 1024


class Client:
    """One connection to a server, kept as long as the server keeps it.

    :param port: Port of the loopback interface.
    :param keep: Whether the server keeps connections; uWSGI closes them without saying so.
    :param sent: Headers of all requests.
    """

    def __init__(self, port: int, keep: bool = True, sent: Mapping[str, str] | None = None) -> None:
        """Prepare the connection."""
        self.keep = keep
        self.sent = dict(sent or {})
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600, blocksize=BLOCK)
        self.buffer = bytearray(BLOCK)
        self.headers = http.client.HTTPMessage()
        """Headers of the last answer."""

    def __enter__(self) -> Client:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.connection.close()

    def request(self, method: str, path: str, body: bytes | Path | None = None) -> tuple[int, bytes]:
        """Send a request, and return status and body of the answer.

        :param method: Its method.
        :param path: Its path.
        :param body: Its body; a file is sent by the operating system.
        """
        if isinstance(body, Path):
            self.connection.putrequest(method, path)
            self.connection.putheader("Content-Length", str(body.stat().st_size))
            for name, value in self.sent.items():
                self.connection.putheader(name, value)
            self.connection.endheaders()
            sock: socket.socket = self.connection.sock
            with body.open("rb") as file:
                sock.sendfile(file)
        else:
            self.connection.request(method, path, body, self.sent)
        response = self.connection.getresponse()
        self.headers = response.headers
        content = response.read()
        if not self.keep:
            self.connection.close()
        return response.status, content

    def expect(self, status: int, method: str, path: str, body: bytes | Path | None = None) -> bytes:
        """Send a request, and return the body of the answer.

        :param status: The status that the answer has to have.
        """
        found, content = self.request(method, path, body)
        if found != status and not (status == 200 and found in (201, 204)):
            raise RuntimeError(f"{method} {path} was answered {found}, not {status}.")
        return content

    def download(self, path: str) -> int:
        """Read a file, and return its size in bytes.

        :param path: Its path.
        """
        self.connection.request("GET", path, headers=self.sent)
        response = self.connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"GET {path} was answered {response.status}.")
        size = 0
        while count := response.readinto(self.buffer):
            size += count
        if not self.keep:
            self.connection.close()
        return size


def wait_for(port: int, path: str, seconds: float = 60) -> None:
    """Wait until a server answers.

    :param port: Its port.
    :param path: What to ask for.
    :param seconds: Seconds to wait at most.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with Client(port) as client:
                client.request("GET", path)
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
