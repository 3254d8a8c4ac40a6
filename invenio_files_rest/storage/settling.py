"""Making many new files durable together: one wait for the disk, rather than one for each file and each folder."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from types import TracebackType
from typing import Any

_syncfs: Any = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def _reports_errors() -> bool:
    """Return whether syncfs(2) tells that bytes could not be written, as it does since Linux 5.8."""
    match = re.match(r"(\d+)\.(\d+)", platform.release())
    return platform.system() == "Linux" and match is not None and (int(match[1]), int(match[2])) >= (5, 8)


CAN_SETTLE = _syncfs is not None and _reports_errors()
"""Whether files on this machine can be made durable together."""

_FILE_SYSTEMS = {
    0xEF53: "ext4",
    0x58465342: "XFS",
    0x9123683E: "Btrfs",
    0x2FC12FC1: "ZFS",
    0xF2F52010: "F2FS",
    0xCA451A4E: "bcachefs",
    0x01021994: "tmpfs",
}
"""The file systems of which syncfs(2) writes all to the disk, and tells of errors, by their ``f_type`` of statfs(2).

Others may only pass the bytes on: FUSE, SMB and 9p ask their servers to keep them for fsync(2) alone. The overlay file
system does not tell of errors of the one below it.
"""


def _type_of(descriptor: int) -> int:
    """Return the type of a file's file system; it is the first field that fstatfs(2) fills in."""
    found = (ctypes.c_ulong * 64)()
    return int(found[0]) if not ctypes.CDLL(None).fstatfs(descriptor, found) else 0


class Settling:
    """The file systems of files that are not durable yet.

    It knows of an error if the file system was noted before the bytes were written.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._open: dict[int, int | None] = {}

    def __enter__(self) -> Settling:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Forget the file systems."""
        while self._open:
            if (descriptor := self._open.popitem()[1]) is not None:
                os.close(descriptor)

    def note(self, descriptor: int) -> bool:
        """Note the file system of a file that is going to be written.

        :param descriptor: Descriptor of the file.
        :returns: Whether :meth:`settle` makes the file durable. Otherwise whoever writes it has to.
        """
        device = os.fstat(descriptor).st_dev
        if device not in self._open:
            self._open[device] = os.dup(descriptor) if _type_of(descriptor) in _FILE_SYSTEMS else None
        return self._open[device] is not None

    def settle(self) -> None:
        """Make all files that have been written, and their names, durable.

        :raises OSError: If the disk fails.
        """
        for descriptor in self._open.values():
            if descriptor is not None and _syncfs(descriptor):
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
