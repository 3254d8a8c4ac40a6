"""The memory for bytes on their way to an object store, which all uploads of this process share.

Each takes a little for its first bytes, and more once these have come. Half of the memory is kept for first bytes, and
half of the rest for uploads that are fast, so that slow ones, which hold what they have for long, starve nobody.
"""

from __future__ import annotations

import os
import threading
import time

from ...errors import StorageBusyError
from .locations import MIB

BYTES = 128 * MIB
"""Number of bytes that all buffers of a process may have together."""

FIRST = MIB
"""Number of bytes that are taken for the first bytes of a body."""

WAIT_SECONDS = 30.0
"""Seconds to wait for memory for them."""

PATIENCE = 2.0
"""Seconds to wait for more of it."""


class Budget:
    """A number of bytes of which parts are taken and given back.

    :param size: The number.
    """

    def __init__(self, size: int) -> None:
        """Begin with all of it."""
        self.size = self._left = size
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Take a part; wait :data:`WAIT_SECONDS` while there is not enough left.

        :param size: Number of bytes.
        :raises StorageBusyError: If there is still not enough then.
        """
        if not self.take_within(WAIT_SECONDS, size):
            raise StorageBusyError("There is no memory left for more bytes on their way to the object store.")

    def take_within(self, seconds: float, size: int, kept: float = 0) -> bool:
        """Take a part if there is enough left in time.

        :param seconds: Seconds to wait.
        :param size: Number of bytes.
        :param kept: Share of all memory that has to be left for others, from 0 to 1.
        :returns: Whether there was.
        """
        wanted, deadline = size + int(kept * self.size), time.monotonic() + seconds
        with self._changed:
            while self._left < wanted:
                if (left := deadline - time.monotonic()) <= 0:
                    return False
                self._changed.wait(left)
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
