"""Removing what nothing refers to: files, and multipart uploads that were given up."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from flask import current_app
from invenio_db import db
from sqlalchemy.exc import IntegrityError

from ..models import FileInstance, MultipartObject
from ..models.base import utcnow
from ..transactions import in_transaction
from ..utils import obj_or_import_string
from .sending import send_task, task

EXPIRED_BATCH = 1000
"""How many expired uploads are looked up at a time."""


@task("remove_file_data", ignore_result=True)
def remove_file_data(file_id: str | uuid.UUID, silent: bool = True, force: bool = False) -> bool:
    """Remove a file that nothing refers to: first its row, then its bytes.

    :param file_id: Identifier of the file.
    :param silent: Whether to leave a file that is still in use alone without an error.
    :param force: Whether to remove a file that is not ``writable``.
    :returns: Whether the file was removed.
    :raises sqlalchemy.exc.IntegrityError: Where it is in use, unless ``silent``.
    """
    file = FileInstance.get(file_id)
    if file is None or not (file.writable or force):
        return False
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


def _never(file: FileInstance) -> bool:
    return False


@task("clear_orphaned_files", ignore_result=True)
def clear_orphaned_files(force_delete_check: Callable[[FileInstance], bool] | str = _never, limit: int = 1000) -> int:
    """Have the files removed that neither an object version nor a multipart upload refers to.

    A file that is not ``writable``, as one is once it is stored, is removed only where the check says so.

    :param force_delete_check: Function ``(file) -> bool``, or its import path.
    :param limit: How many files to remove at most; 0 or less for all.
    :returns: How many files are being removed.
    """
    check = obj_or_import_string(force_delete_check)
    found: list[tuple[str, bool]] = []
    for file in FileInstance.query_orphaned().yield_per(1000):
        force = bool(check(file))
        if file.writable or force:
            found.append((str(file.id), force))
            if len(found) == limit:
                break
    db.session.commit()
    for file_id, force in found:
        send_task(remove_file_data, file_id, force=force)
    return len(found)


@task("remove_expired_multipartobjects", ignore_result=True)
def remove_expired_multipartobjects() -> int:
    """Remove the multipart uploads that nobody has touched for ``FILES_REST_MULTIPART_EXPIRES``.

    Their parts and their bytes go, and their size is given back to the bucket.

    :returns: How many uploads were removed.
    """
    expires = current_app.config["FILES_REST_MULTIPART_EXPIRES"]
    removed = 0
    for upload_id in _expired(expires):
        try:
            file_id = in_transaction(partial(_remove_expired, upload_id, expires))
        except Exception:
            # One that cannot be removed, for its storage fails say, must not keep the others.
            current_app.logger.exception("The expired upload %s could not be removed.", upload_id)
            continue
        if file_id is not None:
            removed += 1
            send_task(remove_file_data, str(file_id))
    return removed


def _expired(expires: timedelta) -> Iterator[uuid.UUID]:
    """Find the uploads that are expired, in batches."""
    query = MultipartObject.query_expired(expires).order_by(MultipartObject.upload_id)
    query = query.with_entities(MultipartObject.upload_id)
    batch = query.limit(EXPIRED_BATCH).all()
    while batch:
        db.session.commit()
        yield from (upload_id for (upload_id,) in batch)
        batch = query.filter(MultipartObject.upload_id > batch[-1].upload_id).limit(EXPIRED_BATCH).all()
    db.session.commit()


def _remove_expired(upload_id: uuid.UUID, expires: timedelta) -> uuid.UUID | None:
    """Remove an upload that is still expired.

    :returns: Identifier of its file; ``None`` where somebody took the upload up again, or removed it.
    """
    upload = MultipartObject.hold(upload_id, MultipartObject.idle_since(utcnow() - expires))
    if upload is None:
        return None
    file_id: uuid.UUID = upload.file_id
    try:
        # While a part is being sent it has no row, but its region of the file is locked.
        with upload.file.storage().locked_region(0, upload.size, timeout=0):
            upload.delete(locked=True)
    except TimeoutError:
        db.session.rollback()
        return None
    except FileNotFoundError:
        upload.delete(locked=True)
    return file_id
