"""Reading an archive in blocks: servers take long for each read of a body, and archives have many short headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import SupportsRead

BLOCK = 64 * 1024
"""Number of bytes that are read at a time; longer reads are passed on."""


class Buffered:
    """A stream that is read in blocks.

    :class:`io.BufferedReader` would lend its buffer to the stream, which an error's traceback may keep.

    :param stream: The stream.
    """

    def __init__(self, stream: SupportsRead[bytes]) -> None:
        """Begin with nothing read."""
        self._stream = stream
        self._block, self._position = b"", 0

    def read(self, size: int, /) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; there may be fewer, and none only at the end.
        """
        start = self._position
        if start == len(self._block):
            if size >= BLOCK:
                return self._stream.read(size)
            self._block, start = self._stream.read(BLOCK), 0
        self._position = min(start + size, len(self._block))
        return self._block[start : self._position]
