"""The bytes of an upload in progress that are there, and those that somebody is writing."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from invenio_db import db
from sqlalchemy import delete, func, select
from sqlalchemy_utils.types import UUIDType

from .base import Timestamp
from .upload import OPEN, JSONText, Upload


class UploadExtent(db.Model, Timestamp):
    """A run of bytes of an upload. It is there once it has a receipt.

    Who writes it raises its epoch first, and records what was written only while the epoch is still that.
    """

    __tablename__ = "files_upload_extent"

    upload_id = db.Column(UUIDType, db.ForeignKey(Upload.id, ondelete="CASCADE"), primary_key=True)
    """Identifier of the upload."""

    number = db.Column(db.Integer, primary_key=True, autoincrement=False)
    """Its number: extents are put in the order of their numbers."""

    offset = db.Column(db.BigInteger, nullable=True)
    """Where it begins in the file, in bytes, where that is known."""

    size = db.Column(db.BigInteger, nullable=True)
    """Its size in bytes; ``None`` until there is one."""

    claimed = db.Column(db.BigInteger, nullable=False, default=0)
    """Bytes of what the upload has claimed that are for this extent."""

    digests = db.Column(JSONText, nullable=True)
    """Digests of its bytes in hexadecimal digits, by the name of the algorithm."""

    receipt = db.Column(JSONText, nullable=True)
    """What the storage needs to find its bytes."""

    epoch = db.Column(db.Integer, nullable=False, default=0)
    """How often somebody has begun to write it."""

    writer = db.Column(db.String(64), nullable=True)
    """Machine on which somebody may have written more than is recorded, which is then worth to be kept."""

    @classmethod
    def take(cls, upload_id: uuid.UUID, number: int) -> UploadExtent:
        """Begin a new epoch of an extent, which ends the one before. The transaction holds the upload.

        :param upload_id: Identifier of the upload.
        :param number: Number of the extent, which is added where it is new.
        """
        extent = db.session.get(cls, (upload_id, number), populate_existing=True, with_for_update=True)
        if extent is None:
            extent = cls(upload_id=upload_id, number=number, epoch=0, claimed=0)
            db.session.add(extent)
        extent.epoch += 1
        db.session.flush()
        return extent

    @classmethod
    def one(cls, upload_id: uuid.UUID, number: int) -> UploadExtent | None:
        """Return an extent, though it may not be there yet.

        :param upload_id: Identifier of the upload.
        :param number: Number of the extent.
        """
        return db.session.get(cls, (upload_id, number), populate_existing=True)

    @classmethod
    def of_epoch(cls, upload_id: uuid.UUID, number: int, epoch: int) -> UploadExtent | None:
        """Return an extent, ``None`` where its epoch is over. The transaction holds the upload.

        :param upload_id: Identifier of the upload.
        :param number: Number of the extent.
        :param epoch: The epoch.
        """
        extent = db.session.get(cls, (upload_id, number), populate_existing=True, with_for_update=True)
        return extent if extent is not None and extent.epoch == epoch else None

    @classmethod
    def recorded(cls, upload_id: uuid.UUID) -> list[UploadExtent]:
        """Return the extents of an upload that are there, in order.

        :param upload_id: Identifier of the upload.
        """
        there = select(cls).where(cls.upload_id == upload_id, cls.receipt.isnot(None)).order_by(cls.number)
        return list(db.session.scalars(there.execution_options(populate_existing=True)))

    @classmethod
    def forget(cls, upload_id: uuid.UUID, *but: int) -> None:
        """Delete the extents of an upload.

        :param upload_id: Identifier of the upload.
        :param but: Numbers of those that stay.
        """
        gone = delete(cls).where(cls.upload_id == upload_id, cls.number.notin_(but))
        db.session.execute(gone, execution_options={"synchronize_session": False})

    @classmethod
    def total(cls, upload_id: uuid.UUID) -> int:
        """Return how many bytes of an upload are there.

        :param upload_id: Identifier of the upload.
        """
        there = select(func.coalesce(func.sum(cls.size), 0)).where(cls.upload_id == upload_id)
        return int(db.session.scalar(there) or 0)

    @classmethod
    def epochs(cls, upload_ids: Collection[uuid.UUID]) -> dict[tuple[uuid.UUID, int], int]:
        """Return the epochs of the extents of some uploads, of those that still take bytes.

        :param upload_ids: Identifiers of the uploads.
        """
        running = select(cls.upload_id, cls.number, cls.epoch).join(Upload, Upload.id == cls.upload_id)
        running = running.where(cls.upload_id.in_(upload_ids), Upload.status == OPEN)
        return {(row.upload_id, row.number): row.epoch for row in db.session.execute(running)}

    def __repr__(self) -> str:
        """Show upload and number."""
        return f"<UploadExtent {self.upload_id}, {self.number}>"
