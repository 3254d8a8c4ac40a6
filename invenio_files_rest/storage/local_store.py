"""The store of this machine: files and folders of the operating system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from ..paths import spellings
from .in_place import InPlace
from .local import LocalFile
from .pieces import LocalFolder
from .store import DigestFactory, Item, Status


class LocalStore:
    """The file system of this machine; see :class:`~invenio_files_rest.storage.store.Store`."""

    def file(self, path: str) -> LocalFile:
        """Return a file."""
        return LocalFile(path)

    def local_path(self, path: str) -> LocalFile:
        """Return where a file is."""
        return LocalFile(path)

    def uploads(self, path: str, uri: str, new_digest: DigestFactory, clean_dir: bool) -> InPlace:
        """Return what takes a file piece by piece, and writes it in place where it can."""
        return InPlace(uri, LocalFolder(LocalFile(path)), new_digest, clean_dir)

    def has_folder(self, path: str) -> bool:
        """Tell whether a folder is there."""
        return os.path.isdir(path)

    def items(self, folder: str) -> Iterator[Item]:
        """Find what is in a folder."""
        with os.scandir(folder) as entries:
            for entry in entries:
                yield Item(entry.name, entry.path, _kind(entry), partial(_status, entry))

    def remove_folder(self, path: str) -> None:
        """Remove a folder that is empty."""
        os.rmdir(path)

    def uris(self, uri: str, below: str, path: str) -> set[str]:
        """Return the ways to write the URI of a file, links followed and not."""
        return {os.path.join(base, below) for base in spellings(uri)} | spellings(os.path.realpath(path))


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        # One that cannot be followed leads nowhere.
        with suppress(OSError):
            return "link" if entry.is_dir() else "other"
        return "other"
    return "folder" if entry.is_dir() else "file" if entry.is_file() else "other"


def _status(entry: os.DirEntry[str]) -> Status:
    status = entry.stat(follow_symlinks=False)
    return Status(status.st_size, status.st_mtime)
