"""Finding multipart uploads."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from invenio_db import db
from sqlalchemy import and_
from sqlalchemy.orm import Query, joinedload

from .base import Held, utcnow
from .bucket import Bucket, as_bucket_id
from .part import Part

if TYPE_CHECKING:
    from .multipart import MultipartObject


class MultipartQueries(Held):
    """Queries of multipart uploads."""

    if TYPE_CHECKING:
        query: Any
        bucket_id: Any
        completed: Any
        file: Any
        parts: Any

    @classmethod
    def get(
        cls,
        bucket: Bucket | uuid.UUID | str,
        key: str,
        upload_id: uuid.UUID | str,
        with_completed: bool = False,
    ) -> MultipartObject | None:
        """Return an upload, ``None`` where there is none.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :param upload_id: Identifier of the upload.
        :param with_completed: Whether it may be completed.
        """
        if "\0" in key:
            # No key has it, and PostgreSQL refuses to be asked.
            return None
        # Together with its file: one that is loaded later may have gone, with the upload.
        query = cls.query.options(joinedload(cls.file))
        query = query.filter_by(upload_id=upload_id, bucket_id=as_bucket_id(bucket), key=key)
        if not with_completed:
            query = query.filter(~cls.completed)
        return query.one_or_none()

    @classmethod
    def find(cls, upload_id: uuid.UUID) -> MultipartObject | None:
        """Return an upload as it is in the database now, ``None`` where there is none.

        :param upload_id: Identifier of the upload.
        """
        # Together with its file: one that is loaded later may have gone, with the upload.
        return db.session.get(cls, upload_id, options=[joinedload(cls.file)], populate_existing=True)

    @classmethod
    def query_by_bucket(cls, bucket: Bucket | uuid.UUID | str) -> Query[Any]:
        """Return a query of the uploads of a bucket that are not completed.

        :param bucket: The bucket, or its identifier.
        """
        return cls.query.filter(cls.bucket_id == as_bucket_id(bucket), ~cls.completed)

    @classmethod
    def query_expired(cls, dt: datetime | timedelta, bucket: Bucket | uuid.UUID | str | None = None) -> Query[Any]:
        """Return a query of the uploads that were begun before a time, and have not been in use since.

        One has been in use where a part of it has arrived, or was arriving in a storage without locks, or where it has
        been completed and may be merging. So a completed upload is among them only where it was completed before the
        time as well, and its merge failed or was never run: one that was merged is gone.

        :param dt: The time, in UTC where it names no zone; or how long ago it was.
        :param bucket: A bucket to confine it to, or its identifier.
        """
        time = utcnow() - dt if isinstance(dt, timedelta) else dt
        time = time.astimezone(timezone.utc) if time.tzinfo else time.replace(tzinfo=timezone.utc)
        query = cls.query.filter(cls.idle_since(time))
        return query if bucket is None else query.filter(cls.bucket_id == as_bucket_id(bucket))

    @classmethod
    def idle_since(cls, time: datetime) -> Any:
        """Return the condition that an upload was begun before a time, and has not been in use since.

        :param time: The time.
        """
        return and_(
            cls.created < time,
            cls.updated < time,
            ~cls.parts.any(Part.updated >= time),
        )
