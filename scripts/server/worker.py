"""gunicorn's threaded worker, without threads that wait for request headers and without a loop that waits for clients.

The ``gthread`` worker of gunicorn 27 reads request headers in a thread, without a deadline. It closes connections in
the event loop, where it waits up to two seconds for each client: some twenty clients that keep theirs open block the
loop until the arbiter kills the worker. This worker waits for both in the event loop, without blocking it. And where a
signal ends it, gunicorn's own may wait for a lock that its thread has, until the arbiter kills it after 30 seconds.
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
"""Deadline in seconds for the request line and headers, from the accepted connection or from their first byte."""

HEAD_BYTES = 64 * 1024
"""Largest size in bytes of the request line and headers."""

CLOSE_SECONDS = 2
"""Seconds to wait for the client to close its side, since data that it still sends would reset the connection and could
lose the response (RFC 9112, section 9.6)."""


class Worker(ThreadWorker):
    """A worker process with threads for requests whose headers are complete."""

    def enqueue_req(self, conn: TConn) -> None:
        """Pass a connection to a thread once the headers of its request are complete."""
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
        """Tell whether the headers are complete, without consuming them; ``None`` if they never will be."""
        if conn.sock.family == socket.AF_UNIX:
            # The proxy sends complete headers.
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
        # The event loop wakes up only when there are more bytes than that.
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 if whole else len(come) + 1)
        return None if len(come) == HEAD_BYTES and not whole else whole

    def _wait(self, conn: TConn, deadline: float, readable: Callable[[TConn, Any], None]) -> None:
        conn.timeout = deadline
        insort(self.pending_conns, conn, key=attrgetter("timeout"))
        self.poller.register(conn.sock, EVENT_READ, partial(readable, conn))

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Keep a connection alive, or close it without blocking the event loop."""
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

    def handle_quit(self, sig: int, frame: Any) -> None:
        """End, as of gunicorn's other workers, without the pool of threads.

        To end that one takes its lock, which this thread may have: Ctrl-C sends two signals, from terminal and arbiter.
        """
        super(ThreadWorker, self).handle_quit(sig, frame)

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
