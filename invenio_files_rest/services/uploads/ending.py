"""Ending an upload without a version: it is aborted, fails, or expires."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from flask import current_app

from ...messages import lazy_gettext as _
from ...models import Bucket, Upload, UploadExtent
from ...models.base import utcnow
from ...models.upload import DONE, FAILED, JOINED
from ...storage.uploads import State
from ..batches import in_batches
from ..transactions import in_transaction
from .access import backend, held
from .errors import UploadClosed

STUCK_AFTER = timedelta(minutes=10)
"""Time without progress after which the completion of an upload counts as stopped."""


def abort_upload(upload_id: uuid.UUID) -> None:
    """Abort an upload, commit, and remove its bytes. If it has become a version, that stays.

    :param upload_id: Identifier of the upload.
    :raises UploadGone: If it does not exist.
    :raises UploadClosed: If another upload is being made of it, which has no other bytes.
    :raises BucketLockedError: If the bucket is locked.
    """

    def abort() -> list[tuple[uuid.UUID, State]]:
        upload = held(upload_id)
        if upload.status == JOINED:
            raise UploadClosed(description=_("Another upload is being made of this one, and ends it."))
        left = _forget_sources(upload)
        Bucket.claim(upload.bucket_id, deleted=True)
        if upload.status != DONE:
            left.append((upload_id, upload.state))
        UploadExtent.forget(upload_id)
        upload.forget()
        return left

    remove_all(in_transaction(abort))


def _sources(upload: Upload) -> list[Upload]:
    return Upload.hold_several(set(upload.sources)) if upload.sources else []


def _forget_sources(upload: Upload) -> list[tuple[uuid.UUID, State]]:
    """Delete the uploads that one was made of, and return their identifiers and states."""
    left = []
    for source in _sources(upload):
        left.append((source.id, source.state))
        UploadExtent.forget(source.id)
        source.forget()
    return left


def end_sources(upload: Upload) -> None:
    """Note that the uploads that one was made of are done. Their bytes can be removed after the commit.

    Their rows stay until they expire: a client that did not get the last answer asks for their offsets, and would send
    all bytes again if they were gone.

    :param upload: The upload, which is held.
    """
    for source in _sources(upload):
        UploadExtent.forget(source.id)
        source.status = DONE
        source.used()


def fail(upload: Upload, reason: str) -> None:
    """Mark an upload as failed, and forget those that it was to be made of. Bytes can be removed after the commit.

    :param upload: The upload, which is held.
    :param reason: Why it failed, for the client.
    """
    _forget_sources(upload)
    upload.status, upload.reason = FAILED, reason
    upload.claim(0, 0)
    UploadExtent.forget(upload.id)
    upload.used()


def remove_all(uploads: Iterable[tuple[uuid.UUID, State]]) -> None:
    """Remove the bytes of uploads that nobody needs any more.

    :param uploads: Their identifiers and states.
    """
    for upload_id, state in uploads:
        _remove(upload_id, state)


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
    :returns: Rows of ``id``, ``key``, ``claimed``, and ``is_expired``, which is false for the latter.
    """
    columns = Upload.id, Upload.key, Upload.claimed, Upload.is_expired().label("is_expired")
    query = Upload.query_forgotten(utcnow() - grace).with_entities(*columns)
    for batch in in_batches(query, Upload.id):
        yield from batch


def expire_upload(upload_id: uuid.UUID) -> bool:
    """Remove an upload if it is still expired, commit, and remove its bytes.

    :param upload_id: Identifier of the upload.
    :returns: Whether it was removed; ``False`` if it is in use again, or has already been removed.
    """

    def expire() -> list[tuple[uuid.UUID, State]] | None:
        upload = Upload.hold(upload_id, Upload.is_expired())
        if upload is None:
            return None
        left = []
        if upload.status != DONE:
            left = [*_forget_sources(upload), (upload_id, upload.state)]
        UploadExtent.forget(upload_id)
        upload.forget()
        return left

    left = in_transaction(expire)
    remove_all(left or ())
    return left is not None
