"""The layout of an archive: its length and entity tag, and where in it each file is, found without reading any."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import FileInstanceUnreadableError
from ..models.bucket_state import BucketState, Entry
from ..models.bucket_state import Page as StatePage
from .formats import Format, Member
from .names import Names

PAGE = 1000
"""Number of objects that are in memory at a time."""

KEPT = 10_000
"""Number of files of an archive that are kept in memory, some 500 bytes each, rather than read again to send them."""


class Check(Protocol):
    """Whether versions may be sent."""

    needs_versions: bool
    """Whether it needs them as objects of the session."""

    def __call__(self, page: StatePage) -> None:
        """Raise an error if the versions of a page must not be sent."""


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

    members: list[Member] | None
    """The files themselves, unless there are too many."""


def place(form: Format, position: Position, entries: Sequence[Entry]) -> tuple[list[Member], Position]:
    """Find where the files of a page are in an archive.

    :param form: The format.
    :param position: Where they begin.
    :param entries: The versions.
    :returns: The files, and where those of the next page begin.
    """
    names, offset, index_offset = Names(position.before), position.offset, position.index_offset
    members = []
    for key, version_id, created, _, size, _, file_id, uri, crc in entries:
        member = Member(names.name(key).encode(), size, created // 1_000_000, offset, file_id, uri, crc, version_id)
        members.append(member)
        index_offset += form.index_size(member)
        offset += form.header_size(member) + size + form.padding(size)
    return members, Position(offset, index_offset, names.before)


def marks(entries: Sequence[Entry]) -> bytes:
    """Return what tells versions from all others.

    :param entries: The versions.
    """
    return "".join([f"{key}\0{version} {size} {created}\n" for key, version, created, _, size, *_ in entries]).encode()


def digest_of(data: bytes) -> bytes:
    """Return a digest of what :func:`marks` has returned.

    :param data: The marks.
    """
    return hashlib.sha256(data).digest()


@dataclass(frozen=True)
class Layout:
    """The layout of an archive. Beyond :data:`KEPT` files, its memory grows with the number of pages alone."""

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


def lay_out(form: Format, state: BucketState, check: Check) -> Layout:
    """Lay out an archive, in one statement for each page.

    :param form: The format.
    :param state: The state of the bucket that is in it.
    :param check: Called with each page.
    :raises FileInstanceUnreadableError: If a file has not all its bytes.
    """
    pages: list[Page] = []
    position, count, after, whole = Position(), 0, None, hashlib.sha256()
    for entries, last in _pages(state, check, form.needs_crc):
        marked = marks(entries)
        whole.update(marked)
        count += len(entries)
        members, following = place(form, position, entries)
        pages.append(Page(position, after, last, digest_of(marked), members if count <= KEPT else None))
        after, position = last, following
    return Layout(form, state, pages, _shortened(whole), count, position.offset, position.index_offset)


def digest_of_state(state: BucketState, check: Check) -> str:
    """Return the digest that the layout of an archive would have; see :func:`lay_out`.

    :param state: The state of the bucket.
    :param check: Called with each page.
    :raises FileInstanceUnreadableError: If a file has not all its bytes.
    """
    whole = hashlib.sha256()
    for entries, _ in _pages(state, check):
        whole.update(marks(entries))
    return _shortened(whole)


def _shortened(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:32]


def _pages(state: BucketState, check: Check, crcs: bool = False) -> Iterator[tuple[list[Entry], str]]:
    """Read a state page by page, all of whose files may be sent; with each comes the last key that may be in it."""
    after: str | None = None
    while (page := state.page(after, PAGE, crcs, check.needs_versions)).last is not None:
        check(page)
        if not all(entry.readable for entry in page.entries):
            raise FileInstanceUnreadableError()
        yield page.entries, page.last
        after = page.last
