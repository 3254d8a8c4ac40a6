"""What the arguments of a command name."""

from __future__ import annotations

from uuid import UUID

from ..errors import BucketDeletedError
from ..models import Bucket, Location, ObjectVersion


def found_bucket(bucket_id: UUID) -> Bucket:
    """Return a bucket that is not deleted.

    :param bucket_id: Its identifier.
    :raises BucketDeletedError: If there is none.
    """
    bucket = Bucket.get(bucket_id)
    if bucket is None:
        raise BucketDeletedError()
    return bucket


def found_location(name: str) -> Location:
    """Return a location.

    :param name: Its name.
    :raises ValueError: If there is none.
    """
    location = Location.get_by_name(name)
    if location is None:
        raise ValueError(f"Location {name} not found.")
    return location


def found_version(bucket_id: UUID, key: str, version_id: UUID | None) -> ObjectVersion:
    """Return a version of an object in a bucket that is not deleted.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    :param version_id: Identifier of the version; ``None`` for the head.
    :raises BucketDeletedError: If there is no such bucket.
    :raises ValueError: If there is no such version, or the object is deleted and no version is given.
    """
    bucket, version = ObjectVersion.find(bucket_id, key, version_id)
    if bucket is None:
        raise BucketDeletedError()
    if version is None:
        raise not_found(version_id)
    return version


def not_found(version_id: UUID | None) -> ValueError:
    """Return the error that an object, or a version of it, does not exist.

    :param version_id: Identifier of the version; ``None`` for the head.
    """
    if version_id is None:
        return ValueError("Object not found. It may be deleted: 'files object list --versions' lists what there is.")
    return ValueError(f"Version {version_id} of the object not found.")
