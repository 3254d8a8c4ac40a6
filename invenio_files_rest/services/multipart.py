"""Multipart uploads over REST: parts to storage, each recorded in a short transaction once its bytes are durable.

A part is in the file when it has a row. Whoever sends it holds its region of the file, takes the row away, writes, and
puts the row back, so that no row ever stands for bytes that somebody is writing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from flask import current_app
from werkzeug.exceptions import NotFound

from ..errors import MultipartAlreadyCompleted, MultipartInvalidChunkSize, MultipartPartBusy
from ..models import Bucket, MultipartObject, ObjectVersion, Part
from ..models.base import utcnow
from .conditions import check_write_conditions
from .deposit import commit_or_discard
from .dispatch import send_task
from .presence import ensure_reachable
from .transactions import in_transaction, release_connection

PART_WAIT_SECONDS = 30
"""Seconds that one sender of a part waits for another sender of the same part."""


def begin_upload(
    bucket: Bucket, key: str, size: int, part_size: int, conditions: Mapping[str, str] | None = None
) -> MultipartObject:
    """Begin an upload, and commit.

    :param bucket: The bucket.
    :param key: Key of the object.
    :param size: Size of the file, in bytes.
    :param part_size: Size of a part, in bytes.
    :param conditions: What has to be true of the object now; see
        :func:`.http.preconditions.write_conditions`.
    :returns: The upload.
    :raises PreconditionFailed: If a condition does not hold.
    """
    bucket_id = bucket.id
    make_room = MultipartObject.prepare(bucket, key, size, part_size)
    if conditions:
        check_write_conditions(conditions, ObjectVersion.get(bucket_id, key))
    release_connection()
    file = make_room()
    return commit_or_discard(file, lambda: MultipartObject.record(bucket_id, key, file.twin(), size, part_size))


def store_part(upload: MultipartObject, part_number: int, stream: Any, size: int | None) -> Part:
    """Store the bytes of a stream as a part, and commit.

    :param upload: The upload.
    :param part_number: Number of the part.
    :param stream: Object with ``read(n)``.
    :param size: Size in bytes, where the request tells it.
    :returns: The part.
    :raises MultipartInvalidPartNumber: If there is no such part.
    :raises MultipartInvalidChunkSize: If the announced size is not that of the part.
    :raises MultipartAlreadyCompleted: If the upload has been completed.
    :raises MultipartPartBusy: If somebody else keeps sending the same part.
    :raises UnexpectedFileSizeError: If the stream is not of the part's size.
    :raises StorageError: If the storage fails, or the file's location is away.
    :raises werkzeug.exceptions.NotFound: If the upload has been aborted, or has expired.
    """
    expected = upload.expected_part_size(part_number)
    if size is not None and size != expected:
        raise MultipartInvalidChunkSize()
    upload_id, start = upload.upload_id, part_number * upload.chunk_size
    uri, storage = upload.file.uri, upload.file.storage()
    release_connection()

    def forget() -> None:
        expired = MultipartObject.idle_since(utcnow() - current_app.config["FILES_REST_MULTIPART_EXPIRES"])
        Part.delete(_open_upload(upload_id, ~expired), part_number)

    def record() -> Part:
        return Part.put(_open_upload(upload_id), part_number, checksum)

    try:
        with storage.locked_region(start, expected, PART_WAIT_SECONDS):
            in_transaction(forget)
            _, checksum = storage.update(stream, seek=start, size=expected)
            return in_transaction(record)
    except TimeoutError as error:
        raise MultipartPartBusy() from error
    except OSError:
        in_transaction(lambda: _open_upload(upload_id))
        in_transaction(lambda: ensure_reachable(uri))
        raise


def _held_upload(upload_id: uuid.UUID, *conditions: Any) -> MultipartObject:
    """Hold an upload of which some conditions are true."""
    upload = MultipartObject.hold(upload_id, *conditions)
    if upload is None:
        raise NotFound("The upload does not exist any more, or has expired.")
    return upload


def _open_upload(upload_id: uuid.UUID, *conditions: Any) -> MultipartObject:
    """Hold an upload that still takes parts."""
    upload = _held_upload(upload_id, *conditions)
    if upload.completed:
        raise MultipartAlreadyCompleted()
    return upload


def complete_upload(upload: MultipartObject, conditions: Mapping[str, str] | None = None) -> MultipartObject:
    """Complete an upload, unless somebody has, and commit.

    :param upload: The upload.
    :param conditions: What has to be true of the object; see :func:`.http.preconditions.write_conditions`.
    :returns: The upload.
    :raises PreconditionFailed: If a condition does not hold; nothing has changed then.
    :raises MultipartMissingParts: If parts are missing; the message names them.
    :raises werkzeug.exceptions.NotFound: If the upload has been aborted, or become a version.
    """
    upload_id = upload.upload_id

    def complete() -> MultipartObject:
        held = _held_upload(upload_id)
        if not held.completed:
            held.complete()
        if conditions:
            check_write_conditions(conditions, ObjectVersion.get(held.bucket_id, held.key))
        return held

    return in_transaction(complete)


def abort_upload(upload: MultipartObject) -> None:
    """Abort an upload, commit, and have its bytes removed.

    :param upload: The upload.
    :raises BucketLockedError: If the bucket is locked.
    :raises werkzeug.exceptions.NotFound: If somebody else has aborted it, or it has become a version.
    """
    file_id, upload_id = upload.file_id, upload.upload_id
    in_transaction(lambda: _held_upload(upload_id).delete())
    send_task("remove_file_data", str(file_id))
