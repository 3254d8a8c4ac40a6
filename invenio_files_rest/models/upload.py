"""Uploads in progress whose bytes arrive as one growing run, or as parts of any size."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from flask import current_app
from invenio_db import db
from sqlalchemy import Text, and_, bindparam, func, or_, select, update
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Query, validates
from sqlalchemy.types import TypeDecorator
from sqlalchemy_utils.types import UUIDType

from ..errors import FileSizeError
from ..keys import validate_key
from .base import ExactText, Held, UTCTimestamp, execute, read, utcnow
from .bucket import Bucket

OPEN, COMPLETING, DONE, FAILED = "open", "completing", "done", "failed"
"""Status of an upload: it takes bytes, is being turned into a version, has become a version, or never will."""

JOINED = "joined"
"""What an upload is whose bytes another one is being made of, which has claimed them."""


class JSONText(TypeDecorator[Any]):
    """JSON that is stored as text, since no query looks into it."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        """Return the type for a database."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.LONGTEXT())
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        """Serialize the value."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        """Parse the value."""
        return None if value is None else json.loads(value)


class Upload(db.Model, Held):
    """An upload whose extents have sizes of their own, or whose length is not known when it begins.

    The file gets its row when the upload becomes a version; its identifier is that of the upload. The bytes that the
    upload has claimed count towards the size of the bucket.
    """

    __tablename__ = "files_upload"

    id = db.Column(UUIDType, primary_key=True, default=uuid.uuid4)
    """Identifier of the upload and of the resulting file."""

    bucket_id = db.Column(UUIDType, db.ForeignKey(Bucket.id, ondelete="CASCADE"), nullable=False, index=True)
    """Identifier of the bucket."""

    key = db.Column(ExactText(255), nullable=True)
    """Key of the resulting object; ``None`` if it does not become an object by itself."""

    owner = db.Column(db.String(255), nullable=True)
    """Who began it, as the protocol identifies users."""

    protocol = db.Column(db.String(20), nullable=False)
    """Name of its protocol."""

    plan = db.Column(db.String(20), nullable=False)
    """Name of its plan, which decides which extents are valid."""

    length = db.Column(db.BigInteger, nullable=True)
    """Size of the file in bytes; ``None`` until it is declared."""

    part_size = db.Column(db.BigInteger, nullable=True)
    """Size in bytes of the first extent that arrived; the others are expected to have the same."""

    claimed = db.Column(db.BigInteger, nullable=False, default=0)
    """Number of bytes by which it adds to :attr:`Bucket.size`."""

    conditions = db.Column(JSONText, nullable=True)
    """Headers with the conditions that must hold when the upload is completed (RFC 9110, section 13)."""

    tags = db.Column(JSONText, nullable=True)
    """Tags of the resulting version."""

    meta = db.Column("metadata", JSONText, nullable=True)
    """Data that the protocol needs for its responses."""

    storage_class = db.Column(db.String(1), nullable=True)
    """Storage class of the file."""

    state = db.Column(JSONText, nullable=False)
    """State of the upload in the storage; ``uri`` in it is the URI of the file."""

    status = db.Column(db.String(10), nullable=False, default=OPEN)
    """:data:`OPEN`, :data:`COMPLETING`, :data:`DONE`, :data:`FAILED` or :data:`JOINED`."""

    reason = db.Column(db.Text, nullable=True)
    """Why it failed, or why it waits to become a version, for the client."""

    expires = db.Column(UTCTimestamp, nullable=False, index=True)
    """When it may be removed. Each use sets it anew; where requests follow one another, one in a while does."""

    @validates("key")
    def validate_key(self, key: str, key_: str | None) -> str | None:
        """Check the key.

        :raises InvalidKeyError: If it is too long or cannot be stored.
        """
        return None if key_ is None else validate_key(key_)

    @property
    def version_id(self) -> uuid.UUID:
        """Identifier of the resulting version, the same for everyone who completes the upload."""
        return uuid.uuid5(self.id, "version")

    @classmethod
    def record(cls, **columns: Any) -> Upload:
        """Add an upload, and claim its length in the bucket, if known.

        :param columns: Values of the columns.
        :returns: The upload, flushed.
        :raises BucketLockedError: If the bucket is locked.
        :raises FileSizeError: If a size limit is exceeded.
        """
        length = columns.get("length") or 0
        Bucket.claim(columns["bucket_id"], length, limited=True)
        upload = cls(claimed=length, **{"status": OPEN, "expires": cls.next_expiry(), **columns})
        db.session.add(upload)
        db.session.flush()
        return upload

    @staticmethod
    def next_expiry() -> datetime:
        """Return when an upload that is used now expires."""
        expires: timedelta = current_app.config["FILES_REST_MULTIPART_EXPIRES"]
        return utcnow() + expires

    @classmethod
    def first_expiry(cls) -> datetime:
        """Return when an upload that is made now expires if it is never used."""
        return min(cls.next_expiry(), utcnow() + current_app.config["FILES_REST_UPLOADS_UNUSED_EXPIRES"])

    @classmethod
    def get(cls, upload_id: uuid.UUID) -> Upload | None:
        """Return an upload, or ``None`` if there is none.

        :param upload_id: Its identifier.
        """
        found: Upload | None = read(cls._with_identifier(), {"upload_id": upload_id}).scalar_one_or_none()
        return found

    @classmethod
    @cache
    def _with_identifier(cls) -> Any:
        return select(cls).where(cls.id == bindparam("upload_id")).execution_options(populate_existing=True)

    @classmethod
    def use(cls, upload_id: uuid.UUID) -> datetime | None:
        """Postpone the expiry of an open upload, and keep others from changing it until the end of the transaction.

        :param upload_id: Its identifier.
        :returns: When it expires; ``None`` if it is not open, or has expired.
        """
        expires = cls.next_expiry()
        values = {"upload_id": upload_id, "now": utcnow(), "until": expires}
        return expires if db.session.execute(cls._used(), values).rowcount else None

    @classmethod
    @cache
    def _used(cls) -> Any:
        # Of the table, since one of the model takes four times as long.
        table: Any = cls.__table__
        now: Any = bindparam("now")
        is_open = table.c.id == bindparam("upload_id"), table.c.status == OPEN, table.c.expires >= now
        return update(table).where(*is_open).values(expires=bindparam("until"), updated=now)

    @classmethod
    def hold_several(cls, upload_ids: Collection[uuid.UUID]) -> list[Upload]:
        """Return uploads as they are now, and keep others from changing them until the end of the transaction.

        :param upload_ids: Their identifiers.
        :returns: Those that there are.
        """
        db.session.flush()
        # An update is what locks on every database.
        taken = update(cls).where(cls.id.in_(upload_ids)).values(updated=utcnow())
        execute(taken)
        found = select(cls).where(cls.id.in_(upload_ids)).order_by(cls.id).with_for_update()
        return list(db.session.scalars(found.execution_options(populate_existing=True)))

    @property
    def sources(self) -> list[uuid.UUID]:
        """Identifiers of the uploads that this one is being made of, in the order of their bytes; one may be twice."""
        return [uuid.UUID(each) for each in (self.meta or {}).get("sources", ())]

    @property
    def joined_into(self) -> uuid.UUID | None:
        """Identifier of the upload that is, or was, made of this one and others; ``None`` if there is none."""
        into = (self.meta or {}).get("into")
        return into and uuid.UUID(into)

    @classmethod
    def count_open(cls, bucket_id: uuid.UUID) -> int:
        """Return how many uploads of a bucket are open, or being completed.

        :param bucket_id: Identifier of the bucket, which is locked by the transaction.
        """
        of_bucket = cls.bucket_id == bucket_id, cls.status.in_((OPEN, COMPLETING))
        counted = select(func.count()).select_from(cls).where(*of_bucket)
        return int(db.session.scalar(counted) or 0)

    @classmethod
    def in_progress(cls) -> Any:
        """Return the condition that an upload has bytes that are not part of a version yet."""
        return cls.status.in_((OPEN, COMPLETING, JOINED))

    @classmethod
    def among(cls, upload_ids: Collection[uuid.UUID]) -> Any:
        """Return the statement that finds which identifiers belong to uploads in progress.

        :param upload_ids: The identifiers.
        """
        return select(cls.id).where(cls.id.in_(upload_ids), cls.in_progress())

    @classmethod
    def query_forgotten(cls, before: datetime) -> Query[Any]:
        """Return a query of the uploads that have expired, and of those whose completion has stopped.

        :param before: Completion counts as stopped if it was last active before this time. While the bucket is locked
            it waits.
        """
        stopped = and_(cls.status == COMPLETING, cls.updated < before, ~cls._in_locked_bucket())
        return db.session.query(cls).filter(or_(cls.is_expired(), stopped))

    @classmethod
    def is_expired(cls) -> Any:
        """Return the condition that an upload may be removed.

        One that has all its bytes may only be if its bucket is still locked; otherwise it is to be completed.
        """
        ended = cls.status.notin_((COMPLETING, JOINED))
        return and_(cls.expires < utcnow(), or_(ended, and_(cls.status == COMPLETING, cls._in_locked_bucket())))

    @classmethod
    def _in_locked_bucket(cls) -> Any:
        return cls.bucket_id.in_(select(Bucket.id).where(Bucket.locked))

    def claim(self, wanted: int, needed: int) -> None:
        """Change the total that the upload has claimed, as far as the limits allow.

        :param wanted: Total to claim if possible, in bytes.
        :param needed: Total that has to be claimed, in bytes.
        :raises FileSizeError: If ``needed`` exceeds a limit. The caller has to roll back.
        :raises BucketLockedError: If the bucket is locked, and more bytes are wanted.
        """
        more = wanted - self.claimed
        if not more:
            return
        if more < 0:
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
        """Postpone the expiry, since the upload is in use."""
        self.expires = self.next_expiry()

    def forget(self) -> None:
        """Delete the upload, after its extents, and release what it has claimed. The transaction has locked it."""
        Bucket.claim(self.bucket_id, -self.claimed, deleted=True, locked=True)
        db.session.delete(self)
        db.session.flush()

    def __repr__(self) -> str:
        """Return a text with identifier, bucket, key and status."""
        return f"<Upload {self.id}, {self.bucket_id}:{self.key}, {self.status}>"
