"""Links for others: what each of them gives to whoever has it, and on whose behalf."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from invenio_accounts.models import User
from invenio_db import db
from sqlalchemy import and_, bindparam, delete, or_, select
from sqlalchemy.orm import Query
from sqlalchemy_utils.types import UUIDType

from .base import ExactText, Timestamp, UTCTimestamp, execute, read, utcnow
from .bucket import Bucket

VERSION, OBJECT, PREFIX, UPLOAD = "version", "object", "prefix", "upload"
"""What a link is for: to read one version, one object or what is under a prefix, or to add objects under a prefix."""

NOTE_LENGTH = 255
"""Largest length of a note, in characters."""

_SAME_MOMENT = timedelta(seconds=1)
"""What clocks and the columns of databases may lose."""


class Share(db.Model, Timestamp):
    """A link for others.

    Its token is not stored, only the token's hash. It has at least 128 random bits, so that the hash needs no salt: no
    list of guesses is long enough.
    """

    __tablename__ = "files_share"

    id = db.Column(UUIDType, primary_key=True, default=uuid.uuid4)
    """Identifier, with which it is listed and revoked. It gives nothing."""

    token_hash = db.Column(db.String(64), nullable=False, unique=True)
    """SHA-256 of the token, in hexadecimal digits."""

    bucket_id = db.Column(UUIDType, db.ForeignKey(Bucket.id, ondelete="CASCADE"), nullable=False, index=True)
    """Identifier of the bucket."""

    user_id = db.Column(db.Integer, nullable=False)
    """Identifier of the user who made it. No foreign key: accounts need know nothing of files."""

    kind = db.Column(db.String(10), nullable=False)
    """:data:`VERSION`, :data:`OBJECT`, :data:`PREFIX` or :data:`UPLOAD`."""

    key = db.Column(ExactText(255), nullable=False)
    """Key of the object, or the prefix."""

    version_id = db.Column(UUIDType, nullable=True)
    """Identifier of the version, which may have been removed."""

    note = db.Column(db.String(NOTE_LENGTH), nullable=False, default="")
    """What its maker wrote about it."""

    expires = db.Column(UTCTimestamp, nullable=False, index=True)
    """From when on it gives nothing."""

    @property
    def prefix(self) -> str | None:
        """The prefix; ``None`` where it is for one object."""
        return self.key if self.kind in (PREFIX, UPLOAD) else None

    def covers(self, key: str) -> bool:
        """Tell whether it is for a key.

        :param key: The key.
        """
        return key == self.key if self.prefix is None else key.startswith(self.prefix)

    @classmethod
    def find(cls, token: str) -> FoundShare | None:
        """Return what a token is for, in one statement, whatever it is.

        :param token: The token.
        :returns: ``None`` where there is no such link, it has expired, its bucket is deleted, or its maker is not
            active or not there any more.
        """
        row = read(_FOUND, {"token_hash": hash_of(token), "now": utcnow()}).one_or_none()
        found = None if row is None else FoundShare(*row)
        # SQLite gives identifiers of removed users to new ones.
        return found if found is not None and found.user.created <= found.share.created + _SAME_MOMENT else None

    @classmethod
    def live(cls, bucket_id: uuid.UUID | None = None, user_id: int | None = None) -> Query[Any]:
        """Return the query of links that have not expired.

        :param bucket_id: Identifier of their bucket; ``None`` for those of all buckets.
        :param user_id: Identifier of who made them; ``None`` for those of everybody.
        """
        query = db.session.query(cls).filter(cls.expires > utcnow())
        if bucket_id is not None:
            query = query.filter(cls.bucket_id == bucket_id)
        return query if user_id is None else query.filter(cls.user_id == user_id)

    @classmethod
    def newest(
        cls, bucket_id: uuid.UUID, user_id: int | None, after: tuple[datetime, uuid.UUID] | None, limit: int
    ) -> list[Share]:
        """Return links that have not expired, newest first.

        :param bucket_id: See :meth:`live`.
        :param user_id: See :meth:`live`.
        :param after: When the one before them was made, and its identifier; ``None`` for the newest.
        :param limit: How many, at most.
        """
        query = cls.live(bucket_id, user_id)
        if after is not None:
            created, last = after
            query = query.filter(or_(cls.created < created, and_(cls.created == created, cls.id < last)))
        return query.order_by(cls.created.desc(), cls.id.desc()).limit(limit).all()

    @classmethod
    def add(cls, **columns: Any) -> Share:
        """Add a link.

        :param columns: Its columns, by name.
        :returns: The link, flushed.
        """
        share = cls(**columns)
        db.session.add(share)
        db.session.flush()
        return share

    @classmethod
    def revoke(
        cls, share_ids: Iterable[uuid.UUID], bucket_id: uuid.UUID | None = None, user_id: int | None = None
    ) -> int:
        """Remove links.

        :param share_ids: Their identifiers.
        :param bucket_id: Identifier of the bucket that they have to be of, where that matters.
        :param user_id: Identifier of who has to have made them, where that matters.
        :returns: How many there were.
        """
        statement = delete(cls).where(cls.id.in_(list(share_ids)))
        if bucket_id is not None:
            statement = statement.where(cls.bucket_id == bucket_id)
        if user_id is not None:
            statement = statement.where(cls.user_id == user_id)
        return int(execute(statement).rowcount)

    @classmethod
    def forget_expired(cls, before: datetime) -> None:
        """Remove the rows of links that have expired.

        :param before: Until when.
        """
        execute(delete(cls).where(cls.expires < before))


class FoundShare(NamedTuple):
    """A link that a token is for."""

    share: Share
    bucket: Bucket
    user: User
    """Who made it, as the database has it now."""


_FOUND = (
    select(Share, Bucket, User)
    .join(Bucket, Bucket.id == Share.bucket_id)
    .join(User, User.id == Share.user_id)
    .where(
        Share.token_hash == bindparam("token_hash"),
        Share.expires > bindparam("now", type_=UTCTimestamp()),
        ~Bucket.deleted,
        User.active,
    )
    .execution_options(populate_existing=True)
)


def hash_of(token: str) -> str:
    """Return the hash of a token.

    :param token: The token, which may be any text.
    """
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
