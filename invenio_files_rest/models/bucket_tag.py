"""Tags of buckets."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from invenio_db import db
from sqlalchemy_utils.types import UUIDType

from .bucket import Bucket, as_bucket_id
from .tags import TagMixin, tag_key_column


class BucketTag(db.Model, TagMixin):
    """A tag of a bucket."""

    __tablename__ = "files_buckettags"

    _owner = "bucket_id"
    _owner_model = Bucket

    bucket_id = db.Column(
        UUIDType,
        db.ForeignKey(Bucket.id, ondelete="CASCADE"),
        default=uuid.uuid4,
        nullable=False,
        primary_key=True,
        index=True,
    )
    """Identifier of the bucket."""

    key = tag_key_column()
    """Key of the tag."""

    bucket = db.relationship(Bucket, backref=db.backref("tags", passive_deletes="all"))
    """The bucket."""

    @classmethod
    def create(cls, bucket: Bucket | uuid.UUID, key: str, value: str) -> BucketTag:
        """Add a tag to a bucket.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the tag, unique within the bucket.
        :param value: Value of the tag.
        :raises sqlalchemy.exc.IntegrityError: If the bucket has a tag with this key.
        """
        return cls._create(as_bucket_id(bucket), key, value)

    @classmethod
    def create_or_update(cls, bucket: Bucket | uuid.UUID, key: str, value: str) -> BucketTag:
        """Add a tag to a bucket, or change its value.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the tag.
        :param value: Value of the tag.
        """
        return cls._create_or_update(as_bucket_id(bucket), key, value)

    @classmethod
    def get(cls, bucket: Bucket | uuid.UUID, key: str) -> BucketTag | None:
        """Return a tag of a bucket, or ``None`` if the bucket has no such tag.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the tag.
        """
        return cls._get(as_bucket_id(bucket), key)

    @classmethod
    def get_value(cls, bucket: Bucket | uuid.UUID, key: str) -> str | None:
        """Return the value of a tag of a bucket, or ``None`` if the bucket has no such tag.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the tag.
        """
        return cls._get_value(as_bucket_id(bucket), key)

    @classmethod
    def replace(cls, bucket: Bucket | uuid.UUID, tags: Mapping[str, str]) -> None:
        """Give a bucket other tags instead of those that it has.

        :param bucket: The bucket, or its identifier; the transaction has locked it.
        :param tags: Its new tags.
        """
        cls._replace(as_bucket_id(bucket), tags)

    @classmethod
    def delete(cls, bucket: Bucket | uuid.UUID, key: str) -> None:
        """Delete a tag of a bucket, if the bucket has it.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the tag.
        """
        cls._delete(as_bucket_id(bucket), key)
