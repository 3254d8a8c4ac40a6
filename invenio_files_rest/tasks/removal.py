"""Removing what nothing refers to: files, and multipart uploads that were given up."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any

from flask import current_app
from invenio_db import db
from sqlalchemy.exc import IntegrityError

from ..models import FileInstance, MultipartObject
from ..models.base import utcnow
from ..services.batches import in_batches
from ..services.transactions import in_transaction
from .named import named_function
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


@task("clear_orphaned_files", ignore_result=True, store_errors_even_if_ignored=True)
def clear_orphaned_files(force_delete_check: Callable[[FileInstance], bool] | str = _never, limit: int = 1000) -> int:
    """Have the files removed that neither an object version nor a multipart upload refers to.

    A file that is not ``writable``, as one is once it is stored, is removed only where the check says so, also where it
    lies outside all locations.

    :param force_delete_check: Function ``(file) -> bool``, or its import path, which the configuration has to register
        where it comes in a message; see :data:`~invenio_files_rest.config.FILES_REST_TASK_FUNCTIONS`.
    :param limit: How many of these files to look at; 0 or less for all. Each run begins elsewhere among them, so that
        those which stay do not keep it from the others.
    :returns: How many files are being removed.
    :raises ValueError: Where ``force_delete_check`` is not registered.
    """
    check = named_function(force_delete_check)
    sent = 0
    for file in islice(_orphans(only_writable=check is _never), limit if limit > 0 else None):
        force = bool(check(file))
        if file.writable or force:
            send_task(remove_file_data, str(file.id), force=force)
            sent += 1
    return sent


def _orphans(only_writable: bool) -> Iterator[FileInstance]:
    """Find the files that nothing refers to, from a random one on and around."""
    query, start = FileInstance.query_orphaned(), uuid.uuid4()
    if only_writable:
        query = query.filter(FileInstance.writable)
    for part in (query.filter(FileInstance.id >= start), query.filter(FileInstance.id < start)):
        for batch in in_batches(part, FileInstance.id):
            yield from batch


@task("remove_expired_multipartobjects", ignore_result=True)
def remove_expired_multipartobjects() -> int:
    """Remove the multipart uploads that nobody has touched for ``FILES_REST_MULTIPART_EXPIRES``.

    Their parts and their bytes go, and their size is given back to the bucket.

    :returns: How many uploads were removed.
    """
    expires = current_app.config["FILES_REST_MULTIPART_EXPIRES"]
    removed = 0
    for upload_id, *_ in expired_uploads(expires):
        try:
            file_id = in_transaction(partial(remove_expired_upload, upload_id, expires))
        except Exception:
            # One that cannot be removed, for its storage fails say, must not keep the others.
            current_app.logger.exception("The expired upload %s could not be removed.", upload_id)
            continue
        if file_id is not None:
            removed += 1
            send_task(remove_file_data, str(file_id))
    return removed


def expired_uploads(expires: timedelta) -> Iterator[Any]:
    """Find the uploads that are expired.

    :param expires: Time for which nobody has touched them.
    :returns: Rows of ``upload_id``, ``key`` and ``size``.
    """
    columns = MultipartObject.upload_id, MultipartObject.key, MultipartObject.size
    query = MultipartObject.query_expired(expires).with_entities(*columns)
    for batch in in_batches(query, MultipartObject.upload_id, size=EXPIRED_BATCH):
        yield from batch


def remove_expired_upload(upload_id: uuid.UUID, expires: timedelta) -> uuid.UUID | None:
    """Remove an upload that is still expired, in the caller's transaction.

    :param upload_id: Identifier of the upload.
    :param expires: Time for which nobody has touched it.
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
