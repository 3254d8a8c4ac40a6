"""Versions of objects: what a key of a bucket refers to, now and before."""

from __future__ import annotations

import uuid
from datetime import datetime
from functools import cache
from posixpath import basename
from typing import TYPE_CHECKING, Any

from flask import Response
from invenio_db import db
from sqlalchemy import and_, bindparam, delete, event, select, update
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Query, attributes, joinedload, validates
from sqlalchemy.schema import DDL
from sqlalchemy_utils.types import UUIDType

from ..errors import FileInstanceAlreadySetError, InvalidOperationError
from ..keys import validate_key, validate_new_key
from ..proxies import current_files_rest
from ..utils import guess_mimetype
from .base import ExactText, Timestamp, loaded, read_again, reads_a_snapshot
from .bucket import Bucket, as_bucket_id, open_bucket
from .file_instance import FileInstance
from .succession import head_since, next_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class ObjectVersion(db.Model, Timestamp):
    """A version of an object, or the marker of its deletion.

    The latest version of a key is its head. A version without a file is a delete marker: where it is the head, the
    object is deleted.
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
    """MIME type where it is set."""

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
        """Return the statement that makes PostgreSQL's index of one head for each key."""
        return DDL(
            "CREATE UNIQUE INDEX ix_uq_partial_files_object_is_head ON files_object (bucket_id, key) WHERE is_head"
        ).execute_if(dialect="postgresql")

    @validates("key")
    def validate_key(self, key: str, key_: str) -> str:
        """Check the key. One with a segment ``.`` or ``..`` may be of old, unless it takes the place of another.

        :raises InvalidKeyError: If it is too long or cannot be stored.
        """
        changed = self.__dict__.get("key", key_) != key_
        return validate_new_key(key_) if changed else validate_key(key_)

    @hybrid_property
    def mimetype(self) -> str:
        """MIME type: the one that is set, or else what the key's extension suggests."""
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
        """Name of the file: the last segment of the key that is not empty."""
        return basename(self.key.rstrip("/"))

    @property
    def deleted(self) -> bool:
        """Whether this is a delete marker."""
        return self.file_id is None

    @property
    def last_modified(self) -> datetime:
        """When this became the object's head, or was made where it is not the head (RFC 9110, section 8.8.2).

        The object's date never goes back: where the head is removed, the version before becomes the head anew. What
        happens to the file, a check say or a move to another location, does not change it.
        """
        return self.updated if self.is_head else self.created

    @classmethod
    def absent(cls, bucket: Bucket, key: str) -> ObjectVersion:
        """Return what stands for an object that is not there where its permissions are asked for.

        :param bucket: The bucket.
        :param key: Key of the object.
        :returns: A head without a file, as of a deleted object, that no session knows.
        """
        version = cls(bucket_id=bucket.id, is_head=True)
        # As loaded values: the key may be one that cannot be stored, and the version shall not join the bucket's.
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

        Without a stream it is a delete marker until :meth:`set_contents`, :meth:`set_location` or :meth:`set_file` give
        it a file.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :param _file_id: A file that exists already, or its identifier.
        :param stream: Object with ``read(n)``, whose bytes become the file.
        :param mimetype: MIME type where it is known.
        :param version_id: Identifier of the version; a random one where none is given.
        :param kwargs: Passed to :meth:`set_contents`.
        :returns: The version, flushed.
        :raises BucketLockedError: If the bucket is locked.
        :raises InvalidOperationError: If the bucket is deleted, or there is none.
        :raises InvalidKeyError: If the key is too long, cannot be stored, or has a segment ``.`` or ``..``.
        :raises FileSizeError: If a size limit is exceeded.
        :raises StorageError: If the storage fails.
        """
        bucket = open_bucket(bucket)
        validate_new_key(key)
        file = FileInstance.get(_file_id) if isinstance(_file_id, (uuid.UUID, str)) else _file_id
        if file is None and _file_id is not None:
            raise InvalidOperationError(description="The file does not exist.")
        if stream is None:
            return cls.record(bucket.id, key, file, mimetype=mimetype, version_id=version_id)
        file = current_files_rest.deposit.store(bucket, stream, **kwargs)
        with current_files_rest.deposit.discarded_on_error(file):
            return cls.record(bucket.id, key, file, limited=True, mimetype=mimetype, version_id=version_id)

    @classmethod
    def record(
        cls,
        bucket_id: uuid.UUID,
        key: str,
        file: FileInstance | None,
        limited: bool = False,
        mimetype: str | None = None,
        version_id: uuid.UUID | None = None,
        tags: Mapping[str, str] | None = None,
        precondition: Callable[[ObjectVersion | None], None] | None = None,
    ) -> ObjectVersion:
        """Add a version to the database, under the lock of its bucket: the statements that every way in ends with.

        :param bucket_id: Identifier of the bucket.
        :param key: Key of the object.
        :param file: The file; ``None`` for a delete marker.
        :param limited: Whether to hold its size against the bucket's limits.
        :param mimetype: MIME type where it is known.
        :param version_id: Identifier of the version; a random one where none is given.
        :param tags: Tags of the version.
        :param precondition: Called with the live head as it is under the lock, or ``None``. Where it raises, the caller
            has to roll back.
        :returns: The version, flushed.
        :raises BucketLockedError: If the bucket is locked.
        :raises BucketDeletedError: If the bucket is deleted.
        :raises FileSizeError: If a size limit is exceeded.
        :raises InvalidOperationError: If the file has been deleted.
        """
        cls._claim_for(bucket_id, file, limited)
        head = None
        if precondition is not None:
            head = cls._current_head(bucket_id, key)
            precondition(None if head is None or head.deleted else head)
        before = cls._step_down(bucket_id, key, head)
        version = cls(
            version_id=version_id or uuid.uuid4(),
            bucket_id=bucket_id,
            key=key,
            file=file,
            is_head=True,
            mimetype=mimetype,
            tags=[cls._tag_model()(key=name, value=value) for name, value in (tags or {}).items()],
            **next_times(before)._asdict(),
        )
        db.session.add(version)
        db.session.flush()
        return version

    @classmethod
    def read_heads_again(cls, version_ids: Iterable[uuid.UUID]) -> None:
        """Have the session ask the database whether versions are heads, where a statement has changed that.

        :param version_ids: Identifiers of the versions.
        """
        for version_id in version_ids:
            if known := loaded(cls, version_id):
                read_again(known, ["is_head"])

    @classmethod
    def _current_head(cls, bucket_id: uuid.UUID, key: str) -> ObjectVersion | None:
        """Return the head of an object in a bucket that the transaction has claimed, whatever its snapshot."""
        statement = cls._head()
        if reads_a_snapshot():
            statement = statement.with_for_update(read=True)
        values = {"bucket": bucket_id, "object_key": key}
        head: ObjectVersion | None = (
            db.session.execute(statement, values, execution_options={"populate_existing": True}).scalars().first()
        )
        return head

    @classmethod
    def _step_down(cls, bucket_id: uuid.UUID, key: str, head: ObjectVersion | None) -> list[Any]:
        """Let no version of an object be the head any more.

        :param bucket_id: Identifier of the bucket.
        :param key: Key of the object.
        :param head: The head where it is known.
        :returns: Rows with the identifiers and the times of those that were.
        """
        values = {"in_bucket": bucket_id, "of_key": key}
        before: list[Any]
        if db.engine.dialect.update_returning:
            before = list(db.session.execute(cls._stepping_down(returning=True), values))
        else:
            before = [head] if head is not None else list(db.session.execute(cls._locked_heads(), values))
            if before:
                db.session.execute(cls._stepping_down(returning=False), values)
        cls.read_heads_again([row.version_id for row in before])
        return before

    @classmethod
    @cache
    def _stepping_down(cls, returning: bool) -> Any:
        # On the table, not on the model: SQLAlchemy takes twice as long for what it may have to tell the session of.
        rows = cls.__table__.c
        statement = update(cls.__table__).where(*cls._heads_of_key()).values(is_head=False)
        return statement.returning(rows.version_id, rows.created, rows.updated) if returning else statement

    @classmethod
    @cache
    def _locked_heads(cls) -> Any:
        rows = cls.__table__.c
        return select(rows.version_id, rows.created, rows.updated).where(*cls._heads_of_key()).with_for_update()

    @classmethod
    def _heads_of_key(cls) -> tuple[Any, ...]:
        rows = cls.__table__.c
        return rows.bucket_id == bindparam("in_bucket"), rows.key == bindparam("of_key"), rows.is_head

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
        :returns: The version; ``None`` where there is none or, for the head, where the object is deleted.
        """
        if "\0" in key:
            # No key has it, and PostgreSQL refuses to be asked.
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
    @cache
    def _one_version(cls) -> Any:
        return cls._versions().where(cls.version_id == bindparam("version"))

    @classmethod
    @cache
    def _head(cls) -> Any:
        # A snapshot of MySQL's still has the head that a version of the same transaction took the place of, where it
        # was another transaction's.
        return cls._versions().where(cls.is_head).order_by(cls.created.desc()).limit(1)

    @classmethod
    def _versions(cls) -> Any:
        statement = select(cls).options(joinedload(cls.file))
        return statement.where(cls.bucket_id == bindparam("bucket"), cls.key == bindparam("object_key"))

    @classmethod
    def find(
        cls, bucket_id: uuid.UUID | str, key: str, version_id: uuid.UUID | str | None = None
    ) -> tuple[Bucket | None, ObjectVersion | None]:
        """Return a bucket and an object in it, with one statement whatever of them is there.

        :param bucket_id: Identifier of the bucket.
        :param key: Key of the object.
        :param version_id: Identifier of a version, which may be a delete marker.
        :returns: The bucket, ``None`` where there is none or it is deleted; and what :meth:`get` returns.
        """
        if "\0" in key:
            return Bucket.get(bucket_id), None
        values = {"bucket": bucket_id, "object_key": key, "version": version_id}
        statement = cls._in_bucket(by_version=version_id is not None)
        bucket, version = db.session.execute(statement, values).first() or (None, None)
        if version is None or (version.deleted and not version_id):
            return bucket, None
        attributes.set_committed_value(version, "bucket", bucket)
        return bucket, version

    @classmethod
    @cache
    def _in_bucket(cls, by_version: bool) -> Any:
        wanted = cls.version_id == bindparam("version") if by_version else cls.is_head
        there = and_(cls.bucket_id == Bucket.id, cls.key == bindparam("object_key"), wanted)
        statement = select(Bucket, cls).outerjoin(cls, there).options(joinedload(cls.file))
        return statement.where(Bucket.id == bindparam("bucket"), ~Bucket.deleted).order_by(cls.created.desc()).limit(1)

    @classmethod
    def get_versions(cls, bucket: Bucket | uuid.UUID | str, key: str, desc: bool = True) -> Query[Any]:
        """Return a query of all versions of an object.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :param desc: Whether the newest comes first, otherwise the oldest.
        """
        query = cls.query.options(joinedload(cls.file)).filter_by(bucket_id=as_bucket_id(bucket), key=key)
        if desc:
            return query.order_by(cls.is_head.desc(), cls.created.desc())
        return query.order_by(cls.is_head.asc(), cls.created.asc())

    @classmethod
    def get_by_bucket(
        cls, bucket: Bucket | uuid.UUID | str, versions: bool = False, with_deleted: bool = False
    ) -> Query[Any]:
        """Return a query of the objects in a bucket, by key and from newest to oldest.

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
    def delete(cls, bucket: Bucket | uuid.UUID | str, key: str) -> ObjectVersion | None:
        """Delete an object: add a delete marker, which becomes its head.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :returns: The delete marker; ``None`` where there is no such object, or it is deleted already.
        :raises BucketLockedError: If the bucket is locked.
        """
        bucket = open_bucket(bucket)
        if cls.get(bucket, key) is None:
            return None
        return cls.record(bucket.id, key, None)

    @classmethod
    def copy_from(cls, bucket_id: uuid.UUID, destination_bucket_id: uuid.UUID) -> list[dict[str, Any]]:
        """Copy all heads of a bucket to another, with their tags and without copying a file.

        :param bucket_id: Identifier of the bucket to copy from.
        :param destination_bucket_id: Identifier of the bucket to copy to.
        :returns: The columns of each new row, by their names.
        :raises BucketLockedError: If the destination is locked.
        """
        return current_files_rest.bulk.copy_heads(bucket_id, destination_bucket_id)

    @classmethod
    def refers_to(cls, file_id: uuid.UUID) -> bool:
        """Tell whether any version refers to a file.

        :param file_id: Identifier of the file.
        """
        return db.session.execute(select(cls.version_id).where(cls.file_id == file_id).limit(1)).first() is not None

    @classmethod
    def relink_all(cls, old_file: FileInstance, new_file: FileInstance) -> None:
        """Let all versions that refer to a file refer to another that holds the same bytes.

        :param old_file: The file that they refer to.
        :param new_file: The file to refer to.
        :raises InvalidOperationError: If the files differ in size or checksum.
        """
        if (old_file.size, old_file.checksum) != (new_file.size, new_file.checksum):
            raise InvalidOperationError(description="The files do not hold the same bytes.")
        db.session.flush()
        db.session.execute(update(cls).where(cls.file_id == old_file.id).values(file_id=new_file.id))

    def set_contents(
        self,
        stream: Any,
        chunk_size: int | None = None,
        size: int | None = None,
        size_limit: Any = None,
        progress_callback: Any = None,
    ) -> ObjectVersion:
        """Store the bytes of a stream as this version's file.

        :param stream: Object with ``read(n)``.
        :param chunk_size: Bytes to read at a time.
        :param size: Size in bytes where it is known; another number of bytes is refused.
        :param size_limit: Largest size allowed, in bytes, besides the bucket's limits, which hold in any case.
        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :returns: The version.
        :raises FileInstanceAlreadySetError: If it has a file.
        :raises BucketLockedError: If the bucket is locked.
        :raises FileSizeError: If a limit is exceeded.
        :raises StorageError: If the storage fails.
        """
        self._ensure_no_file()
        file = current_files_rest.deposit.store(
            open_bucket(self.bucket or self.bucket_id),
            stream,
            chunk_size=chunk_size,
            size=size,
            size_limit=size_limit,
            progress_callback=progress_callback,
        )
        with current_files_rest.deposit.discarded_on_error(file):
            return self._attach(file, limited=True)

    def set_location(
        self, uri: str, size: int, checksum: str | None, storage_class: str | None = None
    ) -> ObjectVersion:
        """Refer to a file that lies where this module does not keep it, and let it lie there.

        :param uri: URI of the file, as the storage understands it.
        :param size: Size in bytes.
        :param checksum: Checksum, as ``algorithm:hexdigest``.
        :param storage_class: Storage class; the default one where none is given.
        :returns: The version.
        :raises FileInstanceAlreadySetError: If it has a file.
        :raises InvalidOperationError: If the URI is known as a file of another size or checksum.
        """
        self._ensure_no_file()
        file = FileInstance.get_by_uri(uri)
        if file is None:
            file = FileInstance.new().set_uri(uri, size, checksum, storage_class=storage_class)
        elif (file.size, file.checksum) != (size, checksum):
            raise InvalidOperationError(description="The file is known with another size or checksum.")
        return self._attach(file)

    def set_file(self, fileinstance: FileInstance) -> ObjectVersion:
        """Refer to a file that exists already.

        :param fileinstance: The file.
        :returns: The version.
        :raises FileInstanceAlreadySetError: If it has a file.
        """
        self._ensure_no_file()
        return self._attach(fileinstance)

    def send_file(self, restricted: bool = True, trusted: bool = False, **kwargs: Any) -> Response:
        """Return the response that sends the file.

        :param restricted: Whether caches may not keep it.
        :param trusted: Whether the browser may render it.
        :param kwargs: Passed to :meth:`FileInstance.send_file`, with :attr:`last_modified` where none is given.
        """
        kwargs.setdefault("last_modified", self.last_modified)
        return self.file.send_file(
            self.basename, restricted=restricted, trusted=trusted, mimetype=self.mimetype, **kwargs
        )

    def restore(self) -> ObjectVersion:
        """Make this version's file and tags the latest again, as a new version.

        :returns: The new version.
        :raises InvalidOperationError: If this is the head, or a delete marker.
        """
        if self.is_head:
            raise InvalidOperationError(description="The version is the latest one.")
        return self.copy()

    def copy(self, bucket: Bucket | uuid.UUID | str | None = None, key: str | None = None) -> ObjectVersion:
        """Add a version of another object, or of this one, with this version's file and tags. No file is copied.

        :param bucket: The bucket of the new version, or its identifier; this bucket where none is given.
        :param key: Key of the new version; this key where none is given.
        :returns: The new version.
        :raises InvalidOperationError: If this is a delete marker.
        :raises InvalidKeyError: If the key is another one, and is too long, cannot be stored, or has a segment ``.``
            or ``..``.
        """
        if self.deleted:
            raise InvalidOperationError(description="A delete marker cannot be copied.")
        target = open_bucket(self.bucket_id if bucket is None else bucket)
        if key and key != self.key:
            validate_new_key(key)
        return type(self).record(
            target.id,
            key or self.key,
            self.file,
            mimetype=self._mimetype,
            tags=self.get_tags(),
        )

    def remove(self) -> ObjectVersion:
        """Remove this version for good. Where it was the head, the version before it becomes the head.

        The file stays, for :func:`invenio_files_rest.tasks.remove_file_data` or the sweep.

        :returns: The version, which is not in the database any more.
        :raises BucketLockedError: If the bucket is locked.
        """
        cls = type(self)
        size = (self.file.size or 0) if self.file else 0
        Bucket.claim(self.bucket_id, -size, deleted=True)
        successor = self._successor()
        tag = cls._tag_model()
        db.session.execute(delete(tag).where(tag.version_id == self.version_id))
        if not db.session.execute(delete(cls).where(cls.version_id == self.version_id)).rowcount:
            # Somebody else removed it, and subtracted its size.
            Bucket.claim(self.bucket_id, size, deleted=True)
        elif successor is not None:
            successor.updated = head_since(max(self.updated, successor.updated))
            successor.is_head = True
            db.session.flush()
        return self

    def get_tags(self) -> dict[str, str]:
        """Return the tags as a dictionary."""
        return {tag.key: tag.value for tag in self.tags}

    @staticmethod
    def _claim_for(bucket_id: uuid.UUID, file: FileInstance | None, limited: bool) -> None:
        """Take the bucket for a new version, and the file so that nobody deletes it meanwhile."""
        size = (file.size or 0) if file else 0
        Bucket.claim(bucket_id, size, limited=limited)
        if file is not None and not file.hold():
            Bucket.claim(bucket_id, -size)
            raise InvalidOperationError(description="The file does not exist any more.")

    @classmethod
    def _tag_model(cls) -> Any:
        return cls.tags.property.mapper.class_

    def _successor(self) -> ObjectVersion | None:
        """Return the version that becomes the head where this one goes, ``None`` where none does."""
        cls = type(self)
        # A locking read sees what others have committed, whatever the transaction's snapshot; of this version as well.
        latest = db.session.execute(
            select(cls)
            .where(cls.bucket_id == self.bucket_id, cls.key == self.key)
            .order_by(cls.is_head.desc(), cls.created.desc(), cls.version_id)
            .limit(2)
            .with_for_update(),
            execution_options={"populate_existing": True},
        ).scalars()
        others = [version for version in latest if version.version_id != self.version_id]
        return others[0] if others and not others[0].is_head else None

    def _ensure_no_file(self) -> None:
        if self.file_id is not None or self.file is not None:
            raise FileInstanceAlreadySetError()

    def _attach(self, file: FileInstance, limited: bool = False) -> ObjectVersion:
        db.session.add(self)
        db.session.flush()
        self._claim_for(self.bucket_id, file, limited)
        db.session.refresh(self, ["file_id"], with_for_update=True)
        if self.file_id is not None:
            Bucket.claim(self.bucket_id, -(file.size or 0))
            raise FileInstanceAlreadySetError()
        self.file = file
        db.session.flush()
        return self

    def __repr__(self) -> str:
        """Show bucket, version and key."""
        return f"{self.bucket_id}:{self.version_id}:{self.key}"


def as_object_version(value: ObjectVersion | uuid.UUID | str) -> ObjectVersion | None:
    """Return a version that is given as itself or as its identifier.

    :param value: The version, or its identifier.
    """
    return value if isinstance(value, ObjectVersion) else db.session.get(ObjectVersion, value)


def as_object_version_id(value: ObjectVersion | uuid.UUID | str) -> Any:
    """Return the identifier of a version that is given as itself or as its identifier.

    :param value: The version, or its identifier.
    """
    return value.version_id if isinstance(value, ObjectVersion) else value


event.listen(ObjectVersion.__table__, "after_create", ObjectVersion.ix_uq_partial_files_object_is_head_dll())
