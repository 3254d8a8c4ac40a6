"""Files that are read at any position."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Positioned(io.RawIOBase):
    """A file with a position. Moving it reads nothing, and asks for the size only where it is counted from the end."""

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
        """Move to a position.

        :raises ValueError: If the position is before the beginning.
        """
        if whence == io.SEEK_END:
            offset += self.size
        elif whence == io.SEEK_CUR:
            offset += self._position
        if offset < 0:
            raise ValueError("There is no position before the beginning of a file.")
        self._position = offset
        return offset

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
