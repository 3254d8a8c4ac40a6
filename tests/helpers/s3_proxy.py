"""A proxy before an object store, which fails as stores and networks do."""

from __future__ import annotations

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

SLOW_SECONDS = 1.5
"""Seconds by which an answer is late."""

_BROKEN = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>Out of order.</Message></Error>"


class Fault(NamedTuple):
    """What happens to some requests."""

    method: str
    contains: str
    """Text in the path of the request, with its query."""

    how: str
    """``slow`` for an answer that is late; ``reset`` for a connection that breaks before the request arrives, ``lost``
    for one that breaks before the answer does, and ``short`` for one that breaks in the middle of it; ``flipped`` for a
    body of which the store gets one byte as another; or a status and a code that the proxy answers, as ``503
    SlowDown``."""

    times: int = 1_000_000


class FaultyProxy:
    """The proxy. It serves while the block lasts.

    :param endpoint: URL of the store.
    """

    def __init__(self, endpoint: str) -> None:
        """Choose a port."""
        self._host = urlsplit(endpoint).netloc
        self._faults: list[list[Any]] = []
        self._lock = threading.Lock()
        self.seen: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                proxy.handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, *faults: Fault) -> None:
        """Say what happens from now on."""
        with self._lock:
            self._faults = [[fault, fault.times] for fault in faults]
            self.seen = []

    def _fault(self, method: str, path: str) -> str:
        with self._lock:
            self.seen.append(method)
            for entry in self._faults:
                fault, left = entry
                if left and fault.method == method and fault.contains in path:
                    entry[1] -= 1
                    return str(fault.how)
        return ""

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Pass a request on, or fail."""
        how = self._fault(request.command, request.path)
        if how == "reset":
            request.rfile.read(1)
            request.close_connection = True
            request.connection.close()
            return
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if how and how[0].isdigit():
            status, code = how.split()
            self._answer(request, int(status), [("Content-Type", "application/xml")], _BROKEN % code.encode())
            return
        if how == "flipped":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if how == "slow":
            time.sleep(SLOW_SECONDS)
        connection = http.client.HTTPConnection(self._host)
        # The signature is for the address of the proxy.
        connection.request(request.command, request.path, body, dict(request.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if how == "lost":
            request.close_connection = True
            request.connection.close()
            return
        self._answer(request, answer.status, answer.getheaders(), content, how == "short")

    @staticmethod
    def _answer(
        request: BaseHTTPRequestHandler, status: int, headers: Any, content: bytes, short: bool = False
    ) -> None:
        request.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                request.send_header(name, value)
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        request.send_header("Content-Length", lengths[0] if lengths and not content else str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2] if short else content)
        if short:
            request.wfile.flush()
            request.close_connection = True
            request.connection.close()

    def __enter__(self) -> FaultyProxy:
        """Serve."""
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
