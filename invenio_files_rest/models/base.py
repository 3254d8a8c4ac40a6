"""What the models share: column types, time stamps, and statements that differ between databases."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from invenio_db import db
from invenio_db.shared import UTCDateTime
from sqlalchemy import Text, event, inspect
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import object_session
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator
from sqlalchemy_utils.types import UUIDType

_MYSQL = ("mysql", "mariadb")

Mixin: Any = object
"""Base of the parts of a model: to the types, they have all that the whole model has."""


def utcnow() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(timezone.utc)


def reads_a_snapshot() -> bool:
    """Tell whether a read without a lock may show what was there before the transaction took its first lock."""
    return db.engine.dialect.name in _MYSQL


class UTCTimestamp(UTCDateTime):
    """A UTC date-time that keeps microseconds on every database, so that versions have an order."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        """Return the database's own type."""
        if dialect.name in _MYSQL:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return super().load_dialect_impl(dialect)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        """Return the time, without a copy where the driver gives it in UTC: listings have thousands."""
        if value is not None and value.tzinfo is timezone.utc:
            return value
        return super().process_result_value(value, dialect)


class ExactText(TypeDecorator[str]):
    """Text of which no two values are taken for equal unless they are, and that is ordered by its bytes in UTF-8.

    MySQL and MariaDB compare without case, accents and trailing spaces, as their collations have it, so that ``A`` and
    ``a`` would be one object. PostgreSQL orders as the language of its database does, where S3 orders keys by bytes.

    :param length: Length of the column on MySQL and MariaDB, in characters.
    :param impl: Type on the other databases.
    """

    impl = Text
    cache_ok = True

    def __init__(self, length: int = 255, impl: Any = None) -> None:
        """Keep length and type."""
        super().__init__()
        self.length = length
        self.elsewhere = impl or Text()

    def load_dialect_impl(self, dialect: Any) -> Any:
        """Return the database's own type."""
        if dialect.name in _MYSQL:
            collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
            return dialect.type_descriptor(mysql.VARCHAR(self.length, charset="utf8mb4", collation=collation))
        if dialect.name == "postgresql":
            return dialect.type_descriptor(type(self.elsewhere)(self.elsewhere.length, collation="C"))
        return dialect.type_descriptor(self.elsewhere)


class Timestamp:
    """Adds ``created`` and ``updated`` to a model.

    Other than with :class:`invenio_db.shared.Timestamp`, a row is updated only where a column of it has changed, not
    where another row came to refer to it: a file that a snapshot shares is not a changed file.
    """

    created = db.Column(UTCTimestamp, default=utcnow, nullable=False)
    """When the row was added."""

    updated = db.Column(UTCTimestamp, default=utcnow, nullable=False)
    """When the row was last changed, by the clock that is furthest ahead of those of the hosts that have changed it."""


@event.listens_for(Timestamp, "before_update", propagate=True)
def _set_updated(mapper: Any, connection: Any, target: Any) -> None:
    session = object_session(target)
    if session is not None and session.is_modified(target, include_collections=False):
        before = target.updated
        now = utcnow()
        # Others may have set it to anything that the column takes.
        target.updated = max(now, before) if isinstance(before, datetime) and before.tzinfo else now


class random_uuid(GenericFunction[uuid.UUID]):  # noqa: N801 (a function of SQL)
    """A random UUID that the database makes, for rows that it copies by itself."""

    type = UUIDType()
    inherit_cache = True


@compiles(random_uuid)
def _random_uuid(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "gen_random_uuid()"


@compiles(random_uuid, "sqlite")
def _random_uuid_sqlite(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "randomblob(16)"


@compiles(random_uuid, "mysql")
@compiles(random_uuid, "mariadb")
def _random_uuid_mysql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "RANDOM_BYTES(16)"


def loaded(model: Any, identity: Any) -> Any:
    """Return an object where the session has it already, without asking the database.

    :param model: The model.
    :param identity: Value of its primary key.
    """
    return db.session.identity_map.get(db.session.identity_key(model, identity))


def read_again(item: Any, names: Iterable[str]) -> None:
    """Have attributes of an object read from its row, which a statement has changed.

    They are read when they are asked for, and once more after a rollback, be it to a savepoint: the session sees to
    that only for what it has changed itself, or with statements that it synchronises, which take it twice as long.

    :param item: The object.
    :param names: Names of the attributes.
    """
    db.session.expire(item, names)
    db.session()._register_altered([inspect(item)])


class by_bytes(GenericFunction[str]):  # noqa: N801 (a function of SQL)
    """A text that is compared and ordered by its bytes in UTF-8, as S3 orders keys, whatever the collation."""

    type = Text()
    inherit_cache = True


@compiles(by_bytes)
def _by_bytes(element: Any, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))


@compiles(by_bytes, "postgresql")
def _by_bytes_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f'({compiler.process(element.clauses, **kwargs)}) COLLATE "C"'
