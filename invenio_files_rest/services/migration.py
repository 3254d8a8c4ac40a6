"""Migration of whole buckets and locations. Files that have moved are skipped, so that a second run continues."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterator
from functools import partial

from flask import current_app
from invenio_db import db

from ..errors import StorageError
from ..models import Bucket, FileInstance, Location, ObjectVersion
from ..models.inventory import files_in_use, put_new_files
from .batches import in_batches
from .finding import Finding
from .fixity import verify_checksum
from .moving import migrate_file
from .removal import remove_file_data
from .transactions import in_transaction

READ_SECONDS = 10
"""Seconds for which a source stays after it has moved, for those who already know its path: a web server that is about
to send it, or a client with a link to it. Requests that we answer ourselves find the copy."""


def redirect(to: Location, bucket_id: uuid.UUID | None = None, source: Location | None = None) -> int:
    """Make a location the one for new files of a bucket, or of all buckets of another location, and commit.

    :param to: The location.
    :param bucket_id: Identifier of the bucket.
    :param source: The other location.
    :returns: The number of buckets that have changed.
    """
    buckets = Bucket.id == bucket_id if source is None else Bucket.default_location == source.id
    changed = put_new_files(to.id, buckets)
    db.session.commit()
    return changed


def migrate(
    to: str, bucket_id: uuid.UUID | None = None, source: str | None = None, remove: bool = False
) -> Iterator[Finding | None]:
    """Migrate the files of a bucket or of a location. All versions that refer to them follow, in any bucket.

    Files outside all locations belong to others and stay where they are.

    :param to: Name of the location to migrate to.
    :param bucket_id: Identifier of the bucket.
    :param source: Name of the location to migrate from; by default any other location.
    :param remove: Whether to verify each copy and then remove its source. If the copy is bad, the source is used again.
    """
    locations = Location.rows()
    sources: deque[tuple[float, uuid.UUID]] = deque()
    query = files_in_use(bucket_id).with_entities(FileInstance.id, FileInstance.uri, FileInstance.size)
    for batch in in_batches(query, FileInstance.id):
        for row in batch:
            location = Location.of_uri(row.uri, locations)
            if location is None or location.name == to or (source is not None and location.name != source):
                yield None
                continue
            finding = Finding("file", str(row.id), f"The file {row.uri} has not moved.", row.size)
            if _migrate(row.id, to, remove, finding) and remove:
                sources.append((time.monotonic(), row.id))
            yield finding
            yield from _remove(sources)
    while sources:
        time.sleep(max(0, sources[0][0] + READ_SECONDS - time.monotonic()))
        yield from _remove(sources)


def _migrate(file_id: uuid.UUID, to: str, verify: bool, finding: Finding) -> bool:
    """Migrate a file, and return whether its source may be removed."""
    try:
        copy_id = migrate_file(str(file_id), to)
        may_go = copy_id is not None and verify and _verified(copy_id, file_id)
        finding.done = True
        finding.text = "The file is not in use any more." if copy_id is None else f"The file has moved to {copy_id}."
        if copy_id is not None and verify and not may_go:
            finding.text += " It could not be verified, so that the source stays."
        return may_go
    except Exception as error:
        db.session.rollback()
        current_app.logger.exception("The file %s could not be migrated.", file_id)
        finding.error = f"{type(error).__name__}: {error}"
    return False


def _verified(copy_id: str, source_id: uuid.UUID) -> bool:
    """Verify a copy, and use the source again if the copy has other bytes or cannot be read.

    :returns: Whether the copy has the right bytes; ``False`` if it has no checksum.
    :raises StorageError: If it has other bytes.
    """
    try:
        result = verify_checksum(copy_id)
        if result is False:
            raise StorageError(f"The copy {copy_id} has other bytes.")
    except Exception:
        db.session.rollback()
        in_transaction(partial(_relink, copy_id, source_id))
        remove_file_data(copy_id, force=True)
        raise
    return result is True


def _relink(copy_id: str, source_id: uuid.UUID) -> None:
    copy, source = FileInstance.get(copy_id), FileInstance.get(source_id)
    if copy is not None and source is not None and source.hold():
        ObjectVersion.relink_all(copy, source)


def _remove(sources: deque[tuple[float, uuid.UUID]]) -> Iterator[Finding]:
    """Remove the sources that have stayed for :data:`READ_SECONDS`, and yield those that could not be removed."""
    while sources and sources[0][0] + READ_SECONDS <= time.monotonic():
        file_id = sources.popleft()[1]
        try:
            remove_file_data(file_id, force=True)
        except Exception as error:
            db.session.rollback()
            current_app.logger.exception("The source %s could not be removed.", file_id)
            text = "The source could not be removed; the sweep will."
            yield Finding("source", str(file_id), text, error=f"{type(error).__name__}: {error}")
