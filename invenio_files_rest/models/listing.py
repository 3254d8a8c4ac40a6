"""Listings: the objects of a bucket in order, in few statements and in memory that does not grow with them."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from invenio_db import db
from sqlalchemy import and_, bindparam, select

from ..utils import guess_mimetype
from .base import by_bytes
from .file_instance import FileInstance
from .object_tag import ObjectVersionTag
from .object_version import ObjectVersion

_AT_A_TIME = 1000
"""Rows that are fetched at once, and the most keys that a statement reads where some may be of one group."""

_FEW = 100
"""Keys that a statement reads where the last one found nothing but keys of one group, so that groups may be large.

Fewer would make a statement for each group where large groups are followed by many that are just larger than this.
"""


class ListedFile(NamedTuple):
    """What a listing tells of a file."""

    size: int | None
    checksum: str | None


class ListedObject(NamedTuple):
    """What a listing tells of a version, under the names that :class:`ObjectVersion` has for it."""

    bucket_id: uuid.UUID
    key: str
    version_id: uuid.UUID
    is_head: bool
    mimetype: str
    created: datetime
    updated: datetime
    file: ListedFile | None
    tags: dict[str, str]

    @property
    def deleted(self) -> bool:
        """Whether this is a delete marker."""
        return self.file is None

    def get_tags(self) -> dict[str, str]:
        """Return the tags as a dictionary."""
        return self.tags


@dataclass
class Listing:
    """The objects of a bucket by key, and within a key from newest to oldest. To be iterated over once.

    :param bucket_id: Identifier of the bucket.
    :param versions: Whether to list all versions and delete markers, otherwise the heads of what is not deleted.
    :param prefix: What the keys have to begin with.
    :param delimiter: Where it is found in a key after the prefix, the key counts for one of :attr:`common_prefixes`.
    :param start_after: Key, or common prefix, after which the listing begins.
    :param max_keys: How many keys and common prefixes to list; ``None`` for all.
    """

    bucket_id: uuid.UUID
    versions: bool = False
    prefix: str = ""
    delimiter: str = ""
    start_after: str = ""
    max_keys: int | None = None

    common_prefixes: list[str] = field(default_factory=list, init=False)
    """Beginnings of keys up to the delimiter, once the listing has been iterated over."""

    next_start_after: str | None = field(default=None, init=False)
    """What the next page starts after, once the listing has been iterated over; ``None`` where this is the last one."""

    def __iter__(self) -> Iterator[ListedObject]:
        """List the objects.

        One statement reads them all, or the keys of a page and one more, which tells that there is another page. With a
        delimiter, a statement reads some keys, and where the last of them is of a group, the next one goes on behind
        the group.
        """
        most = None if self.max_keys is None else self.max_keys + 1
        if self.delimiter and most is None:
            most = _AT_A_TIME
        listed, last, limit = 0, self.start_after, most
        while (bounds := self._bounds(last)) is not None:
            read, listed_before, key, group = 0, listed, None, None
            statement = _statement(self.versions, limit is not None, *bounds)
            values = {"bucket": self.bucket_id, "keys": limit} | bounds
            with db.session.execute(statement, values, execution_options={"yield_per": _AT_A_TIME}) as rows:
                for item in self._objects(chain.from_iterable(rows.partitions())):
                    if item.key != key:
                        key, read = item.key, read + 1
                        group = self._common_prefix(key)
                        if group is None or group != last:
                            if listed == self.max_keys:
                                self.next_start_after = last
                                return
                            listed, last = listed + 1, group or key
                            if group is not None:
                                self.common_prefixes.append(group)
                    if group is None:
                        yield item
            if limit is None or most is None or read < limit:
                return
            limit = min(most, 2 * limit if listed > listed_before + 1 else _FEW)

    def _common_prefix(self, key: str) -> str | None:
        if not self.delimiter:
            return None
        head, found, _ = key[len(self.prefix) :].partition(self.delimiter)
        return self.prefix + head + found if found else None

    def _bounds(self, after: str) -> dict[str, str] | None:
        """Return what keys are compared with, by the names of :func:`_statement`; ``None`` where none can follow.

        :param after: Key, or common prefix, after which to read.
        """
        bounds = {}
        if self.prefix:
            bounds["first"] = self.prefix
            if (end := _after_prefix(self.prefix)) is not None:
                bounds["end"] = end
        if after and self._common_prefix(after) == after:
            if (end := _after_prefix(after)) is None:
                return None
            bounds["first"] = end
        elif after:
            bounds["after"] = after
        return bounds

    def _objects(self, rows: Iterable[Any]) -> Iterator[ListedObject]:
        """Make objects of rows, of which an object has one for each of its tags."""
        item = None
        for key, version_id, is_head, mimetype, created, updated, deleted, size, checksum, tag, value in rows:
            if item is None or item.version_id != version_id:
                if item is not None:
                    yield item
                item = ListedObject(
                    self.bucket_id,
                    key,
                    version_id,
                    is_head,
                    mimetype or guess_mimetype(key),
                    created,
                    updated,
                    None if deleted else ListedFile(size, checksum),
                    {},
                )
            if tag is not None:
                item.tags[tag] = value
        if item is not None:
            yield item


@cache
def _statement(versions: bool, limited: bool, *bounds: str) -> Any:
    """Return the statement that reads the rows of a listing.

    :param versions: Whether to read all versions, otherwise the heads of what is not deleted.
    :param limited: Whether to read no more than so many keys, with all their versions and tags.
    :param bounds: Which bounds the keys have: ``first`` or ``after`` on one side, ``end`` on the other.
    """
    # Not the models, which would let each row pass the ORM.
    version, file, tag = ObjectVersion.__table__.c, FileInstance.__table__.c, ObjectVersionTag.__table__.c
    key = by_bytes(version.key)
    compared = {
        "first": key >= bindparam("first"),
        "after": key > bindparam("after"),
        "end": key < bindparam("end"),
    }
    there = [version.bucket_id == bindparam("bucket")]
    if not versions:
        there += [version.is_head, version.file_id.isnot(None)]
    conditions = [*there, *(compared[bound] for bound in bounds)]
    source: Any = ObjectVersion.__table__
    if limited:
        # Versions and tags have rows of their own, so that it is the keys that have to be counted.
        keys = select(key.label("key")).where(*conditions).distinct().order_by(key).limit(bindparam("keys"))
        page = keys.subquery()
        # An outer join, though each key is there: without statistics, SQLite and MariaDB begin an inner join with all
        # the bucket has.
        source, conditions = page.outerjoin(source, and_(version.key == page.c.key, *there)), []
    return (
        select(
            version.key,
            version.version_id,
            version.is_head,
            version._mimetype,
            version.created,
            version.updated,
            version.file_id.is_(None).label("deleted"),
            file.size,
            file.checksum,
            tag.key.label("tag"),
            tag.value,
        )
        .select_from(source)
        .outerjoin(FileInstance.__table__, file.id == version.file_id)
        .outerjoin(ObjectVersionTag.__table__, tag.version_id == version.version_id)
        .where(*conditions)
        .order_by(key, version.is_head.desc(), version.created.desc(), version.version_id, tag.key)
    )


def _after_prefix(prefix: str) -> str | None:
    """Return the first text after all that begin with a prefix; ``None`` where there is none.

    The order of code points is the order of bytes in UTF-8 (RFC 3629, section 1).
    """
    for end in range(len(prefix), 0, -1):
        following = ord(prefix[end - 1]) + 1
        if following <= sys.maxunicode:
            # Surrogates are no characters.
            return prefix[: end - 1] + chr(0xE000 if following == 0xD800 else following)
    return None
