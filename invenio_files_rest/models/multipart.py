"""Multipart uploads: a file that arrives in parts, in any order."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from flask import current_app
from invenio_db import db
from sqlalchemy import and_, delete, select, update
from sqlalchemy.orm import Query, joinedload, validates
from sqlalchemy_utils.types import UUIDType

from ..errors import (
    FileSizeError,
    InvalidOperationError,
    MultipartAlreadyCompleted,
    MultipartInvalidChunkSize,
    MultipartInvalidPartNumber,
    MultipartInvalidSize,
    MultipartMissingParts,
    MultipartNotCompleted,
)
from ..keys import validate_key, validate_new_key
from ..proxies import current_files_rest
from .base import ExactText, Timestamp, reads_a_snapshot, utcnow
from .bucket import Bucket, as_bucket_id, open_bucket
from .file_instance import FileInstance
from .object_version import ObjectVersion

_MISSING_NAMED = 100
"""How many missing parts an error names."""


class MultipartObject(db.Model, Timestamp):
    """An upload in parts of equal size, of which the last may be smaller.

    Its size is counted in the bucket from the beginning, so that the quota that it needs is there at its end. Once all
    parts are there it is completed; merging it then makes an object version of it.
    """

    __tablename__ = "files_multipartobject"

    __table_args__ = (db.UniqueConstraint("upload_id", "bucket_id", "key", name="uix_item"),)

    upload_id = db.Column(UUIDType, default=uuid.uuid4, primary_key=True)
    """Identifier of the upload."""

    bucket_id = db.Column(UUIDType, db.ForeignKey(Bucket.id, ondelete="RESTRICT"), index=True)
    """Identifier of the bucket."""

    key = db.Column(ExactText(255))
    """Key of the object that it becomes."""

    file_id = db.Column(UUIDType, db.ForeignKey(FileInstance.id, ondelete="RESTRICT"), nullable=False, index=True)
    """Identifier of the file that the parts are written to."""

    chunk_size = db.Column(db.BigInteger().with_variant(db.Integer, "sqlite"), nullable=True)
    """Size of a part, in bytes."""

    size = db.Column(db.BigInteger, nullable=True)
    """Size of the file, in bytes."""

    completed = db.Column(db.Boolean(name="completed"), nullable=False, default=False)
    """Whether all parts are there, and no more are taken."""

    bucket = db.relationship(Bucket, backref="multipart_objects")
    """The bucket."""

    file = db.relationship(FileInstance, backref="multipart_objects")
    """The file that the parts are written to."""

    @validates("key")
    def validate_key(self, key: str, key_: str) -> str:
        """Check the key. One with a segment ``.`` or ``..`` may be of old, unless it takes the place of another.

        :raises InvalidKeyError: If it is too long or cannot be stored.
        """
        changed = self.__dict__.get("key", key_) != key_
        return validate_new_key(key_) if changed else validate_key(key_)

    @property
    def version_id(self) -> uuid.UUID:
        """Identifier of the version that the upload becomes: the same for everybody who completes it."""
        return self.version_id_of(self.upload_id)

    @staticmethod
    def version_id_of(upload_id: uuid.UUID) -> uuid.UUID:
        """Return the identifier of the version that an upload becomes, or has become.

        :param upload_id: Identifier of the upload.
        """
        return uuid.uuid5(upload_id, "version")

    @staticmethod
    def is_valid_chunksize(chunk_size: int) -> bool:
        """Tell whether a part size lies within ``FILES_REST_MULTIPART_CHUNKSIZE_MIN`` and ``…_MAX``.

        :param chunk_size: The part size, in bytes.
        """
        smallest = current_app.config["FILES_REST_MULTIPART_CHUNKSIZE_MIN"]
        largest = current_app.config["FILES_REST_MULTIPART_CHUNKSIZE_MAX"]
        return bool(smallest <= chunk_size <= largest)

    @staticmethod
    def is_valid_size(size: int, chunk_size: int) -> bool:
        """Tell whether a size fits into ``FILES_REST_MULTIPART_MAX_PARTS`` parts.

        :param size: Size of the file, in bytes.
        :param chunk_size: The part size, in bytes.
        """
        return bool(0 < size <= chunk_size * current_app.config["FILES_REST_MULTIPART_MAX_PARTS"])

    @property
    def last_part_number(self) -> int:
        """Number of the last part; the first is 0."""
        return int((self.size - 1) // self.chunk_size)

    @property
    def last_part_size(self) -> int:
        """Size of the last part, in bytes: 1 to :attr:`chunk_size`."""
        return int(self.size - self.last_part_number * self.chunk_size)

    def expected_part_size(self, part_number: int) -> int:
        """Return the size that a part has to have, in bytes.

        :param part_number: Number of the part.
        :raises MultipartInvalidPartNumber: If there is no such part.
        """
        if not 0 <= part_number <= self.last_part_number:
            raise MultipartInvalidPartNumber()
        return self.last_part_size if part_number == self.last_part_number else int(self.chunk_size)

    @classmethod
    def create(cls, bucket: Bucket | uuid.UUID | str, key: str, size: int, chunk_size: int) -> MultipartObject:
        """Begin an upload, and reserve its size in the bucket.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :param size: Size of the file, in bytes.
        :param chunk_size: Size of a part, in bytes.
        :returns: The upload, flushed.
        :raises MultipartInvalidChunkSize: If the part size is outside the limits.
        :raises MultipartInvalidSize: If the size does not fit.
        :raises InvalidKeyError: As :meth:`prepare` does.
        :raises FileSizeError: If a size limit is exceeded.
        :raises BucketLockedError: If the bucket is locked.
        """
        bucket = open_bucket(bucket)
        file = cls.prepare(bucket, key, size, chunk_size)()
        with current_files_rest.deposit.discarded_on_error(file):
            return cls.record(bucket.id, key, file, size, chunk_size)

    @classmethod
    def prepare(cls, bucket: Bucket, key: str, size: int, chunk_size: int) -> Callable[[], FileInstance]:
        """Check what an upload is to be.

        :param bucket: The bucket.
        :param key: Key of the object.
        :param size: Size of the file, in bytes.
        :param chunk_size: Size of a part, in bytes.
        :returns: Function that makes room for the file in storage, asks the database nothing, and returns the file.
        :raises MultipartInvalidChunkSize: If the part size is outside the limits.
        :raises MultipartInvalidSize: If the size does not fit.
        :raises InvalidKeyError: If the key is too long, cannot be stored, or has a segment ``.`` or ``..``.
        :raises FileSizeError: If a size limit is exceeded.
        :raises LocationAwayError: If the bucket's location is away.
        """
        if not cls.is_valid_chunksize(chunk_size):
            raise MultipartInvalidChunkSize()
        if not cls.is_valid_size(size, chunk_size):
            raise MultipartInvalidSize()
        validate_new_key(key)
        limit = bucket.size_limit
        if limit is not None and size > limit:
            raise FileSizeError(description=limit.reason)
        make_room: Callable[[], FileInstance] = current_files_rest.deposit.prepare_room(bucket, size)
        return make_room

    @classmethod
    def record(cls, bucket_id: uuid.UUID, key: str, file: FileInstance, size: int, chunk_size: int) -> MultipartObject:
        """Add an upload to the database, and reserve its size in the bucket.

        :param bucket_id: Identifier of the bucket.
        :param key: Key of the object.
        :param file: The file that the parts are written to.
        :param size: Size of the file, in bytes.
        :param chunk_size: Size of a part, in bytes.
        :returns: The upload, flushed.
        :raises BucketLockedError: If the bucket is locked.
        :raises FileSizeError: If a size limit is exceeded.
        """
        Bucket.claim(bucket_id, size, limited=True)
        upload = cls(upload_id=uuid.uuid4(), bucket_id=bucket_id, key=key, chunk_size=chunk_size, size=size, file=file)
        db.session.add(upload)
        db.session.flush()
        return upload

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

        One has been in use where a part of it has arrived, or where it has been completed and may be merging. So a
        completed upload is among them only where it was completed before the time as well, and its merge failed or was
        never run: one that was merged is gone.

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
            ~cls.parts.any(cls._part_model().updated >= time),
            ~cls.completed | (cls.updated < time),
        )

    @classmethod
    def hold(cls, upload_id: uuid.UUID, *conditions: Any) -> MultipartObject | None:
        """Return an upload as it is now, and keep others from changing it until the end of the transaction.

        :param upload_id: Identifier of the upload.
        :param conditions: What has to be true of it.
        :returns: The upload; ``None`` where it is gone, or a condition is not true.
        """
        db.session.flush()
        # An update is what locks on every database.
        taken = update(cls).where(cls.upload_id == upload_id, *conditions).values(updated=utcnow())
        if not db.session.execute(taken, execution_options={"synchronize_session": False}).rowcount:
            return None
        return db.session.get(cls, upload_id, populate_existing=True, with_for_update=True)

    def missing_parts(self) -> list[int]:
        """Return the numbers of the parts that are not there."""
        part = self._part_model()
        there = set(db.session.scalars(select(part.part_number).where(part.upload_id == self.upload_id)))
        return [number for number in range(self.last_part_number + 1) if number not in there]

    def complete(self) -> MultipartObject:
        """Mark the upload as completed.

        :returns: The upload.
        :raises MultipartAlreadyCompleted: If it is completed already.
        :raises MultipartMissingParts: If parts are missing; the message names them.
        """
        type(self).hold(self.upload_id)
        if self.completed:
            raise MultipartAlreadyCompleted()
        if missing := self.missing_parts():
            named = ", ".join(map(str, missing[:_MISSING_NAMED])) + (", …" if len(missing) > _MISSING_NAMED else "")
            raise MultipartMissingParts(
                description=f"Not all parts have been uploaded: {len(missing)} missing: {named}"
            )
        self.completed = True
        db.session.flush()
        return self

    @classmethod
    def reopen(cls, upload_id: uuid.UUID) -> None:
        """Let a completed upload take parts again, unless it has become a version or has been aborted.

        :param upload_id: Identifier of the upload.
        """
        held = cls.hold(upload_id)
        if held is not None:
            held.completed = False
            db.session.flush()

    @classmethod
    def is_open(cls, upload_id: uuid.UUID) -> bool:
        """Tell whether there is an upload that is not completed.

        :param upload_id: Identifier of the upload.
        """
        return db.session.scalar(select(cls.upload_id).where(cls.upload_id == upload_id, ~cls.completed)) is not None

    def parts_there(self) -> frozenset[tuple[int, datetime]]:
        """Return the numbers of the parts that are there, each with the time of its row.

        A part that is sent again has another time: where nothing has changed the file holds the same bytes.
        """
        part = self._part_model()
        there = select(part.part_number, part.updated).where(part.upload_id == self.upload_id)
        if reads_a_snapshot():
            there = there.with_for_update(read=True)
        return frozenset((number, updated) for number, updated in db.session.execute(there))

    def merge_parts(self, version_id: uuid.UUID | None = None, **kwargs: Any) -> ObjectVersion:
        """Make an object version of a completed upload, which is gone then.

        :param version_id: Identifier of the version; :attr:`version_id` where none is given.
        :param kwargs: Passed to the computation of the checksum, as to :meth:`FileInstance.update_checksum`.
        :returns: The version.
        :raises MultipartNotCompleted: If the upload is not completed.
        """
        self.ensure_completed()
        self.file.readable = True
        self.file.update_checksum(**kwargs)
        return self.become_version(self.file.checksum, version_id)

    def become_version(
        self,
        checksum: str | None,
        version_id: uuid.UUID | None = None,
        precondition: Callable[[ObjectVersion | None], None] | None = None,
    ) -> ObjectVersion:
        """Make an object version of a completed upload whose checksum is known.

        :param checksum: Checksum of the whole file.
        :param version_id: Identifier of the version; :attr:`version_id` where none is given.
        :param precondition: See :meth:`ObjectVersion.record`.
        :returns: The version.
        :raises InvalidOperationError: If somebody else has made a version of it, or has aborted it.
        """
        file, version_id = self.file, version_id or self.version_id
        # The bytes were counted when the upload began; the version counts them anew.
        Bucket.claim(self.bucket_id, -self.size)
        if not self._forget():
            Bucket.claim(self.bucket_id, self.size)
            raise InvalidOperationError(description="The upload does not exist any more.")
        file.checksum = checksum
        file.readable = True
        file.writable = False
        return ObjectVersion.record(self.bucket_id, self.key, file, version_id=version_id, precondition=precondition)

    def ensure_completed(self) -> None:
        """Check that the upload is completed.

        :raises MultipartNotCompleted: If it is not.
        """
        if not self.completed:
            raise MultipartNotCompleted()

    def delete(self, locked: bool = False) -> MultipartObject:
        """Delete the upload and its parts, and give its size back to the bucket.

        The file stays, for :func:`invenio_files_rest.tasks.remove_file_data` or the sweep.

        :param locked: Whether the bucket may be locked.
        :returns: The upload.
        :raises BucketLockedError: If the bucket is locked, and may not be.
        """
        Bucket.claim(self.bucket_id, -self.size, deleted=True, locked=locked)
        if not self._forget():
            # Somebody else deleted it, and gave its size back.
            Bucket.claim(self.bucket_id, self.size, deleted=True, locked=locked)
        return self

    def _forget(self) -> bool:
        """Delete the rows of the upload, and tell whether they were there."""
        part, cls = self._part_model(), type(self)
        db.session.execute(delete(part).where(part.upload_id == self.upload_id))
        return bool(db.session.execute(delete(cls).where(cls.upload_id == self.upload_id)).rowcount)

    @classmethod
    def _part_model(cls) -> Any:
        return cls.parts.property.mapper.class_

    def __repr__(self) -> str:
        """Show upload, bucket and key."""
        return f"{self.bucket_id}:{self.upload_id}:{self.key}"
