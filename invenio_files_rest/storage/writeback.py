"""Writing a long file without filling the memory with it.

By default, the system keeps written bytes in memory until there are many of them. The disk is idle first, and later
everything waits for it, including the fsync that ends the upload. So here the disk gets the bytes while more of them
come.

What was just stored is read next: for a preview, by a checksum, by who has uploaded it. So it stays in the page cache.
The bytes of a very large upload would displace the files that others read from there. Of a file that is longer than a
share of the memory, the memory of what the disk has is used again.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
from contextlib import suppress
from typing import Any

from .memory import memory_size

PIECE = 8 * 1024**2
"""Minimum number of bytes after which the system is asked to write them to the disk."""

SHORT_PIECE = 1024**2
"""That of the first pieces of a run of bytes that may be short. Its end is waited for."""

LAST_SHARE = 8
"""The next piece of such a run is that part of what it has so far, so that the disk has most of it at its end."""

CACHED_SHARE = 1 / 64
"""Largest size of a file that stays in memory as a whole, as a share of the memory, if nobody sets another one."""

KEPT = 32 * 1024**2
"""Number of bytes before the current position of a longer file that stay in memory, written or not."""

_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
"""Flags of sync_file_range(2), from ``linux/fs.h``."""

_system_call: Any = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)

_UNABLE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP, errno.EPERM})
"""Errors if the file cannot be written in this way, or a sandbox does not know the call."""


def largest_cached(share: float) -> float:
    """Return the size, in bytes, up to which the whole of a new file stays in memory.

    :param share: The size as a share of the memory.
    """
    return memory_size() * share


def sync_file_range(descriptor: int, offset: int, size: int, flags: int) -> None:
    """Start or await the writing of a part of a file, by the system call that :mod:`os` lacks.

    :param descriptor: File descriptor.
    :param offset: Position of the first byte.
    :param size: Number of bytes.
    :param flags: What to do with them.
    :raises OSError: If the system call fails, or the system has none.
    """
    if _system_call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _system_call(descriptor, ctypes.c_int64(offset), ctypes.c_int64(size), flags):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class StreamedFile(io.BufferedWriter):
    """A file that is written sequentially, and goes to the disk meanwhile if the system can do that.

    It is not a raw file below a buffer, because the buffer would take an error of earlier bytes for one of the bytes
    that it has just passed on, and write these again.

    :param raw: The file.
    :param cached: Size of the file, in bytes, up to which all of it stays in memory.
    :param piece: Size of the first piece, in bytes, that goes to the disk.
    """

    def __init__(self, raw: io.FileIO, cached: float, piece: int = PIECE) -> None:
        """Begin at the current position of the file."""
        super().__init__(raw)
        self._cached = cached
        self._piece = piece
        self._able = True
        self._start = self._begun = self._released = self.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to the position to write at.

        :param offset: Position in bytes.
        :param whence: Reference point, as of :meth:`io.IOBase.seek`.
        :returns: The position, in bytes from the start.
        """
        self._start = self._begun = super().seek(offset, whence)
        # Of what is before it, those that wrote it have released all but the last, or nothing yet.
        self._released = max(0, self._begun - KEPT) if self._begun > self._cached else 0
        return self._begun

    def write(self, data: Any, /) -> int:
        """Write bytes, and let the disk catch up every few megabytes.

        :param data: The bytes.
        :returns: Number of bytes written.
        :raises OSError: If they cannot be written, or earlier ones could not.
        """
        count = super().write(data)
        end = self.tell()
        if self._able and end - self._begun >= self._piece:
            self._piece = max(self._piece, min((end - self._start) // LAST_SHARE, PIECE))
            self.flush()
            self._begin(end)
            if self._able and end > self._cached:
                self._release(end - KEPT)
        return count

    def _begin(self, end: int) -> None:
        """Start writing everything before an offset in bytes to the disk, without waiting for it."""
        try:
            sync_file_range(self.fileno(), self._begun, end - self._begun, _WRITE)
        except OSError as error:
            if error.errno not in _UNABLE:
                raise
            self._able = False
        self._begun = end

    def _release(self, end: int) -> None:
        """Wait until everything before an offset in bytes is on the disk, and release its memory.

        :raises OSError: If it could not be written. The error is reported once, and not again by fsync.
        """
        if end <= self._released:
            return
        start, size = self._released, end - self._released
        sync_file_range(self.fileno(), start, size, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
        # This is only advice, which may be refused.
        with suppress(OSError):
            os.posix_fadvise(self.fileno(), start, size, os.POSIX_FADV_DONTNEED)
        self._released = end
