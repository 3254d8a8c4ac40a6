"""Faults where there can be real ones: the database refuses or is lost, and storages do something else meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

from invenio_db import db
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from invenio_files_rest.storage import FileStorage, PyFSFileStorage, pyfs_storage_factory
from invenio_files_rest.storage.capabilities import C


@contextmanager
def refusing(*beginnings: str, error: BaseException | None = None) -> Iterator[None]:
    """Let the driver of the database fail.

    :param beginnings: How the statements begin that fail; all do where none is given.
    :param error: What is raised in place of the driver's error.
    """

    def fail(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        if statement.startswith(beginnings or ("",)):
            raise error or context.dialect.loaded_dbapi.OperationalError("The server is away.")

    hooks = ("do_execute", "do_executemany")
    for hook in hooks:
        event.listen(db.engine, hook, fail)
    try:
        yield
    finally:
        for hook in hooks:
            event.remove(db.engine, hook, fail)


@contextmanager
def losing_a_commit(number: int = 1, committed: bool = True) -> Iterator[None]:
    """Let the connection to the database be lost at a commit.

    :param number: Which one.
    :param committed: Whether the database has committed, and only its answer is lost.
    """
    commits = count(1)

    def lose(connection: Any) -> None:
        if next(commits) != number:
            return
        if committed:
            connection.connection.commit()
        raise OperationalError("COMMIT", {}, Exception("server closed the connection"), connection_invalidated=True)

    event.listen(db.engine, "commit", lose)
    try:
        yield
    finally:
        event.remove(db.engine, "commit", lose)


def factory_of(kind: type, method: str, do: Callable[..., Any]) -> Callable[..., FileStorage]:
    """Return a storage factory whose storages have a capability that does something else.

    :param kind: The capability.
    :param method: Name of its method.
    :param do: What is called instead: with the method as it was, and its arguments.
    """

    class Changed(PyFSFileStorage):
        def capability(self, asked: type[C]) -> C | None:
            found = super().capability(asked)
            if found is not None and asked is kind:
                setattr(found, method, partial(do, getattr(found, method)))
            return found

    return partial(pyfs_storage_factory, filestorage_class=Changed)
