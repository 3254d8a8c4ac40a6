"""Locks on a region of a file, between threads and processes; a process that dies releases them."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_PAUSE = 0.02


def _lock(file: IO[bytes], kind: int, start: int, size: int) -> bool:
    """Lock or unlock a region with an open file description lock (fcntl(2)); return whether that succeeded."""
    request = struct.pack("hhqqi", kind, os.SEEK_SET, start, size, 0)
    try:
        fcntl.fcntl(file.fileno(), fcntl.F_OFD_SETLK, request)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextmanager
def locked_region(file: IO[bytes], start: int, size: int, timeout: float) -> Iterator[bool]:
    """Lock a region of a file for the duration of the block.

    :param file: The file, open for writing.
    :param start: Where the region begins, in bytes.
    :param size: Its length in bytes.
    :param timeout: Seconds to wait for another holder of the lock.
    :returns: Context that yields whether the system has such locks.
    :raises TimeoutError: If that was not enough.
    """
    if not hasattr(fcntl, "F_OFD_SETLK"):
        yield False
        return
    give_up = time.monotonic() + timeout
    while not _lock(file, fcntl.F_WRLCK, start, size):
        if time.monotonic() > give_up:
            raise TimeoutError("The region of the file stays locked.")
        time.sleep(_PAUSE)
    try:
        yield True
    finally:
        _lock(file, fcntl.F_UNLCK, start, size)
