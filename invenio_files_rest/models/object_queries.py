"""Finding versions of objects: by bucket and key, and by the file that they refer to."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from invenio_db import db
from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import Query, attributes, joinedload

from .base import Mixin, loaded_values, read
from .bucket import Bucket, as_bucket_id
from .file_instance import FileInstance

if TYPE_CHECKING:
    from .object_version import ObjectVersion


class ObjectQueries(Mixin):
    """The part of :class:`ObjectVersion` that finds versions."""

    @classmethod
    def get(
        cls,
        bucket: Bucket | uuid.UUID | str,
        key: str,
        version_id: uuid.UUID | str | None = None,
    ) -> ObjectVersion | None:
        """Return the head of an object, or a version of it.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :param version_id: Identifier of a version, which may be a delete marker.
        :returns: The version; ``None`` if it does not exist or, for the head, if the object is deleted.
        """
        if "\0" in key:
            # No key contains it, and PostgreSQL rejects it as a parameter.
            return None
        values = {"bucket": as_bucket_id(bucket), "object_key": key}
        if version_id:
            statement = cls._one_version()
            version: ObjectVersion | None = db.session.execute(
                statement, {**values, "version": version_id}
            ).scalar_one_or_none()
            return version
        head: ObjectVersion | None = db.session.execute(cls._head(), values).scalars().first()
        return None if head is None or head.deleted else head

    @classmethod
    def get_many(cls, version_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, ObjectVersion]:
        """Return versions, with their files, by their identifiers.

        :param version_ids: The identifiers.
        """
        found = select(cls).options(joinedload(cls.file)).where(cls.version_id.in_(version_ids))
        return {version.version_id: version for version in db.session.scalars(found)}

    @classmethod
    @cache
    def _one_version(cls) -> Any:
        return cls._versions().where(cls.version_id == bindparam("version"))

    @classmethod
    @cache
    def _head(cls) -> Any:
        # On MySQL, a snapshot may still have a head of another transaction that a version of this one has replaced.
        return cls._versions().where(cls.is_head).order_by(cls.created.desc()).limit(1)

    @classmethod
    def _versions(cls) -> Any:
        statement = select(cls).options(joinedload(cls.file))
        return statement.where(cls.bucket_id == bindparam("bucket"), cls.key == bindparam("object_key"))

    @classmethod
    def find(
        cls, bucket_id: uuid.UUID | str, key: str, version_id: uuid.UUID | str | None = None
    ) -> tuple[Bucket | None, ObjectVersion | None]:
        """Return a bucket and an object in it, with a single statement.

        :param bucket_id: Identifier of the bucket.
        :param key: Key of the object.
        :param version_id: Identifier of a version, which may be a delete marker.
        :returns: The bucket, or ``None`` if it does not exist or is deleted; and what :meth:`get` returns.
        """
        if "\0" in key:
            return Bucket.get(bucket_id), None
        values = {"bucket": bucket_id, "object_key": key, "version": version_id}
        statement = cls._in_bucket(by_version=version_id is not None)
        bucket, version, file = read(statement, values).first() or (None, None, None)
        if version is None or (version.deleted and not version_id):
            return bucket, None
        attributes.set_committed_value(version, "bucket", bucket)
        if "file" not in loaded_values(version):
            attributes.set_committed_value(version, "file", file)
        return bucket, version

    @classmethod
    @cache
    def _in_bucket(cls, by_version: bool) -> Any:
        wanted = cls.version_id == bindparam("version") if by_version else cls.is_head
        there = and_(cls.bucket_id == Bucket.id, cls.key == bindparam("object_key"), wanted)
        # The file by itself: to load it with the version takes SQLAlchemy a quarter longer.
        statement = select(Bucket, cls, FileInstance).outerjoin(cls, there).outerjoin(FileInstance, cls.file)
        return statement.where(Bucket.id == bindparam("bucket"), ~Bucket.deleted).order_by(cls.created.desc()).limit(1)

    @classmethod
    def get_versions(cls, bucket: Bucket | uuid.UUID | str, key: str, desc: bool = True) -> Query[Any]:
        """Return a query of all versions of an object.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :param desc: Whether to begin with the newest version instead of the oldest.
        """
        query = cls.query.options(joinedload(cls.file)).filter_by(bucket_id=as_bucket_id(bucket), key=key)
        if desc:
            return query.order_by(cls.is_head.desc(), cls.created.desc())
        return query.order_by(cls.is_head.asc(), cls.created.asc())

    @classmethod
    def get_by_bucket(
        cls, bucket: Bucket | uuid.UUID | str, versions: bool = False, with_deleted: bool = False
    ) -> Query[Any]:
        """Return a query of the objects in a bucket, ordered by key and then from newest to oldest.

        :param bucket: The bucket, or its identifier.
        :param versions: Whether to include versions that are not the head.
        :param with_deleted: Whether to include delete markers.
        """
        query = cls.query.options(joinedload(cls.file)).filter_by(bucket_id=as_bucket_id(bucket))
        if not versions:
            query = query.filter(cls.is_head)
        if not with_deleted:
            query = query.filter(cls.file_id.isnot(None))
        return query.order_by(cls.key, cls.is_head.desc(), cls.created.desc())

    @classmethod
    def hold(cls, version_id: uuid.UUID) -> ObjectVersion | None:
        """Return a version as it is now, and keep others from changing or removing it until the transaction ends.

        :param version_id: Identifier of the version.
        :returns: The version; ``None`` if it does not exist.
        """
        statement = select(cls).where(cls.version_id == version_id).with_for_update(read=True)
        held = db.session.execute(statement, execution_options={"populate_existing": True})
        version: ObjectVersion | None = held.scalar_one_or_none()
        return version

    @classmethod
    def made_at(cls, bucket_id: uuid.UUID, created: datetime, deleted: bool) -> Query[Any]:
        """Return a query of the versions of a bucket that were created at one time, with their files.

        :param bucket_id: Identifier of the bucket.
        :param created: The time.
        :param deleted: Whether to return the delete markers, instead of the others.
        """
        query = cls.query.options(joinedload(cls.file)).filter_by(bucket_id=bucket_id, created=created)
        return query.filter(cls.file_id.is_(None) if deleted else cls.file_id.isnot(None))

    @classmethod
    def refers_to(cls, file_id: uuid.UUID) -> bool:
        """Return whether any version refers to a file.

        :param file_id: Identifier of the file.
        """
        return db.session.execute(select(cls.version_id).where(cls.file_id == file_id).limit(1)).first() is not None
