"""Short transactions, and none while bytes move.

A database connection is a scarce thing. A request that streams gives its connection up with :func:`release_connection`,
and does what is left to do with :func:`in_transaction`, which tries again where the database had to choose between two
writers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from invenio_db import db
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

T = TypeVar("T")

ATTEMPTS = 10
"""How often a transaction is tried."""

POOL_ATTEMPTS = 3
"""How often a free connection is waited for, since what is to be recorded may be an upload of hours.

Each time takes as long as ``pool_timeout`` of ``SQLALCHEMY_ENGINE_OPTIONS`` says.
"""

LONGEST_PAUSE = 0.5
"""Seconds that lie between two tries at most."""

_RETRIED_SQLSTATES = {"40001", "40P01", "55P03"}
"""PostgreSQL: serialization failure, deadlock detected, lock not available."""

_RETRIED_MYSQL_ERRORS = {1020, 1205, 1213}
"""MySQL, MariaDB: record has changed since last read, lock wait timeout, deadlock."""


def is_conflict(error: DBAPIError) -> bool:
    """Tell whether a statement failed only because of what another transaction did at the same time.

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
    """Tell whether a transaction that raised an error may have been committed all the same.

    :param error: The error. One that ends a process or a worker comes at any moment.
    """
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return not isinstance(error, Exception)


def release_connection() -> None:
    """Give the session's connection back to the pool. What the session holds is loaded again when it is asked for."""
    db.session.commit()


def in_transaction(work: Callable[[], T]) -> T:
    """Do some work and commit it, again and again where another transaction got in its way.

    What the work has loaded or written stays loaded after the commit, since it holds the locks that make it true.

    :param work: The work: it may be done several times, each time in a new transaction.
    :returns: What the work returned.
    :raises sqlalchemy.exc.DBAPIError: If it still fails after :data:`ATTEMPTS` tries, or for another reason.
    :raises sqlalchemy.exc.TimeoutError: If no connection was free, :data:`POOL_ATTEMPTS` times.
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
