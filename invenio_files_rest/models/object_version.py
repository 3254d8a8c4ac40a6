"""A version of an object: its row, and what can be done with it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from posixpath import basename
from typing import TYPE_CHECKING, Any

from invenio_db import db
from sqlalchemy import event, select, update
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import attributes, validates
from sqlalchemy.schema import DDL
from sqlalchemy_utils.types import UUIDType

from ..errors import InvalidOperationError
from ..keys import validate_key, validate_new_key
from ..messages import lazy_gettext as _
from ..proxies import current_files_rest
from ..utils import guess_mimetype
from .base import ExactText, Timestamp
from .bucket import Bucket, open_bucket
from .file_instance import FileInstance
from .head_insertion import insertable
from .heads import Heads
from .object_contents import ObjectContents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class ObjectVersion(Heads, ObjectContents, db.Model, Timestamp):
    """A version of an object, or the marker of its deletion.

    The latest version of a key is its head. A version without a file is a delete marker: if it is the head, the object
    is deleted.
    """

    __tablename__ = "files_object"

    __table_args__ = (
        db.UniqueConstraint("bucket_id", "version_id", "key"),
        db.Index("ix_files_object_bucket_id_key_is_head", "bucket_id", "key", "is_head"),
    )

    version_id = db.Column(UUIDType, primary_key=True, default=uuid.uuid4)
    """Identifier of the version."""

    key = db.Column(ExactText(255), nullable=False)
    """Key of the object."""

    bucket_id = db.Column(
        UUIDType,
        db.ForeignKey(Bucket.id, ondelete="RESTRICT"),
        default=uuid.uuid4,
        nullable=False,
        index=True,
    )
    """Identifier of the bucket."""

    file_id = db.Column(UUIDType, db.ForeignKey(FileInstance.id, ondelete="RESTRICT"), nullable=True, index=True)
    """Identifier of the file; ``None`` for a delete marker."""

    _mimetype = db.Column(db.String(255), index=True, nullable=True)
    """MIME type, if one is set."""

    is_head = db.Column(db.Boolean(name="is_head"), nullable=False, default=True)
    """Whether this is the latest version."""

    # ``updated`` of a head is the time at which it became the head, see :attr:`last_modified`.

    bucket = db.relationship(Bucket, backref="objects")
    """The bucket."""

    file = db.relationship(FileInstance, backref="objects")
    """The file."""

    tags = db.relationship("ObjectVersionTag", back_populates="object_version", passive_deletes="all")
    """The tags."""

    @classmethod
    def ix_uq_partial_files_object_is_head_dll(cls) -> DDL:
        """Return the statement that creates PostgreSQL's unique index of one head per key."""
        return DDL(
            "CREATE UNIQUE INDEX ix_uq_partial_files_object_is_head ON files_object (bucket_id, key) WHERE is_head"
        ).execute_if(dialect="postgresql")

    @validates("key")
    def validate_key(self, key: str, key_: str) -> str:
        """Check the key. Keys with a segment ``.`` or ``..`` are accepted only from old rows, not as new values.

        :raises InvalidKeyError: If it is too long, cannot be stored, or is new and has such a segment.
        """
        changed = self.__dict__.get("key", key_) != key_
        return validate_new_key(key_) if changed else validate_key(key_)

    @hybrid_property
    def mimetype(self) -> str:
        """MIME type: the one that is set, else one guessed from the key's extension."""
        return self._mimetype or guess_mimetype(self.key)

    @mimetype.inplace.setter
    def _set_mimetype(self, value: str | None) -> None:
        self._mimetype = value

    @mimetype.inplace.expression
    @classmethod
    def _mimetype_expression(cls) -> Any:
        return cls._mimetype

    @property
    def basename(self) -> str:
        """Name of the file: the last non-empty segment of the key."""
        return basename(self.key.rstrip("/"))

    @property
    def deleted(self) -> bool:
        """Whether this is a delete marker."""
        return self.file_id is None

    @property
    def last_modified(self) -> datetime:
        """When this became the object's head or, if it is not the head, when it was created (RFC 9110, section 8.8.2).

        The date of an object never goes back: if the head is removed, the previous version becomes the head at that
        time. Checking the file or moving it to another location does not change the date.
        """
        return self.updated if self.is_head else self.created

    @classmethod
    def absent(cls, bucket: Bucket, key: str) -> ObjectVersion:
        """Return a stand-in for an object that does not exist, for permission checks.

        :param bucket: The bucket.
        :param key: Key of the object.
        :returns: A head without a file, like that of a deleted object. It is in no session.
        """
        version = cls(bucket_id=bucket.id, is_head=True)
        # Set as if loaded, since the key may be invalid and the version must not be added to the bucket's objects.
        attributes.set_committed_value(version, "key", key)
        attributes.set_committed_value(version, "bucket", bucket)
        return version

    @classmethod
    def create(
        cls,
        bucket: Bucket | uuid.UUID | str,
        key: str,
        _file_id: FileInstance | uuid.UUID | str | None = None,
        stream: Any = None,
        mimetype: str | None = None,
        version_id: uuid.UUID | None = None,
        **kwargs: Any,
    ) -> ObjectVersion:
        """Add a version of an object, which becomes its head.

        Without a stream it is a delete marker until :meth:`set_contents`, :meth:`set_location` or :meth:`set_file` sets
        a file.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :param _file_id: A file that exists already, or its identifier.
        :param stream: Object with ``read(n)``, whose bytes become the file.
        :param mimetype: MIME type, if known.
        :param version_id: Identifier of the version; by default a random one.
        :param kwargs: Passed to :meth:`set_contents`.
        :returns: The version, flushed.
        :raises BucketLockedError: If the bucket is locked.
        :raises InvalidOperationError: If the bucket or the file does not exist, or the bucket is deleted.
        :raises InvalidKeyError: If the key is too long, cannot be stored, or has a segment ``.`` or ``..``.
        :raises FileSizeError: If a size limit is exceeded.
        :raises StorageError: If the storage fails.
        """
        bucket = open_bucket(bucket)
        validate_new_key(key)
        file = FileInstance.get(_file_id) if isinstance(_file_id, (uuid.UUID, str)) else _file_id
        if file is None and _file_id is not None:
            raise InvalidOperationError(description=_("The file does not exist."))
        if stream is None:
            return cls.record(bucket.id, key, file, mimetype=mimetype, version_id=version_id)
        file = current_files_rest.deposit.store(bucket, stream, **kwargs)
        with current_files_rest.deposit.discarded_on_error(file):
            return cls.record(bucket.id, key, file, limited=True, mimetype=mimetype, version_id=version_id)

    @classmethod
    def create_many(cls, bucket: Bucket | uuid.UUID | str, items: Iterable[tuple[str, Any]]) -> list[ObjectVersion]:
        """Add a version of each of several objects, in a fixed number of statements and with one wait for the disk.

        All are in memory together: add some thousand at a time.

        :param bucket: The bucket, or its identifier.
        :param items: Keys, none of them twice, and objects with ``read(n)`` whose bytes become the files.
        :returns: The versions, flushed, in the order of the items.
        :raises BucketLockedError: If the bucket is locked.
        :raises InvalidOperationError: If the bucket does not exist or is deleted.
        :raises InvalidKeyError: If a key is given twice, is too long, cannot be stored, or has a segment ``.`` or
            ``..``.
        :raises FileSizeError: If a size limit is exceeded; none is added then.
        :raises StorageError: If the storage fails.
        """
        return current_files_rest.batch.store_many(bucket, items)

    @classmethod
    def delete(cls, bucket: Bucket | uuid.UUID | str, key: str) -> ObjectVersion | None:
        """Delete an object: add a delete marker, which becomes its head.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :returns: The delete marker; ``None`` if the object does not exist or is already deleted.
        :raises BucketLockedError: If the bucket is locked.
        """
        bucket = open_bucket(bucket)
        if cls.get(bucket, key) is None:
            return None
        return cls.record(bucket.id, key, None)

    @classmethod
    def copy_from(cls, bucket_id: uuid.UUID, destination_bucket_id: uuid.UUID) -> list[dict[str, Any]]:
        """Copy all heads of a bucket to another, with their tags, without copying any file.

        :param bucket_id: Identifier of the bucket to copy from.
        :param destination_bucket_id: Identifier of the bucket to copy to.
        :returns: The columns of each new row by name.
        :raises BucketLockedError: If the destination is locked.
        """
        return current_files_rest.bulk.copy_heads(bucket_id, destination_bucket_id)

    @classmethod
    def file_of(cls, version_id: uuid.UUID) -> FileInstance | None:
        """Return the file to which a version refers now; ``None`` if there is none.

        :param version_id: Identifier of the version.
        """
        statement = select(FileInstance).join(cls, cls.file_id == FileInstance.id).where(cls.version_id == version_id)
        file: FileInstance | None = db.session.scalar(statement)
        return file

    @classmethod
    def relink_all(cls, old_file: FileInstance, new_file: FileInstance) -> None:
        """Make all versions of a file refer to another file with the same bytes.

        :param old_file: The file that they refer to.
        :param new_file: The file to refer to.
        :raises InvalidOperationError: If the files differ in size or checksum.
        """
        if (old_file.size, old_file.checksum) != (new_file.size, new_file.checksum):
            raise InvalidOperationError(description=_("The files do not hold the same bytes."))
        db.session.flush()
        db.session.execute(update(cls).where(cls.file_id == old_file.id).values(file_id=new_file.id))

    def restore(self) -> ObjectVersion:
        """Add a new version with this version's file and tags, which becomes the head.

        :returns: The new version.
        :raises InvalidOperationError: If this is the head, or a delete marker.
        """
        if self.is_head:
            raise InvalidOperationError(description=_("The version is the latest one."))
        return self.copy()

    def copy(
        self,
        bucket: Bucket | uuid.UUID | str | None = None,
        key: str | None = None,
        *,
        file: FileInstance | None = None,
        limited: bool = False,
        tags: Mapping[str, str] | None = None,
        precondition: Callable[[ObjectVersion | None], None] | None = None,
    ) -> ObjectVersion:
        """Add a version with this version's file and tags, of this or another object. No file is copied.

        :param bucket: The bucket of the new version, or its identifier; by default this bucket.
        :param key: Key of the new version; by default this key.
        :param file: A file with the same bytes, to refer to instead of this version's.
        :param limited: Whether to enforce the size limits of the bucket.
        :param tags: Tags of the new version; by default those of this version.
        :param precondition: See :meth:`record`.
        :returns: The new version.
        :raises FileSizeError: If a size limit is enforced and exceeded.
        :raises InvalidOperationError: If this is a delete marker.
        :raises InvalidKeyError: If the key differs from this one, and is too long, cannot be stored, or has a segment
            ``.`` or ``..``.
        """
        if self.deleted:
            raise InvalidOperationError(description=_("A delete marker cannot be copied."))
        target = open_bucket(self.bucket_id if bucket is None else bucket)
        if key and key != self.key:
            validate_new_key(key)
        return type(self).record(
            target.id,
            key or self.key,
            file or self.file,
            limited=limited,
            mimetype=self._mimetype,
            tags=self.get_tags() if tags is None else tags,
            precondition=precondition,
        )

    def get_tags(self) -> dict[str, str]:
        """Return the tags as a dictionary."""
        return {tag.key: tag.value for tag in self.tags}

    @classmethod
    def _tag_model(cls) -> Any:
        return cls.tags.property.mapper.class_

    def __repr__(self) -> str:
        """Return bucket, version and key."""
        return f"{self.bucket_id}:{self.version_id}:{self.key}"


def as_object_version(value: ObjectVersion | uuid.UUID | str) -> ObjectVersion | None:
    """Return a version, given itself or its identifier.

    :param value: The version, or its identifier.
    """
    return value if isinstance(value, ObjectVersion) else db.session.get(ObjectVersion, value)


def as_object_version_id(value: ObjectVersion | uuid.UUID | str) -> Any:
    """Return the identifier of a version, given the version or its identifier.

    :param value: The version, or its identifier.
    """
    return value.version_id if isinstance(value, ObjectVersion) else value


event.listen(ObjectVersion.__table__, "after_create", ObjectVersion.ix_uq_partial_files_object_is_head_dll())

insertable(ObjectVersion, FileInstance)
