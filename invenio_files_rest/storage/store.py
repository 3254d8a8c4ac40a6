"""The interface between :class:`~invenio_files_rest.storage.pyfs.PyFSFileStorage` and what keeps its files.

There is a store for folders on this machine, one for PyFilesystem, and one for file systems like those of fsspec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

from .capabilities import LocalPath

if TYPE_CHECKING:
    from ..checksums import MessageDigest
    from .uploads import Uploads

DigestFactory = Callable[[], "tuple[str | None, MessageDigest | None]"]
"""Function that returns the name and an empty digest of an algorithm; ``None`` twice for no checksums."""


class StoredFile(Protocol):
    """A file of a store. It need not exist."""

    atomic: bool
    """Whether a failed :meth:`replace` leaves the old file; if not, the caller removes what is left of the new one."""

    def open(self, mode: str) -> IO[Any]:
        """Open the file; make its folder if the mode can create the file.

        :param mode: Mode as of :func:`open`.
        :raises OSError: If it cannot be opened.
        """
        ...

    def update(self) -> AbstractContextManager[IO[bytes]]:
        """Open the file to write a part of it in place, durable when the block ends without an error."""
        ...

    def replace(self) -> AbstractContextManager[IO[bytes]]:
        """Open a new file, which replaces this one when the block ends without an error."""
        ...

    def remove(self, clean_dir: bool) -> None:
        """Remove the file, if it exists.

        :param clean_dir: Whether to also remove the folders that only this file needed.
        :raises OSError: If it cannot be removed.
        """
        ...


class Status(NamedTuple):
    """Size and age of a file or folder."""

    size: int
    """Size in bytes."""

    modified: float | None
    """When it was last changed, as Unix time; ``None`` if the store cannot tell."""


class Item(NamedTuple):
    """Something in a folder."""

    name: str
    path: str
    kind: str
    """``folder``, ``file``, ``link`` for a link to a folder on this machine, or ``other``."""

    status: Callable[[], Status]
    """Function that looks up size and age, and raises ``FileNotFoundError`` if the item is gone."""


class Store(Protocol):
    """Files, addressed by their paths, in folders that can be listed."""

    def file(self, path: str) -> StoredFile:
        """Return a file.

        :param path: Its path.
        """
        ...

    def local_path(self, path: str) -> LocalPath | None:
        """Return the path of a file on this machine.

        :param path: Its path.
        :returns: See :class:`.LocalPath`; ``None`` if no path has the bytes that reading the file gives.
        """
        ...

    def uploads(self, path: str, uri: str, new_digest: DigestFactory, clean_dir: bool) -> Uploads | None:
        """Return what writes a file piece by piece.

        :param path: Its path.
        :param uri: Its URI.
        :param new_digest: Function that makes the digest of the whole file.
        :param clean_dir: Whether aborting an upload also removes its folders.
        :returns: See :class:`~invenio_files_rest.storage.uploads.Uploads`; ``None`` if the store cannot do that.
        """
        ...

    def has_folder(self, path: str) -> bool:
        """Return whether a folder exists.

        :param path: Its path.
        """
        ...

    def items(self, folder: str) -> Iterator[Item]:
        """Yield what is in a folder, one item after the other.

        :param folder: Its path.
        :raises FileNotFoundError: If it is gone.
        :raises StorageError: If the store cannot be listed.
        """
        ...

    def remove_folder(self, path: str) -> None:
        """Remove a folder that is empty.

        :param path: Its path.
        :raises OSError: If it is gone, or not empty.
        """
        ...

    def uris(self, uri: str, below: str, path: str) -> set[str]:
        """Return the different ways to write the URI of a file.

        :param uri: URI of its location.
        :param below: Its path below the location.
        :param path: Its path in the store.
        """
        ...
