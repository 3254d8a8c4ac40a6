"""Interrupting a waiting read of a request's body from another thread."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from .pacing import connection_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def interrupter(environ: WSGIEnvironment) -> Callable[[], None] | None:
    """Return a function that ends the body of a request early; the response can still be sent.

    It must not be called after the request has ended, since the connection may then serve another one.

    :param environ: Environment of the request.
    :returns: The function; ``None`` if the server does not expose its connections.
    """
    descriptor = connection_of(environ)
    if descriptor is None:
        return None

    def interrupt() -> None:
        # On a duplicate, since the server's own socket may be a TLS one, which would shut down the encryption.
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            connection.shutdown(socket.SHUT_RD)

    return interrupt
