"""Copying the heads of a bucket to another: a new one, or one that is brought in line. No file is copied.

Each is one transaction, with a number of statements that does not grow with that of the objects.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from flask import current_app

from ..errors import BucketDeletedError
from ..models import Bucket, ObjectVersion
from ..models.bulk import apply_differences
from ..signals import file_deleted, file_uploaded, notify
from .batches import in_batches
from .transactions import in_transaction, release_connection

if TYPE_CHECKING:
    from blinker import NamedSignal


def snapshot_bucket(bucket_id: uuid.UUID, lock: bool, complete: Callable[[Bucket], Any]) -> Bucket:
    """Copy the heads of a bucket to a new one, and commit.

    :param bucket_id: Identifier of the bucket.
    :param lock: Whether to make the new bucket read-only. The copy of a read-only bucket is always read-only.
    :param complete: Called with the new bucket in the transaction.
    :returns: The new bucket.
    :raises BucketDeletedError: If the bucket is deleted.
    """
    release_connection()

    def snapshot() -> Bucket:
        copy = Bucket.hold_to_read(bucket_id).snapshot(lock)
        complete(copy)
        return copy

    copy = in_transaction(snapshot)
    _announce(file_uploaded, ObjectVersion.get_by_bucket(copy))
    return copy


def sync_bucket(source_id: uuid.UUID, bucket_id: uuid.UUID, delete_extras: bool) -> datetime | None:
    """Give a bucket the heads of another, within its size limits, and commit.

    :param source_id: Identifier of the other bucket.
    :param bucket_id: Identifier of the bucket to change.
    :param delete_extras: Whether to delete objects of which the other bucket has no version.
    :returns: ``created`` of the new versions, delete markers among them; ``None`` if there are none.
    :raises BucketDeletedError: If either bucket is deleted.
    :raises BucketLockedError: If the bucket to change is locked.
    :raises FileSizeError: If a size limit is exceeded; then nothing has changed.
    """
    release_connection()

    def sync() -> datetime | None:
        created = apply_differences(source_id, bucket_id, delete_extras, limited=True)
        # Since it is locked until the end, it has been so from the beginning.
        if Bucket.get(source_id) is None:
            raise BucketDeletedError()
        return created

    created = in_transaction(sync)
    if created is not None:
        _announce(file_uploaded, ObjectVersion.made_at(bucket_id, created, deleted=False))
        _announce(file_deleted, ObjectVersion.made_at(bucket_id, created, deleted=True))
    return created


def _announce(signal: NamedSignal, versions: Any) -> None:
    """Send a signal for each of some versions with different keys, in batches, if anybody listens."""
    if signal.has_receivers_for(current_app._get_current_object()):  # type: ignore[attr-defined]
        for version in chain.from_iterable(in_batches(versions, ObjectVersion.key)):
            notify(signal, version)
