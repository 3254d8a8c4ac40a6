"""Uploads of free shape in progress: bytes that arrive as one growing run, or as extents of any size."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from invenio_db import db
from sqlalchemy import Text, and_, func, or_, select
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Query, validates
from sqlalchemy.types import TypeDecorator
from sqlalchemy_utils.types import UUIDType

from ..errors import FileSizeError
from ..keys import validate_key
from .base import ExactText, Held, UTCTimestamp, utcnow
from .bucket import Bucket

OPEN, COMPLETING, DONE, FAILED = "open", "completing", "done", "failed"
"""What an upload can be: taking bytes, being made a version, a version, or never going to be one."""


class JSONText(TypeDecorator[Any]):
    """JSON that no database looks into, and that each therefore keeps as text."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        """Return the database's own type."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.LONGTEXT())
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        """Write JSON."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        """Read JSON."""
        return None if value is None else json.loads(value)


class Upload(db.Model, Held):
    """An upload whose extents have sizes of their own, or whose length is not known when it begins.

    No file has a row before the upload is a version; its identifier becomes that of the file. What it has claimed is
    counted in the bucket.
    """

    __tablename__ = "files_upload"

    id = db.Column(UUIDType, primary_key=True, default=uuid.uuid4)
    """Identifier of the upload, and of the file that it becomes."""

    bucket_id = db.Column(UUIDType, db.ForeignKey(Bucket.id, ondelete="CASCADE"), nullable=False, index=True)
    """Identifier of the bucket."""

    key = db.Column(ExactText(255), nullable=True)
    """Key of the object that it becomes; ``None`` where it becomes none by itself."""

    owner = db.Column(db.String(255), nullable=True)
    """Who has begun it, in the words of the protocol."""

    protocol = db.Column(db.String(20), nullable=False)
    """Name of the protocol that it came by."""

    plan = db.Column(db.String(20), nullable=False)
    """Name of the plan that tells which extents are valid."""

    length = db.Column(db.BigInteger, nullable=True)
    """Size of the file in bytes; ``None`` as long as nobody has said it."""

    part_size = db.Column(db.BigInteger, nullable=True)
    """Size in bytes of the extent that came first, which others are expected to have, too."""

    claimed = db.Column(db.BigInteger, nullable=False, default=0)
    """Bytes that it counts for in :attr:`Bucket.size`."""

    conditions = db.Column(JSONText, nullable=True)
    """Headers of the conditions that the object has to meet when the upload ends (RFC 9110, section 13)."""

    tags = db.Column(JSONText, nullable=True)
    """Tags of the version."""

    meta = db.Column("metadata", JSONText, nullable=True)
    """What the protocol keeps of the upload for its own answers."""

    storage_class = db.Column(db.String(1), nullable=True)
    """Storage class of the file."""

    state = db.Column(JSONText, nullable=False)
    """What the storage needs to find it again; ``uri`` in it is that of the file."""

    status = db.Column(db.String(10), nullable=False, default=OPEN)
    """:data:`OPEN`, :data:`COMPLETING`, :data:`DONE` or :data:`FAILED`."""

    reason = db.Column(db.Text, nullable=True)
    """Why it has failed, for the client."""

    expires = db.Column(UTCTimestamp, nullable=False, index=True)
    """When it may be removed unless somebody goes on with it."""

    @validates("key")
    def validate_key(self, key: str, key_: str | None) -> str | None:
        """Check the key.

        :raises InvalidKeyError: If it is too long or cannot be stored.
        """
        return None if key_ is None else validate_key(key_)

    @property
    def version_id(self) -> uuid.UUID:
        """Identifier of the version that the upload becomes: the same for everybody who completes it."""
        return uuid.uuid5(self.id, "version")

    @classmethod
    def record(cls, **columns: Any) -> Upload:
        """Add an upload, and claim its length in the bucket where it is known.

        :param columns: The columns.
        :returns: The upload, flushed.
        :raises BucketLockedError: If the bucket is locked.
        :raises FileSizeError: If a size limit is exceeded.
        """
        length = columns.get("length") or 0
        Bucket.claim(columns["bucket_id"], length, limited=True)
        upload = cls(claimed=length, status=OPEN, expires=cls.next_expiry(), **columns)
        db.session.add(upload)
        db.session.flush()
        return upload

    @staticmethod
    def next_expiry() -> datetime:
        """Return when an upload expires that is used now."""
        expires: timedelta = current_app.config["FILES_REST_MULTIPART_EXPIRES"]
        return utcnow() + expires

    @classmethod
    def get(cls, upload_id: uuid.UUID) -> Upload | None:
        """Return an upload, ``None`` where there is none.

        :param upload_id: Its identifier.
        """
        return db.session.get(cls, upload_id, populate_existing=True)

    @classmethod
    def count_open(cls, bucket_id: uuid.UUID) -> int:
        """Return how many uploads of a bucket are open, or being completed.

        :param bucket_id: Identifier of the bucket, which the transaction has claimed.
        """
        counted = select(func.count()).select_from(cls).where(cls.bucket_id == bucket_id, cls.in_progress())
        return int(db.session.scalar(counted) or 0)

    @classmethod
    def in_progress(cls) -> Any:
        """Return the condition that an upload has bytes which are no version's."""
        return cls.status.in_((OPEN, COMPLETING))

    @classmethod
    def among(cls, upload_ids: Collection[uuid.UUID]) -> Any:
        """Return the statement that finds those of some identifiers that uploads in progress have.

        :param upload_ids: The identifiers.
        """
        return select(cls.id).where(cls.id.in_(upload_ids), cls.in_progress())

    @classmethod
    def query_forgotten(cls, before: datetime) -> Query[Any]:
        """Return a query of the uploads that have expired, and of those that nobody has gone on to complete.

        :param before: Time since which nobody has.
        """
        expired = and_(cls.status != COMPLETING, cls.expires < utcnow())
        return db.session.query(cls).filter(or_(expired, and_(cls.status == COMPLETING, cls.updated < before)))

    def claim(self, wanted: int, needed: int) -> None:
        """Have the upload count for some bytes in all, or for as many of them as the limits allow.

        :param wanted: Bytes that it shall count for.
        :param needed: Bytes that it has to count for.
        :raises FileSizeError: If these exceed a limit. The caller has to roll back.
        :raises BucketLockedError: If the bucket is locked, and more bytes are wanted.
        """
        more = wanted - self.claimed
        if more <= 0:
            Bucket.claim(self.bucket_id, more, deleted=True, locked=True)
        else:
            Bucket.claim(self.bucket_id, more)
            bucket = db.session.get(Bucket, self.bucket_id, populate_existing=True, with_for_update=True)
            limit = bucket.size_limit_before(wanted)
            if limit is not None and wanted > limit.limit:
                if needed > limit.limit:
                    raise FileSizeError(description=limit.reason)
                allowed = max(self.claimed, int(limit.limit))
                Bucket.claim(self.bucket_id, allowed - wanted)
                wanted = allowed
        self.claimed = wanted
        db.session.flush()

    def used(self) -> None:
        """Note that somebody goes on with it."""
        self.expires = self.next_expiry()

    def forget(self) -> None:
        """Delete the upload, whose extents have been, and give back what it has claimed. The transaction holds it."""
        Bucket.claim(self.bucket_id, -self.claimed, deleted=True, locked=True)
        db.session.delete(self)
        db.session.flush()

    def __repr__(self) -> str:
        """Show identifier, bucket and key."""
        return f"<Upload {self.id}, {self.bucket_id}:{self.key}, {self.status}>"
