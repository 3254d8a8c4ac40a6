"""What is done to all objects of a bucket at once: a fixed number of statements, however many there are."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from invenio_db import db
from sqlalchemy import and_, delete, func, insert, literal, select, update
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
    :raises BucketLockedError: Where the destination is locked.
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
    columns = ObjectVersion.__table__.columns
    db.session.execute(
        insert(ObjectVersion.__table__).from_select(
            ["version_id", "key", "bucket_id", "file_id", "_mimetype", "is_head", "created", "updated"],
            select(
                random_uuid(),
                _Source.key,
                literal(destination_id, columns.bucket_id.type),
                _Source.file_id,
                _Source._mimetype,
                _Source.is_head,
                literal(times.created, columns.created.type),
                literal(times.updated, columns.updated.type),
            ).where(source),
            include_defaults=False,
        )
    )
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


def add_files(
    bucket_id: uuid.UUID, files: Mapping[str, FileInstance], stored: Mapping[str, FileInstance] | None = None
) -> tuple[list[ObjectVersion], FileSizeLimit | None]:
    """Add a version of each of several objects, up to the first that a size limit refuses.

    :param bucket_id: Identifier of the bucket.
    :param files: Files that the database does not know, by the keys of the objects.
    :param stored: Files to take in their places where they are still there, of the same size; one of the new files
        comes before those whose place it takes.
    :returns: The versions, flushed, in the order of the files; and the limit, where the next one exceeds it.
    :raises BucketLockedError: Where the bucket is locked.
    :raises BucketDeletedError: Where the bucket is deleted.
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
    :raises InvalidOperationError: Where the destination is locked or deleted.
    """
    if source_id == destination_id:
        return []
    _claim_and_hold(destination_id, source_id)
    heads: dict[Any, dict[str, Any]] = {source_id: {}, destination_id: {}}
    # A locking read sees what others have committed, whatever the transaction's snapshot.
    for head in db.session.execute(
        select(ObjectVersion)
        .where(ObjectVersion.bucket_id.in_(heads), ObjectVersion.is_head)
        .order_by(ObjectVersion.key)
        .options(joinedload(ObjectVersion.file))
        .with_for_update(of=ObjectVersion),
        execution_options={"populate_existing": True},
    ).scalars():
        heads[head.bucket_id][head.key] = head
    source, destination = heads.values()

    added = [
        head
        for key, head in source.items()
        if head.file_id and (key not in destination or destination[key].file_id != head.file_id)
    ]
    deleted = [
        key
        for key, head in destination.items()
        if head.file_id and (not source[key].file_id if key in source else delete_extras)
    ]
    times = next_times(destination.values())
    for key in [head.key for head in added if head.key in destination] + deleted:
        destination[key].is_head = False
    db.session.flush()

    versions = [
        ObjectVersion(
            version_id=uuid.uuid4(),
            bucket_id=destination_id,
            key=head.key,
            file=head.file,
            mimetype=head._mimetype,
            is_head=True,
            **times._asdict(),
        )
        for head in added
    ]
    markers = [
        ObjectVersion(version_id=uuid.uuid4(), bucket_id=destination_id, key=key, **times._asdict()) for key in deleted
    ]
    db.session.add_all(versions + markers)
    db.session.flush()
    if versions:
        _copy_tags(source_id, destination_id, times.created)
        Bucket.claim(destination_id, sum(version.file.size or 0 for version in versions))
    return [("delete", key) for key in deleted] + [("add", version) for version in versions]


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
    """Remove the objects, tags and multipart uploads of a bucket for good.

    :param bucket_id: Identifier of a bucket that the transaction has claimed.
    """
    versions = select(ObjectVersion.version_id).where(ObjectVersion.bucket_id == bucket_id)
    uploads = select(MultipartObject.upload_id).where(MultipartObject.bucket_id == bucket_id)
    for statement in (
        delete(ObjectVersionTag).where(ObjectVersionTag.version_id.in_(versions)),
        delete(ObjectVersion).where(ObjectVersion.bucket_id == bucket_id),
        delete(Part).where(Part.upload_id.in_(uploads)),
        delete(MultipartObject).where(MultipartObject.bucket_id == bucket_id),
        delete(BucketTag).where(BucketTag.bucket_id == bucket_id),
    ):
        db.session.execute(statement, execution_options={"synchronize_session": False})
