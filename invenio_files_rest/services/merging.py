"""Turning a completed multipart upload into a version of its object."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import InvalidOperationError, MultipartNotCompleted, PreconditionFailed
from ..models import MultipartObject, ObjectVersion, as_object_version
from ..signals import file_uploaded, notify
from .conditions import check_write_conditions
from .presence import ensure_reachable
from .transactions import in_transaction, release_connection


def merge_multipartobject(
    upload_id: str | uuid.UUID,
    version_id: str | uuid.UUID | None = None,
    conditions: dict[str, str] | None = None,
    progress_callback: Callable[[int | None, int], Any] | None = None,
) -> str:
    """Turn a completed multipart upload into a version; see :func:`invenio_files_rest.tasks.merge_multipartobject`.

    :param progress_callback: Called with the size of the file and the number of bytes read so far.
    """
    upload_id = uuid.UUID(str(upload_id))
    version_id = uuid.UUID(str(version_id)) if version_id else MultipartObject.version_id_of(upload_id)
    upload = MultipartObject.find(upload_id)
    if upload is None:
        return _merged(version_id)
    upload.ensure_completed()
    storage, uri, parts = upload.file.storage(), upload.file.uri, upload.parts_there()
    release_connection()
    try:
        checksum = storage.checksum(progress_callback=progress_callback)
    except FileNotFoundError:
        if MultipartObject.find(upload_id) is None:
            return _merged(version_id)
        ensure_reachable(uri)
        raise

    precondition = partial(check_write_conditions, conditions) if conditions else None

    def become_version() -> ObjectVersion | None:
        held = MultipartObject.hold(upload_id)
        if held is None:
            return None
        held.ensure_completed()
        if held.parts_there() != parts:
            # It was reopened, changed and completed again, so the checksum may be that of other bytes.
            raise MultipartNotCompleted()
        return held.become_version(checksum, version_id, precondition)

    try:
        version = in_transaction(become_version)
    except PreconditionFailed:
        in_transaction(lambda: MultipartObject.reopen(upload_id))
        raise
    if version is None:
        return _merged(version_id)
    notify(file_uploaded, version)
    return str(version.version_id)


def _merged(version_id: uuid.UUID) -> str:
    """Return the identifier of the version that an earlier run has added."""
    if as_object_version(version_id) is None:
        raise InvalidOperationError(description="The upload does not exist.")
    return str(version_id)
