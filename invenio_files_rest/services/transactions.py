"""Short transactions, and none while bytes are read or written.

Database connections are scarce. A request that streams first releases its connection with :func:`release_connection`,
and does the rest with :func:`in_transaction`, which tries again after a conflict with another transaction.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from invenio_db import db
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ..instrumentation import pool_exhausted, tell

T = TypeVar("T")

ATTEMPTS = 10
"""Number of times that a transaction is tried."""

POOL_ATTEMPTS = 3
"""Number of times that a free connection is waited for, since the work may record an upload that took hours.

Each time, the wait is as long as ``pool_timeout`` in ``SQLALCHEMY_ENGINE_OPTIONS``.
"""

LONGEST_PAUSE = 0.5
"""Largest pause between two tries, in seconds."""

_RETRIED_SQLSTATES = {"40001", "40P01", "55P03"}
"""PostgreSQL: serialization failure, deadlock detected, lock not available."""

_RETRIED_MYSQL_ERRORS = {1020, 1205, 1213}
"""MySQL, MariaDB: record has changed since last read, lock wait timeout, deadlock."""


def is_conflict(error: DBAPIError) -> bool:
    """Return whether a statement failed only because of a concurrent transaction.

    :param error: The error.
    """
    cause = error.orig
    if getattr(cause, "pgcode", None) in _RETRIED_SQLSTATES or getattr(cause, "sqlstate", None) in _RETRIED_SQLSTATES:
        return True
    code = cause.args[0] if cause is not None and cause.args else None
    if code in _RETRIED_MYSQL_ERRORS:
        return True
    if isinstance(error, IntegrityError):
        return "is_head" in str(cause)
    return isinstance(code, str) and "database is locked" in code


def may_have_committed(error: BaseException) -> bool:
    """Return whether a transaction that raised an error may have been committed nevertheless.

    :param error: The error. One that ends a process or a worker can occur at any moment.
    """
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return not isinstance(error, Exception)


def release_connection() -> None:
    """Return the session's connection to the pool. Objects in the session are loaded again when they are accessed."""
    db.session.commit()


def in_transaction(work: Callable[[], T]) -> T:
    """Do some work and commit it; try again if a concurrent transaction got in the way.

    What the work has loaded or written stays loaded after the commit.

    :param work: The work. It may be called several times, each time in a new transaction.
    :returns: What the work returned.
    :raises sqlalchemy.exc.DBAPIError: If there is still a conflict after :data:`ATTEMPTS` tries, or another error.
    :raises sqlalchemy.exc.TimeoutError: If there was no free connection :data:`POOL_ATTEMPTS` times.
    """
    session, waits = db.session(), 0
    for attempt in range(1, ATTEMPTS + 1):
        expires = session.expire_on_commit
        session.expire_on_commit = False
        try:
            result = work()
            session.commit()
        except DBAPIError as error:
            session.rollback()
            if attempt == ATTEMPTS or not is_conflict(error):
                raise
        except PoolTimeoutError:
            session.rollback()
            waits += 1
            tell(pool_exhausted)
            if waits == POOL_ATTEMPTS:
                raise
        except BaseException:
            session.rollback()
            raise
        else:
            return result
        finally:
            session.expire_on_commit = expires
        time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.005 * 2**attempt)))
    raise AssertionError("unreachable")


def commit_or_undo(work: Callable[[], T], undo: Callable[[], Any]) -> T:
    """Do and commit the work that makes something known that is in storage, and undo that where the work failed.

    Where the database went away before it answered, nobody knows whether it has committed. Then nothing is undone:
    either there is a row that needs it, or the sweep removes it.

    :param work: See :func:`in_transaction`.
    :param undo: Function that removes what is in storage.
    :returns: What the work returned.
    """
    try:
        return in_transaction(work)
    except BaseException as error:
        if not may_have_committed(error):
            undo()
        raise
