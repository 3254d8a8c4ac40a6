"""The state of a bucket at a moment: which version of each object was its head, in order of keys.

A new version is later than those before it of the same object, see :mod:`.succession`. So the heads at a moment are
found for good, as long as no version is removed permanently. Versions of different objects may come from hosts whose
clocks differ, so that one with an earlier time may be committed later: compare the entries to find out.

Mostly the heads of then are those of now, which are quickly read. Earlier versions are looked for where one is newer.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, NamedTuple

from invenio_db import db
from sqlalchemy import and_, bindparam, func, null, or_, select
from sqlalchemy.orm import aliased

from .base import by_bytes, hex_of, microseconds_of
from .file_crc import FileCRC
from .file_instance import FileInstance
from .listing import after_prefix
from .object_version import ObjectVersion

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Entry(NamedTuple):
    """A version that was the head of an object, with its file."""

    key: str
    version_id: str
    """Identifier of the version, in hexadecimal."""
    created: int
    """When the version was created, as Unix time in microseconds."""
    is_head: bool
    """Whether it still is the head."""
    size: int
    """Size of the file in bytes."""
    readable: bool
    """Whether the file has all its bytes."""
    file_id: str
    """Identifier of the file, in hexadecimal."""
    uri: str | None
    crc: int | None
    """CRC-32 of the file, if it is known, and was asked for."""


class Page(NamedTuple):
    """Entries that follow each other."""

    entries: list[Entry]

    versions: list[ObjectVersion]
    """The same as objects of the session, if they were asked for."""

    last: str | None
    """Key of the last object that was looked at, be it in the state or not; ``None`` at the end."""


@dataclass(frozen=True)
class BucketState:
    """The state of a bucket, or of some of its objects, at a moment.

    :param bucket_id: Identifier of the bucket.
    :param moment: Versions that are later do not count.
    :param prefix: Prefix that the keys have.
    :param keys: The keys themselves; one that ends in a slash stands for all that begin so. Without any, all keys.
    """

    bucket_id: uuid.UUID
    moment: datetime
    prefix: str = ""
    keys: tuple[str, ...] = ()

    @classmethod
    def latest(cls, bucket_id: uuid.UUID, prefix: str, empty: datetime, keys: tuple[str, ...] = ()) -> BucketState:
        """Return the current state: that at the time of the latest version.

        :param bucket_id: Identifier of the bucket.
        :param prefix: Prefix that the keys have.
        :param empty: The moment to name if there is no version.
        :param keys: The keys, see :class:`BucketState`.
        """
        bounds = _bounds(prefix) | _chosen(keys)
        moment = db.session.scalar(_latest(*bounds), {"bucket": bucket_id} | bounds)
        return cls(bucket_id, moment or empty, prefix, keys)

    def page(self, after: str | None, limit: int, crcs: bool = False, versions: bool = False) -> Page:
        """Return the entries that follow a key.

        :param after: The key; ``None`` for the first entries.
        :param limit: Largest number of objects to look at.
        :param crcs: Whether to look for their CRC-32.
        :param versions: Whether to return objects of the session, too.
        """
        rows = self._rows(crcs, versions, after=after, limit=limit)
        found = [row for row in rows if row.file_id]
        return Page(_entries(found), [row[-1] for row in found] if versions else [], rows[-1].key if rows else None)

    def between(self, after: str | None, last: str, crcs: bool = False) -> list[Entry]:
        """Return the entries of a page.

        :param after: The key before the page.
        :param last: The last key that may be in it.
        :param crcs: Whether to look for their CRC-32.
        """
        return _entries([row for row in self._rows(crcs, False, after=after, last=last) if row.file_id])

    def _rows(self, crcs: bool, versions: bool, **given: Any) -> list[Any]:
        """Return a row for each object: the fields of an entry, and the version if it is asked for."""
        bounds = _bounds(self.prefix) | _chosen(self.keys)
        bounds |= {name: value for name, value in given.items() if value is not None}
        values = {"bucket": self.bucket_id} | bounds
        rows = db.session.execute(_heads(crcs, versions, *bounds), values).all()
        if max((row.created for row in rows), default=0) <= (self.moment - _EPOCH) // timedelta.resolution:
            return list(rows)
        return list(db.session.execute(_earlier(crcs, versions, *bounds), values | {"moment": self.moment}).all())


def _entries(rows: list[Any]) -> list[Entry]:
    return [Entry._make(row[: len(Entry._fields)]) for row in rows]


def _bounds(prefix: str) -> dict[str, Any]:
    """Return the bounds of the keys with a prefix, by the names of the parameters."""
    end = after_prefix(prefix) if prefix else None
    return ({"first": prefix} if prefix else {}) | ({} if end is None else {"end": end})


def _chosen(keys: tuple[str, ...]) -> dict[str, Any]:
    """Return what tells keys that have been chosen from others, by the names of the parameters."""
    folders = [key for key in keys if key.endswith("/")]
    # Of few numbers, so that there are few statements to keep.
    folders += folders[-1:] * ((1 << (len(folders) - 1).bit_length()) - len(folders) if folders else 0)
    exact = [key for key in keys if not key.endswith("/")]
    bounds: dict[str, Any] = {"keys": exact} if keys else {}
    for number, folder in enumerate(folders):
        bounds |= {f"first{number}": folder, f"end{number}": after_prefix(folder)}
    return bounds


def _within(*bounds: str) -> list[Any]:
    """Return the conditions on versions of a bucket with bounds of their keys."""
    key = by_bytes(ObjectVersion.key)
    compared = {
        "first": key >= bindparam("first"),
        "after": key > bindparam("after"),
        "last": key <= bindparam("last"),
        "end": key < bindparam("end"),
    }
    there = [
        ObjectVersion.bucket_id == bindparam("bucket"),
        *(compared[bound] for bound in bounds if bound in compared),
    ]
    if "keys" not in bounds:
        return there
    numbers = [bound.removeprefix("first") for bound in bounds if bound.startswith("first") and bound != "first"]
    folders = (and_(key >= bindparam(f"first{n}"), key < bindparam(f"end{n}")) for n in numbers)
    return [*there, or_(ObjectVersion.key.in_(bindparam("keys", expanding=True)), *folders)]


@cache
def _latest(*bounds: str) -> Any:
    return select(func.max(ObjectVersion.created)).where(*_within(*bounds))


def _columns(crcs: bool, versions: bool, key: Any) -> Any:
    version, file = ObjectVersion, FileInstance
    # Columns rather than objects, which take three times as long.
    entry = (
        key.label("key"),
        hex_of(version.version_id),
        microseconds_of(version.created).label("created"),
        version.is_head,
        func.coalesce(file.size, 0),
        and_(file.readable, file.size.isnot(None)),
        hex_of(version.file_id).label("file_id"),
        file.uri,
        FileCRC.crc if crcs else null(),
    )
    return select(*entry, *((version,) if versions else ()))


def _with_files(crcs: bool, statement: Any) -> Any:
    found = statement.outerjoin(FileInstance, FileInstance.id == ObjectVersion.file_id)
    return found.outerjoin(FileCRC, FileCRC.file_id == FileInstance.id) if crcs else found


@cache
def _heads(crcs: bool, versions: bool, *bounds: str) -> Any:
    """Return the statement that reads the heads of now."""
    statement = _with_files(crcs, _columns(crcs, versions, ObjectVersion.key).select_from(ObjectVersion))
    statement = statement.where(*_within(*bounds), ObjectVersion.is_head).order_by(by_bytes(ObjectVersion.key))
    return statement.limit(bindparam("limit")) if "limit" in bounds else statement


@cache
def _earlier(crcs: bool, versions: bool, *bounds: str) -> Any:
    """Return the statement that reads the heads of a moment: none of an object that is newer."""
    moment: Any = bindparam("moment", type_=ObjectVersion.created.type)
    key = by_bytes(ObjectVersion.key)
    keys = select(key.label("key")).where(*_within(*bounds), ObjectVersion.is_head).order_by(key)
    page = (keys.limit(bindparam("limit")) if "limit" in bounds else keys).subquery()
    one = aliased(ObjectVersion, name="one")
    # Versions of installations before ours may have equal times; of these the current head is the latest.
    order = one.is_head.desc(), one.created.desc(), one.version_id
    there = and_(one.key == page.c.key, one.bucket_id == bindparam("bucket"), one.created <= moment)
    rank = func.row_number().over(partition_by=page.c.key, order_by=order)
    # Without statistics, SQLite and MariaDB would start an inner join with all versions of the bucket.
    ranked = select(page.c.key, one.version_id, rank.label("rank")).select_from(page).outerjoin(one, there).subquery()
    statement = _columns(crcs, versions, ranked.c.key).select_from(ranked)
    statement = statement.outerjoin(ObjectVersion, ObjectVersion.version_id == ranked.c.version_id)
    return _with_files(crcs, statement).where(ranked.c.rank == 1).order_by(by_bytes(ranked.c.key))
