"""Queries and changes of many files and buckets: what is in use, what may be deleted, what sizes should be."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from invenio_db import db
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Query

from .base import execute, utcnow
from .bucket import Bucket
from .file_instance import FileInstance
from .multipart import MultipartObject
from .object_version import ObjectVersion
from .upload import Upload


def known_files(file_ids: Collection[uuid.UUID], uris: Collection[str]) -> tuple[set[uuid.UUID], set[str]]:
    """Return which identifiers and URIs the database knows.

    :param file_ids: Identifiers.
    :param uris: URIs.
    :returns: The identifiers of files and of uploads in progress, and the URIs of files, that are among these.
    """
    by_id = select(FileInstance.id).where(FileInstance.id.in_(file_ids)).union_all(Upload.among(file_ids))
    by_uri = select(FileInstance.uri).where(FileInstance.uri.in_(uris))
    return set(db.session.scalars(by_id)), set(db.session.scalars(by_uri))


def uploads_in_progress(upload_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return which identifiers belong to uploads in progress, whose bytes lie next to the file that they become.

    :param upload_ids: Identifiers.
    """
    return set(db.session.scalars(Upload.among(upload_ids)))


def files_in_progress(file_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return which files have a row and are not readable yet, as those whose parts are still being uploaded.

    :param file_ids: Identifiers.
    """
    return set(db.session.scalars(select(FileInstance.id).where(FileInstance.id.in_(file_ids), ~FileInstance.readable)))


def delete_unused(file_ids: Collection[uuid.UUID], before: datetime) -> set[uuid.UUID]:
    """Delete the rows of files that still nothing refers to; their bytes stay.

    :param file_ids: Identifiers of the files.
    :param before: Only files that were last changed before this time are deleted.
    :returns: Identifiers of the files that no longer exist.
    """
    condition = FileInstance.id.in_(file_ids)
    execute(delete(FileInstance).where(condition, FileInstance.unused(), FileInstance.updated < before))
    return set(file_ids) - set(db.session.scalars(select(FileInstance.id).where(condition)))


def verifiable_files(bucket_id: uuid.UUID | None = None) -> Query[Any]:
    """Return a query of the files that can be verified: those that are readable.

    :param bucket_id: Identifier of a bucket; by default the files of all buckets.
    """
    query = FileInstance.query.filter(FileInstance.readable)
    return query if bucket_id is None else query.filter(files_in_bucket(bucket_id))


def stored_files() -> Query[Any]:
    """Return a query of the files that have a URI."""
    return FileInstance.query.filter(FileInstance.uri.isnot(None))


def count_and_size(files: Query[Any]) -> tuple[int, int]:
    """Return the number of files that a query finds, and their total size in bytes.

    :param files: The query.
    """
    totals = files.order_by(None).with_entities(func.count(), func.coalesce(func.sum(FileInstance.size), 0))
    count, size = totals.one()
    return int(count), int(size)


def uris_of(file_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return the URIs of files, without those that do not exist.

    :param file_ids: Identifiers of the files.
    """
    found = select(FileInstance.id, FileInstance.uri).where(FileInstance.id.in_(file_ids))
    return dict(db.session.execute(found).tuples().all()) if file_ids else {}


def files_in_bucket(bucket_id: uuid.UUID) -> Any:
    """Return the condition that a version in a bucket refers to a file.

    :param bucket_id: Identifier of the bucket.
    """
    return FileInstance.objects.any(ObjectVersion.bucket_id == bucket_id)


def files_in_use(bucket_id: uuid.UUID | None = None) -> Query[Any]:
    """Return a query of the readable files that object versions refer to.

    :param bucket_id: Identifier of the bucket of the versions; by default any bucket.
    """
    is_used = FileInstance.objects.any() if bucket_id is None else files_in_bucket(bucket_id)
    return FileInstance.query.filter(FileInstance.readable, is_used)


def is_in_use(location_id: int, uri: str) -> bool:
    """Return whether a location has buckets, including those marked as deleted, or files.

    :param location_id: Identifier of the location.
    :param uri: Its URI.
    """
    buckets = select(Bucket.id).where(Bucket.default_location == location_id).limit(1)
    return db.session.execute(buckets).first() is not None or bool(FileInstance.uris_below(uri, 1))


def put_new_files(location_id: int, *buckets: Any) -> int:
    """Make a location the one for new files of some buckets.

    :param location_id: Identifier of the location.
    :param buckets: Conditions that select the buckets.
    :returns: The number of buckets that have changed.
    """
    statement = update(Bucket).where(Bucket.default_location != location_id, *buckets)
    return int(execute(statement.values(default_location=location_id, updated=utcnow())).rowcount)


def buckets_of_wrong_size() -> Query[Any]:
    """Return a query of the buckets whose size is not the sum of their versions and uploads.

    Its rows have ``id``, ``size`` and ``sum``.
    """
    versions = (
        select(ObjectVersion.bucket_id, func.sum(FileInstance.size).label("size"))
        .join(FileInstance, FileInstance.id == ObjectVersion.file_id)
        .group_by(ObjectVersion.bucket_id)
        .subquery()
    )
    uploads = (
        select(MultipartObject.bucket_id, func.sum(MultipartObject.size).label("size"))
        .group_by(MultipartObject.bucket_id)
        .subquery()
    )
    claims = select(Upload.bucket_id, func.sum(Upload.claimed).label("size")).group_by(Upload.bucket_id).subquery()
    total = func.coalesce(versions.c.size, 0) + func.coalesce(uploads.c.size, 0) + func.coalesce(claims.c.size, 0)
    return (
        db.session.query(Bucket.id, Bucket.size, total.label("sum"))
        .outerjoin(versions, versions.c.bucket_id == Bucket.id)
        .outerjoin(uploads, uploads.c.bucket_id == Bucket.id)
        .outerjoin(claims, claims.c.bucket_id == Bucket.id)
        .filter(Bucket.size != total)
    )


def recount(bucket_id: uuid.UUID) -> None:
    """Set the size of a bucket to the sum of its versions and uploads, under the bucket's lock.

    :param bucket_id: Identifier of the bucket.
    :raises BucketDeletedError: If it does not exist.
    """
    Bucket.claim(bucket_id, deleted=True, locked=True)
    versions = select(func.coalesce(func.sum(FileInstance.size), 0)).join(
        ObjectVersion, ObjectVersion.file_id == FileInstance.id
    )
    uploads = select(func.coalesce(func.sum(MultipartObject.size), 0))
    claims = select(func.coalesce(func.sum(Upload.claimed), 0))
    total = (
        versions.where(ObjectVersion.bucket_id == bucket_id).scalar_subquery()
        + uploads.where(MultipartObject.bucket_id == bucket_id).scalar_subquery()
        + claims.where(Upload.bucket_id == bucket_id).scalar_subquery()
    )
    # A statement of its own, so that it sees what others committed before the bucket was locked.
    execute(update(Bucket).where(Bucket.id == bucket_id).values(size=total, updated=utcnow()))
