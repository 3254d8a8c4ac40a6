"""Listings: the objects of a bucket in order, in one statement and in memory that does not grow with them."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from invenio_db import db
from sqlalchemy import select

from ..utils import guess_mimetype
from .base import by_bytes
from .file_instance import FileInstance
from .object_tag import ObjectVersionTag
from .object_version import ObjectVersion

_ROWS_AT_A_TIME = 1000


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
        """List the objects."""
        listed, last = 0, ""
        with db.session.execute(self._statement(), execution_options={"yield_per": _ROWS_AT_A_TIME}) as rows:
            for key, versions in groupby(rows, key=lambda row: row.key):
                group = self._common_prefix(key)
                if group is not None and group == last:
                    continue
                if listed == self.max_keys:
                    self.next_start_after = last
                    return
                listed, last = listed + 1, group or key
                if group is None:
                    yield from self._objects(versions)
                else:
                    self.common_prefixes.append(group)

    def _common_prefix(self, key: str) -> str | None:
        if not self.delimiter:
            return None
        head, found, _ = key[len(self.prefix) :].partition(self.delimiter)
        return self.prefix + head + found if found else None

    def _objects(self, rows: Any) -> Iterator[ListedObject]:
        for _, tagged in groupby(rows, key=lambda row: row.version_id):
            same = list(tagged)
            row = same[0]
            yield ListedObject(
                self.bucket_id,
                row.key,
                row.version_id,
                row.is_head,
                row._mimetype or guess_mimetype(row.key),
                row.created,
                row.updated,
                None if row.deleted else ListedFile(row.size, row.checksum),
                {tag.tag: tag.value for tag in same if tag.tag is not None},
            )

    def _statement(self) -> Any:
        version, file, tag = ObjectVersion, FileInstance, ObjectVersionTag
        key = by_bytes(version.key)
        statement = (
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
            .outerjoin(file, file.id == version.file_id)
            .outerjoin(tag, tag.version_id == version.version_id)
            .where(version.bucket_id == self.bucket_id)
            .order_by(key, version.is_head.desc(), version.created.desc(), version.version_id, tag.key)
        )
        if not self.versions:
            statement = statement.where(version.is_head, version.file_id.isnot(None))
        if self.prefix:
            statement = statement.where(key >= self.prefix)
            if (end := _after_prefix(self.prefix)) is not None:
                statement = statement.where(key < end)
        if self.start_after:
            group = self._common_prefix(self.start_after)
            end = _after_prefix(self.start_after) if group == self.start_after else None
            statement = statement.where(key > self.start_after if end is None else key >= end)
        return statement


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
