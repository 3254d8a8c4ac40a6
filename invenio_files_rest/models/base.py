"""What the models share: column types, time stamps, and statements that differ between databases."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any
from weakref import WeakKeyDictionary

from invenio_db import db
from invenio_db.shared import UTCDateTime
from sqlalchemy import BigInteger, Connection, Text, event, inspect, update
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, object_session
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator
from sqlalchemy_utils.types import UUIDType

_MYSQL = ("mysql", "mariadb")

_ALTERED = "invenio_files_rest.altered"
"""Key in the session's ``info`` for the objects whose rows statements of this transaction have changed."""

Mixin: Any = object
"""Base of the mixins that make up a model: type checkers let them use whatever the model has."""


def utcnow() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(timezone.utc)


def reads_a_snapshot() -> bool:
    """Return whether reads without a lock may show the state from before the transaction's first lock."""
    return db.engine.dialect.name in _MYSQL


class UTCTimestamp(UTCDateTime):
    """A UTC date-time that keeps microseconds on every database, so that versions have an order."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        """Return the type for a database."""
        if dialect.name in _MYSQL:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return super().load_dialect_impl(dialect)

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        """Return the value for the database: the time itself if it is in UTC."""
        if isinstance(value, datetime) and value.tzinfo is timezone.utc:
            return value
        return super().process_bind_param(value, dialect)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        """Return the time. It is not copied if the driver returns it in UTC, since listings have thousands."""
        if value is not None and value.tzinfo is timezone.utc:
            return value
        return super().process_result_value(value, dialect)


class ExactText(TypeDecorator[str]):
    """Text that is compared exactly and ordered by its bytes in UTF-8.

    The default collations of MySQL and MariaDB ignore case, accents and trailing spaces, so that ``A`` and ``a`` would
    be one object. PostgreSQL orders text by the language of the database, whereas S3 orders keys by bytes.

    :param length: Length of the column on MySQL and MariaDB, in characters.
    :param impl: Type of the column on other databases.
    """

    impl = Text
    cache_ok = True

    def __init__(self, length: int = 255, impl: Any = None) -> None:
        """Store the length and the type."""
        super().__init__()
        self.length = length
        self.elsewhere = impl or Text()

    def load_dialect_impl(self, dialect: Any) -> Any:
        """Return the type for a database."""
        if dialect.name in _MYSQL:
            collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
            return dialect.type_descriptor(mysql.VARCHAR(self.length, charset="utf8mb4", collation=collation))
        if dialect.name == "postgresql":
            return dialect.type_descriptor(type(self.elsewhere)(self.elsewhere.length, collation="C"))
        return dialect.type_descriptor(self.elsewhere)


class Timestamp:
    """Adds ``created`` and ``updated`` to a model.

    Unlike with :class:`invenio_db.shared.Timestamp`, ``updated`` changes only when a column of the row changes, not
    when another row starts to refer to it: a file that a snapshot shares has not changed.
    """

    created = db.Column(UTCTimestamp, default=utcnow, nullable=False)
    """When the row was added."""

    updated = db.Column(UTCTimestamp, default=utcnow, nullable=False)
    """When the row was last changed. It never goes back, even if the clocks of the hosts differ."""


class Held(Timestamp):
    """Lets a row be held while a transaction changes what belongs to it."""

    @classmethod
    def hold(cls, identity: uuid.UUID, *conditions: Any, **values: Any) -> Any:
        """Return a row as it is now, and keep others from changing it until the end of the transaction.

        :param identity: Its primary key.
        :param conditions: What has to be true of it.
        :param values: New values of columns.
        :returns: The row; ``None`` where it is gone, or a condition is not true.
        """
        db.session.flush()
        (key,) = inspect(cls, raiseerr=True).primary_key
        # An update is what locks on every database.
        taken = update(cls).where(key == identity, *conditions).values(updated=utcnow(), **values)
        if db.engine.dialect.update_returning:
            options = {"synchronize_session": False, "populate_existing": True}
            return db.session.scalars(taken.returning(cls), execution_options=options).one_or_none()
        if not execute(taken).rowcount:
            return None
        return db.session.get(cls, identity, populate_existing=True, with_for_update=True)


@event.listens_for(Timestamp, "before_update", propagate=True)
def _set_updated(mapper: Any, connection: Any, target: Any) -> None:
    session = object_session(target)
    if session is not None and session.is_modified(target, include_collections=False):
        before = target.updated
        now = utcnow()
        # The application may have set it to anything that the column accepts.
        target.updated = max(now, before) if isinstance(before, datetime) and before.tzinfo else now


class random_uuid(GenericFunction[uuid.UUID]):  # noqa: N801 (a function of SQL)
    """A random UUID generated by the database, for rows that it copies by itself."""

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


class hex_of(GenericFunction[str]):  # noqa: N801 (a function of SQL)
    """The 32 hexadecimal digits of a UUID, made by the database: an object of Python for each takes longer.

    Of none they are none, or empty.
    """

    type = Text()
    inherit_cache = True


@compiles(hex_of)
def _hex_of(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"LOWER(HEX({compiler.process(element.clauses, **kwargs)}))"


@compiles(hex_of, "postgresql")
def _hex_of_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"ENCODE(UUID_SEND({compiler.process(element.clauses, **kwargs)}), 'hex')"


class microseconds_of(GenericFunction[int]):  # noqa: N801 (a function of SQL)
    """Unix time in microseconds of a :class:`UTCTimestamp`, made by the database, as :class:`hex_of` is."""

    type = BigInteger()
    inherit_cache = True


@compiles(microseconds_of)
def _microseconds_of(element: Any, compiler: Any, **kwargs: Any) -> str:
    # Half a microsecond less than EXTRACT, whose result is an exact decimal; it is rounded to what it was.
    return f"CAST(DATE_PART('epoch', {compiler.process(element.clauses, **kwargs)}) * 1000000 AS BIGINT)"


@compiles(microseconds_of, "sqlite")
def _microseconds_of_sqlite(element: Any, compiler: Any, **kwargs: Any) -> str:
    time = compiler.process(element.clauses, **kwargs)
    # It would round a fraction.
    seconds = f"CAST(STRFTIME('%s', SUBSTR({time}, 1, 19)) AS INTEGER)"
    return f"({seconds} * 1000000 + CAST(SUBSTR({time}, 21, 6) AS INTEGER))"


@compiles(microseconds_of, "mysql")
@compiles(microseconds_of, "mariadb")
def _microseconds_of_mysql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {compiler.process(element.clauses, **kwargs)})"


def execute(statement: Any) -> Any:
    """Execute a statement without synchronizing objects in the session, which takes time and further statements.

    :param statement: The statement.
    :returns: The result.
    """
    return db.session.execute(statement, execution_options={"synchronize_session": False})


def read(statement: Any, values: Any) -> Any:
    """Execute a statement that only reads; it begins no transaction where the driver lets it.

    psycopg2 sends ``BEGIN`` before the first statement, which is a round trip, as is what ends the transaction. Where
    the session's transaction has sent nothing to the database yet, this statement is sent without. What follows in the
    session begins its transaction, as ever: what it writes is committed with it, or not at all.

    :param statement: The statement.
    :param values: Its parameters.
    :returns: The result.
    """
    return _execute_by_itself(statement, values)


def write_by_itself(statement: Any, values: Any) -> Any:
    """Execute a statement that is all of its transaction; it is committed at once where the driver lets it.

    That spares the round trips that :func:`read` spares. What can still fail has to have been checked before: nothing
    takes it back. The caller commits, for elsewhere it is an ordinary statement.

    :param statement: The statement.
    :param values: Its parameters.
    :returns: The result.
    """
    return _execute_by_itself(statement, values)


def _execute_by_itself(statement: Any, values: Any) -> Any:
    session = db.session()
    driver = _idle_driver(session, statement)
    if driver is None:
        return session.execute(statement, values)
    # It only keeps psycopg2 from sending BEGIN.
    driver.autocommit = True
    try:
        return session.execute(statement, values)
    finally:
        if not driver.closed:
            driver.autocommit = False


def _idle_driver(session: Any, statement: Any) -> Any:
    """Return the connection of psycopg2 if nothing needs a transaction yet, and nothing else will be sent."""
    if session.new or session.dirty or session.deleted or session.dispatch.do_orm_execute:
        return None
    bind = session.get_bind(clause=statement)
    if isinstance(bind, Connection):
        # Whoever has bound the session to it may have begun a transaction there, of which nothing has been sent yet.
        return None
    connection = session.connection(bind_arguments={"bind": bind})
    # A cursor of the server lives in a transaction.
    if connection.dialect.driver != "psycopg2" or connection.get_execution_options().get("stream_results"):
        return None
    driver = connection.connection.dbapi_connection
    # What a transaction has of its own is that of the whole transaction.
    own = driver.isolation_level, driver.readonly, driver.deferrable
    if driver.autocommit or driver.info.transaction_status or any(value is not None for value in own):
        return None
    return driver


def loaded(model: Any, identity: Any) -> Any:
    """Return an object if the session has it already, else ``None``; the database is not asked.

    :param model: The model.
    :param identity: Value of its primary key.
    """
    return db.session.identity_map.get(db.session.identity_key(model, identity))


def known_identity(item: Any) -> Any:
    """Return the primary key of an object without asking the database; ``None`` if it has none, or is no row.

    :param item: The object, whose attributes may have expired.
    """
    state = inspect(item, raiseerr=False)
    identity = getattr(state, "identity", None)
    return identity[0] if identity else None


def loaded_values(item: Any) -> dict[str, Any]:
    """Return the attributes of an object that are loaded; the database is not asked.

    :param item: The object; ``None`` has none.
    """
    return {} if item is None else inspect(item).dict


def read_again(item: Any, names: Iterable[str]) -> None:
    """Expire attributes of an object whose row a statement has changed.

    They are read again on the next access, and once more after a rollback, also one to a savepoint. The session does
    the latter only for changes of its own and for statements that it synchronizes, which take twice as long.

    :param item: The object.
    :param names: Names of the attributes.
    """
    db.session.expire(item, names)
    altered = db.session.info.setdefault(_ALTERED, WeakKeyDictionary())
    altered.setdefault(item, set()).update(names)


@event.listens_for(Session, "after_soft_rollback")
def _expire_altered(session: Any, transaction: Any) -> None:
    for item, names in session.info.get(_ALTERED, {}).items():
        if item in session:
            session.expire(item, names)


@event.listens_for(Session, "after_transaction_end")
def _forget_altered(session: Any, transaction: Any) -> None:
    if transaction.parent is None:
        session.info.pop(_ALTERED, None)


class by_bytes(GenericFunction[str]):  # noqa: N801 (a function of SQL)
    """Text compared and ordered by its bytes in UTF-8, as S3 orders keys, whatever the collation of the column."""

    type = Text()
    inherit_cache = True


@compiles(by_bytes)
def _by_bytes(element: Any, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))


@compiles(by_bytes, "postgresql")
def _by_bytes_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f'({compiler.process(element.clauses, **kwargs)}) COLLATE "C"'
