"""How tests wait for other processes and threads: as long as a busy machine may need, and not a moment longer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

SECONDS = 60
"""How long anything may take that an idle machine does in a moment."""


def wait_until(
    holds: Callable[[], object], told: Callable[[], object] = lambda: None, seconds: float = SECONDS
) -> None:
    """Wait until something holds.

    :param holds: Tells whether it does.
    :param told: What to say if it never does.
    :param seconds: How long to wait at most.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)


def allowed(seconds: float) -> float:
    """Return how long something may take now.

    :param seconds: How long it may take where it has the machine to itself.
    """
    return seconds * (1 + 2 * os.getloadavg()[0] / (os.cpu_count() or 1))
