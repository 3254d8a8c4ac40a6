"""What is done to all objects of a bucket at once: a fixed number of statements, however many there are."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from invenio_db import db
from sqlalchemy import and_, delete, exists, func, insert, literal, null, or_, select, update
from sqlalchemy.orm import aliased, joinedload

from ..limiters import FileSizeLimit
from .base import random_uuid, read_again, reads_a_snapshot
from .bucket import Bucket
from .bucket_tag import BucketTag
from .file_instance import FileInstance
from .multipart import MultipartObject
from .object_tag import ObjectVersionTag
from .object_version import ObjectVersion
from .part import Part
from .succession import Times, next_times
from .upload import Upload
from .upload_extent import UploadExtent

_Source = aliased(ObjectVersion, name="source")


def _live_heads(bucket_id: uuid.UUID, of: Any = ObjectVersion) -> Any:
    return and_(of.bucket_id == bucket_id, of.is_head, of.file_id.isnot(None))


def _hold(bucket_id: uuid.UUID) -> None:
    """Keep others from changing a bucket that is read, until the end of the transaction."""
    db.session.execute(select(Bucket.id).where(Bucket.id == bucket_id).with_for_update())


def _claim_and_hold(claimed: uuid.UUID, held: uuid.UUID) -> None:
    """Take two buckets in the order of their identifiers, so that no two transactions wait for each other."""
    steps = sorted([(str(claimed), Bucket.claim, claimed), (str(held), _hold, held)], key=lambda step: step[0])
    for _, take, bucket_id in steps:
        take(bucket_id)


def snapshot_heads(source_id: uuid.UUID, destination_id: uuid.UUID) -> None:
    """Make the heads of a bucket the heads of a new one, with their tags.

    :param source_id: Identifier of the bucket to copy from.
    :param destination_id: Identifier of a bucket that nobody else knows yet.
    """
    _hold(source_id)
    _insert_heads(source_id, destination_id, next_times())


def copy_heads(source_id: uuid.UUID, destination_id: uuid.UUID) -> list[dict[str, Any]]:
    """Make the heads of a bucket heads of another, with their tags.

    :param source_id: Identifier of the bucket to copy from.
    :param destination_id: Identifier of the bucket to copy to.
    :returns: The columns of each new row, by their names.
    :raises BucketLockedError: If the destination is locked.
    """
    if str(source_id) == str(destination_id):
        return []
    _claim_and_hold(destination_id, source_id)
    times = _times_after_heads(destination_id)
    replaced = select(_Source.key).where(_live_heads(source_id, _Source)).subquery()
    _step_down(destination_id, select(replaced.c.key))
    _insert_heads(source_id, destination_id, times)
    columns = ObjectVersion.__table__.columns
    copies = select(*columns).where(columns.bucket_id == destination_id, columns.created == times.created)
    return [dict(row) for row in db.session.execute(copies).mappings()]


def _times_after_heads(bucket_id: uuid.UUID, *conditions: Any) -> Times:
    """Return times that are later than those of heads of a bucket that the transaction has claimed.

    :param bucket_id: Identifier of the bucket.
    :param conditions: What is true of the heads, where it is not all of them.
    """
    columns = ObjectVersion.created, ObjectVersion.updated
    latest = select(*(func.max(column).label(column.key) for column in columns)).where(
        ObjectVersion.bucket_id == bucket_id, ObjectVersion.is_head, *conditions
    )
    if reads_a_snapshot():
        latest = latest.with_for_update()
    before = db.session.execute(latest).one()
    return next_times([before] if before.created else [])


def _step_down(bucket_id: uuid.UUID, keys: Any) -> None:
    """Let no version of some objects be the head any more."""
    db.session.execute(
        update(ObjectVersion)
        .where(ObjectVersion.bucket_id == bucket_id, ObjectVersion.is_head, ObjectVersion.key.in_(keys))
        .values(is_head=False),
        execution_options={"synchronize_session": False},
    )
    for known in list(db.session.identity_map.values()):
        # What is not loaded may be anything.
        if isinstance(known, ObjectVersion) and known.__dict__.get("bucket_id", bucket_id) == bucket_id:
            read_again(known, ["is_head"])


def _insert_heads(source_id: uuid.UUID, destination_id: uuid.UUID, times: Times) -> None:
    """Copy heads, tags and sizes within the database.

    :param times: Times of the new rows.
    """
    source = _live_heads(source_id, _Source)
    _insert_versions(destination_id, times, _Source.file_id, _Source._mimetype, source, is_head=True)
    _copy_tags(source_id, destination_id, times.created)
    copied = (
        select(func.coalesce(func.sum(FileInstance.size), 0))
        .select_from(_Source)
        .join(FileInstance, FileInstance.id == _Source.file_id)
        .where(source)
        .scalar_subquery()
    )
    db.session.execute(
        update(Bucket).where(Bucket.id == destination_id).values(size=Bucket.size + copied),
        execution_options={"synchronize_session": False},
    )
    read_again(db.session.get(Bucket, destination_id), ["size"])


def _insert_versions(
    bucket_id: uuid.UUID, times: Times, file_id: Any, mimetype: Any, of: Any, is_head: bool = False
) -> int:
    """Make versions of others, within the database.

    :param bucket_id: Identifier of the bucket that they are made in.
    :param times: Their times.
    :param file_id: What refers to their files.
    :param mimetype: Their MIME types.
    :param of: Condition on the versions that they are made of.
    :param is_head: Whether they are heads.
    :returns: How many.
    """
    columns = ObjectVersion.__table__.columns
    names = ["version_id", "key", "bucket_id", "file_id", "_mimetype", "is_head", "created", "updated"]
    rows = select(
        random_uuid(),
        _Source.key,
        literal(bucket_id, columns.bucket_id.type),
        file_id,
        mimetype,
        literal(is_head, columns.is_head.type),
        literal(times.created, columns.created.type),
        literal(times.updated, columns.updated.type),
    ).where(of)
    return int(_execute(insert(ObjectVersion.__table__).from_select(names, rows, include_defaults=False)).rowcount)


def _execute(statement: Any) -> Any:
    """Execute a statement of whose rows the session need not know."""
    return db.session.execute(statement, execution_options={"synchronize_session": False})


def add_files(
    bucket_id: uuid.UUID, files: Mapping[str, FileInstance], stored: Mapping[str, FileInstance] | None = None
) -> tuple[list[ObjectVersion], FileSizeLimit | None]:
    """Add a version of each of several objects, up to the first that a size limit refuses.

    :param bucket_id: Identifier of the bucket.
    :param files: Files that the database does not know, by the keys of the objects.
    :param stored: Files to take in their places where they are still there, of the same size; one of the new files
        comes before those whose place it takes.
    :returns: The versions, flushed, in the order of the files; and the limit, where the next one exceeds it.
    :raises BucketLockedError: If the bucket is locked.
    :raises BucketDeletedError: If the bucket is deleted.
    """
    left = sum(file.size or 0 for file in files.values())
    Bucket.claim(bucket_id, left)
    bucket = db.session.get(Bucket, bucket_id, populate_existing=True, with_for_update=True)
    stored = stored or {}
    new = {file.id for file in files.values()}
    held = FileInstance.hold_all({file.id for file in stored.values()} - new) | new
    added: dict[str, FileInstance] = {}
    exceeded = None
    for key, file in files.items():
        if key in stored and stored[key].id in held:
            file = stored[key]
        size, limit = file.size or 0, bucket.size_limit_before(left)
        if limit is not None and size > limit.limit:
            exceeded = limit
            Bucket.claim(bucket_id, -left)
            break
        added[key], left = file, left - size
    times = _times_after_heads(bucket_id, ObjectVersion.key.in_(list(added)))
    _step_down(bucket_id, list(added))
    versions = [
        ObjectVersion(version_id=uuid.uuid4(), bucket_id=bucket_id, key=key, file=file, is_head=True, **times._asdict())
        for key, file in added.items()
    ]
    db.session.add_all(versions)
    db.session.flush()
    return versions, exceeded


def sync_heads(source_id: uuid.UUID, destination_id: uuid.UUID, delete_extras: bool) -> list[tuple[str, Any]]:
    """Bring the heads of a bucket to those of another.

    :param source_id: Identifier of the bucket to copy from.
    :param destination_id: Identifier of the bucket to change.
    :param delete_extras: Whether to delete objects of which the source has no version.
    :returns: ``("add", object_version)`` for each object that is new, ``("delete", key)`` for each that is gone.
    :raises InvalidOperationError: If the destination is locked or deleted.
    """
    if source_id == destination_id:
        return []
    _claim_and_hold(destination_id, source_id)
    times = _times_after_heads(destination_id)
    replaced, extra = _differences(source_id, destination_id, delete_extras)
    # No head yet: there is one of each key already.
    count = _insert_versions(destination_id, times, _Source.file_id, _Source._mimetype, replaced)
    count += _insert_versions(destination_id, times, null(), null(), extra)
    if not count:
        return []
    new = and_(ObjectVersion.bucket_id == destination_id, ObjectVersion.created == times.created)
    _step_down(destination_id, select(select(ObjectVersion.key).where(new).subquery().c.key))
    _execute(update(ObjectVersion).where(new).values(is_head=True))
    _copy_tags(source_id, destination_id, times.created)
    changed = select(ObjectVersion).where(new).order_by(ObjectVersion.key).options(joinedload(ObjectVersion.file))
    versions = db.session.scalars(changed, execution_options={"populate_existing": True}).all()
    added = [version for version in versions if not version.deleted]
    if added:
        Bucket.claim(destination_id, sum(version.file.size or 0 for version in added))
    return [("delete", version.key) for version in versions if version.deleted] + [("add", one) for one in added]


def _differences(source_id: uuid.UUID, destination_id: uuid.UUID, delete_extras: bool) -> tuple[Any, Any]:
    """Return the heads of a bucket that another lacks, and those of the other that are to be deleted there.

    :returns: Conditions on the version that a new one is made of.
    """
    other = aliased(ObjectVersion, name="other")
    same_key = and_(other.key == _Source.key, other.is_head)
    has_it = exists().where(other.bucket_id == destination_id, same_key, other.file_id == _Source.file_id)
    deleted = exists().where(other.bucket_id == source_id, same_key, other.file_id.is_(None))
    missing = ~exists().where(other.bucket_id == source_id, same_key)
    gone = or_(deleted, missing) if delete_extras else deleted
    return and_(_live_heads(source_id, _Source), ~has_it), and_(_live_heads(destination_id, _Source), gone)


def _copy_tags(source_id: uuid.UUID, destination_id: uuid.UUID, created: datetime) -> None:
    """Copy the tags of heads to the heads that have been copied from them.

    :param created: The time that the copies bear in ``created``.
    """
    copied = and_(
        ObjectVersion.bucket_id == destination_id,
        ObjectVersion.key == _Source.key,
        ObjectVersion.is_head,
        ObjectVersion.created == created,
    )
    db.session.execute(
        insert(ObjectVersionTag.__table__).from_select(
            ["version_id", "key", "value"],
            select(ObjectVersion.version_id, ObjectVersionTag.key, ObjectVersionTag.value)
            .select_from(_Source)
            .join(ObjectVersionTag, ObjectVersionTag.version_id == _Source.version_id)
            .join(ObjectVersion, copied)
            .where(_live_heads(source_id, _Source)),
            include_defaults=False,
        )
    )


def remove_contents(bucket_id: uuid.UUID) -> None:
    """Remove the objects, tags and uploads of a bucket for good.

    :param bucket_id: Identifier of a bucket that the transaction has claimed.
    """
    versions = select(ObjectVersion.version_id).where(ObjectVersion.bucket_id == bucket_id)
    uploads = select(MultipartObject.upload_id).where(MultipartObject.bucket_id == bucket_id)
    free_uploads = select(Upload.id).where(Upload.bucket_id == bucket_id)
    for statement in (
        delete(ObjectVersionTag).where(ObjectVersionTag.version_id.in_(versions)),
        delete(ObjectVersion).where(ObjectVersion.bucket_id == bucket_id),
        delete(Part).where(Part.upload_id.in_(uploads)),
        delete(MultipartObject).where(MultipartObject.bucket_id == bucket_id),
        delete(UploadExtent).where(UploadExtent.upload_id.in_(free_uploads)),
        delete(Upload).where(Upload.bucket_id == bucket_id),
        delete(BucketTag).where(BucketTag.bucket_id == bucket_id),
    ):
        db.session.execute(statement, execution_options={"synchronize_session": False})
