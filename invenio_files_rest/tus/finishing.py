"""The end of an upload, in the request that has brought the last byte: at once, or by a worker that it waits for."""

from __future__ import annotations

import time
import uuid

from flask import current_app

from ..errors import BucketLockedError, PreconditionFailed
from ..models import Upload
from ..models.upload import COMPLETING, DONE, FAILED
from ..services.dispatch import send_task
from ..services.transactions import release_connection
from ..services.uploads.completion import begin_completion, finish_promptly
from ..services.uploads.errors import UploadClosed, UploadGone
from ..services.uploads.plans import APPENDED

PROMPT_BYTES = 16 * 1024**2
"""Bytes that a request reads by itself rather than have a worker do it."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


def complete(upload_id: uuid.UUID) -> uuid.UUID | None:
    """Take no more bytes for an upload, and make it a version; see :func:`finish`.

    :param upload_id: Identifier of the upload.
    :raises UploadIncomplete: If bytes are missing.
    """
    begin_completion(APPENDED, upload_id)
    return finish(upload_id)


def finish(upload_id: uuid.UUID) -> uuid.UUID | None:
    """Make an upload that takes no more bytes a version, or have a worker do it and wait for that.

    :param upload_id: Identifier of the upload.
    :returns: Identifier of the version; ``None`` where it takes longer than ``FILES_REST_UPLOADS_WAIT_SECONDS``.
    :raises PreconditionFailed: If a condition of the upload does not hold.
    :raises BucketLockedError: If the bucket is locked. It may be tried again until the upload expires.
    :raises UploadClosed: If it has failed for another reason.
    """
    made = finish_promptly(upload_id, PROMPT_BYTES)
    if made is not None:
        return made
    release_connection()
    send_task("complete_upload", str(upload_id))
    return wait(upload_id)


def wait(upload_id: uuid.UUID) -> uuid.UUID | None:
    """Wait for whoever makes an upload a version; see :func:`finish`.

    :param upload_id: Identifier of the upload.
    """
    give_up = time.monotonic() + current_app.config["FILES_REST_UPLOADS_WAIT_SECONDS"]
    pause = _FIRST_PAUSE
    while True:
        upload = Upload.get(upload_id)
        if upload is None:
            raise UploadGone()
        version_id, status, reason, has_conditions = (
            upload.version_id,
            upload.status,
            upload.reason,
            bool(upload.conditions),
        )
        release_connection()
        if status == DONE:
            return version_id
        if status == FAILED:
            raise PreconditionFailed(description=reason) if has_conditions else UploadClosed(description=reason)
        if status == COMPLETING and reason is not None:
            raise BucketLockedError(description=reason)
        if time.monotonic() > give_up:
            return None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
