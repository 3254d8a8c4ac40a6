"""Fixity: whether stored bytes are still the ones that were stored."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from ..checksums import agree
from ..models import FileInstance
from ..models.base import utcnow
from ..signals import file_integrity_failed, notify
from .batches import in_batches
from .finding import Finding
from .transactions import in_transaction, release_connection


def verify_checksum(
    file_id: str | uuid.UUID,
    pessimistic: bool = False,
    chunk_size: int | None = None,
    throws: bool = True,
    checksum_kwargs: dict[str, Any] | None = None,
    progress_callback: Callable[[int | None, int], Any] | None = None,
) -> bool | None:
    """Compare the checksum of a file with its bytes, and note the result in the file's row.

    Where they disagree, or cannot be read, an error is logged and
    :data:`~invenio_files_rest.signals.file_integrity_failed` is sent.

    :param file_id: Identifier of the file.
    :param pessimistic: Whether to forget the last result before, so that a check that never ends does not count as
        good.
    :param chunk_size: Bytes to read at a time.
    :param throws: Whether to raise the error that kept the bytes from being read; otherwise it is logged alone.
    :param checksum_kwargs: Passed to the storage's ``checksum()``.
    :param progress_callback: Told the size and the bytes read so far.
    :returns: Whether they agree; ``None`` where that could not be told, for want of the bytes or of a checksum to
        compare, or the file is gone.
    """
    file = FileInstance.get(file_id)
    if file is None or not file.readable:
        return None
    storage, expected = file.storage(), file.checksum
    if pessimistic and in_transaction(lambda: FileInstance.note_check(file_id, None)) is None:
        return None
    release_connection()

    result: bool | None = None
    error: Exception | None = None
    try:
        computed = storage.checksum(
            chunk_size=chunk_size, progress_callback=progress_callback, **(checksum_kwargs or {})
        )
        result = agree(expected, computed)
    except Exception as caught:
        error = caught
    noted = in_transaction(lambda: FileInstance.note_check(file_id, result))
    if noted is None:
        # Somebody removed it meanwhile, its bytes as well.
        return None
    if result is False:
        current_app.logger.error("The file %s has the checksum %s, not %s.", file_id, computed, expected)
    if error is not None:
        current_app.logger.error("The checksum of file %s could not be computed.", file_id, exc_info=error)
    if result is False or error is not None:
        notify(file_integrity_failed, noted)
    if error is not None and throws:
        raise error
    return result


def due_files(query: Any, before: datetime, limit: int | None) -> Iterator[tuple[uuid.UUID, int | None]]:
    """Find the files that were not checked since a time: first those that never were, then the oldest check first.

    :param query: Query of the files to choose from.
    :param before: The time.
    :param limit: Largest number of files; ``None`` for all.
    :returns: Identifier and size of each, in bytes.
    """
    checked_at, file_id = FileInstance.last_check_at, FileInstance.id
    size = FileInstance.size
    never = in_batches(query.filter(checked_at.is_(None)).with_entities(file_id, size), file_id)
    checked = query.filter(checked_at < before).with_entities(checked_at, file_id, size)
    long_ago = in_batches(checked, checked_at, file_id)
    found = ((row.id, row.size) for batch in chain(never, long_ago) for row in batch)
    return islice(found, limit)


def verify_file(file_id: Any) -> Finding | None:
    """Verify the checksum of a file.

    :param file_id: Identifier of the file.
    :returns: What is wrong; ``None`` where nothing is, or there is no checksum to compare.
    :raises sqlalchemy.exc.SQLAlchemyError: Where the database fails.
    """
    try:
        result = verify_checksum(file_id)
    except SQLAlchemyError:
        raise
    except Exception as error:
        text = "The file is not there." if isinstance(error, FileNotFoundError) else "The file cannot be read."
        kind = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
        return Finding(kind, str(file_id), text, error=str(error))
    return Finding("checksum", str(file_id), "The bytes of the file have changed.") if result is False else None


def verify(query: Any, older_than: timedelta, limit: int | None) -> Iterator[Finding | None]:
    """Verify files, those that were never checked first, then those whose last check is longest ago.

    :param query: Query of the files.
    :param older_than: Time for which a file has not been checked.
    :param limit: Largest number of files.
    """
    for file_id, _ in due_files(query, utcnow() - older_than, limit):
        yield verify_file(file_id)
