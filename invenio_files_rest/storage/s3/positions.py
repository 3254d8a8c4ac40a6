"""Files that are read at any position, of a size that is known."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Positioned(io.RawIOBase):
    """A file with a position. Moving it reads nothing."""

    size: int
    """Size in bytes."""

    def __init__(self) -> None:
        """Begin at the first byte."""
        super().__init__()
        self._position = 0

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def seekable(self) -> bool:
        """Return ``True``."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, target: WriteableBuffer, /) -> int:
        """Read bytes into a buffer, and hold nothing of it: a frame may outlive the call, in a traceback say."""
        with memoryview(target) as whole, whole.cast("B") as view:
            return self.fill(view)

    def fill(self, view: memoryview) -> int:
        """Read bytes from the position on, and move it.

        :param view: Where to put them.
        :returns: Their number; 0 at the end.
        """
        raise NotImplementedError
