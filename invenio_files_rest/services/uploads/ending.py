"""Ending an upload without a version: it is aborted, fails, or expires."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flask import current_app

from ...models import Bucket, Upload, UploadExtent
from ...models.base import utcnow
from ...models.upload import COMPLETING, DONE
from ...storage.uploads import State
from ..batches import in_batches
from ..transactions import in_transaction
from .access import backend, held

STUCK_AFTER = timedelta(minutes=10)
"""Time without progress after which the completion of an upload counts as stopped."""


def abort_upload(upload_id: uuid.UUID) -> None:
    """Abort an upload, commit, and remove its bytes. If it has become a version, that stays.

    :param upload_id: Identifier of the upload.
    :raises UploadGone: If it does not exist.
    :raises BucketLockedError: If the bucket is locked.
    """

    def abort() -> State | None:
        upload = held(upload_id)
        Bucket.claim(upload.bucket_id, deleted=True)
        state: State | None = None if upload.status == DONE else upload.state
        UploadExtent.forget(upload_id)
        upload.forget()
        return state

    _remove(upload_id, in_transaction(abort))


def remove_bytes(upload_id: uuid.UUID) -> None:
    """Remove the bytes of an upload that has failed.

    :param upload_id: Identifier of the upload.
    """
    upload = in_transaction(lambda: Upload.get(upload_id))
    _remove(upload_id, upload and upload.state)


def _remove(upload_id: uuid.UUID, state: State | None) -> None:
    if state is None:
        return
    try:
        backend(upload_id, state).uploads.abort(state)
    except Exception:
        current_app.logger.exception("The bytes of the upload %s could not be removed; the sweep will.", upload_id)


def forgotten_uploads(grace: timedelta = STUCK_AFTER) -> Iterator[Any]:
    """Find the uploads that have expired, and those whose completion has stopped.

    :param grace: Time without progress after which a completion counts as stopped.
    :returns: Rows of ``id``, ``key`` and ``claimed``, and ``status``, which is ``completing`` for the latter.
    """
    columns = Upload.id, Upload.key, Upload.claimed, Upload.status
    query = Upload.query_forgotten(utcnow() - grace).with_entities(*columns)
    for batch in in_batches(query, Upload.id):
        yield from batch


def expire_upload(upload_id: uuid.UUID) -> bool:
    """Remove an upload if it is still expired, commit, and remove its bytes.

    :param upload_id: Identifier of the upload.
    :returns: Whether it was removed; ``False`` if it is in use again, or has already been removed.
    """

    def expire() -> tuple[bool, State | None]:
        upload = Upload.hold(upload_id, Upload.status != COMPLETING, Upload.expires < utcnow())
        if upload is None:
            return False, None
        state = None if upload.status == DONE else upload.state
        UploadExtent.forget(upload_id)
        upload.forget()
        return True, state

    removed, state = in_transaction(expire)
    _remove(upload_id, state)
    return removed
