"""The store for files and folders on this machine."""

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
from .writeback import CACHED_SHARE


class LocalStore:
    """The file system of this machine; see :class:`~invenio_files_rest.storage.store.Store`.

    :param cached_share: See :class:`.LocalFile`.
    """

    def __init__(self, cached_share: float = CACHED_SHARE) -> None:
        """Remember the share."""
        self._cached_share = cached_share

    def file(self, path: str) -> LocalFile:
        """Return a file."""
        return LocalFile(path, self._cached_share)

    def local_path(self, path: str) -> LocalFile:
        """Return the path of a file."""
        return LocalFile(path)

    def uploads(self, path: str, uri: str, new_digest: DigestFactory, clean_dir: bool) -> InPlace:
        """Return uploads that are written in place as far as possible."""
        return InPlace(uri, LocalFolder(self.file(path)), new_digest, clean_dir)

    def has_folder(self, path: str) -> bool:
        """Return whether a folder is there."""
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
        """Return the different ways to write the URI of a file, with links resolved and not."""
        return {os.path.join(base, below) for base in spellings(uri)} | spellings(os.path.realpath(path))


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        # A link that cannot be followed leads nowhere.
        with suppress(OSError):
            return "link" if entry.is_dir() else "other"
        return "other"
    return "folder" if entry.is_dir() else "file" if entry.is_file() else "other"


def _status(entry: os.DirEntry[str]) -> Status:
    status = entry.stat(follow_symlinks=False)
    return Status(status.st_size, status.st_mtime)
