"""Uploads that are not one body: the store's own uploads in parts, and objects for what cannot be a part of one.

A part goes to the store as it comes. It is a part of the S3 upload that has been begun for the file, unless it is too
small, was sent before, or its size is unknown and large; then it is an object of its own beside the file. In the end
the store makes the file of the parts. Objects are copied: by the store if they are large enough, otherwise by us.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from ...checksums import compute_checksum
from ...errors import StorageError
from ..local import TEMPORARY_PREFIX
from ..pump import pump
from ..store import DigestFactory
from ..uploads import WAIT_SECONDS, ExtentWrite, Receipt, State, Stored, Uploads, nothing
from .assembly import Assembly, PiecesStream
from .bodies import Buffer, PassedOn
from .locations import MIB, SMALLEST_PART
from .objects import S3Object
from .pieces import OBJECT, PART, S3Piece, numbered, pieces_of, receipt_of
from .reading import S3File
from .runs import GrowingRun, kept_run
from .writing import MOST_PARTS, ObjectWriter, abort, complete

if TYPE_CHECKING:
    from _typeshed import SupportsRead

BLOCK = 256 * 1024
"""Number of bytes that are read at a time."""


class S3Uploads:
    """Uploads to a file in an object store; see :class:`~invenio_files_rest.storage.uploads.Uploads`.

    No lock is needed: each epoch of an extent writes a part or an object of its own.

    :param target: The file.
    :param new_digest: Function that returns the name and an empty digest of the algorithm for the whole file.
    """

    joins = False
    """Parts of one S3 upload cannot become parts of another."""

    def __init__(self, target: S3Object, new_digest: DigestFactory) -> None:
        """Remember the file."""
        self._target = target
        self._new_digest = new_digest

    def begin(self, size: int | None = None) -> State:
        """Begin an S3 upload."""
        upload_id = self._target.call("create_multipart_upload")["UploadId"]
        return {"uri": self._target.uri, "upload": upload_id, "length": size}

    def write(self, state: State, extent: ExtentWrite, stream: SupportsRead[bytes]) -> Receipt:
        """Send a stream to the store."""
        extent.ready(nothing)
        if extent.offset is not None and extent.size is None:
            return GrowingRun(self._target, state, extent).write(stream)
        slot = extent.number + 1 if extent.number < MOST_PARTS else 0
        # In later epochs, the part of this number may be the one that is to be replaced.
        can_be_part = slot > 0 and extent.epoch == 1
        if extent.size is not None and extent.size > self._target.location.part_size:
            return self._pass_on(state, extent, stream, slot, can_be_part, extent.size)
        return self._buffer(state, extent, stream, slot, can_be_part)

    def continues(self, state: State) -> bool:
        """Return ``False``: each epoch has numbers of its own."""
        return False

    def _pass_on(
        self,
        state: State,
        extent: ExtentWrite,
        stream: SupportsRead[bytes],
        slot: int,
        can_be_part: bool,
        size: int,
    ) -> Receipt:
        """Send a large stream as it comes, in one request."""
        body = PassedOn(stream, size, extent.digest, self._target.location.compares_tags)
        try:
            if can_be_part:
                tag = self._target.send("upload_part", body, size, UploadId=state["upload"], PartNumber=slot)
                return receipt_of([S3Piece(PART, slot, size, tag)])
            self._ensure_begun(state)
            name = self._name(extent)
            self._target.beside(name).send("put_object", body, size)
            return receipt_of([S3Piece(OBJECT, slot, size, name)])
        except StorageError:
            if body.error is not None:
                raise body.error from None
            raise

    def _buffer(
        self, state: State, extent: ExtentWrite, stream: SupportsRead[bytes], slot: int, can_be_part: bool
    ) -> Receipt:
        """Send a stream from memory if it is small enough; otherwise as an object in parts."""
        name = self._name(extent)
        part_size = self._target.location.part_size
        capacity = part_size if extent.size is None else min(extent.size, part_size)
        with Buffer(self._target, capacity) as buffer, ExitStack() as stack:
            sink = _Overflowing(buffer, self._target.beside(name), stack)
            size = pump(stream, sink, extent.digest, size=extent.size, chunk_size=BLOCK)
            if not size:
                self._ensure_begun(state)
                return receipt_of([])
            if not sink.overflowed:
                if can_be_part and size >= SMALLEST_PART:
                    tag = self._target.send("upload_part", buffer, size, UploadId=state["upload"], PartNumber=slot)
                    return receipt_of([S3Piece(PART, slot, size, tag)])
                self._ensure_begun(state)
                self._target.beside(name).send("put_object", buffer, size)
                return receipt_of([S3Piece(OBJECT, slot, size, name)])
            self._ensure_begun(state)
        return receipt_of([S3Piece(OBJECT, slot, size, name)])

    @staticmethod
    def _name(extent: ExtentWrite) -> str:
        return f"{TEMPORARY_PREFIX}{extent.number}-{extent.epoch}"

    def _ensure_begun(self, state: State) -> None:
        self._target.call("list_parts", UploadId=state["upload"], MaxParts=1)

    def kept(
        self,
        state: State,
        number: int,
        receipt: Receipt | None,
        *,
        epoch: int,
        timeout: float = WAIT_SECONDS,
        takes_over: bool = False,
    ) -> Receipt:
        """Return what an epoch has written and told the store, though it could not tell us."""
        self._ensure_begun(state)
        return kept_run(self._target, state["upload"], number, receipt, epoch)

    def drop(self, state: State, receipt: Receipt) -> None:
        """Remove the objects of an extent; parts of the S3 upload go with it."""
        for piece in pieces_of(receipt):
            if piece.kind == OBJECT:
                self._target.beside(piece.where).call("delete_object")

    def finish(
        self,
        state: State,
        receipts: list[Receipt],
        *,
        checksum: str | None = None,
        progress: Callable[[int | None, int], Any] | None = None,
        sources: Sequence[Uploads] | None = None,
    ) -> Stored:
        """Have the store make the file of its parts; read it once if its checksum is not known."""
        pieces = [piece for piece in pieces_of(*receipts) if piece.size]
        total = sum(piece.size for piece in pieces)
        assembly = Assembly(self._target, state["upload"])
        if not assembly.is_finished(total):
            try:
                known = self._put_together(state, assembly, pieces, total, progress)
                checksum = checksum or known
            except FileNotFoundError:
                # Somebody else may have finished it meanwhile.
                if not assembly.is_finished(total):
                    raise
        if checksum is None:
            checksum = self._read_again(total, progress)
        self.forget(state)
        return Stored(self._target.uri, total, checksum)

    def to_read(self, state: State, receipts: list[Receipt], checksum: str | None) -> int:
        """Return the number of all bytes, or 0 if the checksum is known and the store has them as parts."""
        is_copied = numbered([piece for piece in pieces_of(*receipts) if piece.size]) is None
        return sum(receipt["size"] for receipt in receipts) if checksum is None or is_copied else 0

    def _put_together(
        self,
        state: State,
        assembly: Assembly,
        pieces: list[S3Piece],
        total: int,
        progress: Callable[[int | None, int], Any] | None,
    ) -> str | None:
        """Make the file; return its checksum if all bytes went through this process."""
        found = numbered(pieces)
        if found is not None and assembly.has_no_other(found):
            complete(self._target, state["upload"], {piece.number: self._as_part(state, piece) for piece in found})
            return None
        algorithm, digest = self._new_digest()
        sources = assembly.sources(pieces)
        with ObjectWriter(self._target, total) as writer:
            pump(PiecesStream(sources), writer, digest, size=total, chunk_size=BLOCK, progress_callback=progress)
        return None if digest is None else f"{algorithm}:{digest.hexdigest()}"

    def _as_part(self, state: State, piece: S3Piece) -> str:
        """Return the entity tag of a piece as a part; make it one if it is an object."""
        if piece.kind == PART:
            return piece.where
        source, place = self._target.beside(piece.where), {"UploadId": state["upload"], "PartNumber": piece.number}
        if piece.size < SMALLEST_PART:
            with closing(S3File(source, piece.size)) as body:
                return self._target.send("upload_part", body, piece.size, **place)
        answer = self._target.call("upload_part_copy", CopySource=source.address, **place)
        return str(answer["CopyPartResult"]["ETag"])

    def _read_again(self, total: int, progress: Callable[[int | None, int], Any] | None) -> str | None:
        """Return the checksum of the finished file."""
        algorithm, digest = self._new_digest()
        if algorithm is None or digest is None:
            return None
        with closing(S3File(self._target)) as file:
            told = None if progress is None else lambda done: progress(total, done)
            return compute_checksum(file, algorithm, digest, chunk_size=MIB, progress_callback=told)

    def forget(self, state: State) -> None:
        """Remove all that the upload has in the store besides the file.

        :param state: State of the upload.
        """
        abort(self._target, state["upload"])
        remove_temporary(self._target)

    def abort(self, state: State) -> None:
        """Abort the S3 upload, and remove all objects."""
        self.forget(state)
        self._target.call("delete_object")


def remove_temporary(target: S3Object) -> None:
    """Remove the objects beside a file that are not yet a part of it.

    :param target: The file.
    """
    for item in target.temporary():
        target.beside(item.name).call("delete_object")


class _Overflowing:
    """A buffer, and an object in parts for what does not fit in it, or in the memory that there is.

    :param buffer: The buffer.
    :param target: The object, which is written anew from the beginning if there are more.
    :param stack: Where the object is entered, so that it exists when the stack is closed without an error.
    """

    def __init__(self, buffer: Buffer, target: S3Object, stack: ExitStack) -> None:
        self._buffer = buffer
        self._target = target
        self._stack = stack
        self._writer: ObjectWriter | None = None

    @property
    def overflowed(self) -> bool:
        return self._writer is not None

    def write(self, block: bytes, /) -> int:
        if self._writer is None:
            if len(block) <= self._buffer.make_room(len(block)):
                self._buffer.append(block)
                return len(block)
            self._writer = self._stack.enter_context(ObjectWriter(self._target))
            self._writer.adopt(self._buffer)
        return self._writer.write(block)
