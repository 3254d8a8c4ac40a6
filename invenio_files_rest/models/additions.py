"""Adding many objects at once: rows of files first, then, under the lock of the bucket, a version of each object.

The number of statements is a fixed one for each batch.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from invenio_db import db
from sqlalchemy import select

from ..errors import FileSizeError, PreconditionFailed, StorageError
from ..messages import lazy_gettext as _
from .base import loaded_values, reads_a_snapshot, utcnow
from .bucket import Bucket
from .bulk import step_down, times_after_heads
from .file_instance import FileInstance
from .object_tag import ObjectVersionTag
from .object_version import ObjectVersion
from .row_insertion import add_rows

Row = Mapping[str, Any]
"""Values of a new file by the names of their columns."""


class New(Protocol):
    """A new object."""

    @property
    def key(self) -> str:
        """Its key."""

    @property
    def version_id(self) -> uuid.UUID:
        """Identifier of its version."""

    @property
    def file_id(self) -> uuid.UUID:
        """Identifier of its file, which has a row."""

    @property
    def size(self) -> int:
        """Size of its file in bytes."""


def row_of(file: FileInstance) -> Row:
    """Return the values of a file that is in no session.

    :param file: The file.
    """
    columns = FileInstance.__table__.c
    # What nobody has set has a default, which may be one of the database.
    return {name: value for name, value in loaded_values(file).items() if name in columns}


def add_file_rows(rows: Collection[Row]) -> None:
    """Add the rows of files, in one statement.

    :param rows: Their values.
    """
    now = utcnow()
    names = sorted({name for row in rows for name in row})
    values = {name: [row.get(name) for row in rows] for name in names}
    same = {name: each[0] for name, each in values.items() if name != "id" and len(set(each)) == 1}
    each = {name: each for name, each in values.items() if name not in same}
    add_rows(FileInstance.__table__, each, same | {"created": now, "updated": now})


def add_objects(
    bucket_id: uuid.UUID,
    size: int,
    batches: Iterable[Collection[New]],
    tags: Mapping[str, str],
    if_absent: bool,
) -> None:
    """Add a version to each of several objects, under the lock of the bucket. After an error the caller rolls back.

    :param bucket_id: Identifier of the bucket.
    :param size: Size of all files together, in bytes.
    :param batches: The objects, no key twice.
    :param tags: Tags of each version.
    :param if_absent: Whether none of the objects may exist; one that is deleted does not.
    :raises BucketLockedError: If the bucket is locked.
    :raises BucketDeletedError: If the bucket is deleted.
    :raises FileSizeError: If a size limit is exceeded; its description names the key.
    :raises PreconditionFailed: If an object exists that must not; its description names the key.
    :raises StorageError: If a file has been deleted in the meantime.
    """
    Bucket.claim(bucket_id, size)
    bucket = db.session.get_one(Bucket, bucket_id, populate_existing=True, with_for_update=True)
    left = size
    for batch in batches:
        left = _check_sizes(bucket, batch, left)
        keys, file_ids = [new.key for new in batch], {new.file_id for new in batch}
        if FileInstance.hold_all(file_ids) != file_ids:
            raise StorageError(
                "Files were removed before their objects were added: it took longer than the sweep waits."
            )
        if if_absent:
            _ensure_absent(bucket_id, keys)
        times = times_after_heads(bucket_id, ObjectVersion.key.in_(keys))
        step_down(bucket_id, keys)
        _insert(bucket_id, batch, times._asdict(), tags)


def _check_sizes(bucket: Bucket, batch: Iterable[New], left: int) -> int:
    for new in batch:
        limit = bucket.size_limit_before(left)
        if limit is not None and new.size > limit:
            raise FileSizeError(description=_("%(name)r: %(reason)s", name=new.key, reason=limit.reason))
        left -= new.size
    return left


def _ensure_absent(bucket_id: uuid.UUID, keys: Collection[str]) -> None:
    heads = select(ObjectVersion.key).where(
        ObjectVersion.bucket_id == bucket_id,
        ObjectVersion.key.in_(keys),
        ObjectVersion.is_head,
        ObjectVersion.file_id.isnot(None),
    )
    if reads_a_snapshot():
        heads = heads.with_for_update(read=True)
    if (key := db.session.scalar(heads.limit(1))) is not None:
        raise PreconditionFailed(description=_("There is an object with the key %(key)r.", key=key))


def _insert(bucket_id: uuid.UUID, batch: Collection[New], times: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    each: dict[str, list[Any]] = {
        "version_id": [new.version_id for new in batch],
        "key": [new.key for new in batch],
        "file_id": [new.file_id for new in batch],
    }
    add_rows(ObjectVersion.__table__, each, {"bucket_id": bucket_id, "is_head": True, **times})
    of_each: dict[str, list[Any]] = {
        "version_id": [new.version_id for new in batch for _tag in tags],
        "key": [*tags] * len(batch),
        "value": [*tags.values()] * len(batch),
    }
    add_rows(ObjectVersionTag.__table__, of_each, {})
