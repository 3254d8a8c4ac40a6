"""Files that are read and written through PyFilesystem: in memory, in an archive, on another machine.

They are written as safely as their file system permits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from posixpath import dirname, join
from typing import IO, Any

from ..paths import folders_of
from ._pyfilesystem import FS, fs_errors
from .failures import translated_errors
from .local import ATTEMPTS, closed_quietly, temporary_name


class PyFilesystemFile:
    """A file of a PyFilesystem; see :class:`~invenio_files_rest.storage.store.StoredFile`.

    :param filesystem: The file system.
    :param path: Path of the file in it.
    """

    atomic = True

    def __init__(self, filesystem: FS, path: str) -> None:
        """Remember the file system and the path."""
        self._fs = filesystem
        self._path = path

    def open(self, mode: str) -> IO[Any]:
        """Open the file; make its folder if the mode can create the file; see :meth:`LocalFile.open`."""
        with translated_errors():
            if set(mode) & set("wxa"):
                self._make_folders([])
            return self._fs.openbin(self._path, mode) if "b" in mode else self._fs.open(self._path, mode)

    @contextmanager
    def update(self) -> Iterator[IO[bytes]]:
        """Open the file to write parts of it in place."""
        with closed_quietly(self.open("r+b")) as file:
            yield file

    @contextmanager
    def replace(self) -> Iterator[IO[bytes]]:
        """Open a new file, which replaces this one when the block ends without an error.

        After an error nothing has changed: no new file and no new folder is left.
        """
        temporary = join(dirname(self._path), temporary_name())
        made: list[str] = []
        try:
            with translated_errors():
                file = self._open_temporary(temporary, made)
            with closed_quietly(file):
                yield file
            with translated_errors():
                self._fs.move(temporary, self._path, overwrite=True)
        except BaseException:
            with suppress(OSError, fs_errors.FSError):
                self._fs.remove(temporary)
            self._remove_folders(made[::-1])
            raise

    def _open_temporary(self, temporary: str, made: list[str]) -> IO[bytes]:
        """Open a new file in a folder that others may remove while it is empty."""
        for attempt in range(ATTEMPTS):
            try:
                self._make_folders(made)
                return self._fs.openbin(temporary, "w")
            except fs_errors.ResourceNotFound:
                if attempt + 1 == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _make_folders(self, made: list[str]) -> None:
        missing: list[str] = []
        folder = dirname(self._path)
        while folder.strip("/") and not self._fs.isdir(folder):
            missing.append(folder)
            folder = dirname(folder)
        for folder in missing[::-1]:
            self._fs.makedir(folder, recreate=True)
            made.append(folder)

    def _remove_folders(self, folders: Iterator[str] | list[str]) -> None:
        with suppress(OSError, fs_errors.FSError):
            for folder in folders:
                self._fs.removedir(folder)

    def remove(self, clean_dir: bool) -> None:
        """Remove the file, if it exists; see :meth:`LocalFile.remove`."""
        with translated_errors(), suppress(fs_errors.ResourceNotFound):
            self._fs.remove(self._path)
        if clean_dir:
            self._remove_folders(folders_of(self._path))
