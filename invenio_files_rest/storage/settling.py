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


class Settling:
    """The file systems of files that are not durable yet.

    It knows of an error if the file system was noted before the bytes were written.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._open: dict[int, int] = {}

    def __enter__(self) -> Settling:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Forget the file systems."""
        while self._open:
            os.close(self._open.popitem()[1])

    def note(self, descriptor: int) -> None:
        """Note the file system of a file that is going to be written.

        :param descriptor: Descriptor of the file.
        """
        device = os.fstat(descriptor).st_dev
        if device not in self._open:
            self._open[device] = os.dup(descriptor)

    def settle(self) -> None:
        """Make all files that have been written, and their names, durable.

        :raises OSError: If the disk fails.
        """
        for descriptor in self._open.values():
            if _syncfs(descriptor):
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
