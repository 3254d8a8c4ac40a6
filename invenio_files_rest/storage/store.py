"""What :class:`~invenio_files_rest.storage.pyfs.PyFSFileStorage` stands on: a store, which has files by their paths.

There is one for folders of this machine, one for PyFilesystem, and one for file systems like those of fsspec.
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
"""Function that returns the name and an empty digest of an algorithm; twice ``None`` for no checksums."""


class StoredFile(Protocol):
    """A file of a store. It need not exist."""

    atomic: bool
    """Whether a :meth:`replace` that fails leaves what was there before; if not, whoever calls it removes the rest."""

    def open(self, mode: str) -> IO[Any]:
        """Open the file, in a folder that is made where the mode makes the file.

        :param mode: Mode as of :func:`open`.
        :raises OSError: If it cannot be opened.
        """
        ...

    def update(self) -> AbstractContextManager[IO[bytes]]:
        """Open the file to write a part of it in place, durable when the block ends without an error."""
        ...

    def replace(self) -> AbstractContextManager[IO[bytes]]:
        """Open a file that takes the place of this one when the block ends without an error."""
        ...

    def remove(self, clean_dir: bool) -> None:
        """Remove the file, where it exists.

        :param clean_dir: Whether to remove the folders, too, that only this file needed.
        :raises OSError: If it cannot be removed.
        """
        ...


class Status(NamedTuple):
    """What is known of a file or of a folder."""

    size: int
    """Size in bytes."""

    modified: float | None
    """When it was last changed, as Unix time; ``None`` where the store does not tell."""


class Item(NamedTuple):
    """Something in a folder."""

    name: str
    path: str
    kind: str
    """``folder``, ``file``, ``link`` for one to a folder of this machine, or ``other``."""

    status: Callable[[], Status]
    """Function that asks for it, and raises ``FileNotFoundError`` where it is gone."""


class Store(Protocol):
    """What has files by their paths, and folders that can be listed."""

    def file(self, path: str) -> StoredFile:
        """Return a file.

        :param path: Its path.
        """
        ...

    def local_path(self, path: str) -> LocalPath | None:
        """Return where this machine has a file.

        :param path: Its path.
        :returns: See :class:`.LocalPath`; ``None`` where the store is not of this machine.
        """
        ...

    def uploads(self, path: str, uri: str, new_digest: DigestFactory, clean_dir: bool) -> Uploads | None:
        """Return what takes a file piece by piece.

        :param path: Its path.
        :param uri: Its URI.
        :param new_digest: Makes the digest of the whole.
        :param clean_dir: Whether an upload that is aborted takes its folders with it.
        :returns: See :class:`~invenio_files_rest.storage.uploads.Uploads`; ``None`` where the store cannot do that.
        """
        ...

    def has_folder(self, path: str) -> bool:
        """Tell whether a folder is there.

        :param path: Its path.
        """
        ...

    def items(self, folder: str) -> Iterator[Item]:
        """Find what is in a folder, one after the other.

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
        """Return the ways to write the URI of a file.

        :param uri: URI of its location.
        :param below: Its path below the location.
        :param path: Its path in the store.
        """
        ...
