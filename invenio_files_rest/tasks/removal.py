"""Removing what nothing refers to: files, and multipart uploads that were given up."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import current_app
from invenio_db import db
from sqlalchemy.exc import IntegrityError

from ..models import FileInstance, MultipartObject
from ..transactions import in_transaction
from ..utils import obj_or_import_string
from .sending import send_task, task


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
    upload_ids = [
        upload_id for (upload_id,) in MultipartObject.query_expired(expires).with_entities(MultipartObject.upload_id)
    ]
    removed = 0
    for upload_id in upload_ids:
        file_id = in_transaction(partial(_remove_expired, upload_id, expires))
        if file_id is not None:
            removed += 1
            send_task(remove_file_data, str(file_id))
    return removed


def _remove_expired(upload_id: uuid.UUID, expires: Any) -> uuid.UUID | None:
    """Remove an upload that is still expired.

    :returns: Identifier of its file; ``None`` where somebody took the upload up again, or removed it.
    """
    upload = MultipartObject.query_expired(expires).filter_by(upload_id=upload_id).with_for_update().one_or_none()
    if upload is None:
        return None
    file_id: uuid.UUID = upload.file_id
    upload.delete()
    return file_id
