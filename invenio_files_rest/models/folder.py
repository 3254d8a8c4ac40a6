"""A folder as people look at it: in another order than that of keys, what was deleted in it, and versions of a file.

:class:`~invenio_files_rest.models.listing.Listing` lists a folder of any size in the order of its keys. Another order
has to look at every key, so that it is for folders of :data:`MOST_KEYS` keys.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from invenio_db import db
from sqlalchemy import Integer, Text, and_, bindparam, case, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import joinedload
from sqlalchemy.sql.functions import GenericFunction

from .base import by_bytes
from .file_instance import FileInstance
from .listing import after_prefix
from .object_version import ObjectVersion

MOST_KEYS = 100_000
"""Number of keys that a statement looks at, at most."""

ORDERS = ("name", "size", "time", "type")
"""What a folder may be ordered by."""


class place_of(GenericFunction[int]):  # noqa: N801 (a function of SQL)
    """Where in a text another one begins, from 1; 0 where it does not."""

    type = Integer()
    inherit_cache = True


@compiles(place_of)
def _place_of(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"instr({compiler.process(element.clauses, **kwargs)})"


@compiles(place_of, "postgresql")
def _place_of_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **kwargs)})"


class after_last_dot(GenericFunction[str]):  # noqa: N801 (a function of SQL)
    """The part of a text after its last dot; all of it where it has none."""

    type = Text()
    inherit_cache = True


@compiles(after_last_dot)
def _after_last_dot(element: Any, compiler: Any, **kwargs: Any) -> str:
    text = compiler.process(element.clauses, **kwargs)
    return f"substr({text}, length(rtrim({text}, replace({text}, '.', ''))) + 1)"


@compiles(after_last_dot, "mysql")
@compiles(after_last_dot, "mariadb")
def _after_last_dot_mysql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"substring_index({compiler.process(element.clauses, **kwargs)}, '.', -1)"


class Entry(NamedTuple):
    """A file or a folder in a folder."""

    key: str
    """Key of the file; what keys in the folder begin with, up to and including a slash."""

    is_folder: bool

    size: int
    """Size of the file, or of all files in the folder, in bytes."""

    created: datetime
    """When it was stored; of a folder, the latest of its files."""


class DeletedObject(NamedTuple):
    """An object whose head is a delete marker."""

    key: str
    deleted: datetime
    last: ObjectVersion | None
    """The latest version that is left of it."""


@dataclass(frozen=True)
class Folder:
    """The objects of a bucket whose keys have a prefix.

    :param bucket_id: Identifier of the bucket.
    :param prefix: The prefix.
    """

    bucket_id: uuid.UUID
    prefix: str = ""

    def ordered(self, order: str, descending: bool, offset: int, limit: int) -> list[Entry] | None:
        """Return entries in an order, folders before files, in one statement.

        :param order: One of :data:`ORDERS`.
        :param descending: Whether the largest, the latest, the last one comes first.
        :param offset: Number of entries before them.
        :param limit: Number of entries.
        :returns: The entries; ``None`` if there are more than :data:`MOST_KEYS` keys.
        """
        values = self._values() | {"length": len(self.prefix), "offset": offset, "limit": limit, "most": MOST_KEYS + 1}
        rows = db.session.execute(_ordered(order, descending, *self._bounds()), values).all()
        if rows and rows[0].keys_read > MOST_KEYS:
            return None
        return [Entry(row.entry, bool(row.is_folder), int(row.size or 0), row.created) for row in rows]

    def heads(self, keys: Collection[str]) -> dict[str, ObjectVersion]:
        """Return the heads of some keys, with their files; those that are not deleted.

        :param keys: The keys.
        """
        version = ObjectVersion
        found = (
            select(version)
            .options(joinedload(version.file))
            .where(
                version.bucket_id == self.bucket_id, version.key.in_(keys), version.is_head, version.file_id.isnot(None)
            )
        )
        return {head.key: head for head in db.session.scalars(found)}

    def deleted(self, after: str, limit: int) -> list[DeletedObject]:
        """Return objects that are deleted, in the order of their keys, in two statements.

        :param after: Key after which to begin.
        :param limit: Number of objects.
        """
        version, key = ObjectVersion, by_bytes(ObjectVersion.key)
        markers = select(version.key, version.created).where(
            *_within(*self._bounds()), version.is_head, version.file_id.is_(None), key > bindparam("after")
        )
        values = self._values() | {"after": after}
        rows = db.session.execute(markers.order_by(key).limit(limit), values).all()
        there = (
            version.bucket_id == self.bucket_id,
            version.key.in_([row.key for row in rows]),
            version.file_id.isnot(None),
        )
        latest = (
            select(version.key, func.max(version.created).label("created"))
            .where(*there)
            .group_by(version.key)
            .subquery()
        )
        left = select(version).join(latest, and_(version.key == latest.c.key, version.created == latest.c.created))
        last = {one.key: one for one in db.session.scalars(left.options(joinedload(version.file)).where(*there))}
        return [DeletedObject(row.key, row.created, last.get(row.key)) for row in rows]

    def _values(self) -> dict[str, Any]:
        return {"bucket": self.bucket_id, "first": self.prefix, "end": after_prefix(self.prefix)}

    def _bounds(self) -> list[str]:
        return [name for name in ("first", "end") if self._values()[name]]


def versions_of(bucket_id: uuid.UUID, key: str, limit: int) -> list[ObjectVersion]:
    """Return the newest versions of an object, delete markers included.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    :param limit: Number of versions.
    """
    versions: list[ObjectVersion] = ObjectVersion.get_versions(bucket_id, key).limit(limit).all()
    return versions


def _within(*bounds: str) -> list[Any]:
    key = by_bytes(ObjectVersion.key)
    compared = {"first": key >= bindparam("first"), "end": key < bindparam("end")}
    return [ObjectVersion.bucket_id == bindparam("bucket"), *(compared[bound] for bound in bounds)]


@cache
def _ordered(order: str, descending: bool, *bounds: str) -> Any:
    version, key = ObjectVersion, by_bytes(ObjectVersion.key)
    there = (*_within(*bounds), version.is_head, version.file_id.isnot(None))
    read = (
        select(version.key, version.file_id, version.created)
        .where(*there)
        .order_by(key)
        .limit(bindparam("most"))
        .subquery()
    )
    length: Any = bindparam("length", type_=Integer)
    name = func.substr(read.c.key, length + 1)
    slash = place_of(name, "/")
    is_folder = case((slash > 0, 1), else_=0)
    entry = case((slash > 0, func.substr(read.c.key, 1, length + slash)), else_=read.c.key)
    suffix = case((and_(slash == 0, place_of(name, ".") > 0), func.lower(after_last_dot(name))), else_="")
    rows = select(
        entry.label("entry"), is_folder.label("is_folder"), suffix.label("suffix"), read.c.file_id, read.c.created
    ).subquery()
    by_name = by_bytes(rows.c.entry)
    size, created = func.sum(func.coalesce(FileInstance.size, 0)), func.max(rows.c.created)
    chosen = {"name": by_name, "size": size, "time": created, "type": func.max(rows.c.suffix)}[order]
    return (
        select(
            rows.c.entry,
            rows.c.is_folder,
            size.label("size"),
            created.label("created"),
            func.sum(func.count()).over().label("keys_read"),
        )
        .select_from(rows)
        .outerjoin(FileInstance, FileInstance.id == rows.c.file_id)
        .group_by(rows.c.entry, rows.c.is_folder)
        .order_by(rows.c.is_folder.desc(), chosen.desc() if descending else chosen, by_name)
        .offset(bindparam("offset", type_=Integer))
        .limit(bindparam("limit", type_=Integer))
    )
