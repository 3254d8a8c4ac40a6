"""Removing unused files and expired multipart uploads."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from invenio_db import db
from sqlalchemy.exc import IntegrityError

from ..models import FileInstance, MultipartObject
from ..models.base import utcnow
from .batches import in_batches
from .presence import ensure_reachable

EXPIRED_BATCH = 1000
"""Number of expired uploads to look up at a time."""


def remove_file_data(file_id: str | uuid.UUID, silent: bool = True, force: bool = False) -> bool:
    """Remove a file that nothing refers to; see :func:`invenio_files_rest.tasks.remove_file_data`."""
    file = FileInstance.get(file_id)
    if file is None or not (file.writable or force):
        return False
    ensure_reachable(file.uri)
    storage = file.storage() if file.uri else None
    try:
        file.delete()
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        if not silent:
            raise
        return False
    if storage is not None:
        storage.delete()
    return True


def expired_uploads(expires: timedelta) -> Iterator[Any]:
    """Find the uploads that have expired.

    :param expires: Time after its last use when an upload expires.
    :returns: Rows of ``upload_id``, ``key`` and ``size``.
    """
    columns = MultipartObject.upload_id, MultipartObject.key, MultipartObject.size
    query = MultipartObject.query_expired(expires).with_entities(*columns)
    for batch in in_batches(query, MultipartObject.upload_id, size=EXPIRED_BATCH):
        yield from batch


def remove_expired_upload(upload_id: uuid.UUID, expires: timedelta) -> uuid.UUID | None:
    """Remove an upload if it is still expired, in the caller's transaction.

    :param upload_id: Identifier of the upload.
    :param expires: Time after its last use when an upload expires.
    :returns: Identifier of its file; ``None`` if the upload is in use again, or has been removed.
    """
    upload = MultipartObject.hold(upload_id, MultipartObject.idle_since(utcnow() - expires))
    if upload is None:
        return None
    file_id: uuid.UUID = upload.file_id
    try:
        # A part that is being sent has no row yet, but its region of the file is locked.
        with upload.file.storage().locked_region(0, upload.size, timeout=0):
            upload.delete(locked=True)
    except TimeoutError:
        db.session.rollback()
        return None
    except FileNotFoundError:
        upload.delete(locked=True)
    return file_id
