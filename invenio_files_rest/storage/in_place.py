"""Uploads that are written in place as far as possible: files of this machine, on file systems with locks."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import IO, TYPE_CHECKING, Any

from .failures import translated_errors
from .local import LocalFile, closed_quietly
from .locking import locked_region
from .part_files import MARK, Located, PartFiles, receipt_of
from .pieces import LocalFolder, Piece, ensure_enough
from .store import DigestFactory
from .uploads import WAIT_SECONDS, ComeBetween, ExtentWrite, Receipt, State, nothing
from .writeback import SHORT_PIECE, StreamedFile

if TYPE_CHECKING:
    from _typeshed import SupportsRead

TO_THE_END = 0
"""Length of a region that extends to the end of the file (fcntl(2))."""

LEFT = "left"
"""Where a receipt has the size in bytes, and the time in nanoseconds, of the sparse file as its writer has left it."""

TIME_STEP = 2 * 10**9
"""Nanoseconds by which times differ on every file system. FAT counts in two seconds, ext4 with small inodes in one."""

FINISH_SECONDS = 30.0
"""Seconds to wait, when an upload is finished, for writers that have been told to stop."""


def has_locks(path: str) -> bool:
    """Return whether the file system of a file has open file description locks.

    :param path: The file.
    """
    if not hasattr(fcntl, "F_OFD_SETLK"):
        return False
    with open(path, "r+b") as file:
        request = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        try:
            fcntl.fcntl(file.fileno(), fcntl.F_OFD_SETLK, request)
        except OSError:
            return False
    return True


class InPlace(PartFiles):
    """Uploads to a file that is written in place, and renamed at the end.

    An extent whose offset is known is written at that offset of a sparse file; others go to files of their own. If
    everything in the sparse file turns out to be in its place, it becomes the file, and only the others are copied.
    A writer holds a lock on its region, since an earlier writer that was told to stop may still be writing.

    :param uri: URI of the file.
    :param folder: Its folder.
    :param new_digest: Function that returns the name and an empty digest of the algorithm for the whole.
    :param clean_dir: Whether aborting an upload also removes its folders.
    """

    _folder: LocalFolder

    def __init__(self, uri: str, folder: LocalFolder, new_digest: DigestFactory, clean_dir: bool = True) -> None:
        """Remember the folder."""
        super().__init__(uri, folder, new_digest, clean_dir)
        self._path = folder.path_of(MARK)

    def begin(self, size: int | None = None) -> State:
        """Begin an upload, and find out whether its file system has locks."""
        state = super().begin(size)
        return {**state, "locks": has_locks(self._path)}

    def write(self, state: State, extent: ExtentWrite, stream: SupportsRead[bytes]) -> Receipt:
        """Write a stream in place, if its offset is known and can be written."""
        offset, size = extent.offset, extent.size
        if offset is not None and state["locks"]:
            # A length of 0 would lock everything that follows.
            with self._locked(offset, TO_THE_END if size is None else max(size, 1), extent.timeout) as file:
                if size is None:
                    extent.ready(lambda: self._clear(file, offset, extent))
                    return self._grow(file, offset, extent, stream)
                extent.ready(nothing)
                if self._can_reach(file, offset, size):
                    written = self._write_at(offset, extent, stream)
                    return receipt_of([Piece(MARK, offset, written)])
        return super().write(state, extent, stream)

    @contextmanager
    def _locked(self, start: int, size: int, timeout: float) -> Iterator[IO[bytes]]:
        """Lock a region of the sparse file."""
        with LocalFile(self._path).open("r+b") as file, locked_region(file, start, size, timeout):
            with translated_errors():
                # The upload may have been finished while we waited; the finished file must not be written to.
                if not os.path.samestat(os.stat(self._path), os.fstat(file.fileno())):
                    raise FileNotFoundError("The upload has been finished or aborted.")
            yield file

    @staticmethod
    def _can_reach(file: IO[bytes], offset: int, size: int) -> bool:
        """Return whether a file can be so long."""
        try:
            if size:
                os.pwrite(file.fileno(), b"\0", offset + size - 1)
        except OSError:
            return False
        return True

    @classmethod
    def _clear(cls, file: IO[bytes], offset: int, extent: ExtentWrite) -> None:
        """Remove the bytes that follow, which nobody has been told to have.

        :raises ComeBetween: If the writer goes on, and the file is not as it has left it: others may have been told.
        """
        with translated_errors():
            found = os.fstat(file.fileno())
            ensure_enough(found.st_size, offset)
            if not extent.goes_on:
                # Of another machine, say: nobody has taken it over from the writer before, and no byte may come.
                cls._mark(file, found)
            elif (extent.receipt or {}).get(LEFT) != [found.st_size, found.st_mtime_ns]:
                raise ComeBetween()
            if found.st_size > offset:
                os.ftruncate(file.fileno(), offset)

    @staticmethod
    def _mark(file: IO[bytes], found: os.stat_result) -> None:
        """Change the time of the sparse file, so that it is not as its writer has left it."""
        try:
            os.utime(file.fileno(), ns=(found.st_atime_ns, max(time.time_ns(), found.st_mtime_ns + TIME_STEP)))
        except OSError:
            # Who only may write to it cannot set another time than now (utimensat(2)).
            with suppress(OSError):
                os.utime(file.fileno())

    def _grow(self, file: IO[bytes], offset: int, extent: ExtentWrite, stream: SupportsRead[bytes]) -> Receipt:
        try:
            written = self._write_at(offset, extent, stream)
        except BaseException:
            if extent.whole:
                with suppress(OSError):
                    os.ftruncate(file.fileno(), offset)
            raise
        with translated_errors():
            left = os.fstat(file.fileno())
        return {**self._grown(offset + written), LEFT: [left.st_size, left.st_mtime_ns]}

    @staticmethod
    def _grown(end: int) -> Receipt:
        return receipt_of([Piece(MARK, 0, end)])

    def _write_at(self, offset: int, extent: ExtentWrite, stream: SupportsRead[bytes]) -> int:
        """Write a stream to a place in the sparse file, durably with or without an error."""
        grows = extent.size is None
        with translated_errors():
            # Extents are read again at the end, a run usually is not.
            cached = self._folder.file.cached if grows else inf
            target = StreamedFile(io.FileIO(self._path, "r+b"), cached, SHORT_PIECE)
        # With a descriptor that is closed before the lock is released, because closing it may write.
        with closed_quietly(target) as file:
            file.seek(offset)
            try:
                return self._pump(stream, file, offset, extent, grows, self._grown)
            finally:
                with translated_errors():
                    file.flush()
                    os.fsync(file.fileno())

    def continues(self, state: State) -> bool:
        """Return whether there are locks: then all epochs write the sparse file."""
        return bool(state["locks"])

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
        """Make the sparse file durable, which has at most one growing extent."""
        if not state["locks"]:
            return super().kept(state, number, receipt, epoch=epoch, timeout=timeout, takes_over=takes_over)
        with self._locked(0, TO_THE_END, timeout) as file, translated_errors():
            os.fsync(file.fileno())
            found = os.fstat(file.fileno())
            if takes_over:
                self._mark(file, found)
        ensure_enough(found.st_size, receipt["size"] if receipt else 0)
        return self._grown(found.st_size)

    def to_read(self, state: State, receipts: list[Receipt], checksum: str | None) -> int:
        """Return nothing where the sparse file is what is wanted, and has been hashed."""
        if checksum is not None and state["locks"]:
            pieces = self._located(receipts, [self] * len(receipts))
            if self._settled(pieces) and all(map(self._is_ours, pieces)):
                return 0
        return super().to_read(state, receipts, checksum)

    def _is_ours(self, each: Located) -> bool:
        """Tell whether a piece lies in the sparse file."""
        return each.folder is self._folder and each.piece.name == MARK

    def _settled(self, pieces: list[Located]) -> bool:
        """Tell whether the sparse file has something of the file, or that is empty, and nothing out of place."""
        at, found = 0, not pieces
        for each in pieces:
            if self._is_ours(each):
                found = True
                if each.piece.start != at:
                    return False
            at += each.piece.size
        return found

    def _put_together(
        self,
        state: State,
        pieces: list[Located],
        total: int,
        checksum: str | None,
        progress: Callable[[int | None, int], Any] | None,
    ) -> str | None:
        """Turn the sparse file into the file if everything in it is in its place; otherwise copy all pieces."""
        if not state["locks"]:
            return super()._put_together(state, pieces, total, checksum, progress)
        with self._locked(0, TO_THE_END, FINISH_SECONDS):
            if not self._settled(pieces):
                return super()._put_together(state, pieces, total, checksum, progress)
            if checksum is None or os.path.getsize(self._path) != total or not all(map(self._is_ours, pieces)):
                with translated_errors():
                    target = StreamedFile(io.FileIO(self._path, "r+b"), self._folder.file.cached)
                with closed_quietly(target):
                    checksum = self._fill(target, pieces, total, checksum, progress, self._is_ours)
                    with translated_errors():
                        target.flush()
                        os.ftruncate(target.fileno(), total)
                        os.fsync(target.fileno())
            with translated_errors():
                os.rename(self._path, self._folder.file.path)
            self._folder.sync()
        return checksum
