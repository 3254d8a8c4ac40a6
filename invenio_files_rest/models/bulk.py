"""Changes of many objects within the database: the number of statements does not grow with that of the objects."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from invenio_db import db
from sqlalchemy import and_, delete, exists, func, insert, literal, null, or_, select, update
from sqlalchemy.orm import aliased, joinedload

from ..errors import FileSizeError
from ..limiters import FileSizeLimit
from .base import execute, random_uuid, read_again, reads_a_snapshot
from .bucket import Bucket
from .bucket_tag import BucketTag
from .file_instance import FileInstance
from .multipart import MultipartObject
from .object_tag import ObjectVersionTag
from .object_version import ObjectVersion
from .part import Part
from .share import Share
from .succession import Times, next_times
from .upload import Upload
from .upload_extent import UploadExtent


@cache
def _source() -> Any:
    """Return the alias of the objects that are copied: not on import, since it has all models be configured."""
    return aliased(ObjectVersion, name="source")


def _live_heads(bucket_id: uuid.UUID, of: Any = ObjectVersion) -> Any:
    return and_(of.bucket_id == bucket_id, of.is_head, of.file_id.isnot(None))


def _hold(bucket_id: uuid.UUID) -> None:
    """Keep others from changing a bucket that is being read, until the end of the transaction."""
    db.session.execute(select(Bucket.id).where(Bucket.id == bucket_id).with_for_update())


def _claim_and_hold(claimed: uuid.UUID, held: uuid.UUID) -> None:
    """Lock two buckets in the order of their identifiers, so that transactions do not deadlock."""
    steps = sorted([(str(claimed), Bucket.claim, claimed), (str(held), _hold, held)], key=lambda step: step[0])
    for _, take, bucket_id in steps:
        take(bucket_id)


def snapshot_heads(source_id: uuid.UUID, destination_id: uuid.UUID) -> None:
    """Copy the heads of a bucket to a new one, with their tags.

    :param source_id: Identifier of the bucket to copy from.
    :param destination_id: Identifier of a bucket that no other transaction can see yet.
    """
    _hold(source_id)
    _insert_heads(source_id, destination_id, next_times())


def copy_heads(source_id: uuid.UUID, destination_id: uuid.UUID) -> list[dict[str, Any]]:
    """Copy the heads of a bucket to another, with their tags.

    :param source_id: Identifier of the bucket to copy from.
    :param destination_id: Identifier of the bucket to copy to.
    :returns: The columns of each new row by name.
    :raises BucketLockedError: If the destination is locked.
    """
    if str(source_id) == str(destination_id):
        return []
    _claim_and_hold(destination_id, source_id)
    times = times_after_heads(destination_id)
    replaced = select(_source().key).where(_live_heads(source_id, _source())).subquery()
    step_down(destination_id, select(replaced.c.key))
    _insert_heads(source_id, destination_id, times)
    columns = ObjectVersion.__table__.columns
    copies = select(*columns).where(columns.bucket_id == destination_id, columns.created == times.created)
    return [dict(row) for row in db.session.execute(copies).mappings()]


def times_after_heads(bucket_id: uuid.UUID, *conditions: Any) -> Times:
    """Return times that are later than those of the heads of a bucket.

    :param bucket_id: Identifier of the bucket, which the transaction has locked.
    :param conditions: Conditions that select the heads; by default all heads.
    """
    columns = ObjectVersion.created, ObjectVersion.updated
    latest = select(*(func.max(column).label(column.key) for column in columns)).where(
        ObjectVersion.bucket_id == bucket_id, ObjectVersion.is_head, *conditions
    )
    if reads_a_snapshot():
        latest = latest.with_for_update()
    before = db.session.execute(latest).one()
    return next_times([before] if before.created else [])


def step_down(bucket_id: uuid.UUID, keys: Any) -> None:
    """Make the heads of some objects ordinary versions.

    :param bucket_id: Identifier of the bucket, which the transaction has locked.
    :param keys: Keys of the objects, or a statement that selects them.
    """
    heads = ObjectVersion.bucket_id == bucket_id, ObjectVersion.is_head, ObjectVersion.key.in_(keys)
    execute(update(ObjectVersion).where(*heads).values(is_head=False))
    for known in list(db.session.identity_map.values()):
        # If the bucket is not loaded, the version may be one of them.
        if isinstance(known, ObjectVersion) and known.__dict__.get("bucket_id", bucket_id) == bucket_id:
            read_again(known, ["is_head"])


def _insert_heads(source_id: uuid.UUID, destination_id: uuid.UUID, times: Times) -> None:
    """Copy heads, tags and sizes within the database.

    :param times: Times of the new rows.
    """
    source = _live_heads(source_id, _source())
    _insert_versions(destination_id, times, _source().file_id, _source()._mimetype, source, is_head=True)
    _copy_tags(source_id, destination_id, times.created)
    copied = (
        select(func.coalesce(func.sum(FileInstance.size), 0))
        .select_from(_source())
        .join(FileInstance, FileInstance.id == _source().file_id)
        .where(source)
        .scalar_subquery()
    )
    execute(update(Bucket).where(Bucket.id == destination_id).values(size=Bucket.size + copied))
    read_again(db.session.get(Bucket, destination_id), ["size"])


def _insert_versions(
    bucket_id: uuid.UUID, times: Times, file_id: Any, mimetype: Any, of: Any, is_head: bool = False
) -> int:
    """Insert copies of versions, within the database.

    :param bucket_id: Identifier of the bucket of the copies.
    :param times: Times of the copies.
    :param file_id: Expression for the identifiers of their files.
    :param mimetype: Expression for their MIME types.
    :param of: Condition that selects the versions to copy.
    :param is_head: Whether the copies are heads.
    :returns: The number of copies.
    """
    columns = ObjectVersion.__table__.columns
    names = ["version_id", "key", "bucket_id", "file_id", "_mimetype", "is_head", "created", "updated"]
    rows = select(
        random_uuid(),
        _source().key,
        literal(bucket_id, columns.bucket_id.type),
        file_id,
        mimetype,
        literal(is_head, columns.is_head.type),
        literal(times.created, columns.created.type),
        literal(times.updated, columns.updated.type),
    ).where(of)
    return int(execute(insert(ObjectVersion.__table__).from_select(names, rows, include_defaults=False)).rowcount)


def add_files(
    bucket_id: uuid.UUID, files: Mapping[str, FileInstance], stored: Mapping[str, FileInstance] | None = None
) -> tuple[list[ObjectVersion], FileSizeLimit | None]:
    """Add a version to each of several objects, up to the first one that exceeds a size limit.

    :param bucket_id: Identifier of the bucket.
    :param files: New files, which have no rows yet, by the keys of the objects.
    :param stored: Files to use instead of new ones if they still exist, of the same size, by key. If such a file is one
        of the new files, it comes before those that it replaces.
    :returns: The versions, flushed, in the order of the files; and the limit that the next one exceeds, if any.
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
    times = times_after_heads(bucket_id, ObjectVersion.key.in_(list(added)))
    step_down(bucket_id, list(added))
    versions = [
        ObjectVersion(version_id=uuid.uuid4(), bucket_id=bucket_id, key=key, file=file, is_head=True, **times._asdict())
        for key, file in added.items()
    ]
    db.session.add_all(versions)
    db.session.flush()
    return versions, exceeded


def add_all_files(bucket_id: uuid.UUID, files: Mapping[str, FileInstance]) -> list[ObjectVersion]:
    """Add a version to each of several objects, or to none.

    :param bucket_id: Identifier of the bucket.
    :param files: See :func:`add_files`.
    :returns: The versions, flushed, in the order of the files.
    :raises FileSizeError: If a size limit is exceeded.
    :raises BucketLockedError: If the bucket is locked.
    :raises BucketDeletedError: If the bucket is deleted.
    """
    with db.session.begin_nested():
        versions, exceeded = add_files(bucket_id, files)
        if exceeded is not None:
            raise FileSizeError(description=exceeded.reason)
    return versions


def sync_heads(source_id: uuid.UUID, destination_id: uuid.UUID, delete_extras: bool) -> list[tuple[str, Any]]:
    """Give a bucket the same heads as another, and return the changes.

    :param source_id: See :func:`apply_differences`.
    :param destination_id: See there.
    :param delete_extras: See there.
    :returns: ``("add", object_version)`` for each object added, ``("delete", key)`` for each one deleted.
    :raises InvalidOperationError: If the destination is locked or deleted.
    """
    created = apply_differences(source_id, destination_id, delete_extras)
    if created is None:
        return []
    new = and_(ObjectVersion.bucket_id == destination_id, ObjectVersion.created == created)
    changed = select(ObjectVersion).where(new).order_by(ObjectVersion.key).options(joinedload(ObjectVersion.file))
    if reads_a_snapshot():
        # A file may be newer than the snapshot.
        changed = changed.with_for_update(read=True)
    versions = db.session.scalars(changed, execution_options={"populate_existing": True}).all()
    added = [version for version in versions if not version.deleted]
    return [("delete", version.key) for version in versions if version.deleted] + [("add", one) for one in added]


def apply_differences(
    source_id: uuid.UUID, destination_id: uuid.UUID, delete_extras: bool, limited: bool = False
) -> datetime | None:
    """Give a bucket the same heads as another, within the database.

    :param source_id: Identifier of the bucket to copy from.
    :param destination_id: Identifier of the bucket to change.
    :param delete_extras: Whether to delete objects of which the source has no version.
    :param limited: Whether to enforce the size limits of the bucket to change.
    :returns: ``created`` of the new versions, which no other version of the bucket has; ``None`` if there are none.
    :raises InvalidOperationError: If the destination is locked or deleted.
    :raises FileSizeError: If a size limit is enforced and exceeded; the caller has to roll back.
    """
    if source_id == destination_id:
        return None
    _claim_and_hold(destination_id, source_id)
    times = times_after_heads(destination_id)
    replaced, extra = _differences(source_id, destination_id, delete_extras)
    # Not heads yet, since each key can have only one.
    count = _insert_versions(destination_id, times, _source().file_id, _source()._mimetype, replaced)
    count += _insert_versions(destination_id, times, null(), null(), extra)
    if not count:
        return None
    new = and_(ObjectVersion.bucket_id == destination_id, ObjectVersion.created == times.created)
    step_down(destination_id, select(select(ObjectVersion.key).where(new).subquery().c.key))
    execute(update(ObjectVersion).where(new).values(is_head=True))
    _copy_tags(source_id, destination_id, times.created)
    total, largest = _sizes(new)
    if limited:
        # A limit is one on the next file. All fit if the largest one does, coming last.
        Bucket.claim(destination_id, total - largest)
        total = largest
    if total:
        Bucket.claim(destination_id, total, limited=limited)
    return times.created


def _sizes(of: Any) -> tuple[int, int]:
    """Return the size of the files of some versions together, and that of the largest."""
    file = FileInstance.size
    sizes = select(func.coalesce(func.sum(file), 0), func.coalesce(func.max(file), 0)).select_from(ObjectVersion)
    sizes = sizes.join(FileInstance, FileInstance.id == ObjectVersion.file_id).where(of)
    if reads_a_snapshot():
        sizes = sizes.with_for_update(read=True)
    total, largest = db.session.execute(sizes).one()
    return int(total), int(largest)


def _differences(source_id: uuid.UUID, destination_id: uuid.UUID, delete_extras: bool) -> tuple[Any, Any]:
    """Return the conditions on heads of the source to copy, and on heads of the destination to delete."""
    other = aliased(ObjectVersion, name="other")
    same_key = and_(other.key == _source().key, other.is_head)
    has_it = exists().where(other.bucket_id == destination_id, same_key, other.file_id == _source().file_id)
    deleted = exists().where(other.bucket_id == source_id, same_key, other.file_id.is_(None))
    missing = ~exists().where(other.bucket_id == source_id, same_key)
    gone = or_(deleted, missing) if delete_extras else deleted
    return and_(_live_heads(source_id, _source()), ~has_it), and_(_live_heads(destination_id, _source()), gone)


def _copy_tags(source_id: uuid.UUID, destination_id: uuid.UUID, created: datetime) -> None:
    """Copy the tags of heads to the copies of these heads.

    :param created: ``created`` of the copies.
    """
    copied = and_(
        ObjectVersion.bucket_id == destination_id,
        ObjectVersion.key == _source().key,
        ObjectVersion.is_head,
        ObjectVersion.created == created,
    )
    db.session.execute(
        insert(ObjectVersionTag.__table__).from_select(
            ["version_id", "key", "value"],
            select(ObjectVersion.version_id, ObjectVersionTag.key, ObjectVersionTag.value)
            .select_from(_source())
            .join(ObjectVersionTag, ObjectVersionTag.version_id == _source().version_id)
            .join(ObjectVersion, copied)
            .where(_live_heads(source_id, _source())),
            include_defaults=False,
        )
    )


def remove_contents(bucket_id: uuid.UUID) -> None:
    """Remove the objects, tags, uploads and links of a bucket permanently.

    :param bucket_id: Identifier of the bucket, which the transaction has locked.
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
        delete(Share).where(Share.bucket_id == bucket_id),
    ):
        execute(statement)
