"""Capabilities: what only some storages can do.

A capability is a small protocol. :meth:`~invenio_files_rest.storage.base.FileStorage.capability` returns its
implementation for one file, or ``None``. It is called on the storage that the configured factory returned, so that a
custom factory or class is never bypassed. A storage that wraps another one passes the question on.

One more capability is :class:`~invenio_files_rest.storage.uploads.Uploads`.
"""

from __future__ import annotations

import uuid
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from _typeshed import SupportsRead

    from ..limiters import FileSizeLimit
    from .settling import Settling

C = TypeVar("C")


class Deferred(Protocol):
    """Storing a new file without waiting for the disk, so that many files are made durable together."""

    def save(
        self,
        incoming_stream: SupportsRead[bytes],
        settling: Settling,
        *,
        size_limit: int | FileSizeLimit | None = None,
        size: int | None = None,
        chunk_size: int | None = None,
    ) -> tuple[str, int, str | None]:
        """Store a stream as the file, which must not exist. After an error neither a file nor a folder is left.

        The file is durable once :meth:`.Settling.settle` has been called. If the machine stops before that, there may
        be a file with fewer bytes.

        :param settling: What makes it durable.
        :returns: URI of the file, its size in bytes, and its checksum, as :meth:`.FileStorage.save` does.
        """
        ...


class Siblings(Protocol):
    """Storing more new files as this one is stored, without a storage of their own, and without waiting for the disk.

    It is for files of one location whose storages would differ by their URIs alone.
    """

    def save(
        self,
        fileurl: str,
        incoming_stream: SupportsRead[bytes],
        settling: Settling,
        *,
        size_limit: int | FileSizeLimit | None = None,
        size: int | None = None,
        chunk_size: int | None = None,
    ) -> tuple[str, int, str | None]:
        """Store a stream as a file, as :meth:`Deferred.save` does.

        :param fileurl: URI of the file, as the factory would make it.
        """
        ...


class LocalPath(Protocol):
    """A path on this machine with the same bytes that reading the file through the storage gives.

    So a web server may send the file at the path, and its size is that of the content.
    """

    @property
    def path(self) -> str:
        """Its absolute path. The file need not exist yet."""
        ...


class Signer(Protocol):
    """Links to a file that are signed: whoever has one may read the file for a while, from the storage itself."""

    def link(self, seconds: int, headers: dict[str, str]) -> str:
        """Return a link. The storage is not asked, not even whether the file exists.

        :param seconds: Time for which the link is valid.
        :param headers: What the storage has to say of the file: ``Cache-Control``, ``Content-Disposition``,
            ``Content-Type``.
        :returns: The URL.
        :raises StorageError: If it cannot be signed, e.g. without credentials.
        """
        ...


class DirectParts(Protocol):
    """Parts of a file that has been initialized, which clients send to the storage themselves."""

    def link(self, start: int, size: int, seconds: int) -> str | None:
        """Return a link with which a client sends one part, of this size and no other, by ``PUT``.

        :param start: Where the part begins in the file, in bytes.
        :param size: Its size in bytes.
        :param seconds: Time for which the link is valid.
        :returns: The URL; ``None`` if such a part cannot be sent in this way.
        :raises StorageError: If the storage fails.
        """
        ...

    def there(self, sizes: Mapping[int, int]) -> dict[int, str]:
        """Return which parts the storage has.

        :param sizes: Sizes of all parts in bytes, by where they begin.
        :returns: The MD5 of those that are there and have their size, by where they begin.
        :raises StorageError: If the storage fails.
        """
        ...

    def settle(self, expected: Mapping[int, str]) -> None:
        """Put the file together if all parts are there.

        :param expected: The MD5 that parts must have, by where they begin.
        :raises MultipartPartsDiffer: If one has another.
        :raises StorageError: If the storage fails.
        """
        ...


class Entry(NamedTuple):
    """Something that the storage has made in a location, as :class:`Listable` finds it."""

    path: str
    """Its name in the storage, for messages and for :meth:`Listable.remove`."""

    below: str
    """Its path below the location."""

    kind: str
    """``file``; ``temporary`` for a file that is being written, or whose writer was killed; ``folder`` for an empty
    folder; ``link`` for a link to a folder that is not followed."""

    file_id: uuid.UUID | None
    """Identifier of the file that it belongs to; ``None`` for a folder or a link that is shared by several."""

    size: int
    """Size in bytes; 0 for folders and links."""

    uris: tuple[str, ...] = ()
    """The different ways to write the URI of a ``file``. The first begins with the URI of the location as given."""


class Listable(Protocol):
    """Listing what the storage has made in a location, leftovers included."""

    def walk(self, uri: str, before: float, followed: Container[str] = ()) -> Iterator[Entry]:
        """Find what the storage has made in a location, if it was last changed before a given time.

        Entries are yielded as they are found; memory does not grow with their number. An entry may be removed before
        the next one is taken. Files that the storage has not made are not found.

        :param uri: URI of the location.
        :param before: The time, as Unix time.
        :param followed: Paths of the links to folders that are followed, if the storage has links. It is not used
            before a link is found.
        :raises FileNotFoundError: If the location is not there.
        :raises StorageError: If the storage cannot tell how old a file is, or cannot be listed.
        """
        ...

    def remove(self, uri: str, entry: Entry) -> None:
        """Remove an entry that is not a ``file``. Files are removed with the documented :meth:`.FileStorage.delete`.

        :param uri: URI of the location.
        :param entry: An entry that was found there. It is not an error if it is already gone.
        :raises OSError: If it cannot be removed: ``ENOTEMPTY`` for a folder that is no longer empty.
        """
        ...


BYTE_METHODS = ("_write_stream", "checksum", "copy", "delete", "initialize", "open", "save", "update")
"""Methods of a storage that determine how bytes are stored."""


def bypasses(own: type, base: type, methods: Iterable[str]) -> bool:
    """Return whether a capability of a class would bypass methods of a subclass, which has it no more then.

    :param own: The subclass.
    :param base: The class.
    :param methods: Names of the methods that the capability does not call.
    """
    return own is not base and any(getattr(own, name) is not getattr(base, name) for name in methods)


def capability_of(storage: Any, kind: type[C]) -> C | None:
    """Ask a storage for a capability.

    :param storage: What the storage factory returned, which need not inherit from
        :class:`~invenio_files_rest.storage.base.FileStorage`.
    :param kind: The capability.
    :returns: Its implementation for the file; ``None`` if the storage does not have it.
    """
    # A proxy with ``__getattr__`` alone passes on what it does not know. It may have methods that would be bypassed.
    return storage.capability(kind) if hasattr(type(storage), "capability") else None
