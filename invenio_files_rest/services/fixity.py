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
from ..errors import LocationAwayError
from ..models import FileInstance
from ..models.base import utcnow
from ..signals import file_integrity_failed, notify
from .batches import in_batches
from .finding import Finding, Fine
from .presence import AwayLocations, ensure_reachable
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
    :data:`~invenio_files_rest.signals.file_integrity_failed` is sent. Where they cannot be read since their location is
    away nothing is noted, nor sent.

    :param file_id: Identifier of the file.
    :param pessimistic: Whether to forget the last result before, so that a check that never ends does not count as
        good.
    :param chunk_size: Bytes to read at a time.
    :param throws: Whether to raise the error that kept the bytes from being read; otherwise it is logged alone.
    :param checksum_kwargs: Passed to the storage's ``checksum()``.
    :param progress_callback: Told the size and the bytes read so far.
    :returns: Whether they agree; ``None`` where that could not be told, for want of the bytes or of a checksum to
        compare, or the file is gone.
    :raises LocationAwayError: If the file's location is away, if ``throws``.
    """
    reading = {"chunk_size": chunk_size, "progress_callback": progress_callback, **(checksum_kwargs or {})}
    try:
        return _compare(file_id, pessimistic, throws, reading)
    except LocationAwayError as error:
        if throws:
            raise
        current_app.logger.error("The file %s was not verified. %s", file_id, error.get_errors())
        return None


def _compare(file_id: str | uuid.UUID, pessimistic: bool, throws: bool, reading: dict[str, Any]) -> bool | None:
    file = FileInstance.get(file_id)
    if file is None or not file.readable:
        return None
    uri, storage, expected = file.uri, file.storage(), file.checksum

    def note(result: bool | None, ask: bool) -> FileInstance | None:
        noted = FileInstance.note_check(file_id, result)
        if noted is not None and ask:
            # Of a disk that is not mounted nobody can tell whether it has lost anything.
            ensure_reachable(uri)
        return noted

    if pessimistic and in_transaction(lambda: note(None, ask=True)) is None:
        return None
    release_connection()

    result: bool | None = None
    error: Exception | None = None
    try:
        computed = storage.checksum(**reading)
        result = agree(expected, computed)
    except Exception as caught:
        error = caught
    noted = in_transaction(lambda: note(result, ask=error is not None))
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


def due_files(
    query: Any, before: datetime, limit: int | None, away: AwayLocations
) -> Iterator[tuple[uuid.UUID, int | None]]:
    """Find the files that were not checked since a time: first those that never were, then the oldest check first.

    :param query: Query of the files to choose from.
    :param before: The time.
    :param limit: Largest number of files; ``None`` for all.
    :param away: Locations whose files are passed over.
    :returns: Identifier and size of each, in bytes.
    """
    checked_at, file_id = FileInstance.last_check_at, FileInstance.id
    columns = checked_at, file_id, FileInstance.size, FileInstance.uri
    never = in_batches(query.filter(checked_at.is_(None)).with_entities(*columns), file_id)
    long_ago = in_batches(query.filter(checked_at < before).with_entities(*columns), checked_at, file_id)
    found = ((row.id, row.size) for batch in chain(never, long_ago) for row in batch if not away.have(row.uri))
    return islice(found, limit)


def verify_file(file_id: Any) -> Finding | None:
    """Verify the checksum of a file.

    :param file_id: Identifier of the file.
    :returns: What is wrong; ``None`` where nothing is, or there is no checksum to compare.
    :raises sqlalchemy.exc.SQLAlchemyError: If the database fails.
    """
    try:
        result = verify_checksum(file_id)
    except SQLAlchemyError:
        raise
    except LocationAwayError as error:
        return Finding("location", str(file_id), str(error.get_errors()))
    except Exception as error:
        text = "The file is not there." if isinstance(error, FileNotFoundError) else "The file cannot be read."
        kind = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
        return Finding(kind, str(file_id), text, error=str(error))
    return Finding("checksum", str(file_id), "The bytes of the file have changed.") if result is False else None


def verify(query: Any, older_than: timedelta, limit: int | None) -> Iterator[Finding | Fine]:
    """Verify files, those that were never checked first, then those whose last check is longest ago.

    :param query: Query of the files.
    :param older_than: Time for which a file has not been checked.
    :param limit: Largest number of files.
    """
    away = AwayLocations()
    for file_id, size in due_files(query, utcnow() - older_than, limit, away):
        found = verify_file(file_id) or Fine()
        found.size = size
        yield found
    for location in away.passed_over:
        yield Finding("location", location.uri, away.reasons[location])
