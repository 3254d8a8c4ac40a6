"""gunicorn's worker with threads, none of which waits for a client that holds back its request or its end.

The worker of gunicorn 27 reads the head of a request in a thread, however long it takes, and waits for clients to close
their connections in the loop that accepts all others. Here the loop looks at heads until they are whole, and closes
connections as their clients do.
"""

from __future__ import annotations

import socket
import time
from bisect import insort
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from operator import attrgetter
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

HEAD_SECONDS = 10
"""Seconds within which the head of a request has to come, once its connection is open or its first byte is there."""

HEAD_BYTES = 64 * 1024
"""Bytes that the head of a request has at most."""

CLOSE_SECONDS = 2
"""Seconds that a client has to close its side, so that what it still sends does not undo the answer (RFC 9112, section
9.6)."""


class Worker(ThreadWorker):
    """A process that serves."""

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread once the head of its request is there."""
        whole = self._head_is_whole(conn)
        if whole is None:
            self.nr_conns -= 1
            conn.close()
        elif whole:
            conn.data_ready, conn.head_deadline = True, None
            super().enqueue_req(conn)
        else:
            conn.head_deadline = getattr(conn, "head_deadline", None) or time.monotonic() + HEAD_SECONDS
            self._wait(conn, conn.head_deadline, self.on_pending_socket_readable)

    def _head_is_whole(self, conn: TConn) -> bool | None:
        """Tell whether the head of a request has come, without taking it; ``None`` where it never will."""
        if conn.sock.family == socket.AF_UNIX:
            # Of a proxy, which sends whole heads.
            return True
        head = conn.parser.unreader.buf.getvalue() if conn.parser else b""
        conn.sock.setblocking(False)
        try:
            come = conn.sock.recv(HEAD_BYTES, socket.MSG_PEEK)
            if not come:
                return None
        except BlockingIOError:
            come = b""
        except OSError:
            return None
        whole = b"\r\n\r\n" in head + come
        # The loop hears of the socket when there is more to look at.
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 if whole else len(come) + 1)
        return None if len(come) == HEAD_BYTES and not whole else whole

    def _wait(self, conn: TConn, deadline: float, readable: Callable[[TConn, Any], None]) -> None:
        conn.timeout = deadline
        insort(self.pending_conns, conn, key=attrgetter("timeout"))
        self.poller.register(conn.sock, EVENT_READ, partial(readable, conn))

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Keep a connection that goes on; let another one end, while others are served."""
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
            return
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.nr_conns -= 1
            conn.close()
        else:
            self._wait(conn, time.monotonic() + CLOSE_SECONDS, self._on_closing_socket_readable)

    def _on_closing_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        try:
            if client.recv(HEAD_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        self.nr_conns -= 1
        conn.close()
