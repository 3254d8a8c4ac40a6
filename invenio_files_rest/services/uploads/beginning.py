"""Beginning an upload: first a place for its bytes in storage, then its row and its claim on the bucket."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import current_app

from ...keys import validate_new_key
from ...models import Bucket, FileInstance, ObjectVersion, Upload
from ...storage.pump import check_sizelimit
from ..conditions import check_write_conditions
from ..presence import ensure_present
from ..transactions import commit_or_undo, release_connection
from .access import backend_of
from .errors import TooManyUploads


def begin_upload(
    bucket: Bucket,
    key: str | None,
    plan: str,
    length: int | None,
    *,
    first: Callable[[uuid.UUID], Any] | None = None,
    **columns: Any,
) -> Upload:
    """Begin an upload, and commit.

    :param bucket: The bucket.
    :param key: Key of the resulting object; ``None`` if it has none yet.
    :param plan: Name of its plan.
    :param length: Size of the file in bytes, if known.
    :param first: Called first in the transaction, with the identifier that the upload gets, to make room for what is
        claimed then.
    :param columns: Other columns of the row: ``protocol``, ``owner``, ``tags``, ``meta``, ``expires``, and
        ``conditions`` as returned by :func:`.http.preconditions.write_conditions`, which must hold now and at the end.
    :returns: The upload.
    :raises InvalidKeyError: If the key is too long, cannot be stored, or has a segment ``.`` or ``..``.
    :raises PreconditionFailed: If a condition does not hold now.
    :raises FileSizeError: If a size limit is exceeded.
    :raises BucketLockedError: If the bucket is locked.
    :raises TooManyUploads: If the bucket already has ``FILES_REST_UPLOADS_MAX_OPEN`` uploads in progress.
    :raises UploadsUnsupported: If the storage does not support uploads of this kind.
    :raises StorageError: If the storage fails, or the bucket's location is away.
    """
    if key is not None:
        validate_new_key(key)
        if columns.get("conditions"):
            check_write_conditions(columns["conditions"], ObjectVersion.get(bucket.id, key))
    if length is not None and first is None:
        check_sizelimit(bucket.size_limit, length)
    bucket_id, location, storage_class = bucket.id, bucket.location.uri, bucket.default_storage_class
    ensure_present(bucket.location)
    file = FileInstance.new()
    backend = backend_of(file, default_location=location, default_storage_class=storage_class)
    release_connection()
    state = backend.uploads.begin(length)

    def record() -> Upload:
        # One that the file could not keep must not be found at the end.
        file.uri = state["uri"]
        if first is not None:
            first(file.id)
        upload = Upload.record(
            id=file.id,
            bucket_id=bucket_id,
            key=key,
            plan=plan,
            length=length,
            storage_class=storage_class,
            state=state,
            **columns,
        )
        if Upload.count_open(bucket_id) > current_app.config["FILES_REST_UPLOADS_MAX_OPEN"]:
            raise TooManyUploads()
        return upload

    def discard() -> None:
        with suppress(Exception):
            backend.uploads.abort(state)

    return commit_or_undo(record, discard)
