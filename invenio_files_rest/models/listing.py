"""Listings: the objects of a bucket in order, with few statements and constant memory."""

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

ROWS_AT_A_TIME = 1000
"""Number of rows fetched at a time, and of keys that a statement reads at most when there is a delimiter."""

FEW_KEYS = 100
"""Number of keys that a statement reads after one that found keys of a single group only, since groups may be large.

With fewer, many groups that are slightly larger than this would need a statement each.
"""


class ListedFile(NamedTuple):
    """A file in a listing."""

    size: int | None
    checksum: str | None


class ListedObject(NamedTuple):
    """A version in a listing, with the attribute names of :class:`ObjectVersion`."""

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
    """The objects of a bucket by key, and the versions of a key from newest to oldest. It can be iterated over once.

    :param bucket_id: Identifier of the bucket.
    :param versions: Whether to list all versions and delete markers, instead of the heads that are not deleted.
    :param prefix: Prefix that the keys must have.
    :param delimiter: Keys that contain it after the prefix are grouped into :attr:`common_prefixes`.
    :param start_after: Key, or common prefix, after which the listing begins.
    :param max_keys: Largest number of keys and common prefixes to list; ``None`` for all.
    :param created: The time at which the listed versions were created; ``None`` for any.
    """

    bucket_id: uuid.UUID
    versions: bool = False
    prefix: str = ""
    delimiter: str = ""
    start_after: str = ""
    max_keys: int | None = None
    created: datetime | None = None

    common_prefixes: list[str] = field(default_factory=list, init=False)
    """Beginnings of keys up to and including the delimiter; complete after the iteration."""

    next_start_after: str | None = field(default=None, init=False)
    """:attr:`start_after` of the next page, set after the iteration; ``None`` if this is the last page."""

    def __iter__(self) -> Iterator[ListedObject]:
        """List the objects.

        A single statement reads all of them, or the keys of a page plus one, which shows that there is another page.
        With a delimiter, a statement reads some keys, and if the last of them belongs to a group, the next statement
        continues after that group.
        """
        most = None if self.max_keys is None else self.max_keys + 1
        if self.delimiter and most is None:
            most = ROWS_AT_A_TIME
        listed, last, limit = 0, self.start_after, most
        while (bounds := self._bounds(last)) is not None:
            read, listed_before, key, group = 0, listed, None, None
            statement = _statement(self.versions, limit is not None, *bounds)
            values = {"bucket": self.bucket_id, "keys": limit} | bounds
            with db.session.execute(statement, values, execution_options={"yield_per": ROWS_AT_A_TIME}) as rows:
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
            limit = min(most, 2 * limit if listed > listed_before + 1 else FEW_KEYS)

    def _common_prefix(self, key: str) -> str | None:
        if not self.delimiter:
            return None
        head, found, _ = key[len(self.prefix) :].partition(self.delimiter)
        return self.prefix + head + found if found else None

    def _bounds(self, after: str) -> dict[str, Any] | None:
        """Return the bounds of the keys, named as in :func:`_statement`; ``None`` if no key can follow.

        :param after: Key, or common prefix, after which to read.
        """
        bounds: dict[str, Any] = {} if self.created is None else {"created": self.created}
        if self.prefix:
            bounds["first"] = self.prefix
            if (end := after_prefix(self.prefix)) is not None:
                bounds["end"] = end
        if after and self._common_prefix(after) == after:
            if (end := after_prefix(after)) is None:
                return None
            bounds["first"] = end
        elif after:
            bounds["after"] = after
        return bounds

    def _objects(self, rows: Iterable[Any]) -> Iterator[ListedObject]:
        """Turn rows into objects; an object has one row for each of its tags."""
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

    :param versions: Whether to read all versions, instead of the heads that are not deleted.
    :param limited: Whether to limit the number of keys, which come with all their versions and tags.
    :param bounds: Which bounds the keys have: ``first`` or ``after`` as the lower one, ``end`` as the upper one; and
        ``created`` where the versions are of one time.
    """
    # The tables rather than the models, so that rows do not pass through the ORM.
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
    if "created" in bounds:
        there.append(version.created == bindparam("created"))
    conditions = [*there, *(compared[bound] for bound in bounds if bound in compared)]
    source: Any = ObjectVersion.__table__
    if limited:
        # Versions and tags have rows of their own, so the limit has to be on the keys.
        keys = select(key.label("key")).where(*conditions).distinct().order_by(key).limit(bindparam("keys"))
        page = keys.subquery()
        # An outer join, although each key exists: without statistics, SQLite and MariaDB would start an inner join
        # with all versions of the bucket.
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


def after_prefix(prefix: str) -> str | None:
    """Return the first text that comes after all texts with a prefix; ``None`` if there is none.

    The order of code points is the order of bytes in UTF-8 (RFC 3629, section 1).

    :param prefix: The prefix.
    """
    for end in range(len(prefix), 0, -1):
        following = ord(prefix[end - 1]) + 1
        if following <= sys.maxunicode:
            # Skip the surrogates, which are not characters.
            return prefix[: end - 1] + chr(0xE000 if following == 0xD800 else following)
    return None
