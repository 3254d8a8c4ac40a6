"""Counts and sums over buckets, files and uploads, for operators."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, NamedTuple

from invenio_db import db
from sqlalchemy import case, func, select
from sqlalchemy.orm import Query

from .bucket import Bucket
from .file_instance import FileInstance
from .inventory import count_and_size
from .multipart import MultipartObject
from .object_version import ObjectVersion
from .upload import Upload


class BucketTotals(NamedTuple):
    """The buckets of a location that are not marked as deleted."""

    buckets: int = 0
    size: int = 0
    """Sum of their sizes, in bytes."""
    quota: int | None = 0
    """Sum of their quotas, in bytes; ``None`` if one of them has no quota."""


class FileTotals(NamedTuple):
    """The readable files, and what their last checks found."""

    files: int
    size: int
    """Sum of their sizes, in bytes."""
    unchecked: int
    """How many have never been checked."""
    failed: int
    """How many had other bytes than those that were stored, at their last check."""
    unreadable: int
    """How many could not be compared at their last check."""
    oldest_check: datetime | None
    """When the file was checked whose last check is longest ago."""


class UploadTotals(NamedTuple):
    """The uploads in progress."""

    uploads: int
    size: int
    """What they have claimed of their buckets, in bytes."""
    oldest: datetime | None
    """When the first of them was begun."""


class Contents(NamedTuple):
    """What a bucket contains."""

    objects: int
    """Number of keys that are not deleted."""
    versions: int
    """Number of versions, with delete markers."""
    uploads: int
    """Number of uploads in progress."""


def buckets(location_id: int | None = None, deleted: bool = False) -> Query[Any]:
    """Return a query of buckets.

    :param location_id: Identifier of the location that they belong to; ``None`` for any.
    :param deleted: Whether to include those that are marked as deleted.
    """
    query = Bucket.query if deleted else Bucket.all()
    return query if location_id is None else query.filter(Bucket.default_location == location_id)


def bucket_totals() -> dict[int, BucketTotals]:
    """Return the sums of the buckets of each location that has one, by the location's identifier."""
    sums = select(
        Bucket.default_location,
        func.count(),
        func.sum(Bucket.size),
        func.sum(Bucket.quota_size),
        func.count(Bucket.quota_size),
    )
    rows = db.session.execute(sums.where(~Bucket.deleted).group_by(Bucket.default_location))
    return {
        location_id: BucketTotals(count, int(size), int(quota) if limited == count else None)
        for location_id, count, size, quota, limited in rows
    }


def file_totals() -> FileTotals:
    """Return the sums of all readable files."""
    checked = FileInstance.last_check_at.isnot(None)

    def number(condition: Any) -> Any:
        return func.count(case((condition, 1)))

    sums = select(
        func.count(),
        func.coalesce(func.sum(FileInstance.size), 0),
        number(~checked),
        number(FileInstance.last_check.is_(False)),
        number(FileInstance.last_check.is_(None) & checked),
        func.min(FileInstance.last_check_at),
    ).where(FileInstance.readable)
    files, size, unchecked, failed, unreadable, oldest = db.session.execute(sums).one()
    return FileTotals(files, int(size), unchecked, failed, unreadable, oldest)


def upload_totals() -> UploadTotals:
    """Return the sums of all uploads in progress, of any protocol."""
    counted = func.count()
    of_parts = select(counted, func.sum(MultipartObject.size), func.min(MultipartObject.created))
    of_others = select(counted, func.sum(Upload.claimed), func.min(Upload.created)).where(Upload.in_progress())
    found = [db.session.execute(statement).one() for statement in (of_parts, of_others)]
    oldest = min((begun for _, _, begun in found if begun is not None), default=None)
    return UploadTotals(sum(count for count, _, _ in found), sum(int(size or 0) for _, size, _ in found), oldest)


def orphan_totals() -> tuple[int, int]:
    """Return how many files nothing refers to, and the sum of their sizes in bytes."""
    return count_and_size(FileInstance.query_orphaned())


def contents(bucket_id: uuid.UUID) -> Contents:
    """Return what a bucket contains.

    :param bucket_id: Its identifier.
    """
    live = case((ObjectVersion.is_head & ObjectVersion.file_id.isnot(None), 1))
    versions = select(func.count(live), func.count()).where(ObjectVersion.bucket_id == bucket_id)
    objects, all_versions = db.session.execute(versions).one()
    parts = select(func.count()).where(MultipartObject.bucket_id == bucket_id)
    uploads = int(db.session.scalar(parts) or 0) + Upload.count_open(bucket_id)
    return Contents(objects, all_versions, uploads)
