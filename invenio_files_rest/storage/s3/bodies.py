"""Bodies of requests to an object store: bytes that wait to be sent, and a stream that is passed on as it comes."""

from __future__ import annotations

import hashlib
import time
import uuid
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ...errors import StorageBusyError, StorageError
from ..local import TEMPORARY_PREFIX
from ..pump import check_size
from . import memory
from .locations import SMALLEST_PART
from .objects import S3Object
from .positions import Positioned
from .reading import S3File

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, SupportsRead

    from ...checksums import MessageDigest

FAST_SECONDS = 1.0
"""Seconds within which the first bytes of a fast upload come, :data:`.memory.FIRST` of them."""


_new_md5 = partial(hashlib.md5, usedforsecurity=False)


class _Blocks(Positioned):
    """Blocks in memory as a file."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[bytes] = []
        self.size = 0

    def append(self, block: bytes) -> None:
        self._blocks.append(block)
        self.size += len(block)

    def fill(self, view: memoryview) -> int:
        """Read bytes of one block."""
        skip = self._position
        for block in self._blocks:
            if skip < len(block):
                part = block[skip : skip + len(view)]
                view[: len(part)] = part
                self._position += len(part)
                return len(part)
            skip -= len(block)
        return 0


class Buffer(Positioned):
    """Bytes on their way to the store as one body, which can be sent again. Its memory is part of the process's budget.

    Memory is waited for once, for the first bytes. If they have come and there is none for as many as it needs to be
    sent, they are put aside: into an object of their own, from which they are read again when it is sent. So a slow
    upload among many goes on in little memory, and costs the store some more requests. What came in less than
    :data:`FAST_SECONDS` waits a little for more first, since others that are fast will soon give some back.

    :param target: The object that the bytes go to.
    :param capacity: Largest number of bytes.
    :param needed: Number of bytes with which it can be sent.
    """

    def __init__(self, target: S3Object, capacity: int, needed: int = SMALLEST_PART) -> None:
        """Begin with no bytes."""
        super().__init__()
        self._target = target
        self.capacity = capacity
        self._needed = min(needed, capacity)
        self._taken = 0
        self._places: list[S3Object] = []
        self._aside: list[S3File] = []
        self._blocks = _Blocks()
        self._md5 = _new_md5() if target.location.compares_tags else None
        self._since = 0.0
        self._waits = True

    @property
    def size(self) -> int:  # type: ignore[override]
        """Number of bytes."""
        return self._size_aside + self._blocks.size

    @property
    def _size_aside(self) -> int:
        return sum(file.size for file in self._aside)

    def make_room(self, wanted: int) -> int:
        """Take memory for more bytes, and return how many can be added.

        :param wanted: Number of bytes to add.
        :returns: That number, or :data:`.memory.FIRST` if it is larger; less only if the body can be sent with them.
        :raises StorageBusyError: If other uploads do not give back enough memory for the first.
        :raises StorageError: If bytes had to be put aside, and the store failed.
        """
        wanted = min(wanted, memory.FIRST, self.capacity - self.size)
        if wanted and not self._taken:
            first = min(memory.FIRST, self.capacity)
            memory.budget.take(first)
            self._taken, self._since = first, time.monotonic()
        lacking = self._blocks.size + wanted - self._taken
        if lacking > 0:
            to_be_sent = self._needed - self._size_aside - self._taken
            if to_be_sent <= 0:
                self._take_within(0, lacking)
            elif not self._take_within(memory.PATIENCE if self._waits else 0, to_be_sent):
                self._put_aside()
        return min(wanted, self._taken - self._blocks.size)

    def _take_within(self, seconds: float, size: int) -> bool:
        is_fast = time.monotonic() - self._since < FAST_SECONDS
        found = memory.budget.take_within(seconds if is_fast else 0, size, 0.5 if is_fast else 0.75)
        if found:
            self._taken += size
        return found

    def _put_aside(self) -> None:
        """Send what is in memory to an object of its own."""
        place = self._target.beside(f"{TEMPORARY_PREFIX}aside-{uuid.uuid4().hex}")
        size = self._blocks.size
        # It may be there though the store says that it has failed.
        self._places.append(place)
        place.call("put_object", Body=self._blocks, ContentLength=size)
        self._aside.append(S3File(place, size))
        self._blocks = _Blocks()
        self._since, self._waits = time.monotonic(), False

    def append(self, block: bytes) -> None:
        """Add a block at the end, for which there is room.

        :param block: The bytes.
        """
        self._blocks.append(block)
        if self._md5 is not None:
            self._md5.update(block)

    def md5(self) -> str | None:
        """Return the MD5 of all bytes, in hexadecimal; ``None`` if nobody compares it."""
        return None if self._md5 is None else self._md5.hexdigest()

    def close(self) -> None:
        """Give the memory back, and remove what was put aside."""
        if not self.closed:
            super().close()
            memory.budget.give_back(self._taken)
            self._blocks = _Blocks()
            for file in self._aside:
                file.close()
            for place in self._places:
                # What cannot be removed now the sweep finds.
                with suppress(OSError, StorageError):
                    place.call("delete_object")

    def __len__(self) -> int:
        return self.size

    def fill(self, view: memoryview) -> int:
        """Read bytes of one block, or of what was put aside."""
        skip = self._position
        files: list[S3File | _Blocks] = [*self._aside, self._blocks]
        for file in files:
            if skip < file.size:
                file.seek(skip)
                with view[: file.size - skip] as piece:
                    count = file.readinto(piece)
                self._position += count
                return count
            skip -= file.size
        return 0

    def write(self, data: ReadableBuffer, /) -> int:
        """Add bytes.

        :raises StorageBusyError: If there is no memory for them.
        """
        block = bytes(data)
        while block:
            room = self.make_room(len(block))
            if not room:
                raise StorageBusyError("There is no memory left for more bytes on their way to the object store.")
            self.append(block[:room])
            block = block[room:]
        return len(data) if isinstance(data, bytes) else memoryview(data).nbytes


class PassedOn:
    """A stream of a known size that is sent as it comes, and so can be sent only once.

    :param stream: The stream.
    :param size: Number of bytes that it must have.
    :param digest: Digest to feed with the bytes.
    :param compared: Whether their MD5 is asked for.
    """

    def __init__(
        self, stream: SupportsRead[bytes], size: int, digest: MessageDigest | None, compared: bool = False
    ) -> None:
        """Begin at the first byte."""
        self._md5: MessageDigest | None = _new_md5() if compared else None
        if digest is not None and self._md5 is not None and digest.hexdigest() == self._md5.hexdigest():
            # It is the MD5 of nothing yet, so that one is enough.
            self._md5, self._second = digest, None
        else:
            self._second = digest
        self._stream = stream
        self._size = size
        self._done = 0
        self.error: BaseException | None = None
        """Why reading failed, which boto3 hides behind an error of its own."""

    def __len__(self) -> int:
        return self._size

    def md5(self) -> str | None:
        """Return the MD5 of the bytes that were read, in hexadecimal; ``None`` if nobody compares it."""
        return None if self._md5 is None else self._md5.hexdigest()

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
            for digest in (self._md5, self._second):
                if digest is not None:
                    digest.update(data)
            if self._done == self._size and left and self._stream.read(1):
                check_size(self._done + 1, self._size)
        except BaseException as error:
            self.error = error
            raise
        return data
