"""Bodies of requests to an object store: blocks in memory, and a stream that is passed on as it comes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ..pump import check_size
from . import memory

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, SupportsRead, WriteableBuffer

    from ...checksums import MessageDigest


class Buffer(io.RawIOBase):
    """Blocks in memory as one body, which can be sent again. Its memory is part of the budget of the process.

    All of it is taken before the first block, so that whoever has some bytes never waits for memory for the rest.

    :param capacity: Largest number of bytes.
    """

    def __init__(self, capacity: int) -> None:
        """Begin with no blocks."""
        super().__init__()
        self.capacity = capacity
        self._taken = 0
        self._blocks: list[bytes] = []
        self._position = 0
        self.size = 0

    @property
    def room(self) -> int:
        """Number of bytes that can be added."""
        return self.capacity - self.size

    def append(self, block: bytes) -> None:
        """Add a block at the end; wait for memory before the first one.

        :param block: The bytes.
        :raises StorageBusyError: If other uploads do not give back enough memory.
        """
        if not self._taken:
            memory.budget.take(self.capacity)
            self._taken = self.capacity
        self._blocks.append(block)
        self.size += len(block)

    def close(self) -> None:
        """Give the memory back."""
        if not self.closed:
            memory.budget.give_back(self._taken)
            self._blocks = []
        super().close()

    def __len__(self) -> int:
        return self.size

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
        """Read bytes of one block."""
        view, skip = memoryview(target).cast("B"), self._position
        for block in self._blocks:
            if skip < len(block):
                part = block[skip : skip + len(view)]
                view[: len(part)] = part
                self._position += len(part)
                return len(part)
            skip -= len(block)
        return 0

    def write(self, data: ReadableBuffer, /) -> int:
        """Add a block, as :meth:`append` does."""
        self.append(bytes(data))
        return len(self._blocks[-1])


class PassedOn:
    """A stream of a known size that is sent as it comes, and so can be sent only once.

    :param stream: The stream.
    :param size: Number of bytes that it must have.
    :param digest: Digest to feed with the bytes.
    """

    def __init__(self, stream: SupportsRead[bytes], size: int, digest: MessageDigest | None) -> None:
        """Begin at the first byte."""
        self._stream = stream
        self._size = size
        self._digest = digest
        self._done = 0
        self.error: BaseException | None = None
        """Why reading failed, which boto3 hides behind an error of its own."""

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes, and check at the end that there are as many as there must be.

        :param size: Largest number of bytes; negative for all.
        :raises UnexpectedFileSizeError: If there are more or fewer.
        """
        if self.error is not None:
            raise self.error
        try:
            left = self._size - self._done
            data = self._stream.read(left if size < 0 else min(size, left)) if left else b""
            self._done += len(data)
            if not data and left and size:
                check_size(self._done, self._size)
            if self._digest is not None:
                self._digest.update(data)
            if self._done == self._size and left and self._stream.read(1):
                check_size(self._done + 1, self._size)
        except BaseException as error:
            self.error = error
            raise
        return data
