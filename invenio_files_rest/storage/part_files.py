"""Uploads whose pieces are files of their own until they are put together, which works on every file system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ..checksums import compute_checksum
from ..errors import StorageError
from .failures import translated_errors
from .pieces import SAVE_SECONDS, Folder, LocalFolder, Piece, SavedFile, Window, ensure_enough
from .pump import pump
from .store import DigestFactory
from .uploads import WAIT_SECONDS, ExtentWrite, Receipt, State, Stored, Uploads, nothing

if TYPE_CHECKING:
    from _typeshed import SupportsRead

GROWING_CHUNK = 256 * 1024
"""Bytes that are passed on at a time, unless more came at once. A process that is killed loses a few times as many."""

MARK = "whole"
"""Name of the file that exists as long as the upload does."""


def receipt_of(pieces: list[Piece]) -> Receipt:
    """Return a receipt.

    :param pieces: The pieces that make up the extent, in order.
    """
    return {"size": sum(piece.size for piece in pieces), "pieces": [list(piece) for piece in pieces]}


def pieces_of(*receipts: Receipt | None) -> list[Piece]:
    """Return the pieces that make up some extents, in order.

    :param receipts: Their receipts.
    """
    return [Piece(*piece) for receipt in receipts if receipt for piece in receipt["pieces"]]


class Located(NamedTuple):
    """A piece, and the folder that has it."""

    folder: Folder
    piece: Piece


class Nowhere:
    """A file that forgets what is written, for bytes that are only hashed."""

    def write(self, data: bytes, /) -> int:
        """Return the number of bytes."""
        return len(data)


class PartFiles:
    """Uploads to a file, by means of files beside it; see :class:`~invenio_files_rest.storage.uploads.Uploads`.

    Each epoch of an extent writes a file of its own, so no lock is needed.

    :param uri: URI of the file.
    :param folder: Its folder.
    :param new_digest: Function that returns the name of the algorithm for the whole file, and an empty digest.
    :param clean_dir: Whether aborting an upload also removes its folders.
    """

    joins = True

    def __init__(self, uri: str, folder: Folder, new_digest: DigestFactory, clean_dir: bool = True) -> None:
        """Remember the folder."""
        self._uri = uri
        self._folder = folder
        self._new_digest = new_digest
        self._clean_dir = clean_dir

    def begin(self, size: int | None = None) -> State:
        """Begin an upload."""
        self._folder.make(MARK)
        return {"uri": self._uri}

    def write(self, state: State, extent: ExtentWrite, stream: SupportsRead[bytes]) -> Receipt:
        """Write a stream to a file of its own, whatever its offset."""
        extent.ready(nothing)
        name = f"{extent.number}-{extent.epoch}"
        pieces = pieces_of(extent.receipt)

        def receipt_to(end: int) -> Receipt:
            return receipt_of([*pieces, Piece(name, 0, end)])

        try:
            with self._folder.create(name) as file:
                written = self._pump(stream, file, 0, extent, self._folder.durable, receipt_to)
        except BaseException:
            if extent.whole:
                with suppress(Exception):
                    self._folder.remove(name)
            raise
        if not written:
            self._folder.remove(name)
        return receipt_to(written) if written else receipt_of(pieces)

    def continues(self, state: State) -> bool:
        """Return ``False``: each epoch has a file of its own."""
        return False

    @staticmethod
    def _pump(
        stream: SupportsRead[bytes],
        file: IO[bytes],
        begun: int,
        extent: ExtentWrite,
        durable: bool,
        receipt_to: Callable[[int], Receipt],
    ) -> int:
        """Copy a stream to a file, reporting at times how much is durable; return the number of bytes."""
        saved = extent.saved
        target = SavedFile(file, begun, SAVE_SECONDS if saved and durable else None)
        told = begun

        def tell(_: int | None, done: int) -> None:
            nonlocal told
            if saved is not None and target.durable > told:
                told = target.durable
                saved(receipt_to(told))

        least = GROWING_CHUNK if saved is not None else None
        return pump(
            stream, target, extent.digest, size=extent.size, least=least, at_once=durable, progress_callback=tell
        )

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
        """Make the file durable that an epoch has written. If it still writes, that is not recorded any more."""
        if not self._begun():
            raise FileNotFoundError("The upload has been finished or aborted.")
        name = f"{number}-{epoch}"
        before = [piece for piece in pieces_of(receipt) if piece.name != name]
        recorded = sum(piece.size for piece in pieces_of(receipt) if piece.name == name)
        try:
            size = self._folder.settled(name)
        except FileNotFoundError:
            size = 0
        ensure_enough(size, recorded)
        self._folder.sync()
        return receipt_of([*before, Piece(name, 0, size)] if size else before)

    def drop(self, state: State, receipt: Receipt) -> None:
        """Remove the files of an extent."""
        for piece in pieces_of(receipt):
            if piece.name != MARK:
                self._folder.remove(piece.name)

    def finish(
        self,
        state: State,
        receipts: list[Receipt],
        *,
        checksum: str | None = None,
        progress: Callable[[int | None, int], Any] | None = None,
        sources: Sequence[Uploads] | None = None,
    ) -> Stored:
        """Copy all pieces to one file, in one pass that reads, hashes and writes each byte once."""
        pieces = self._located(receipts, sources or [self] * len(receipts))
        total = sum(each.piece.size for each in pieces)
        try:
            if not self._folder.exists():
                checksum = self._put_together(state, pieces, total, checksum, progress)
                return self._finished(total, checksum)
        except FileNotFoundError:
            if not self._folder.exists():
                raise
        # Whoever renamed it may have been killed before the name was durable.
        self._folder.sync()
        return self._finished(total, self._read_again() if checksum is None else checksum)

    def to_read(self, state: State, receipts: list[Receipt], checksum: str | None) -> int:
        """Return the number of all bytes, since all are copied."""
        return sum(receipt["size"] for receipt in receipts)

    @staticmethod
    def _located(receipts: list[Receipt], sources: Sequence[Uploads]) -> list[Located]:
        """Return where the bytes of some extents lie, in their order."""
        found = []
        for receipt, source in zip(receipts, sources, strict=True):
            if not isinstance(source, PartFiles):
                raise StorageError("The bytes of an upload lie in a storage of another kind.")
            found += [Located(source._folder, piece) for piece in pieces_of(receipt) if piece.size]
        return found

    def _put_together(
        self,
        state: State,
        pieces: list[Located],
        total: int,
        checksum: str | None,
        progress: Callable[[int | None, int], Any] | None,
    ) -> str | None:
        """Make the file, and return its checksum."""
        with self._folder.file.replace() as target:
            return self._fill(target, pieces, total, checksum, progress, lambda each: False)

    def _fill(
        self,
        target: IO[bytes],
        pieces: list[Located],
        total: int,
        checksum: str | None,
        progress: Callable[[int | None, int], Any] | None,
        in_place: Callable[[Located], bool],
    ) -> str | None:
        """Write those pieces to a file that are not there yet, hash all, and return the checksum."""
        algorithm, digest = self._new_digest() if checksum is None else (None, None)
        at, written = 0, 0
        for each in pieces:
            folder, piece = each
            there = in_place(each)
            if not (there and digest is None):
                with folder.open(piece.name) as source:
                    is_file = isinstance(folder, LocalFolder)
                    there = there or (is_file and self._folder.clone(source, piece, target, at))
                    if not there and written != at:
                        target.seek(at)
                    if not there or digest is not None:
                        told = progress and partial(self._tell, progress, total, at)
                        sink = Nowhere() if there else target
                        pump(Window(source, piece), sink, digest, size=piece.size, progress_callback=told)
            at += piece.size
            if not there:
                written = at
        return checksum if digest is None else f"{algorithm}:{digest.hexdigest()}"

    @staticmethod
    def _tell(progress: Callable[[int | None, int], Any], total: int, before: int, _: int | None, done: int) -> None:
        progress(total, before + done)

    def _read_again(self) -> str | None:
        """Return the checksum of the finished file."""
        algorithm, digest = self._new_digest()
        if algorithm is None or digest is None:
            return None
        with self._folder.file.open("rb") as file:
            return compute_checksum(file, algorithm, digest)

    def _finished(self, total: int, checksum: str | None) -> Stored:
        self._forget()
        return Stored(self._uri, total, checksum)

    def _begun(self) -> bool:
        return MARK in self._folder.names()

    def _forget(self) -> None:
        """Remove all files of the upload, the one that marks its existence last."""
        for name in sorted(self._folder.names(), key=lambda name: name == MARK):
            self._folder.remove(name)

    def abort(self, state: State) -> None:
        """Remove all files of the upload, and the folders that only it needed."""
        self._forget()
        with translated_errors():
            self._folder.file.remove(self._clean_dir)
