"""Multipart uploads: a file that arrives in parts, in any order."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from flask import current_app
from invenio_db import db
from sqlalchemy.orm import validates
from sqlalchemy_utils.types import UUIDType

from ..errors import (
    FileSizeError,
    MultipartInvalidChunkSize,
    MultipartInvalidPartNumber,
    MultipartInvalidSize,
)
from ..keys import validate_key, validate_new_key
from ..proxies import current_files_rest
from .base import ExactText
from .bucket import Bucket, open_bucket
from .file_instance import FileInstance
from .multipart_completion import MultipartCompletion
from .multipart_queries import MultipartQueries


class MultipartObject(MultipartQueries, MultipartCompletion, db.Model):
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

    def __repr__(self) -> str:
        """Show upload, bucket and key."""
        return f"{self.bucket_id}:{self.upload_id}:{self.key}"
