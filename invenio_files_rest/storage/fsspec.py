"""The store for file systems like those of fsspec, which subclasses of the storage may use.

They have ``open``, ``exists`` and ``rm``, and for listings ``ls`` and ``modified``. A file appears there when it is
closed, or not at all. A folder exists as long as there are files in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from posixpath import basename
from typing import IO, Any

from ..errors import StorageError
from ..paths import remote_spellings, split_scheme
from .base import unix_time
from .failures import translated_errors
from .local import closed_quietly
from .store import DigestFactory, Item, Status


class FsspecFile:
    """A file of such a file system; see :class:`~invenio_files_rest.storage.store.StoredFile`.

    :param filesystem: The file system.
    :param path: Path of the file in it.
    """

    atomic = False

    def __init__(self, filesystem: Any, path: str) -> None:
        """Remember the file system and the path."""
        self._fs = filesystem
        self._path = path

    def open(self, mode: str) -> IO[Any]:
        """Open the file."""
        with translated_errors():
            file: IO[Any] = self._fs.open(self._path, mode=mode)
            return file

    @contextmanager
    def update(self) -> Iterator[IO[bytes]]:
        """Open the file to write parts of it in place, if its file system can."""
        with closed_quietly(self.open("r+b")) as file:
            yield file

    @contextmanager
    def replace(self) -> Iterator[IO[bytes]]:
        """Open the file to write it anew; after an error the caller removes it."""
        with closed_quietly(self.open("wb")) as file:
            yield file

    def remove(self, clean_dir: bool) -> None:
        """Remove the file, if it exists; there are no folders."""
        with translated_errors():
            if self._fs.exists(self._path):
                self._fs.rm(self._path)


class FsspecStore:
    """Such a file system; see :class:`~invenio_files_rest.storage.store.Store`.

    :param filesystem: The file system.
    """

    def __init__(self, filesystem: Any) -> None:
        """Remember the file system."""
        self._fs = filesystem

    def file(self, path: str) -> FsspecFile:
        """Return a file."""
        return FsspecFile(self._fs, path)

    def local_path(self, path: str) -> None:
        """Return ``None``: the file is not on this machine."""

    def uploads(self, path: str, uri: str, new_digest: DigestFactory, clean_dir: bool) -> None:
        """Return ``None``: files cannot be written piece by piece."""

    def has_folder(self, path: str) -> bool:
        """Return ``True``, since an empty folder does not exist; forget cached listings."""
        if hasattr(self._fs, "invalidate_cache"):
            self._fs.invalidate_cache()
        return True

    def items(self, folder: str) -> Iterator[Item]:
        """Find what is in a folder."""
        if not hasattr(self._fs, "ls"):
            raise StorageError(f"{type(self._fs).__name__} does not list its files.")
        try:
            found = self._fs.ls(folder, detail=True)
        except FileNotFoundError:
            return
        for item in found:
            path = item["name"].rstrip("/")
            # A folder may be listed in itself, as an object without bytes.
            if path != split_scheme(folder)[1].rstrip("/"):
                kind = "folder" if item["type"] == "directory" else "file"
                yield Item(basename(path), path, kind, partial(self._status, item, kind))

    def _status(self, item: dict[str, Any], kind: str) -> Status:
        modified = None
        if kind == "file":
            with suppress(AttributeError, KeyError, NotImplementedError):
                modified = unix_time(self._fs.modified(item["name"]))
        return Status(item.get("size") or 0, modified)

    def remove_folder(self, path: str) -> None:
        """Do nothing: a folder disappears with its last file."""

    def uris(self, uri: str, below: str, path: str) -> set[str]:
        """Return the ways to write the URI of a file."""
        return remote_spellings(uri, below)
