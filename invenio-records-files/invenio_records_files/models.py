"""The table that links records to buckets, and the locks for changing a record's files."""

from __future__ import annotations

import uuid
from typing import Any

from invenio_db import db
from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_records.models import RecordMetadata
from sqlalchemy import delete, select, update
from sqlalchemy_utils.types import UUIDType


class RecordsBuckets(db.Model):
    """A record, and the bucket of its files."""

    __tablename__ = "records_buckets"

    record_id = db.Column(UUIDType, db.ForeignKey(RecordMetadata.id), primary_key=True, nullable=False)
    """Identifier of the record."""

    bucket_id = db.Column(UUIDType, db.ForeignKey(Bucket.id), primary_key=True, nullable=False, index=True)
    """Identifier of the bucket."""

    bucket = db.relationship(Bucket)
    """The bucket."""

    record = db.relationship(RecordMetadata)
    """The record's row."""

    @classmethod
    def create(cls, record: RecordMetadata, bucket: Bucket) -> RecordsBuckets:
        """Link a record to a bucket, and add the link to the session.

        :param record: The record's row.
        :param bucket: The bucket.
        :returns: The link.
        """
        link = cls(record=record, bucket=bucket)
        db.session.add(link)
        return link

    @classmethod
    def find_bucket(cls, record_id: uuid.UUID) -> Bucket | None:
        """Return the bucket of a record, or ``None`` if it has none, or the bucket is deleted.

        :param record_id: Identifier of the record.
        """
        statement = select(Bucket).join(cls).where(cls.record_id == record_id, ~Bucket.deleted).limit(1)
        bucket: Bucket | None = db.session.execute(statement).scalar_one_or_none()
        return bucket

    @classmethod
    def remove(cls, record_id: uuid.UUID) -> None:
        """Remove the links of a record. Buckets and files stay.

        :param record_id: Identifier of the record.
        """
        db.session.execute(delete(cls).where(cls.record_id == record_id))


def lock_bucket(bucket_id: uuid.UUID | str) -> None:
    """Lock a bucket's row until the end of the transaction, as every change of its objects does.

    :param bucket_id: Identifier of the bucket.
    """
    # An update, which also locks on SQLite, where there is no SELECT ... FOR UPDATE.
    db.session.execute(
        update(Bucket).where(Bucket.id == bucket_id).values(size=Bucket.size),
        execution_options={"synchronize_session": False},
    )


def lock_objects(bucket_id: uuid.UUID) -> dict[str, ObjectVersion]:
    """Return the current objects of a bucket, even if the transaction's snapshot is older.

    :param bucket_id: Identifier of the bucket, which must already be locked.
    :returns: The objects by key.
    """
    query = ObjectVersion.get_by_bucket(bucket_id).with_for_update(read=True, of=ObjectVersion)
    return {obj.key: obj for obj in query.populate_existing()}


def lock_record(model: Any) -> tuple[int, Any] | None:
    """Lock a record's row until the end of the transaction.

    :param model: The row in the session.
    :returns: Its current version and JSON, even if the transaction's snapshot is older; ``None`` if the row no longer
        exists.
    """
    cls = type(model)
    row = db.session.execute(select(cls.version_id, cls.json).where(cls.id == model.id).with_for_update()).one_or_none()
    return tuple(row) if row is not None else None


def reload_record(model: Any) -> None:
    """Read the current state of a record's row into the session.

    :param model: The row.
    """
    db.session.refresh(model, with_for_update=True)
