"""What an application sends to PostgreSQL, counted on the way: every message is a round trip."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from types import TracebackType

from sqlalchemy import make_url

_QUIET = 0.3
"""Seconds without a message after which a request has come to its end; some of it comes after the answer."""


class CountedWire:
    """A server that passes on to PostgreSQL what it gets, and notes the simple queries, which psycopg2 sends alone.

    :param database: URL of the database.
    """

    def __init__(self, database: str) -> None:
        """Prepare the socket."""
        url = make_url(database)
        host = str(url.query.get("host") or url.host or "127.0.0.1")
        port = url.port or 5432
        self._family = socket.AF_UNIX if host.startswith("/") else socket.AF_INET
        self._address = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._queries: list[str] = []
        self._last = time.monotonic()
        self.url = url.set(
            host="127.0.0.1",
            port=self._listener.getsockname()[1],
            query={"sslmode": "disable", "gssencmode": "disable"},
        ).render_as_string(hide_password=False)
        """URL of the database by this way."""

    def __enter__(self) -> CountedWire:
        """Serve."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take no more connections."""
        self._listener.close()

    def taken(self) -> dict[str, int]:
        """Wait until nothing comes any more, and return what has come since the last call.

        :returns: ``round trips``, and of these the ``statements``, which neither begin nor end a transaction.
        """
        while time.monotonic() - self._last < _QUIET:
            time.sleep(_QUIET / 3)
        queries, self._queries = self._queries, []
        words = Counter(query.split(None, 1)[0].upper().rstrip(";") for query in queries)
        return {"round trips": len(queries), "statements": len(queries) - sum(words[word] for word in _TRANSACTION)}

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(self._family)
            server.connect(self._address)
            threading.Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, noted: bool) -> None:
        # The first message of a connection has no type.
        waiting, head = b"", 0
        try:
            while data := source.recv(65536):
                if noted:
                    waiting += data
                    while len(waiting) >= head + 4:
                        size = head + int.from_bytes(waiting[head : head + 4], "big")
                        if len(waiting) < size:
                            break
                        if head and waiting[:1] == b"Q":
                            self._queries.append(waiting[5 : size - 1].decode())
                            self._last = time.monotonic()
                        waiting, head = waiting[size:], 1
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, sink):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


_TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK")
