"""The state of a bucket at a moment: which version of each object was its head, in order of keys.

A new version is later than those before it of the same object, see :mod:`.succession`. So the heads at a moment are
found for good, as long as no version is removed permanently. Versions of different objects may come from hosts whose
clocks differ, so that one with an earlier time may be committed later: compare :attr:`Entry.mark` to find out.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from invenio_db import db
from sqlalchemy import and_, bindparam, func, select
from sqlalchemy.orm import aliased

from .base import by_bytes
from .file_crc import FileCRC
from .file_instance import FileInstance
from .listing import after_prefix
from .object_version import ObjectVersion


class Entry(NamedTuple):
    """A version that was the head of an object."""

    key: str
    version_id: uuid.UUID
    created: datetime
    is_head: bool
    """Whether it still is the head."""
    size: int | None
    readable: bool

    @property
    def mark(self) -> bytes:
        """What tells this entry from all others."""
        return f"{self.key}\0{self.version_id.hex} {self.size} {self.created.isoformat()}\n".encode()


class IndexedEntry(NamedTuple):
    """An entry, and the CRC-32 of its file if it is known."""

    entry: Entry
    crc: int | None


class StoredEntry(NamedTuple):
    """An entry with its file, in no session, and the CRC-32 of the file if it is known."""

    entry: Entry
    crc: int | None
    file: FileInstance


class Page(NamedTuple):
    """Entries that follow each other."""

    entries: list[Entry]

    versions: list[ObjectVersion]
    """The same as objects of the session."""

    last: str | None
    """Key after which to go on; ``None`` at the end."""


@dataclass(frozen=True)
class BucketState:
    """The state of a bucket, or of the objects with a prefix, at a moment.

    :param bucket_id: Identifier of the bucket.
    :param moment: Versions that are later do not count.
    :param prefix: Prefix that the keys have.
    """

    bucket_id: uuid.UUID
    moment: datetime
    prefix: str = ""

    @classmethod
    def latest(cls, bucket_id: uuid.UUID, prefix: str, empty: datetime) -> BucketState:
        """Return the current state: that at the time of the latest version.

        :param bucket_id: Identifier of the bucket.
        :param prefix: Prefix that the keys have.
        :param empty: The moment to name if there is no version.
        """
        values = {"bucket": bucket_id} | _bounds(prefix)
        moment = db.session.scalar(_latest(*_bounds(prefix)), values)
        return cls(bucket_id, moment or empty, prefix)

    def page(self, after: str | None, limit: int) -> Page:
        """Return the entries that follow a key.

        :param after: The key; ``None`` for the first entries.
        :param limit: Largest number of entries to return.
        """
        rows, last = self._rows("versions", after, limit)
        return Page([Entry(*entry) for _, *entry, _ in rows], [row[-1] for row in rows], last)

    def indexed(self, after: str | None, limit: int) -> list[IndexedEntry]:
        """Return the entries that follow a key, with the CRC-32 of each.

        :param after: The key; ``None`` for the first entries.
        :param limit: Largest number of entries to return.
        """
        rows, _ = self._rows("indexed", after, limit)
        return [IndexedEntry(Entry(*entry), crc) for _, *entry, crc in rows]

    def stored(self, after: str | None, limit: int) -> list[StoredEntry]:
        """Return the entries that follow a key, with the CRC-32 of each, and their files.

        :param after: The key; ``None`` for the first entries.
        :param limit: Largest number of entries to return.
        """
        rows, _ = self._rows("stored", after, limit)
        return [StoredEntry(Entry(*entry), crc, file) for _, *entry, crc, file in rows]

    def _rows(self, what: str, after: str | None, limit: int) -> tuple[list[Any], str | None]:
        bounds = _bounds(self.prefix) | ({} if after is None else {"after": after})
        values = {"bucket": self.bucket_id, "moment": self.moment, "limit": limit} | bounds
        rows = db.session.execute(_statement(what, *bounds), values).all()
        # There is a row for each key, also for those that were deleted, so that a page has an end.
        return [row for row in rows if row[0] is not None], rows[-1].key if len(rows) == limit else None


def _bounds(prefix: str) -> dict[str, str]:
    """Return the bounds of the keys with a prefix, by the names of the parameters."""
    end = after_prefix(prefix) if prefix else None
    return ({"first": prefix} if prefix else {}) | ({} if end is None else {"end": end})


def _within(*bounds: str) -> list[Any]:
    """Return the conditions on versions of a bucket with bounds of their keys."""
    key = by_bytes(ObjectVersion.key)
    compared = {
        "first": key >= bindparam("first"),
        "after": key > bindparam("after"),
        "end": key < bindparam("end"),
    }
    return [ObjectVersion.bucket_id == bindparam("bucket"), *(compared[bound] for bound in bounds)]


@cache
def _latest(*bounds: str) -> Any:
    return select(func.max(ObjectVersion.created)).where(*_within(*bounds))


@cache
def _statement(what: str, *bounds: str) -> Any:
    moment: Any = bindparam("moment", type_=ObjectVersion.created.type)
    key = by_bytes(ObjectVersion.key)
    keys = select(key.label("key")).where(*_within(*bounds), ObjectVersion.created <= moment)
    page = keys.distinct().order_by(key).limit(bindparam("limit")).subquery()
    one = aliased(ObjectVersion, name="one")
    # Versions of installations before ours may have equal times; of these the current head is the latest.
    order = one.is_head.desc(), one.created.desc(), one.version_id
    there = and_(one.key == page.c.key, one.bucket_id == bindparam("bucket"), one.created <= moment)
    ranked = (
        select(one.version_id, func.row_number().over(partition_by=one.key, order_by=order).label("rank"))
        # Outer joins, although each row exists: without statistics, SQLite and MariaDB would start inner joins with all
        # versions of the bucket.
        .select_from(page)
        .outerjoin(one, there)
        .subquery()
    )
    version, file = ObjectVersion, FileInstance
    entry = (version.key, version.version_id, version.created, version.is_head, file.size, file.readable)
    more = {"versions": (version,), "indexed": (FileCRC.crc,), "stored": (FileCRC.crc, file)}[what]
    found = (
        select(version.file_id, *entry, *more)
        .select_from(ranked)
        .outerjoin(version, version.version_id == ranked.c.version_id)
        .outerjoin(file, file.id == version.file_id)
        .where(ranked.c.rank == 1)
        .order_by(by_bytes(version.key))
    )
    return found if what == "versions" else found.outerjoin(FileCRC, FileCRC.file_id == file.id)
