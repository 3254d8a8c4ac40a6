"""Celery tasks. Each can run twice without harm, and says in its result what it did."""

from __future__ import annotations

import time
import uuid

from celery import current_task, shared_task
from invenio_db import db
from sqlalchemy.exc import IntegrityError

from .errors import InvalidOperationError
from .models import FileInstance, MultipartObject, ObjectVersion
from .signals import file_uploaded, notify
from .transactions import in_transaction, release_connection


@shared_task(ignore_result=True)
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


@shared_task
def merge_multipartobject(upload_id: str | uuid.UUID, version_id: str | uuid.UUID | None = None) -> str:
    """Make an object version of a completed multipart upload.

    The file is read once, from its beginning to its end, with no transaction open; then one short transaction makes it
    a version. A second run finds the version there, and leaves it.

    :param upload_id: Identifier of the upload.
    :param version_id: Identifier for the version; a random one where none is given.
    :returns: Identifier of the version.
    :raises MultipartNotCompleted: Where the upload is not completed.
    :raises InvalidOperationError: Where there is no such upload.
    """
    version_id = uuid.UUID(str(version_id)) if version_id else uuid.uuid4()
    upload = db.session.get(MultipartObject, uuid.UUID(str(upload_id)))
    if upload is None:
        return _merged(version_id)
    upload.ensure_completed()
    storage = upload.file.storage()
    release_connection()
    checksum = storage.checksum(progress_callback=progress_updater)

    def become_version() -> ObjectVersion | None:
        held = MultipartObject.hold(uuid.UUID(str(upload_id)))
        return held and held.become_version(checksum, version_id)

    version = in_transaction(become_version)
    if version is None:
        return _merged(version_id)
    notify(file_uploaded, version)
    return str(version.version_id)


def _merged(version_id: uuid.UUID) -> str:
    """Return the identifier of a version that an earlier run has made."""
    if db.session.get(ObjectVersion, version_id) is None:
        raise InvalidOperationError(description="The upload does not exist.")
    return str(version_id)


def progress_updater(size: int | None, total: int) -> None:
    """Tell how much of a file the current task has read, in its state ``PROGRESS``, once a second.

    Where the task runs without a worker there is nobody to tell.

    :param size: Size of the file, in bytes; ``None`` where it is not known.
    :param total: Bytes that have been read.
    """
    request = current_task.request if current_task else None
    if request is None or request.called_directly or request.is_eager:
        return
    now = time.monotonic()
    if total != size and now - getattr(request, "progress_told_at", 0) < 1:
        return
    request.progress_told_at = now
    current_task.update_state(state="PROGRESS", meta={"size": size, "total": total})
