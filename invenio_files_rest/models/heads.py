"""The head of an object: how a new version becomes it, and which version does when the head is removed."""

from __future__ import annotations

import uuid
from functools import cache
from typing import TYPE_CHECKING, Any

from invenio_db import db
from sqlalchemy import bindparam, delete, select, update

from ..errors import InvalidOperationError
from ..messages import lazy_gettext as _
from .base import loaded, read_again, reads_a_snapshot
from .bucket import Bucket
from .head_insertion import can_insert_at_once, insert_head
from .object_queries import ObjectQueries
from .succession import head_since, next_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .file_instance import FileInstance
    from .object_version import ObjectVersion


class Heads(ObjectQueries):
    """The part of :class:`ObjectVersion` that changes the head of an object."""

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
        """Add a version to the database, under the lock of its bucket. Every way of storing an object ends here.

        :param bucket_id: Identifier of the bucket.
        :param key: Key of the object.
        :param file: The file; ``None`` for a delete marker.
        :param limited: Whether to enforce the bucket's size limits.
        :param mimetype: MIME type, if known.
        :param version_id: Identifier of the version; by default a random one.
        :param tags: Tags of the version.
        :param precondition: Called under the lock with the current head, or with ``None`` if the object does not exist
            or is deleted. If it raises, the caller has to roll back.
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
        version = cls(
            version_id=version_id or uuid.uuid4(),
            bucket_id=bucket_id,
            key=key,
            file=file,
            is_head=True,
            mimetype=mimetype,
            tags=[cls._tag_model()(key=name, value=value) for name, value in (tags or {}).items()],
        )
        if can_insert_at_once(version):
            replaced = insert_head(version)
        else:
            before = cls._step_down(bucket_id, key, head)
            replaced = [row.version_id for row in before]
            version.created, version.updated = next_times(before)
            db.session.add(version)
            db.session.flush()
        cls.read_heads_again(replaced)
        return version

    @classmethod
    def read_heads_again(cls, version_ids: Iterable[uuid.UUID]) -> None:
        """Let the session read again whether versions are heads, after a statement has changed it.

        :param version_ids: Identifiers of the versions.
        """
        for version_id in version_ids:
            if known := loaded(cls, version_id):
                read_again(known, ["is_head"])

    @classmethod
    def _current_head(cls, bucket_id: uuid.UUID, key: str) -> ObjectVersion | None:
        """Return the current head of an object, even if the transaction's snapshot is older. The bucket is locked."""
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
        """Make the head of an object an ordinary version.

        :param bucket_id: Identifier of the bucket.
        :param key: Key of the object.
        :param head: The head, if known.
        :returns: Rows with the identifiers and times of the versions that were the head.
        """
        values = {"in_bucket": bucket_id, "of_key": key}
        before: list[Any]
        if db.engine.dialect.update_returning:
            before = list(db.session.execute(cls._stepping_down(returning=True), values))
        else:
            before = [head] if head is not None else list(db.session.execute(cls._locked_heads(), values))
            if before:
                db.session.execute(cls._stepping_down(returning=False), values)
        return before

    @classmethod
    @cache
    def _stepping_down(cls, returning: bool) -> Any:
        # On the table rather than the model, which takes SQLAlchemy half the time.
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

    def remove(self) -> ObjectVersion:
        """Remove this version permanently. If it was the head, the previous version becomes the head.

        The file stays, until :func:`invenio_files_rest.tasks.remove_file_data` or the sweep removes it.

        :returns: The version, which is no longer in the database.
        :raises BucketLockedError: If the bucket is locked.
        """
        cls = type(self)
        size = (self.file.size or 0) if self.file else 0
        Bucket.claim(self.bucket_id, -size, deleted=True)
        successor = self._successor()
        tag = cls._tag_model()
        db.session.execute(delete(tag).where(tag.version_id == self.version_id))
        if not db.session.execute(delete(cls).where(cls.version_id == self.version_id)).rowcount:
            # Another transaction has removed it and subtracted its size.
            Bucket.claim(self.bucket_id, size, deleted=True)
        elif successor is not None:
            successor.updated = head_since(max(self.updated, successor.updated))
            successor.is_head = True
            db.session.flush()
        return self

    def _successor(self) -> ObjectVersion | None:
        """Return the version that becomes the head when this one is removed, or ``None`` if none does."""
        cls = type(self)
        # A locking read sees what others have committed, also to this version, whatever the transaction's snapshot.
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

    @staticmethod
    def _claim_for(bucket_id: uuid.UUID, file: FileInstance | None, limited: bool) -> None:
        """Lock the bucket for a new version, and the file so that nobody deletes it in the meantime."""
        size = (file.size or 0) if file else 0
        Bucket.claim(bucket_id, size, limited=limited)
        if file is not None and not file.hold():
            Bucket.claim(bucket_id, -size)
            raise InvalidOperationError(description=_("The file does not exist any more."))
