"""Concatenation: an upload that is made of others, whose bytes it claims in their place.

The others are finished, and have no key of their own. They keep their bytes, and take no more, until the one is a
version, or never will be one. Where the file system can, their blocks become those of the file. Their rows stay until
they expire, for clients that did not get the last answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from ...errors import InvalidOperationError
from ...messages import lazy_gettext as _
from ...models import Bucket, Upload, UploadExtent
from ...models.upload import COMPLETING, JOINED
from ..transactions import in_transaction
from .access import ensure_open, uploads_of
from .beginning import begin_upload
from .errors import UploadGone, UploadIncomplete, UploadsUnsupported

PLAN = "joined"
"""Name of the plan of an upload that is made of others."""

Check = Callable[[Upload], Any]
"""Function that is called with an upload that another one is to be made of, and raises if it may not be used."""


def joined_before(bucket: Bucket, key: str, source_ids: list[uuid.UUID], check: Check) -> uuid.UUID | None:
    """Return the upload that has been made of others already, since a client may ask again if it got no answer.

    :param bucket: The bucket.
    :param key: Key of the object that it becomes.
    :param source_ids: Identifiers of the others, in the order of their bytes.
    :param check: See :data:`Check`.
    :returns: Its identifier; ``None`` if there is none with this key and of these others.
    """
    first = Upload.get(source_ids[0])
    into = first and first.joined_into
    found = into and Upload.get(into)
    if not found or (found.bucket_id, found.key, found.sources) != (bucket.id, key, source_ids):
        return None
    for each in set(source_ids):
        source = Upload.get(each)
        if source is not None:
            check(source)
    identifier: uuid.UUID = found.id
    return identifier


def ensure_joins(bucket: Bucket) -> None:
    """Check that uploads to a bucket can be joined.

    :param bucket: The bucket.
    :raises UploadsUnsupported: If its storage cannot do it.
    """
    capability = uploads_of(bucket)
    if capability is None or not capability.joins:
        raise UploadsUnsupported(description=_("The storage of this bucket cannot join uploads."))


def join_uploads(
    bucket: Bucket,
    key: str,
    source_ids: list[uuid.UUID],
    check: Check,
    *,
    meta: dict[str, Any],
    **columns: Any,
) -> uuid.UUID:
    """Begin an upload that is made of others, and commit: it has all its bytes, and waits to be finished.

    :param bucket: The bucket.
    :param key: Key of the object that it becomes.
    :param source_ids: Identifiers of the others, in the order of their bytes; one may be named several times.
    :param check: See :data:`Check`.
    :param meta: What the protocol keeps.
    :param columns: Other columns of the row; see :func:`~invenio_files_rest.services.uploads.beginning.begin_upload`.
    :returns: Identifier of the upload, for :func:`~invenio_files_rest.services.uploads.completion.finish_upload`.
    :raises UploadGone: If one of them is not there, or has expired.
    :raises UploadClosed: If one is used by another upload already.
    :raises UploadIncomplete: If one has not all its bytes.
    :raises InvalidOperationError: If one becomes an object by itself.
    :raises UploadsUnsupported: If the storage cannot do it.
    :raises FileSizeError: If a size limit is exceeded.
    """
    ensure_joins(bucket)
    bucket_id, wanted = bucket.id, set(source_ids)

    def sizes(sources: list[Upload]) -> dict[uuid.UUID, int]:
        there = {extent.upload_id: int(extent.size) for extent in UploadExtent.recorded(*wanted)}
        for source in sources:
            if source.bucket_id != bucket_id:
                raise UploadGone()
            check(source)
            ensure_open(source)
            if source.key is not None:
                raise InvalidOperationError(
                    description=_("An upload that becomes an object is no part of another one.")
                )
            if source.length is None or there.get(source.id, 0) != source.length:
                raise UploadIncomplete([], description=_("The upload %(id)s has not all its bytes.", id=source.id))
        if len(sources) < len(wanted):
            raise UploadGone(description=_("One of the uploads does not exist any more."))
        return {source.id: int(source.length) for source in sources}

    known = in_transaction(lambda: sizes([source for each in wanted if (source := Upload.get(each)) is not None]))

    def take(upload_id: uuid.UUID) -> None:
        sources = Upload.hold_several(wanted)
        sizes(sources)
        for source in sources:
            source.claim(0, 0)
            source.status = JOINED
            source.meta = {**(source.meta or {}), "into": str(upload_id)}

    upload = begin_upload(
        bucket,
        key,
        PLAN,
        sum(known[each] for each in source_ids),
        first=take,
        status=COMPLETING,
        meta={**meta, "sources": [str(each) for each in source_ids]},
        **columns,
    )
    identifier: uuid.UUID = upload.id
    return identifier
