"""Writing a long file without filling the memory with it.

Left to itself, the system keeps what is written in memory until there is much of it: the disk idles first, and
everybody waits for it later, among them the fsync that ends the upload. The bytes of an upload of terabytes take the
place of the files that others read. And memory that is taken anew, page after page, costs virtual machines as much time
as the writing itself. So here the disk gets the bytes while more of them come, and the memory of those it has is used
again.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
from typing import Any

PIECE = 8 * 1024**2
"""Bytes after which the system is asked to write them to the disk."""

KEPT = 32 * 1024**2
"""Bytes at the end of the file that stay in memory, on the disk or not: a file of no more is kept as a whole."""

_sync_file_range: Any = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
"""What sync_file_range(2) does with a range; ``linux/fs.h`` has the numbers."""

_UNABLE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP, errno.EPERM})
"""What is answered where the file is not one that can be written so, or a sandbox does not know the call."""


class StreamedFile(io.FileIO):
    """A file that is written from one place on, and goes to the disk meanwhile where the system can do that.

    :param file: Path or descriptor, as of :class:`io.FileIO`.
    :param mode: Mode, as of :class:`io.FileIO`.
    :param kept: Bytes before the place of writing that stay in memory; ``None`` for all.
    """

    def __init__(self, file: str | int, mode: str, kept: int | None = KEPT) -> None:
        """Open the file."""
        super().__init__(file, mode)
        self._kept = kept
        self._begun = self._released = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to the place to write from."""
        self._begun = self._released = super().seek(offset, whence)
        return self._begun

    def write(self, data: Any, /) -> int:
        """Write bytes, and have the disk catch up every few megabytes.

        :param data: The bytes.
        :returns: How many of them were written.
        :raises OSError: Where they cannot be written, or earlier ones could not.
        """
        count = super().write(data)
        end = self.tell()
        if end - self._begun >= PIECE and _sync_file_range is not None:
            self._sync(self._begun, end, _WRITE)
            self._begun = end
            if self._kept is not None:
                self._release(end - self._kept)
        return count

    def _release(self, end: int) -> None:
        """Wait until the disk has all bytes before an offset, and give their memory back."""
        if end > self._released:
            self._sync(self._released, end, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
            os.posix_fadvise(self.fileno(), self._released, end - self._released, os.POSIX_FADV_DONTNEED)
            self._released = end

    def _sync(self, start: int, end: int, flags: int) -> None:
        offset, size = ctypes.c_int64(start), ctypes.c_int64(end - start)
        if _sync_file_range(self.fileno(), offset, size, flags):
            error = ctypes.get_errno()
            # An error that is told here is not told again by fsync.
            if error not in _UNABLE:
                raise OSError(error, os.strerror(error))
