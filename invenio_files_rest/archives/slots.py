"""How many archives a process sends at once: each occupies a thread, and a disk, for as long as it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from werkzeug.exceptions import ServiceUnavailable

from ..messages import lazy_gettext as _

RETRY_SECONDS = 30
"""Seconds after which a client that was refused may try again."""

_lock = threading.Lock()
_taken = 0


def take_slot(limit: int) -> Callable[[], None]:
    """Take one of the slots of this process.

    :param limit: Number of slots.
    :returns: Function that gives it back.
    :raises werkzeug.exceptions.ServiceUnavailable: If all are taken.
    """
    global _taken
    with _lock:
        if _taken >= limit:
            raise ServiceUnavailable(_("Too many archives are being sent. Try again later."), retry_after=RETRY_SECONDS)
        _taken += 1

    given_back = False

    def give_back() -> None:
        global _taken
        nonlocal given_back
        with _lock:
            _taken -= not given_back
            given_back = True

    return give_back
