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
from contextlib import suppress
from typing import Any

PIECE = 8 * 1024**2
"""Bytes, at least, after which the system is asked to write them to the disk."""

KEPT = 32 * 1024**2
"""Bytes before the place of writing that stay in memory, on the disk or not."""

_sync_file_range: Any = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
"""What sync_file_range(2) does with a range; ``linux/fs.h`` has the numbers."""

_UNABLE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP, errno.EPERM})
"""What is answered where the file is not one that can be written so, or a sandbox does not know the call."""


class StreamedFile(io.BufferedWriter):
    """A file that is written from one place on, and goes to the disk meanwhile where the system can do that.

    It is no raw file below a buffer: the buffer would take an error of earlier bytes for one of the bytes that it has
    just handed over, and write these again.

    :param raw: The file.
    :param kept: Bytes before the place of writing that stay in memory; ``None`` for all.
    """

    def __init__(self, raw: io.FileIO, kept: int | None = KEPT) -> None:
        """Begin where the file is."""
        super().__init__(raw)
        self._kept = kept
        self._able = _sync_file_range is not None
        self._begun = self._released = self.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to the place to write from.

        :param offset: Place, in bytes.
        :param whence: What it is counted from, as of :meth:`io.IOBase.seek`.
        :returns: The place, in bytes from the start.
        """
        self._begun = self._released = super().seek(offset, whence)
        return self._begun

    def write(self, data: Any, /) -> int:
        """Write bytes, and have the disk catch up every few megabytes.

        :param data: The bytes.
        :returns: How many they are.
        :raises OSError: If they cannot be written, or earlier ones could not.
        """
        count = super().write(data)
        end = self.tell()
        if self._able and end - self._begun >= PIECE:
            self.flush()
            self._begin(end)
            if self._able and self._kept is not None:
                self._release(end - self._kept)
        return count

    def _begin(self, end: int) -> None:
        """Have the disk get what has been written up to an offset in bytes, without waiting for it."""
        try:
            self._sync(self._begun, end, _WRITE)
        except OSError as error:
            if error.errno not in _UNABLE:
                raise
            self._able = False
        self._begun = end

    def _release(self, end: int) -> None:
        """Wait until the disk has all before an offset in bytes, and give its memory back.

        :raises OSError: If the disk has not got it: who waits is told, and fsync does not tell it again.
        """
        if end <= self._released:
            return
        self._sync(self._released, end, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
        # That is advice, which may be refused.
        with suppress(OSError):
            os.posix_fadvise(self.fileno(), self._released, end - self._released, os.POSIX_FADV_DONTNEED)
        self._released = end

    def _sync(self, start: int, end: int, flags: int) -> None:
        if _sync_file_range(self.fileno(), ctypes.c_int64(start), ctypes.c_int64(end - start), flags):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
