"""Files on this machine, written so that a crash or an error leaves the old file or none, never part of the new one."""

from __future__ import annotations

import errno
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import IO, Any, NamedTuple

from ..paths import folders_of
from .failures import translated_errors
from .settling import Settling
from .writeback import CACHED_SHARE, StreamedFile, largest_cached

TEMPORARY_PREFIX = ".incoming-"
"""Prefix of the names of files that are still being written.

A file with this prefix that is older than any upload can last was left behind by a killed process, and may be removed.
"""

ATTEMPTS = 100
"""How often to try again to make a folder that others keep removing because it is empty."""

SMALL = 64 * 1024
"""Largest size in bytes of a file that is written without a buffer."""

_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})
"""Errors of file systems that cannot synchronise a folder, e.g. some network file systems."""


def temporary_name() -> str:
    """Return a name for a file that is going to be written."""
    return TEMPORARY_PREFIX + secrets.token_hex(8)


@contextmanager
def closed_quietly(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Close a file at the end of the block; after an error, without raising another one.

    Closing a file tries again to write what did not fit on a full disk.
    """
    try:
        yield file
    except BaseException:
        with suppress(Exception):
            file.close()
        raise
    with translated_errors():
        file.close()


def _sync_folder(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _open_folder(path: str) -> int:
    return os.open(path or os.curdir, os.O_RDONLY | os.O_DIRECTORY)


def _make_folders(path: str, made: list[str]) -> None:
    """Make a folder and those above it; append those that did not exist to a list, outermost first."""
    for attempt in range(ATTEMPTS):
        try:
            os.mkdir(path)
        except FileExistsError:
            return
        except FileNotFoundError:
            if not (parent := _parent(path)) or attempt + 1 == ATTEMPTS:
                raise
            _make_folders(parent, made)
        else:
            made.append(path)
            return


def _parent(path: str) -> str:
    return os.path.dirname(path.rstrip(os.sep))


def sync_above(paths: list[str]) -> None:
    """Make new files and folders durable, by synchronising the folders that contain their names.

    :param paths: Their paths.
    :raises OSError: If the disk fails.
    """
    for path in paths:
        folder = _open_folder(_parent(path))
        try:
            _sync_folder(folder)
        finally:
            os.close(folder)


def _remove_folders(folders: Iterator[str] | list[str]) -> None:
    """Remove folders, innermost first, until one is not empty."""
    for folder in folders:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return


@contextmanager
def folder_made(path: str) -> Iterator[None]:
    """Make a folder and those above it, durably. If the block fails, those that did not exist are removed again.

    :param path: Its path.
    :raises OSError: If it cannot be made.
    """
    made: list[str] = []
    try:
        _make_folders(path, made)
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        sync_above(made)
        yield
    except BaseException:
        _remove_folders(made[::-1])
        raise


class _NewFile(NamedTuple):
    """A file that has just been opened."""

    file: IO[bytes]
    folder: int | None
    """File descriptor of its folder; ``None`` if that is not open."""

    made: list[str]
    """Paths of the folders that have been made for it."""


class _Unbuffered(io.FileIO):
    """A file whose bytes go to the system at once: for a small file, a buffer asks more of the system than it saves."""

    def write(self, data: Any, /) -> int:
        """Write bytes, all of them.

        :param data: The bytes.
        :returns: Their number.
        :raises OSError: If they cannot be written.
        """
        written = super().write(data)
        while written < len(data):
            written += super().write(memoryview(data)[written:])
        return written


class LocalFile:
    """A file on this machine; see :class:`~invenio_files_rest.storage.store.StoredFile`.

    :param path: Its path.
    :param cached_share: Largest size of the file with which all of it stays in memory once it is written, as a share of
        the memory.
    """

    atomic = True

    def __init__(self, path: str, cached_share: float = CACHED_SHARE) -> None:
        """Remember the path."""
        self.path = path
        self._cached_share = cached_share

    @property
    def cached(self) -> float:
        """Largest size of the file, in bytes, with which all of it stays in memory once it is written."""
        return largest_cached(self._cached_share)

    def open(self, mode: str) -> IO[Any]:
        """Open the file; make its folder if the mode can create the file.

        :param mode: Mode as of :func:`open`.
        :returns: File with a file descriptor. The caller closes it.
        :raises OSError: If it cannot be opened.
        """
        with translated_errors():
            try:
                return open(self.path, mode)
            except FileNotFoundError:
                folder = os.path.dirname(self.path)
                if not folder or not set(mode) & set("wxa"):
                    raise
                made: list[str] = []
                _make_folders(folder, made)
                sync_above(made)
                return open(self.path, mode)

    @contextmanager
    def update(self) -> Iterator[IO[bytes]]:
        """Open the file to write a part of it in place, durable when the block ends without an error.

        The part stays in the page cache as far as possible, since the file is read again when it has all its parts.
        """
        with translated_errors():
            part = StreamedFile(io.FileIO(self.path, "r+b"), cached=inf)
        with closed_quietly(part) as file:
            yield file
            with translated_errors():
                file.flush()
                os.fsync(file.fileno())

    def create(self) -> None:
        """Make the file, empty, and its folder, durably. After an error no new folder is left.

        :raises OSError: If it cannot be made, or exists.
        """
        with self._new_file(os.path.basename(self.path)) as new, translated_errors():
            with new.file:
                os.fsync(new.file.fileno())
            sync_above([*new.made, self.path])

    @contextmanager
    def replace(self) -> Iterator[IO[bytes]]:
        """Open a new file, which durably replaces this one when the block ends without an error.

        After an error nothing has changed: no new file and no new folder is left.
        """
        temporary = temporary_name()
        with self._new_file(temporary) as new:
            with closed_quietly(new.file) as file:
                yield file
                with translated_errors():
                    file.flush()
                    os.fsync(file.fileno())
                    # The journal was written with the file: this costs little more than flushing the disk's cache.
                    sync_above(new.made)
            assert new.folder is not None
            with translated_errors():
                os.rename(temporary, os.path.basename(self.path), src_dir_fd=new.folder, dst_dir_fd=new.folder)
                _sync_folder(new.folder)

    @contextmanager
    def write_new(self, settling: Settling, size: int | None = None) -> Iterator[IO[bytes]]:
        """Open this file, which must not exist; it is durable once the file systems are settled, at the latest.

        After an error no file and no new folder is left.

        :param settling: Where its file system is noted.
        :param size: Size that it will have, in bytes, if known.
        """
        small = size is not None and size <= SMALL
        with self._new_file(self.path if small else os.path.basename(self.path), small) as new:
            settled_later = settling.note(new.file.fileno())
            with closed_quietly(new.file) as file:
                yield file
                if not settled_later:
                    with translated_errors():
                        file.flush()
                        os.fsync(file.fileno())
                        sync_above([*new.made, self.path])

    @contextmanager
    def _new_file(self, name: str, small: bool = False) -> Iterator[_NewFile]:
        """Open a new file in the folder of this one. After an error neither it nor a new folder is left.

        :param name: Its name; its path if it is small.
        :param small: Whether it is: its folder is not opened then.
        """
        made: list[str] = []
        try:
            with translated_errors():
                file, folder = self._open_new(name, small, made)
            try:
                yield _NewFile(file, folder, made)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)
                raise
            finally:
                if folder is not None:
                    os.close(folder)
        except BaseException:
            _remove_folders(made[::-1])
            raise

    def _open_new(self, name: str, small: bool, made: list[str]) -> tuple[IO[bytes], int | None]:
        """Open a new file and its folder, which others may remove while it is empty."""
        folder_path = os.path.dirname(self.path)
        for attempt in range(ATTEMPTS):
            if folder_path:
                # Nearly all folders are new, so that looking for one first would be in vain.
                _make_folders(folder_path, made)
            try:
                return (_Unbuffered(name, "xb"), None) if small else self._open_in(folder_path, name)
            except FileNotFoundError:
                if not folder_path or attempt + 1 == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _open_in(self, folder_path: str, name: str) -> tuple[IO[bytes], int]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        folder = _open_folder(folder_path)
        try:
            file = io.FileIO(os.open(name, flags, 0o666, dir_fd=folder), "wb")
            return StreamedFile(file, self.cached), folder
        except BaseException:
            os.close(folder)
            raise

    def remove(self, clean_dir: bool) -> None:
        """Remove the file, if it exists.

        :param clean_dir: Whether to also remove the folders that only this file needed.
        :raises OSError: If it cannot be removed.
        """
        with translated_errors(), suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self.path)
        if clean_dir:
            _remove_folders(folders_of(self.path))
