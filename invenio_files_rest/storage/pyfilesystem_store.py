"""The store for files that are read and written through PyFilesystem."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from posixpath import join

from ..paths import remote_spellings
from ._pyfilesystem import FS
from .failures import translated_errors
from .part_files import PartFiles
from .pieces import PyFilesystemFolder
from .pyfilesystem import PyFilesystemFile
from .store import DigestFactory, Item, Status


class PyFilesystemStore:
    """A PyFilesystem; see :class:`~invenio_files_rest.storage.store.Store`.

    :param filesystem: The file system.
    """

    def __init__(self, filesystem: FS) -> None:
        """Remember the file system."""
        self._fs = filesystem

    def file(self, path: str) -> PyFilesystemFile:
        """Return a file."""
        return PyFilesystemFile(self._fs, path)

    def local_path(self, path: str) -> None:
        """Return ``None``: no path has the bytes that reading gives."""

    def uploads(self, path: str, uri: str, new_digest: DigestFactory, clean_dir: bool) -> PartFiles:
        """Return uploads whose pieces are files of their own."""
        folder = PyFilesystemFolder(self.file(path), self._fs, path)
        return PartFiles(uri, folder, new_digest, clean_dir)

    def has_folder(self, path: str) -> bool:
        """Return whether a folder is there."""
        with translated_errors():
            return bool(self._fs.isdir(path))

    def items(self, folder: str) -> Iterator[Item]:
        """Find what is in a folder."""
        with translated_errors():
            for info in self._fs.scandir(folder, namespaces=["details", "link"]):
                kind = "folder" if info.is_dir else "file"
                if info.get("link", "target") is not None:
                    kind = "other"
                status = partial(Status, info.get("details", "size") or 0, info.get("details", "modified"))
                yield Item(info.name, join(folder, info.name), kind, status)

    def remove_folder(self, path: str) -> None:
        """Remove a folder that is empty."""
        with translated_errors():
            self._fs.removedir(path)

    def uris(self, uri: str, below: str, path: str) -> set[str]:
        """Return the different ways to write the URI of a file."""
        return remote_spellings(uri, below)
