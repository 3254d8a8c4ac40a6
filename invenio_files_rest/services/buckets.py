"""Creating, changing and deleting buckets, for operators: each in one short transaction, under the bucket's lock."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from ..models import Bucket, BucketTag
from .conditions import TagsPrecondition
from .transactions import in_transaction, release_connection
from .validation import validate_tag, validate_tags


def create_bucket(
    location: str | None = None, storage_class: str | None = None, tags: Mapping[str, str] | None = None, **limits: Any
) -> Bucket:
    """Create a bucket with tags, and commit.

    :param location: Name of its location; by default the default location.
    :param storage_class: Storage class of its files; by default the one in the configuration.
    :param tags: Its tags.
    :param limits: ``quota_size`` and ``max_file_size``; by default those in the configuration.
    :returns: The bucket.
    :raises InvalidTagError: If a tag is empty or too long.
    :raises ValueError: If the location or the storage class is unknown, or a limit does not fit its column.
    :raises FilesException: If there is no default location.
    """
    for key, value in (tags or {}).items():
        validate_tag(key, value)

    def create() -> Bucket:
        bucket = Bucket.create(location, storage_class, **limits)
        for key, value in (tags or {}).items():
            BucketTag.create(bucket, key, value)
        return bucket

    return in_transaction(create)


def change_bucket(bucket_id: uuid.UUID, **values: Any) -> Bucket:
    """Change attributes of a bucket, which may be read-only, and commit.

    :param bucket_id: Identifier of the bucket.
    :param values: New values: ``locked``, ``quota_size``, ``max_file_size``.
    :returns: The bucket.
    :raises BucketDeletedError: If it does not exist, or is marked as deleted.
    :raises ValueError: If a limit does not fit its column.
    """
    release_connection()

    def change() -> Bucket:
        bucket = Bucket.hold(bucket_id, locked=True)
        for name, value in values.items():
            setattr(bucket, name, value)
        return bucket

    return in_transaction(change)


def tag_bucket(bucket_id: uuid.UUID, tags: Mapping[str, str], removed: Collection[str] = ()) -> dict[str, str]:
    """Set and remove tags of a bucket, and commit.

    :param bucket_id: Identifier of the bucket.
    :param tags: Tags to add or change.
    :param removed: Keys of tags to remove, which need not exist.
    :returns: All its tags.
    :raises InvalidTagError: If a tag is empty or too long.
    :raises BucketLockedError: If the bucket is locked.
    :raises BucketDeletedError: If it does not exist, or is marked as deleted.
    """
    for key, value in tags.items():
        validate_tag(key, value)
    release_connection()

    def change() -> dict[str, str]:
        bucket = Bucket.hold(bucket_id)
        for key in removed:
            BucketTag.delete(bucket_id, key)
        for key, value in tags.items():
            BucketTag.create_or_update(bucket_id, key, value)
        return bucket.get_tags()

    return in_transaction(change)


def replace_bucket_tags(
    bucket_id: uuid.UUID, tags: Mapping[str, str], precondition: TagsPrecondition | None = None
) -> None:
    """Give a bucket other tags instead of those that it has, and commit.

    :param bucket_id: Identifier of the bucket.
    :param tags: Its new tags.
    :param precondition: Called in the transaction that replaces the tags.
    :raises InvalidTagError: If a tag is empty or too long, or there are too many.
    :raises BucketLockedError: If the bucket is locked.
    :raises BucketDeletedError: If it does not exist, or is marked as deleted.
    """
    validate_tags(tags)
    release_connection()

    def replace() -> None:
        Bucket.claim(bucket_id)
        if precondition is not None:
            precondition(BucketTag.of(bucket_id))
        BucketTag.replace(bucket_id, tags)

    in_transaction(replace)


def delete_bucket(bucket_id: uuid.UUID, permanently: bool = False) -> None:
    """Mark a bucket as deleted, or remove it with all versions, tags and uploads, and commit.

    Its files stay; once nothing refers to them any more, the sweep removes them.

    :param bucket_id: Identifier of the bucket.
    :param permanently: Whether to remove it. It may be marked as deleted already.
    :raises BucketLockedError: If it is locked.
    :raises BucketDeletedError: If it does not exist, or is marked as deleted already.
    """
    release_connection()

    def delete() -> None:
        bucket = Bucket.hold(bucket_id, deleted=permanently)
        if permanently:
            bucket.remove()
        else:
            bucket.deleted = True

    in_transaction(delete)
