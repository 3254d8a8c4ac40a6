"""The pieces of an upload in progress, in files beside the file that they become."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from posixpath import dirname, join
from typing import IO, Any, NamedTuple

from ..errors import StorageError
from .cloning import clone
from .failures import translated_errors
from .local import TEMPORARY_PREFIX, LocalFile, closed_quietly, sync_above
from .pyfilesystem import PyFilesystemFile
from .writeback import StreamedFile

SAVE_SECONDS = 10.0
"""Seconds after which what has been written so far is made durable."""


class Piece(NamedTuple):
    """A run of bytes in a file."""

    name: str
    """Name of the file, without the common prefix."""

    start: int
    """Position of the first byte in the file."""

    size: int


class Window:
    """A piece as a stream.

    :param file: The file, at any position.
    :param piece: The piece.
    """

    def __init__(self, file: IO[bytes], piece: Piece) -> None:
        """Move the file to the beginning of the piece."""
        self._file = file
        self._left = piece.size
        file.seek(piece.start)

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes of the piece.

        :param size: Largest number of bytes; negative for all.
        """
        with translated_errors():
            data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


class SavedFile:
    """A file that is made durable every few seconds while it is written.

    :param file: The file.
    :param begun: Number of bytes that are already durable.
    :param seconds: Seconds between; ``None`` for never.
    """

    def __init__(self, file: IO[bytes], begun: int, seconds: float | None) -> None:
        """Remember the file."""
        self._file = file
        self._end = self.durable = begun
        self._seconds = seconds
        self._since = time.monotonic()

    def write(self, data: bytes, /) -> int:
        """Write bytes."""
        self._file.write(data)
        self._end += len(data)
        if self._seconds is not None and time.monotonic() - self._since >= self._seconds:
            self._file.flush()
            os.fsync(self._file.fileno())
            self.durable, self._since = self._end, time.monotonic()
        return len(data)


class LocalFolder:
    """The folder of a file on this machine.

    :param file: The file.
    """

    durable = True

    def __init__(self, file: LocalFile) -> None:
        """Remember the file."""
        self.file = file
        self.path = os.path.dirname(file.path)

    def path_of(self, name: str) -> str:
        """Return the path of a file for pieces."""
        return os.path.join(self.path, TEMPORARY_PREFIX + name)

    def make(self, name: str) -> None:
        """Make the folder and an empty file in it, durably."""
        LocalFile(self.path_of(name)).create()

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Create a file, which is made durable when the block ends, with or without an error."""
        with translated_errors():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            # It is read again at the end, so it stays in the page cache as far as possible.
            file = StreamedFile(io.FileIO(os.open(self.path_of(name), flags, 0o666), "wb"), cached=inf)
        with closed_quietly(file):
            try:
                yield file
            finally:
                with translated_errors():
                    file.flush()
                    os.fsync(file.fileno())
        self.sync()

    def open(self, name: str) -> IO[bytes]:
        """Open a file to read it."""
        with translated_errors():
            return open(self.path_of(name), "rb")

    def settled(self, name: str) -> int:
        """Make a file durable that another process may have written, and return its size."""
        with translated_errors(), open(self.path_of(name), "rb") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        LocalFile(self.path_of(name)).remove(clean_dir=False)

    def names(self) -> list[str]:
        """Return the names of all files with pieces."""
        with translated_errors():
            try:
                found = os.listdir(self.path)
            except FileNotFoundError:
                return []
        return [name.removeprefix(TEMPORARY_PREFIX) for name in found if name.startswith(TEMPORARY_PREFIX)]

    def exists(self) -> bool:
        """Return whether the finished file is there."""
        return os.path.exists(self.file.path)

    def sync(self) -> None:
        """Make the names in the folder durable."""
        with translated_errors():
            sync_above([self.file.path])

    def clone(self, source: IO[bytes], piece: Piece, target: Any, at: int) -> bool:
        """Let a file share the blocks of a piece, if the file system can; return whether it does."""
        target.flush()
        return clone(source.fileno(), piece.start, piece.size, target.fileno(), at)


class PyFilesystemFolder:
    """The folder of a file of a PyFilesystem.

    :param file: The file.
    :param filesystem: Its file system.
    :param path: Its path in it.
    """

    durable = False

    def __init__(self, file: PyFilesystemFile, filesystem: Any, path: str) -> None:
        """Remember the file."""
        self.file = file
        self._fs = filesystem
        self._path = path

    def path_of(self, name: str) -> str:
        """Return the path of a file for pieces."""
        return join(dirname(self._path), TEMPORARY_PREFIX + name)

    def _file(self, name: str) -> PyFilesystemFile:
        return PyFilesystemFile(self._fs, self.path_of(name))

    def make(self, name: str) -> None:
        """Make the folder, and an empty file in it."""
        with self._file(name).replace():
            pass

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Create a file, which is complete when the block ends."""
        with translated_errors():
            # Without making the folder: the upload may have been aborted.
            file = self._fs.openbin(self.path_of(name), "x")
        with closed_quietly(file):
            yield file

    def open(self, name: str) -> IO[bytes]:
        """Open a file to read it."""
        return self._file(name).open("rb")

    def settled(self, name: str) -> int:
        """Return the size of a file."""
        with translated_errors():
            return int(self._fs.getsize(self.path_of(name)))

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        self._file(name).remove(clean_dir=False)

    def names(self) -> list[str]:
        """Return the names of all files with pieces."""
        try:
            with translated_errors():
                found = self._fs.listdir(dirname(self._path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name.removeprefix(TEMPORARY_PREFIX) for name in found if name.startswith(TEMPORARY_PREFIX)]

    def exists(self) -> bool:
        """Return whether the finished file is there."""
        with translated_errors():
            return bool(self._fs.exists(self._path))

    def sync(self) -> None:
        """Do nothing: PyFilesystem has no way to make a file durable."""

    def clone(self, source: IO[bytes], piece: Piece, target: Any, at: int) -> bool:
        """Return ``False``: blocks cannot be shared."""
        return False


Folder = LocalFolder | PyFilesystemFolder


def ensure_enough(found: int, known: int) -> None:
    """Check that acknowledged bytes are still there.

    :param found: Number of bytes found.
    :param known: Number of bytes that were acknowledged.
    :raises StorageError: If some are missing.
    """
    if found < known:
        raise StorageError(f"An upload has {found} bytes in storage where it had {known}.")
