"""The layout of an archive: its length and entity tag, and where in it each file is, found without reading any."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..errors import FileInstanceUnreadableError
from ..models import ObjectVersion
from ..models.bucket_state import BucketState, Entry
from .formats import Format, Member
from .names import Names

PAGE = 1000
"""Number of entries that are in memory at a time."""


@dataclass(frozen=True)
class Position:
    """Where in an archive the files of a page begin."""

    after: str | None
    """Key before those of the page."""

    offset: int
    """Where the header of its first file is, in bytes."""

    index_offset: int
    """Where the entry of its first file is in the index, in bytes from the beginning of the index."""

    before: tuple[str, ...]
    """See :attr:`.Names.before`."""


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
    :returns: The files, and where those of the next page begin, whose key is not known here.
    """
    names, offset, index_offset = Names(position.before), position.offset, position.index_offset
    placed = []
    for entry in entries:
        size = entry.size or 0
        member = Member(names.name(entry.key), size, entry.created)
        placed.append(Placed(member, offset))
        index_offset += form.index_size(member, offset)
        offset += form.header_size(member) + size + form.padding(size)
    return placed, Position(None, offset, index_offset, names.before)


def page_digest(entries: Iterable[Entry]) -> bytes:
    """Return what tells the versions of a page from all others.

    :param entries: The versions.
    """
    return hashlib.sha256(b"".join(entry.mark for entry in entries)).digest()


@dataclass(frozen=True)
class Layout:
    """The layout of an archive. Its memory grows with the number of pages, not with that of files."""

    form: Format
    state: BucketState
    """The state of the bucket that is in it."""

    pages: list[tuple[Position, bytes]]
    """The pages, with their digests."""

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

    @property
    def digest(self) -> str:
        """What tells the versions in the archive from all others, in hexadecimal."""
        return hashlib.sha256(b"".join(digest for _, digest in self.pages)).hexdigest()[:32]


def lay_out(form: Format, state: BucketState, check: Callable[[list[ObjectVersion]], Any]) -> Layout:
    """Lay out an archive, in one statement for each page.

    :param form: The format.
    :param state: The state of the bucket that is in it.
    :param check: Called with the versions of each page; it raises an error if they must not be sent.
    :raises FileInstanceUnreadableError: If a file has not all its bytes.
    """
    position, more, count = Position(None, 0, 0, ()), True, 0
    pages = []
    while more:
        entries, versions, last = state.page(position.after, PAGE)
        check(versions)
        if not all(entry.readable and entry.size is not None for entry in entries):
            raise FileInstanceUnreadableError()
        pages.append((position, page_digest(entries)))
        count += len(entries)
        _, following = place(form, position, entries)
        position, more = replace(following, after=last), last is not None
    return Layout(form, state, pages, count, position.offset, position.index_offset)
