"""Buckets: containers of objects."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from flask import current_app
from invenio_db import db
from sqlalchemy import and_, bindparam, delete, or_, select
from sqlalchemy.orm import Query, joinedload, validates
from sqlalchemy_utils.types import UUIDType

from ..errors import (
    BucketDeletedError,
    BucketLockedError,
    FilesException,
    InvalidOperationError,
)
from ..messages import lazy_gettext as _
from ..proxies import current_files_rest
from .base import Timestamp, read
from .bucket_claims import LARGEST_SIZE, BucketClaims
from .location import Location


class SyncResult(NamedTuple):
    """What :meth:`Bucket.sync` did."""

    bucket: Bucket
    """The destination."""

    changes: list[tuple[str, Any]]
    """``("add", object_version)`` for each object added there, ``("delete", key)`` for each one deleted."""


class Bucket(BucketClaims, db.Model, Timestamp):
    """A container of objects."""

    __tablename__ = "files_bucket"

    id = db.Column(UUIDType, primary_key=True, default=uuid.uuid4)
    """Identifier of the bucket."""

    default_location = db.Column(db.Integer, db.ForeignKey(Location.id, ondelete="RESTRICT"), nullable=False)
    """Identifier of the location for new files."""

    default_storage_class = db.Column(
        db.String(1), nullable=False, default=lambda: current_app.config["FILES_REST_DEFAULT_STORAGE_CLASS"]
    )
    """Storage class of new files."""

    size = db.Column(db.BigInteger, default=0, nullable=False)
    """Size of all versions of all objects in bytes, plus what uploads in progress have claimed."""

    quota_size = db.Column(
        db.BigInteger, nullable=True, default=lambda: current_app.config["FILES_REST_DEFAULT_QUOTA_SIZE"]
    )
    """Largest :attr:`size` that uploads may reach, in bytes; ``None`` for no limit."""

    max_file_size = db.Column(
        db.BigInteger, nullable=True, default=lambda: current_app.config["FILES_REST_DEFAULT_MAX_FILE_SIZE"]
    )
    """Largest size of a file, in bytes; ``None`` for no limit."""

    locked = db.Column(db.Boolean(name="locked"), default=False, nullable=False)
    """Whether the bucket is read-only."""

    deleted = db.Column(db.Boolean(name="deleted"), default=False, nullable=False)
    """Whether the bucket is marked as deleted."""

    location = db.relationship(Location, backref="buckets")
    """The location for new files."""

    @validates("default_storage_class")
    def validate_storage_class(self, key: str, default_storage_class: str) -> str:
        """Check the storage class against ``FILES_REST_STORAGE_CLASS_LIST``.

        :raises ValueError: If it is not one of them.
        """
        if default_storage_class not in current_app.config["FILES_REST_STORAGE_CLASS_LIST"]:
            raise ValueError("Invalid storage class.")
        return default_storage_class

    @validates("quota_size", "max_file_size")
    def validate_limit(self, key: str, limit: Any) -> Any:
        """Check that a limit fits its column.

        :raises ValueError: If it is negative or too large.
        """
        if isinstance(limit, int | float) and not 0 <= limit <= LARGEST_SIZE:
            raise ValueError(f"A size limit has 0 to {LARGEST_SIZE} bytes, not {limit}.")
        return limit

    @classmethod
    def create(cls, location: Location | str | None = None, storage_class: str | None = None, **kwargs: Any) -> Bucket:
        """Create a bucket.

        :param location: Location of its files, or the location's name; by default the default location.
        :param storage_class: Storage class of its files; by default the one in the configuration.
        :param kwargs: Other attributes of the bucket.
        :returns: The bucket, flushed.
        :raises ValueError: If the location or the storage class is unknown.
        :raises FilesException: If there is no default location.
        """
        if location is None:
            location = Location.get_default()
            if location is None:
                raise FilesException(description=_("No default location is set up."))
        elif isinstance(location, str):
            name = location
            location = Location.get_by_name(name)
            if location is None:
                raise ValueError(f"Unknown location: {name}")
        bucket = cls(
            id=kwargs.pop("id", None) or uuid.uuid4(),
            default_storage_class=storage_class or current_app.config["FILES_REST_DEFAULT_STORAGE_CLASS"],
            **kwargs,
            # Last, so that a bucket that is refused is not added to the location's buckets.
            location=location,
        )
        db.session.add(bucket)
        db.session.flush()
        return bucket

    @classmethod
    def get(cls, bucket_id: uuid.UUID | str) -> Bucket | None:
        """Return a bucket, or ``None`` if it does not exist or is deleted.

        :param bucket_id: Identifier of the bucket.
        """
        found: Bucket | None = read(cls._live_bucket(), {"bucket_id": bucket_id}).scalar_one_or_none()
        return found

    @classmethod
    def exists(cls, bucket_id: uuid.UUID) -> bool:
        """Return whether a bucket exists, even if it is marked as deleted.

        :param bucket_id: Identifier of the bucket.
        """
        return db.session.scalar(select(cls.id).where(cls.id == bucket_id)) is not None

    @classmethod
    @cache
    def _live_bucket(cls) -> Any:
        # Cached, since building a statement and looking up its compiled form take as long as running it.
        location = joinedload(cls.location, innerjoin=True).joinedload(Location.marking)
        with_location = select(cls).options(location)
        return with_location.where(cls.id == bindparam("bucket_id"), ~cls.deleted)

    @classmethod
    def all(cls) -> Query[Any]:
        """Return a query of all buckets that are not deleted."""
        return cls.query.filter_by(deleted=False)

    @classmethod
    def newest(
        cls, limit: int, before: tuple[datetime, uuid.UUID] | None = None, among: Collection[uuid.UUID] | None = None
    ) -> Iterator[Bucket]:
        """Iterate over buckets that are not deleted, from the newest to the oldest.

        :param limit: Largest number of buckets.
        :param before: When the bucket after which to go on was created, and its identifier. It need not exist any more.
        :param among: Identifiers of those to choose from; ``None`` for all.
        """
        query = select(cls).where(~cls.deleted).order_by(cls.created.desc(), cls.id.desc()).limit(limit)
        if among is not None:
            query = query.where(cls.id.in_(among))
        if before is not None:
            created, bucket_id = before
            query = query.where(or_(cls.created < created, and_(cls.created == created, cls.id < bucket_id)))
        return iter(db.session.scalars(query))

    @classmethod
    def delete(cls, bucket_id: uuid.UUID | str) -> bool:
        """Mark a bucket as deleted. Its objects stay, but cannot be reached any more.

        :param bucket_id: Identifier of the bucket.
        :returns: Whether the bucket exists.
        """
        bucket = cls.get(bucket_id)
        if bucket is None:
            return False
        bucket.deleted = True
        return True

    def get_tags(self) -> dict[str, str]:
        """Return the tags as a dictionary."""
        return {tag.key: tag.value for tag in self.tags}

    def snapshot(self, lock: bool = False) -> Bucket:
        """Copy the heads into a new bucket, without copying any file.

        :param lock: Whether to make the new bucket read-only. The copy of a read-only bucket is always read-only.
        :returns: The new bucket.
        :raises InvalidOperationError: If this bucket is deleted.
        """
        self._ensure_not_deleted()
        copy = type(self).create(
            self.location,
            storage_class=self.default_storage_class,
            quota_size=self.quota_size,
            max_file_size=self.max_file_size,
            locked=False,
        )
        current_files_rest.bulk.snapshot_heads(self.id, copy.id)
        copy.locked = lock or self.locked
        return copy

    def sync(self, bucket: Bucket, delete_extras: bool = False) -> SyncResult:
        """Give another bucket the objects of this one, without copying any file.

        An object with a different file is added there as a new version; one that is deleted here is deleted there.

        :param bucket: The destination.
        :param delete_extras: Whether to delete objects there of which this bucket has no version.
        :returns: The destination and the changes.
        :raises InvalidOperationError: If either bucket is deleted, or the destination is locked.
        """
        self._ensure_not_deleted()
        return SyncResult(bucket, current_files_rest.bulk.sync_heads(self.id, bucket.id, delete_extras))

    def remove(self) -> Bucket:
        """Remove the bucket permanently, with all versions of its objects, its tags and its uploads.

        The files stay; the sweep removes those that nothing else refers to.

        :returns: The bucket.
        :raises BucketLockedError: If it is locked.
        """
        type(self).claim(self.id, deleted=True)
        current_files_rest.bulk.remove_contents(self.id)
        db.session.execute(delete(Bucket).where(Bucket.id == self.id))
        return self

    def _ensure_not_deleted(self) -> None:
        if self.deleted:
            raise InvalidOperationError(description=_("Bucket is deleted."))

    def __repr__(self) -> str:
        """Return the identifier."""
        return str(self.id)


def as_bucket(value: Bucket | uuid.UUID | str) -> Bucket | None:
    """Return a bucket, given itself or its identifier.

    :param value: The bucket, or its identifier.
    """
    return value if isinstance(value, Bucket) else Bucket.get(value)


def as_bucket_id(value: Bucket | uuid.UUID | str) -> Any:
    """Return the identifier of a bucket, given the bucket or its identifier.

    :param value: The bucket, or its identifier.
    """
    return value.id if isinstance(value, Bucket) else value


def open_bucket(value: Bucket | uuid.UUID | str) -> Bucket:
    """Return a bucket after checking that objects may be added to it.

    :param value: The bucket, or its identifier.
    :raises BucketDeletedError: If it is deleted or does not exist.
    :raises BucketLockedError: If it is read-only.
    """
    bucket = as_bucket(value)
    if bucket is None or bucket.deleted:
        raise BucketDeletedError()
    if bucket.locked:
        raise BucketLockedError()
    return bucket
