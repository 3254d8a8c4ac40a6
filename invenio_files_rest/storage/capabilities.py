"""What a storage can do beyond the documented methods, and how it is asked for that.

A capability is a small protocol. :meth:`~invenio_files_rest.storage.base.FileStorage.capability` returns its
implementation for one file, or ``None``. The storage that the configured factory returned is asked, so that a factory
or a class of somebody else's is never gone round; one that wraps another storage passes the question on.

:class:`~invenio_files_rest.storage.uploads.Uploads` is the third one.
"""

from __future__ import annotations

import uuid
from collections.abc import Container, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

C = TypeVar("C")


class LocalPath(Protocol):
    """The file is one of this machine, and has the bytes that reading it through the storage gives.

    So a web server may send it, and its size is that of the content.
    """

    @property
    def path(self) -> str:
        """Its absolute path. The file need not exist yet."""
        ...


class Entry(NamedTuple):
    """A file, or something else that the storage has made, as :class:`Listable` finds it."""

    path: str
    """What the storage calls it, for messages and for :meth:`Listable.remove`."""

    below: str
    """Its path below the location."""

    kind: str
    """``file``; ``temporary`` for one that is being written, or was when its writer died; ``folder`` for one with
    nothing in it; ``link`` for one that stands for a folder and is not followed."""

    file_id: uuid.UUID | None
    """Identifier of the file that it belongs to; ``None`` for a folder or a link that is shared by several."""

    size: int
    """Size in bytes; 0 where it has none."""

    uris: tuple[str, ...] = ()
    """Of a ``file``, the ways to write its URI. The first begins with the URI of the location as it was given."""


class Listable(Protocol):
    """What the storage has made in a location can be listed, together with what was left behind."""

    def walk(self, uri: str, before: float, followed: Container[str] = ()) -> Iterator[Entry]:
        """Find what the storage has made in a location, and what was last changed before some time.

        Entries come while the storage is still being asked, in memory that does not grow with their number. Whoever
        takes one may remove it before taking the next. What others have put there is not found.

        :param uri: URI of the location.
        :param before: The time, as Unix time.
        :param followed: Paths of the links to folders that are followed, where the storage has links. It is not asked
            before there is one.
        :raises FileNotFoundError: If the location is not there.
        :raises StorageError: If the storage does not tell how old a file is, or cannot be listed.
        """
        ...

    def remove(self, uri: str, entry: Entry) -> None:
        """Remove something that is no ``file``: files are removed by the documented :meth:`.FileStorage.delete`.

        :param uri: URI of the location.
        :param entry: What was found there. That it is gone already is no error.
        :raises OSError: If it cannot be removed, with ``ENOTEMPTY`` for a folder that has come into use.
        """
        ...


def capability_of(storage: Any, kind: type[C]) -> C | None:
    """Ask a storage for a capability.

    :param storage: What the storage factory returned, which need not inherit from
        :class:`~invenio_files_rest.storage.base.FileStorage`.
    :param kind: The capability.
    :returns: Its implementation for the file; ``None`` where the storage does not have it.
    """
    ask = getattr(storage, "capability", None)
    return None if ask is None else ask(kind)
