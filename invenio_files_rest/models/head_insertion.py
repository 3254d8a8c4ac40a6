"""A new head in one round trip: the head before it steps down, and file and version are added, all in one statement.

The transaction has locked the bucket before. In one statement with that it would be wrong: while a statement waits for
a lock it keeps its snapshot from before, in which the head that another transaction has just made is not to be seen.
The next statement has a snapshot of its own (PostgreSQL, 13.2.1).

The objects end up as the unit of work leaves them. It tells those who listen to mappers and flushes of what it does,
which this does not, so this is for where nobody listens. Nor does this know what a database does with columns that
somebody has added to the models, so it is for the models as they are defined here.
"""

from __future__ import annotations

import uuid
from functools import cache
from typing import TYPE_CHECKING, Any

from invenio_db import db
from sqlalchemy import Table, bindparam, insert, inspect, select, true, update
from sqlalchemy.orm import attributes

from .base import UTCTimestamp
from .file_instance import FileInstance
from .listeners import anybody_listens
from .succession import next_times, next_times_in_sql

if TYPE_CHECKING:
    from .object_version import ObjectVersion


_columns_defined: dict[Any, int] = {}


def insertable(*models: Any) -> None:
    """Let rows of models be added at once, as long as the models have the columns that they have now.

    :param models: The models.
    """
    _columns_defined.update((model, len(model.__table__.c)) for model in models)


def can_insert_at_once(version: ObjectVersion) -> bool:
    """Return whether the database, the models and those who listen let a version be added in one statement.

    :param version: The version, which is in no session.
    """
    if db.engine.dialect.name != "postgresql" or version.tags:
        return False
    models = {type(version), FileInstance if version.file is None else type(version.file)}
    if any(_columns_defined.get(model) != len(model.__table__.c) for model in models):
        return False
    return not anybody_listens(*models)


def insert_head(version: ObjectVersion) -> list[uuid.UUID]:
    """Add a version, and its file if that is new, to the database and to the session, as the head of its object.

    :param version: The version, which is in no session. It gets its times. The transaction has locked its bucket.
    :returns: Identifiers of the versions that were the head before.
    """
    session, file = db.session(), version.file
    attributes.set_committed_value(version, "file_id", file and file.id)
    added, values = {version: "new_version"}, {"now": next_times().created}
    if file is not None and inspect(file, raiseerr=True).transient:
        added[file] = "new_file"
    for item, prefix in added.items():
        values |= {f"{prefix}_{name}": value for name, value in _row_of(item).items()}
    rows = session.execute(_inserting(*(item.__table__ for item in added)), values).all()
    for name in ("created", "updated"):
        attributes.set_committed_value(version, name, getattr(rows[0], name))
    session.add(version)
    # What the unit of work ends with, so that a rollback undoes this, too.
    session._register_persistent({inspect(item, raiseerr=True) for item in added})
    return [row.version_id for row in rows if row.version_id is not None]


def _row_of(item: Any) -> dict[str, Any]:
    """Return the columns of a new object by name, after setting those that have defaults."""
    row = {}
    for name, key, default in _columns_of(inspect(item).mapper):
        row[name] = item.__dict__.get(key)
        if row[name] is None and default is not None:
            row[name] = default.arg(None) if default.is_callable else default.arg
            attributes.set_committed_value(item, key, row[name])
    return row


@cache
def _columns_of(mapper: Any) -> list[tuple[str, str, Any]]:
    columns = mapper.local_table.c
    return [(column.name, mapper.get_property_by_column(column).key, column.default) for column in columns]


@cache
def _inserting(versions: Table, files: Table | None = None) -> Any:
    rows, names = versions.c, [column.name for column in versions.c if column.name not in ("created", "updated")]
    parameters = _parameters(versions, "new_version")
    of_key = rows.bucket_id == parameters["bucket_id"], rows.key == parameters["key"], rows.is_head
    stepping_down = update(versions).where(*of_key).values(is_head=False)
    before = stepping_down.returning(rows.version_id, rows.created, rows.updated).cte("before")
    # The times are aggregates, so all heads have stepped down before the new one is added.
    times = next_times_in_sql(bindparam("now", type_=UTCTimestamp()), before.c.created, before.c.updated)
    head = select(*(parameters[name] for name in names), *times)
    adding = insert(versions).from_select([*names, "created", "updated"], head, include_defaults=False)
    added = adding.returning(rows.created, rows.updated).cte("added")
    statement = select(added.c.created, added.c.updated, before.c.version_id).outerjoin_from(added, before, true())
    if files is not None:
        statement = statement.add_cte(insert(files).values(_parameters(files, "new_file")).cte("stored"))
    return statement


def _parameters(table: Table, prefix: str) -> dict[str, Any]:
    return {column.name: bindparam(f"{prefix}_{column.name}", type_=column.type) for column in table.c}
