"""A run of bytes that grows, request by request: parts of an S3 upload, and what is too short for one at its end.

The end is an object of its own, which the next request reads and goes on with. Its metadata name the parts that the
request has sent, so that they are found if nobody could record them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from ...errors import FileSizeError
from ...messages import lazy_gettext as _
from ..local import TEMPORARY_PREFIX
from ..pieces import SAVE_SECONDS, ensure_enough
from ..pump import pump
from ..uploads import ExtentWrite, Receipt, State
from .bodies import Buffer
from .locations import SMALLEST_PART
from .objects import S3Object
from .pieces import OBJECT, PART, S3Piece, pieces_of, receipt_of
from .reading import S3File
from .writing import MOST_PARTS, PartSender, part_buffer, part_size_of

if TYPE_CHECKING:
    from _typeshed import SupportsRead

GROWING_BLOCK = 64 * 1024
"""Number of bytes that are read at a time."""

ON_THEIR_WAY = 10
"""Number of parts that a writer may begin to send before it learns that another one has taken over."""

EPOCHS = 4000
"""Number of parts that have to suffice for an upload of known length, since requests may end in the middle of one."""


def _name(number: int, epoch: int) -> str:
    return f"{TEMPORARY_PREFIX}{number}-{epoch}"


class GrowingRun:
    """One request that goes on with a run.

    :param target: The file that the run becomes.
    :param state: State of the upload.
    :param extent: What is written, and how.
    """

    def __init__(self, target: S3Object, state: State, extent: ExtentWrite) -> None:
        """Find out where the run ends."""
        self._target = target
        self._length = state["length"]
        self._extent = extent
        pieces = pieces_of(extent.receipt)
        self._parts = [piece for piece in pieces if piece.kind == PART]
        self._end = next((piece for piece in pieces if piece.kind == OBJECT), None)
        self._first = self._number = self._free_number(state["upload"])
        self._done = sum(part.size for part in self._parts)
        self._sender = PartSender(target, state["upload"])
        self._buffer = self._new_buffer()
        self._came = False
        self._told = 0
        self._since = time.monotonic()

    def _free_number(self, upload_id: str) -> int:
        """Return the number of the first part, which no writer before this one can still be sending."""
        last = self._parts[-1].number if self._parts else 0
        receipt = self._extent.receipt
        if self._extent.epoch - (receipt["epoch"] if receipt else 0) > 1:
            # An epoch between them may have sent more than it could record, and have some on their way.
            last = max((part.number for part in parts_there(self._target, upload_id, last)), default=last)
            last += self._target.location.parallel_parts + ON_THEIR_WAY
        return last + 1

    def write(self, stream: SupportsRead[bytes]) -> Receipt:
        """Send a stream to its end.

        :param stream: The bytes.
        :returns: Receipt of the whole run.
        """
        extent = self._extent
        try:
            if self._end is not None:
                with closing(S3File(self._target.beside(self._end.where))) as file:
                    pump(file, self._buffer, size=self._end.size, chunk_size=GROWING_BLOCK)
            try:
                pump(
                    stream,
                    _Sink(self._take),
                    extent.digest,
                    size=extent.size,
                    chunk_size=GROWING_BLOCK,
                    progress_callback=lambda _, done: self._save(),
                )
            except BaseException:
                if not extent.whole:
                    self._finish()
                raise
            return self._finish()
        finally:
            self._sender.close()
            self._buffer.close()

    def _new_buffer(self) -> Buffer:
        part_size = part_size_of(self._target.location, self._number, self._length, EPOCHS)
        left = None if self._length is None else self._length - self._done
        return part_buffer(self._target, self._number, part_size, left, spare=2)

    def _take(self, block: bytes) -> None:
        while block:
            room = self._buffer.make_room(len(block))
            self._buffer.append(block[:room])
            block = block[room:]
            if block or self._buffer.size == self._buffer.capacity:
                self._flush()
        self._came = True

    def _flush(self) -> None:
        if self._number > MOST_PARTS:
            raise FileSizeError(description=_("The upload has come in too many pieces."))
        size = self._buffer.size
        self._sender.send(self._number, self._buffer)
        self._number += 1
        self._done += size
        self._buffer = self._new_buffer()

    def _sent(self) -> list[S3Piece]:
        """Return the parts that are there, up to the first that is not."""
        found = list(self._parts)
        for number in range(self._first, self._number):
            if number not in self._sender.parts:
                break
            size, tag = self._sender.parts[number]
            found.append(S3Piece(PART, number, size, tag))
        return found

    def _save(self) -> None:
        """Tell what is there, at times."""
        if self._extent.saved is None or time.monotonic() - self._since < SAVE_SECONDS:
            return
        self._since = time.monotonic()
        parts = self._sent()
        if len(parts) > max(self._told, len(self._parts)):
            self._told = len(parts)
            # This one has not ended: who goes on from here must not take the numbers that it still sends.
            self._extent.saved(receipt_of(parts, epoch=self._extent.epoch - 1))

    def _finish(self) -> Receipt:
        """Send the rest, and what tells of this request; return the receipt."""
        epoch, before = self._extent.epoch, self._extent.receipt
        if not self._came:
            pieces = [*self._parts, *([self._end] if self._end else [])]
            return receipt_of(pieces, epoch=before["epoch"] if before else epoch)
        if self._buffer.size >= SMALLEST_PART:
            self._flush()
        self._sender.wait()
        end = S3Piece(OBJECT, 0, self._buffer.size, _name(self._extent.number, epoch))
        told = {"first": str(self._first), "next": str(self._number)}
        self._target.beside(end.where).send("put_object", self._buffer, end.size, Metadata=told)
        if before and before.get("before"):
            # What nobody goes on with any more, since the receipt of the next end was recorded.
            self._target.beside(before["before"]).call("delete_object")
        more = {"before": self._end.where} if self._end else {}
        return receipt_of([*self._sent(), *([end] if end.size else [])], epoch=epoch, **more)


class _Sink:
    """A file-like object that calls a function with what is written."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take

    def write(self, data: bytes, /) -> int:
        self._take(data)
        return len(data)


def kept_run(target: S3Object, upload_id: str, number: int, receipt: Receipt | None, epoch: int) -> Receipt:
    """Return a receipt of what a request has sent to its end, though nobody recorded that.

    Of one that was killed counts what it recorded.

    :param target: The file that the run becomes.
    :param upload_id: The store's identifier of the upload.
    :param number: Number of the extent.
    :param receipt: Receipt of what is known to be there.
    :param epoch: Epoch of the request.
    :raises StorageError: If the store has less than was recorded.
    """
    name = _name(number, epoch)
    try:
        end = target.beside(name).call("head_object")
    except FileNotFoundError:
        return receipt or receipt_of([], epoch=epoch)
    first, following = int(end["Metadata"]["first"]), int(end["Metadata"]["next"])
    pieces = [piece for piece in pieces_of(receipt) if piece.kind == PART and piece.number < first]
    pieces += [part for part in parts_there(target, upload_id, first - 1) if part.number < following]
    if end["ContentLength"]:
        pieces.append(S3Piece(OBJECT, 0, end["ContentLength"], name))
    more = {"before": receipt["before"]} if receipt and "before" in receipt else {}
    kept = receipt_of(pieces, epoch=epoch, **more)
    ensure_enough(kept["size"], receipt["size"] if receipt else 0)
    return kept


def parts_there(target: S3Object, upload_id: str, after: int = 0) -> Iterator[S3Piece]:
    """Ask the store which parts of an upload it has.

    :param target: The file that it becomes.
    :param upload_id: The store's identifier of the upload.
    :param after: Number of the part to begin after.
    :raises FileNotFoundError: If the upload was completed or aborted.
    """
    for part in target.parts(upload_id, after):
        yield S3Piece(PART, part["PartNumber"], part["Size"], part["ETag"])
