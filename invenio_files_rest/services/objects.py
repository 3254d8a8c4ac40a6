"""Storing, changing, deleting and removing objects, each in one short transaction.

While bytes stream, no transaction is open and no connection is in use. If recording them fails, they are deleted again.
Signals are sent after the commit.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ..keys import validate_new_key
from ..models import Bucket, Location, ObjectVersion, ObjectVersionTag
from ..signals import file_deleted, file_uploaded, notify
from .conditions import TagsPrecondition
from .deposit import commit_or_discard, prepare
from .dispatch import send_task
from .transactions import in_transaction, release_connection
from .validation import validate_tag, validate_tags

Precondition = Callable[["ObjectVersion | None"], None]
"""Function that raises an error if the head of an object, or ``None``, is not what the client expects."""


def store_object(
    bucket: Bucket,
    key: str,
    stream: Any,
    size: int | None = None,
    tags: Mapping[str, str] | None = None,
    precondition: Precondition | None = None,
) -> ObjectVersion:
    """Store the bytes of a stream as a new version of an object, and commit.

    :param bucket: The bucket.
    :param key: Key of the object.
    :param stream: Object with ``read(n)``.
    :param size: Size in bytes, if known; a stream with another size is refused.
    :param tags: Tags of the version.
    :param precondition: Called in the transaction that records the version.
    :returns: The version.
    :raises InvalidKeyError: If the key is too long, cannot be stored, or has a segment ``.`` or ``..``.
    :raises BucketLockedError: If the bucket has been locked in the meantime.
    :raises BucketDeletedError: If it has been deleted in the meantime.
    :raises FileSizeError: If a size limit is exceeded.
    :raises UnexpectedFileSizeError: If the stream does not have the given size.
    :raises StorageError: If the storage fails, or the bucket's location is away.
    """
    validate_new_key(key)
    bucket_id, store = bucket.id, prepare(bucket)
    release_connection()
    file = store(stream, size=size)

    def record() -> ObjectVersion:
        # Each attempt needs objects of its own, since those of a failed one are unusable.
        return ObjectVersion.record(bucket_id, key, file.twin(), limited=True, tags=tags, precondition=precondition)

    version = commit_or_discard(file, record)
    notify(file_uploaded, version)
    return version


def delete_object(bucket: Bucket, key: str, precondition: Precondition) -> ObjectVersion:
    """Add a delete marker to an object, and commit.

    :param bucket: The bucket.
    :param key: Key of the object.
    :param precondition: Called in the transaction that records the marker.
    :returns: The delete marker.
    :raises BucketLockedError: If the bucket is locked.
    """
    bucket_id = bucket.id
    release_connection()
    marker = in_transaction(lambda: ObjectVersion.record(bucket_id, key, None, precondition=precondition))
    notify(file_deleted, marker)
    return marker


def remove_version(version: ObjectVersion) -> bool:
    """Remove a version permanently, commit, and send the task that removes its file if nothing else refers to it.

    A file outside all locations belongs to others and stays.

    :param version: The version.
    :returns: Whether it was removed; ``False`` if another request has already removed it.
    :raises BucketLockedError: If the bucket is locked.
    """
    bucket_id, key, version_id = version.bucket_id, version.key, version.version_id
    release_connection()

    def remove() -> ObjectVersion | None:
        Bucket.claim(bucket_id, deleted=True)
        current = ObjectVersion.get(bucket_id, key, version_id)
        return current and current.remove()

    removed = in_transaction(remove)
    if removed is None:
        return False
    file = removed.file
    notify(file_deleted, removed)
    if file is not None and Location.of_uri(file.uri) is not None:
        send_task("remove_file_data", str(file.id), force=True)
    return True


def restore_version(bucket_id: uuid.UUID, key: str, version_id: uuid.UUID) -> ObjectVersion | None:
    """Make the file and the tags of an earlier version those of a new one, which becomes the head, and commit.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    :param version_id: Identifier of the earlier version.
    :returns: The new version; ``None`` if the earlier one does not exist.
    :raises InvalidOperationError: If that is the head, or a delete marker.
    :raises BucketLockedError: If the bucket is locked.
    :raises BucketDeletedError: If it is marked as deleted, or does not exist.
    """
    release_connection()

    def restore() -> ObjectVersion | None:
        Bucket.claim(bucket_id)
        version = ObjectVersion.get(bucket_id, key, version_id)
        return version and version.restore()

    restored = in_transaction(restore)
    if restored is not None:
        notify(file_uploaded, restored)
    return restored


def tag_version(
    bucket_id: uuid.UUID,
    key: str,
    version_id: uuid.UUID | None,
    tags: Mapping[str, str],
    removed: Collection[str] = (),
) -> dict[str, str] | None:
    """Set and remove tags of a version, and commit.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    :param version_id: Identifier of the version; ``None`` for the head.
    :param tags: Tags to add or change.
    :param removed: Keys of tags to remove, which need not exist.
    :returns: All its tags; ``None`` if the version does not exist.
    :raises InvalidTagError: If a tag is empty or too long.
    :raises BucketLockedError: If the bucket is locked.
    :raises BucketDeletedError: If it is marked as deleted, or does not exist.
    """
    for name, value in tags.items():
        validate_tag(name, value)
    release_connection()

    def change() -> dict[str, str] | None:
        Bucket.claim(bucket_id)
        version = ObjectVersion.get(bucket_id, key, version_id)
        if version is None:
            return None
        for name in removed:
            ObjectVersionTag.delete(version.version_id, name)
        for name, value in tags.items():
            ObjectVersionTag.create_or_update(version.version_id, name, value)
        return version.get_tags()

    return in_transaction(change)


def replace_version_tags(
    bucket_id: uuid.UUID,
    version_id: uuid.UUID,
    tags: Mapping[str, str],
    precondition: TagsPrecondition | None = None,
) -> bool:
    """Give a version other tags instead of those that it has, and commit.

    :param bucket_id: Identifier of its bucket.
    :param version_id: Identifier of the version.
    :param tags: Its new tags.
    :param precondition: Called in the transaction that replaces the tags.
    :returns: Whether the version still exists.
    :raises InvalidTagError: If a tag is empty or too long, or there are too many.
    :raises BucketLockedError: If the bucket is locked.
    :raises BucketDeletedError: If it is marked as deleted, or does not exist.
    """
    validate_tags(tags)
    release_connection()

    def replace() -> bool:
        Bucket.claim(bucket_id)
        if ObjectVersion.hold(version_id) is None:
            return False
        if precondition is not None:
            precondition(ObjectVersionTag.of(version_id))
        ObjectVersionTag.replace(version_id, tags)
        return True

    return in_transaction(replace)
