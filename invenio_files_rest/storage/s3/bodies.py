"""Bodies of requests to an object store: blocks in memory, and a stream that is passed on as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import StorageBusyError
from ..pump import check_size
from . import memory
from .locations import SMALLEST_PART
from .positions import Positioned

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, SupportsRead, WriteableBuffer

    from ...checksums import MessageDigest


class Buffer(Positioned):
    """Blocks in memory as one body, which can be sent again. Its memory is part of the budget of the process.

    Memory is waited for once, before the first block: as much as the smallest part of an upload needs, so that whoever
    has some bytes can send them without waiting for others. More is taken as it is needed while there is some, so that
    one slow upload does not keep much from the others.

    :param capacity: Largest number of bytes.
    :param needed: Number of bytes with which it can be sent.
    """

    def __init__(self, capacity: int, needed: int = SMALLEST_PART) -> None:
        """Begin with no blocks."""
        super().__init__()
        self.capacity = capacity
        self._needed = min(needed, capacity)
        self._taken = 0
        self._blocks: list[bytes] = []
        self.size = 0

    def make_room(self, wanted: int) -> int:
        """Take memory for more bytes, and return how many can be added: none if it has to be sent first.

        :param wanted: Number of bytes to add.
        :raises StorageBusyError: If other uploads do not give back enough memory for the first.
        """
        wanted = min(wanted, self.capacity - self.size)
        if wanted and not self._taken:
            memory.budget.take(self._needed)
            self._taken = self._needed
        if (lacking := self.size + wanted - self._taken) > 0 and memory.budget.take_now(lacking):
            self._taken += lacking
        return min(wanted, self._taken - self.size)

    def append(self, block: bytes) -> None:
        """Add a block at the end, for which there is room.

        :param block: The bytes.
        """
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
        """Add a block.

        :raises StorageBusyError: If there is no memory for it.
        """
        block = bytes(data)
        if self.make_room(len(block)) < len(block):
            raise StorageBusyError("There is no memory left for more bytes on their way to the object store.")
        self.append(block)
        return len(block)


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
