"""What a location holds, as its storage lists it: a folder, a PyFilesystem, a storage without folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from posixpath import basename, dirname, join
from typing import Any, NamedTuple

from ..errors import StorageError
from ..paths import folders_to, spellings, split_scheme
from ._pyfilesystem import FS
from .base import FileStorage, unix_time
from .failures import translated_errors
from .filesystems import stored_file
from .local import LocalFile
from .pyfs import PyFSFileStorage

FILE_NAME = "data"
"""Name of a file in its folder."""


class Status(NamedTuple):
    """What is known of a file or of a folder."""

    size: int
    """Size in bytes."""

    modified: float | None
    """When it was last changed, as Unix time; ``None`` where the storage does not tell."""


class Item(NamedTuple):
    """Something in a folder."""

    name: str
    path: str
    kind: str
    """``folder``, ``file``, ``link`` for one to a folder of this machine, or ``other``."""

    status: Callable[[], Status]
    """Function that asks for it, and raises ``FileNotFoundError`` where it is gone."""


class Place:
    """A location.

    :param uri: Its URI.
    :param filesystem: The file system that has it; ``None`` for the one of this machine.
    :param folder: Its path in the file system.
    """

    def __init__(self, uri: str, filesystem: Any, folder: str) -> None:
        """Keep where it is."""
        self.uri = uri
        self.filesystem = filesystem
        self.folder = folder

    def exists(self) -> bool:
        """Tell whether the location is there."""
        raise NotImplementedError

    def items(self, folder: str) -> Iterator[Item]:
        """Find what is in a folder, one after the other.

        :param folder: Its path.
        :raises FileNotFoundError: If it is gone.
        """
        raise NotImplementedError

    def spellings(self, path: str) -> set[str]:
        """Return the ways to write the URI of a file.

        :param path: Path of the file below the location.
        """
        scheme, folder = split_scheme(f"{self.uri}/{FILE_NAME}")
        below = join(dirname(folder).strip("/"), path)
        return {join(self.uri, path), f"{scheme}://{below}", f"{scheme}:///{below}"}

    def inner(self, uris: Iterable[str]) -> set[str]:
        """Find the locations that lie in this one, however they are spelled.

        :param uris: URIs of locations.
        :returns: Their paths below this one, each with a slash at its end.
        """
        own = folders_to(self.uri)
        found = [names for uri in uris if (names := folders_to(uri))[: len(own)] == own and names != own]
        return {"/".join(names[len(own) :]) + "/" for names in found}

    def remove_file(self, path: str) -> None:
        """Remove a file, and the folders that only it needed.

        :param path: Its path.
        """
        stored_file(self.filesystem, path).remove(clean_dir=True)

    def remove_folder(self, path: str) -> None:
        """Remove a folder, where it is empty still.

        :param path: Its path.
        :raises OSError: If it is not.
        """
        raise NotImplementedError


class LocalPlace(Place):
    """A folder of this machine."""

    def exists(self) -> bool:
        """Tell whether the location is there."""
        return os.path.isdir(self.folder)

    def items(self, folder: str) -> Iterator[Item]:
        """Find what is in a folder; see :meth:`Place.items`."""
        with os.scandir(folder) as entries:
            for entry in entries:
                yield Item(entry.name, entry.path, self._kind(entry), partial(self._status, entry))

    @staticmethod
    def _kind(entry: os.DirEntry[str]) -> str:
        if entry.is_symlink():
            # One that cannot be followed leads nowhere.
            with suppress(OSError):
                return "link" if entry.is_dir() else "other"
            return "other"
        return "folder" if entry.is_dir() else "file" if entry.is_file() else "other"

    @staticmethod
    def _status(entry: os.DirEntry[str]) -> Status:
        status = entry.stat(follow_symlinks=False)
        return Status(status.st_size, status.st_mtime)

    def spellings(self, path: str) -> set[str]:
        """Return the ways to write the URI of a file; see :meth:`Place.spellings`."""
        real = os.path.realpath(join(self.folder, path))
        return {join(base, path) for base in spellings(self.uri)} | spellings(real)

    def remove_file(self, path: str) -> None:
        """Remove a file, and the folders that only it needed; see :meth:`Place.remove_file`."""
        LocalFile(path).remove(clean_dir=True)

    def remove_folder(self, path: str) -> None:
        """Remove a folder, where it is empty still; see :meth:`Place.remove_folder`."""
        os.rmdir(path)


class VirtualPlace(Place):
    """A folder of a PyFilesystem: in memory, or on another machine."""

    def exists(self) -> bool:
        """Tell whether the location is there."""
        with translated_errors():
            return bool(self.filesystem.isdir(self.folder))

    def items(self, folder: str) -> Iterator[Item]:
        """Find what is in a folder; see :meth:`Place.items`."""
        with translated_errors():
            for info in self.filesystem.scandir(folder, namespaces=["details", "link"]):
                kind = "folder" if info.is_dir else "file"
                if info.get("link", "target") is not None:
                    kind = "other"
                status = partial(Status, info.get("details", "size") or 0, info.get("details", "modified"))
                yield Item(info.name, join(folder, info.name), kind, status)

    def remove_folder(self, path: str) -> None:
        """Remove a folder, where it is empty still; see :meth:`Place.remove_folder`."""
        with translated_errors():
            self.filesystem.removedir(path)


class ForeignPlace(Place):
    """A part of a storage in the manner of fsspec, S3 say, in which a folder is there as long as it has files."""

    def exists(self) -> bool:
        """Tell that there is no telling: a location without files is not there."""
        return True

    def items(self, folder: str) -> Iterator[Item]:
        """Find what is in a folder; see :meth:`Place.items`."""
        try:
            found = self.filesystem.ls(folder, detail=True)
        except FileNotFoundError:
            return
        for item in found:
            path = item["name"].rstrip("/")
            # A folder may hold itself, as an object without bytes.
            if path != split_scheme(folder)[1].rstrip("/"):
                kind = "folder" if item["type"] == "directory" else "file"
                yield Item(basename(path), path, kind, partial(self._status, item, kind))

    def _status(self, item: dict[str, Any], kind: str) -> Status:
        modified = None
        if kind == "file":
            with suppress(AttributeError, KeyError, NotImplementedError):
                modified = unix_time(self.filesystem.modified(item["name"]))
        return Status(item.get("size") or 0, modified)

    def remove_folder(self, path: str) -> None:
        """Do nothing: a folder has gone with its last file."""


def place_of(uri: str, storage: FileStorage) -> Place:
    """Return what can be seen of a location through the storage that its files have.

    :param uri: URI of the location.
    :param storage: Storage of a file in it.
    :raises FileNotFoundError: If it is not there.
    :raises StorageError: If its files cannot be listed.
    """
    if not isinstance(storage, PyFSFileStorage):
        raise StorageError(f"{type(storage).__name__} does not list its files.")
    storage.fileurl = f"{uri}/{FILE_NAME}"
    with translated_errors():
        filesystem, path = storage._get_fs(create_dir=False)
        file = stored_file(filesystem, path)
    if isinstance(file, LocalFile):
        return LocalPlace(uri, None, os.path.dirname(file.path))
    if isinstance(filesystem, FS):
        return VirtualPlace(uri, filesystem, dirname(path))
    if not hasattr(filesystem, "ls"):
        raise StorageError(f"{type(filesystem).__name__} does not list its files.")
    if hasattr(filesystem, "invalidate_cache"):
        filesystem.invalidate_cache()
    return ForeignPlace(uri, filesystem, dirname(path))
