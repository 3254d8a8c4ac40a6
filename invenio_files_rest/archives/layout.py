"""The layout of an archive: its length and entity tag, and where in it each file is, found without reading any."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import FileInstanceUnreadableError
from ..models import ObjectVersion
from ..models.bucket_state import BucketState, Entry
from .formats import Format, Member
from .names import Names

PAGE = 1000
"""Number of objects that are in memory at a time."""


@dataclass(frozen=True)
class Position:
    """Where in an archive files begin."""

    offset: int = 0
    """Where the header of the first one is, in bytes."""

    index_offset: int = 0
    """Where the entry of the first one is in the index, in bytes from the beginning of the index."""

    before: tuple[str, ...] = ()
    """See :attr:`.Names.before`."""


@dataclass(frozen=True)
class Page:
    """Files of an archive that follow each other."""

    position: Position
    """Where they begin."""

    after: str | None
    """Key before theirs."""

    last: str
    """The last key that they may have."""

    digest: bytes
    """What tells them from others."""


class Placed(NamedTuple):
    """A file in an archive."""

    member: Member
    offset: int
    """Where its header is, in bytes."""


def place(form: Format, position: Position, entries: Sequence[Entry]) -> tuple[list[Placed], Position]:
    """Find where the files of a page are in an archive.

    :param form: The format.
    :param position: Where they begin.
    :param entries: The versions.
    :returns: The files, and where those of the next page begin.
    """
    names, offset, index_offset = Names(position.before), position.offset, position.index_offset
    placed = []
    for entry in entries:
        size = entry.size or 0
        member = Member(names.name(entry.key), size, entry.created)
        placed.append(Placed(member, offset))
        index_offset += form.index_size(member, offset)
        offset += form.header_size(member) + size + form.padding(size)
    return placed, Position(offset, index_offset, names.before)


def marks(entries: Iterable[Entry]) -> bytes:
    """Return what tells versions from all others.

    :param entries: The versions.
    """
    return b"".join(entry.mark for entry in entries)


def digest_of(data: bytes) -> bytes:
    """Return a digest of what :func:`marks` has returned.

    :param data: The marks.
    """
    return hashlib.sha256(data).digest()


@dataclass(frozen=True)
class Layout:
    """The layout of an archive. Its memory grows with the number of pages, not with that of files."""

    form: Format
    state: BucketState
    """The state of the bucket that is in it."""

    pages: list[Page]
    """Its files."""

    digest: str
    """What tells the versions in the archive from all others, in hexadecimal."""

    count: int
    """Number of files."""

    index_at: int
    """Where the index begins, in bytes."""

    index_size: int
    """Size of the index in bytes."""

    @property
    def end(self) -> bytes:
        """The end of the archive, after the index."""
        return self.form.end(self.count, self.index_at, self.index_size)

    @property
    def size(self) -> int:
        """Length of the archive in bytes."""
        return self.index_at + self.index_size + len(self.end)


def lay_out(form: Format, state: BucketState, check: Callable[[list[ObjectVersion]], Any]) -> Layout:
    """Lay out an archive, in one statement for each page.

    :param form: The format.
    :param state: The state of the bucket that is in it.
    :param check: Called with the versions of each page; it raises an error if they must not be sent.
    :raises FileInstanceUnreadableError: If a file has not all its bytes.
    """
    pages: list[Page] = []
    position, count, after, whole = Position(), 0, None, hashlib.sha256()
    while (page := state.page(after, PAGE)).last is not None:
        check(page.versions)
        if not all(entry.readable and entry.size is not None for entry in page.entries):
            raise FileInstanceUnreadableError()
        marked = marks(page.entries)
        whole.update(marked)
        pages.append(Page(position, after, page.last, digest_of(marked)))
        count += len(page.entries)
        _, position = place(form, position, page.entries)
        after = page.last
    return Layout(form, state, pages, whole.hexdigest()[:32], count, position.offset, position.index_offset)
