"""Errors of commands: the reason in one line, never a traceback; and the exit statuses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from invenio_db import db
from sqlalchemy.exc import SQLAlchemyError

from ..errors import FilesException, PreconditionFailed, StorageError

CONDITION_FAILED = 3
"""Exit status if a condition that the command was given does not hold."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as of a shell: 128 and the number of the signal."""


class _ConditionFailed(click.ClickException):
    exit_code = CONDITION_FAILED


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """If the block fails for a reason that the user can do something about, roll back and report that reason.

    If whoever reads the output has enough of it, as ``head`` has, the command ends without a word.

    :raises click.ClickException: With the reason.
    """
    try:
        yield
    except BrokenPipeError:
        db.session.rollback()
        raise
    except PreconditionFailed as error:
        db.session.rollback()
        raise _ConditionFailed("The condition does not hold. Nothing was changed.") from error
    except (FilesException, SQLAlchemyError, OSError, ValueError) as error:
        db.session.rollback()
        raise click.ClickException(_reason(error)) from error
    except KeyboardInterrupt:
        db.session.rollback()
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)


def confirm(question: str, yes: bool) -> None:
    """Ask whether to go on.

    :param question: The question.
    :param yes: Whether the answer was given beforehand.
    :raises click.ClickException: If the answer is no, or there is nobody to give one.
    """
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise click.ClickException("Nothing was changed. --yes goes on without a question.")


yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
"""The option that answers the question beforehand."""


def _reason(error: Exception) -> str:
    if isinstance(error, StorageError) and error.get_errors():
        reason = f"{error.description} {error.get_errors()}"
    elif isinstance(error, FilesException):
        reason = str(error.description)
    elif isinstance(error, SQLAlchemyError):
        reason = f"The database failed: {getattr(error, 'orig', None) or error}"
    else:
        reason = str(error) or type(error).__name__
    return " ".join(reason.split())
