"""Fixity: verifying that the bytes in storage are still the ones that were stored."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from ..checksums import CRC32, agree
from ..errors import LocationAwayError
from ..instrumentation import file_verified, tell
from ..messages import lazy_gettext as _
from ..models import FileInstance
from ..models.base import utcnow
from ..signals import file_integrity_failed, notify
from ..storage import FileStorage
from .batches import in_batches
from .crcs import keep_verified_crc
from .finding import Finding, Fine
from .presence import AwayLocations, ensure_reachable
from .transactions import in_transaction, release_connection


def verify_checksum(
    file_id: str | uuid.UUID,
    pessimistic: bool = False,
    throws: bool = True,
    reading: dict[str, Any] | None = None,
) -> bool | None:
    """Compare the checksum of a file with its bytes; see :func:`invenio_files_rest.tasks.verify_checksum`.

    :param reading: Arguments of the storage's ``checksum()``.
    """
    try:
        return _compare(file_id, pessimistic, throws, reading or {})
    except LocationAwayError as error:
        if throws:
            raise
        current_app.logger.error("The file %s was not verified. %s", file_id, error.get_errors())
        return None


def _compare(file_id: str | uuid.UUID, pessimistic: bool, throws: bool, reading: dict[str, Any]) -> bool | None:
    file = FileInstance.get(file_id)
    if file is None or not file.readable:
        return None
    uri, storage, expected, size, crc = file.uri, file.storage(), file.checksum, file.size, CRC32()
    if isinstance(storage, FileStorage):
        storage.feed(crc)

    def note(result: bool | None, ask: bool) -> FileInstance | None:
        noted = FileInstance.note_check(file_id, result)
        if noted is not None and ask:
            # A disk that is not mounted may not have lost anything.
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
        # It has been removed in the meantime, and its bytes too.
        return None
    if result and crc.size == size:
        keep_verified_crc(noted.id, crc.value)
    tell(file_verified, result=result)
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
    """Find the files that have not been checked since a given time.

    Those that have never been checked come first, then those whose last check is oldest.

    :param query: Query of the files to choose from.
    :param before: The time.
    :param limit: Largest number of files; ``None`` for all.
    :param away: Locations whose files are skipped.
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
    :returns: What is wrong; ``None`` if nothing is, or if there is no checksum to compare.
    :raises sqlalchemy.exc.SQLAlchemyError: If the database fails.
    """
    try:
        result = verify_checksum(file_id)
    except SQLAlchemyError:
        raise
    except LocationAwayError as error:
        return Finding("location", str(file_id), str(error.get_errors()))
    except Exception as error:
        text = _("The file is not there.") if isinstance(error, FileNotFoundError) else _("The file cannot be read.")
        kind = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
        return Finding(kind, str(file_id), text, error=str(error))
    return Finding("checksum", str(file_id), _("The bytes of the file have changed.")) if result is False else None


def verify(query: Any, older_than: timedelta, limit: int | None) -> Iterator[Finding | Fine]:
    """Verify files: first those that have never been checked, then those whose last check is oldest.

    :param query: Query of the files.
    :param older_than: Only files are verified that have not been checked for this time.
    :param limit: Largest number of files; ``None`` for all.
    :returns: An iterator with what is found of each file.
    """
    away = AwayLocations()
    for file_id, size in due_files(query, utcnow() - older_than, limit, away):
        found = verify_file(file_id) or Fine()
        found.size = size
        yield found
    for location in away.passed_over:
        yield Finding("location", location.uri, away.reasons[location])
