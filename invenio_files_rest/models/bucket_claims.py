"""The size of a bucket, its limits, and the lock for every change.

Whoever changes the objects of a bucket first locks its row with :meth:`Bucket.claim`, until the end of the transaction.
This one lock, which works on every database, makes sure that each key has one head, that the size is exact and that the
quota is never exceeded.
"""

from __future__ import annotations

import uuid
from functools import cache
from typing import TYPE_CHECKING, Any

from invenio_db import db
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import attributes

from ..errors import BucketDeletedError, BucketLockedError, FilesException, FileSizeError
from ..limiters import FileSizeLimit
from ..messages import lazy_gettext as _
from ..proxies import current_files_rest
from .base import Mixin, loaded, read_again, utcnow

if TYPE_CHECKING:
    from .bucket import Bucket

LARGEST_SIZE = 2**63 - 1
"""Largest size and largest limit in bytes: those of a column of big integers."""


class BucketClaims(Mixin):
    """The part of :class:`Bucket` that locks it, and counts what is in it."""

    @property
    def quota_left(self) -> int | None:
        """Bytes left of the quota; ``None`` if there is no quota."""
        if self.quota_size is None:
            return None
        return max(self.quota_size - self.size, 0)

    @property
    def size_limit(self) -> FileSizeLimit | None:
        """The tightest limit on the next file; ``None`` if there is no limit."""
        limits = [limit for limit in current_files_rest.file_size_limiters(self) if limit.limit is not None]
        return min(limits) if limits else None

    @classmethod
    def claim(
        cls,
        bucket_id: uuid.UUID,
        size: int = 0,
        limited: bool = False,
        deleted: bool = False,
        locked: bool = False,
    ) -> None:
        """Lock the bucket's row until the end of the transaction, and add to its size.

        :param bucket_id: Identifier of the bucket.
        :param size: Bytes to add; negative to subtract.
        :param limited: Whether to enforce the size limits, as they are once the row is locked.
        :param deleted: Whether the bucket may be marked as deleted.
        :param locked: Whether the bucket may be read-only.
        :raises BucketLockedError: If the bucket is read-only and ``locked`` is not set.
        :raises BucketDeletedError: If it is marked as deleted and ``deleted`` is not set, or if it does not exist.
        :raises FileSizeError: If a limit is exceeded; the size is then unchanged.
        """
        db.session.flush()
        bucket = None
        if limited and db.engine.dialect.update_returning:
            bucket = cls._add_size(bucket_id, size, deleted, locked, returning=True).scalar_one_or_none()
            taken = bucket is not None
        else:
            taken = cls._add_size(bucket_id, size, deleted, locked).rowcount
        if not taken:
            raise cls._refusal(bucket_id, size, locked)
        if limited:
            bucket = bucket or db.session.get(cls, bucket_id, populate_existing=True, with_for_update=True)
            limit = bucket.size_limit_before(size)
            if limit is not None and size > limit.limit:
                cls._add_size(bucket_id, -size, deleted=True, locked=True)
                read_again(bucket, ["size", "updated"])
                raise FileSizeError(description=limit.reason)
        if bucket := loaded(cls, bucket_id):
            read_again(bucket, ["size", "updated"])

    @classmethod
    def hold(cls, bucket_id: uuid.UUID, deleted: bool = False, locked: bool = False) -> Bucket:
        """Lock the bucket's row until the end of the transaction, and return the bucket as it is now.

        :param bucket_id: Identifier of the bucket.
        :param deleted: Whether the bucket may be marked as deleted.
        :param locked: Whether the bucket may be read-only.
        :raises BucketLockedError: See :meth:`claim`.
        :raises BucketDeletedError: See :meth:`claim`.
        """
        cls.claim(bucket_id, deleted=deleted, locked=locked)
        return db.session.get_one(cls, bucket_id, populate_existing=True, with_for_update=True)

    @classmethod
    def hold_to_read(cls, bucket_id: uuid.UUID) -> Bucket:
        """Keep others from changing a bucket until the end of the transaction, and return it as it is now.

        :param bucket_id: Identifier of the bucket, which may be read-only.
        :raises BucketDeletedError: If it is marked as deleted, or does not exist.
        """
        bucket = db.session.get(cls, bucket_id, populate_existing=True, with_for_update=True)
        if bucket is None or bucket.deleted:
            raise BucketDeletedError()
        return bucket

    @classmethod
    def _refusal(cls, bucket_id: uuid.UUID, size: int, locked: bool) -> FilesException:
        """Return why a bucket's row could not be claimed."""
        found = db.session.execute(select(cls.locked, cls.size).where(cls.id == bucket_id)).one_or_none()
        if found is not None and found.locked and not locked:
            return BucketLockedError()
        if found is not None and found.size + size > LARGEST_SIZE:
            return FileSizeError(description=_("A bucket cannot have so many bytes."))
        return BucketDeletedError()

    @classmethod
    def _add_size(cls, bucket_id: uuid.UUID, size: int, deleted: bool, locked: bool, returning: bool = False) -> Any:
        most = LARGEST_SIZE - max(0, size)
        values = {"claimed": bucket_id, "added": size, "most": most, "now": utcnow()}
        return db.session.execute(cls._adding_size(deleted, locked, returning), values)

    @classmethod
    @cache
    def _adding_size(cls, deleted: bool, locked: bool, returning: bool) -> Any:
        # On the table rather than the model, which takes SQLAlchemy half the time.
        rows = cls.__table__.c
        conditions = [rows.id == bindparam("claimed"), rows.size <= bindparam("most")]
        if not locked:
            conditions.append(~rows.locked)
        if not deleted:
            conditions.append(~rows.deleted)
        values = {"size": rows.size + bindparam("added"), "updated": bindparam("now")}
        statement = update(cls.__table__).where(*conditions).values(values)
        if not returning:
            return statement
        return select(cls).from_statement(statement.returning(*rows)).execution_options(populate_existing=True)

    def size_limit_before(self, size: int) -> FileSizeLimit | None:
        """Return the tightest limit on the next file as it was before some bytes were added.

        :param size: Number of these bytes; negative for the limit as it will be after bytes are added.
        """
        after = self.size
        attributes.set_committed_value(self, "size", after - size)
        try:
            return self.size_limit
        finally:
            attributes.set_committed_value(self, "size", after)
