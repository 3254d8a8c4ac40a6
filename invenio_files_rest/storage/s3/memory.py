"""The memory for bytes on their way to an object store, which all uploads of this process share."""

from __future__ import annotations

import os
import threading
import time

from ...errors import StorageBusyError
from .locations import MIB

BYTES = 128 * MIB
"""Number of bytes that all buffers of a process may have together."""

WAIT_SECONDS = 30.0
"""Seconds to wait for memory."""


class Budget:
    """A number of bytes of which parts are taken and given back.

    :param size: The number.
    """

    def __init__(self, size: int) -> None:
        """Begin with all of it."""
        self._left = size
        self._changed = threading.Condition()

    def take(self, size: int, timeout: float | None = None) -> None:
        """Take a part; wait while there is not enough left.

        :param size: Number of bytes.
        :param timeout: Seconds to wait; ``None`` for :data:`WAIT_SECONDS`.
        :raises StorageBusyError: If there is still not enough then.
        """
        deadline = time.monotonic() + (WAIT_SECONDS if timeout is None else timeout)
        with self._changed:
            while self._left < size:
                if not self._changed.wait(max(deadline - time.monotonic(), 0)) and self._left < size:
                    raise StorageBusyError("There is no memory left for more bytes on their way to the object store.")
            self._left -= size

    def take_now(self, size: int) -> bool:
        """Take a part if there is enough left.

        :param size: Number of bytes.
        :returns: Whether there was.
        """
        with self._changed:
            if self._left < size:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Give a part back.

        :param size: Number of bytes.
        """
        with self._changed:
            self._left += size
            self._changed.notify_all()


budget = Budget(BYTES)
"""The memory of this process."""


def _begin_anew() -> None:
    # A forked process has none of the threads that would give back what they have taken.
    global budget
    budget = Budget(BYTES)


os.register_at_fork(after_in_child=_begin_anew)
