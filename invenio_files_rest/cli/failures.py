"""Errors of commands: the reason in one line, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from invenio_db import db
from sqlalchemy.exc import SQLAlchemyError

from ..errors import FilesException, StorageError


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """If the block fails for a reason that the user can do something about, roll back and report that reason.

    :raises click.ClickException: With the reason.
    """
    try:
        yield
    except (FilesException, SQLAlchemyError, OSError, ValueError) as error:
        db.session.rollback()
        raise click.ClickException(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, StorageError) and error.get_errors():
        return f"{error.description} {error.get_errors()}"
    if isinstance(error, FilesException):
        return str(error.description)
    if isinstance(error, SQLAlchemyError):
        return f"The database failed: {getattr(error, 'orig', None) or error}"
    return str(error)
