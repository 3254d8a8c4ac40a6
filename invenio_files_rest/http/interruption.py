"""Ending a read of a request's body that waits for more of it, from another thread."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from .pacing import connection_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def interrupter(environ: WSGIEnvironment) -> Callable[[], None] | None:
    """Return a function that has nothing more come of the body of a request; its answer can still be sent.

    It must not be called once the request has ended, since the connection may then bring another one.

    :param environ: Environment of the request.
    :returns: The function; ``None`` with servers that keep their connections to themselves.
    """
    descriptor = connection_of(environ)
    if descriptor is None:
        return None

    def interrupt() -> None:
        # A second opening: the server's own may be encrypted, and shut that in the clear.
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            connection.shutdown(socket.SHUT_RD)

    return interrupt
