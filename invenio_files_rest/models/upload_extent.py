"""Extents of uploads in progress: runs of bytes that have arrived or are being written."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from functools import cache
from typing import Any

from invenio_db import db
from sqlalchemy import and_, bindparam, delete, func, select, update
from sqlalchemy_utils.types import UUIDType

from .base import Timestamp, execute, read, utcnow, write_by_itself
from .upload import OPEN, JSONText, Upload


class UploadExtent(db.Model, Timestamp):
    """A run of bytes of an upload. It has arrived once it has a receipt.

    A writer first raises its epoch, and records what was written only if the epoch is still the same. It may write and
    record again in that epoch.
    """

    __tablename__ = "files_upload_extent"

    upload_id = db.Column(UUIDType, db.ForeignKey(Upload.id, ondelete="CASCADE"), primary_key=True)
    """Identifier of the upload."""

    number = db.Column(db.Integer, primary_key=True, autoincrement=False)
    """Its number, by which the extents are ordered."""

    offset = db.Column(db.BigInteger, nullable=True)
    """Where it begins in the file, in bytes, if known."""

    size = db.Column(db.BigInteger, nullable=True)
    """Its size in bytes; ``None`` until something is recorded."""

    claimed = db.Column(db.BigInteger, nullable=False, default=0)
    """How many of the bytes that the upload has claimed are for this extent."""

    digests = db.Column(JSONText, nullable=True)
    """Digests of its bytes in hexadecimal, by the name of the algorithm."""

    receipt = db.Column(JSONText, nullable=True)
    """The storage's receipt, with which it finds the bytes."""

    epoch = db.Column(db.Integer, nullable=False, default=0)
    """How many times a writer has begun to write it."""

    writer = db.Column(db.String(64), nullable=True)
    """Machine and epoch of a writer that may have written more than is recorded, which is kept; something else if what
    is not recorded is not to be kept; ``None`` if everything is recorded, and whoever goes on takes a new epoch."""

    @classmethod
    def held(cls, upload_id: uuid.UUID, number: int) -> UploadExtent:
        """Return an extent as it is now. The transaction has locked the upload.

        :param upload_id: Identifier of the upload.
        :param number: Number of the extent, which is added if it is new.
        """
        extent = db.session.get(cls, (upload_id, number), populate_existing=True, with_for_update=True)
        if extent is None:
            extent = cls(upload_id=upload_id, number=number, epoch=0, claimed=0, writer=None)
            db.session.add(extent)
        return extent

    @classmethod
    def take(cls, upload_id: uuid.UUID, number: int) -> UploadExtent:
        """Begin a new epoch of an extent, which ends the previous one. The transaction has locked the upload.

        :param upload_id: Identifier of the upload.
        :param number: Number of the extent, which is added if it is new.
        """
        extent = cls.held(upload_id, number)
        extent.epoch += 1
        db.session.flush()
        return extent

    @classmethod
    def one(cls, upload_id: uuid.UUID, number: int) -> UploadExtent | None:
        """Return an extent, which may not have arrived yet; ``None`` if there is none.

        :param upload_id: Identifier of the upload.
        :param number: Number of the extent.
        """
        return db.session.get(cls, (upload_id, number), populate_existing=True)

    @classmethod
    def with_upload(cls, upload_id: uuid.UUID, number: int) -> tuple[Upload, int | None] | None:
        """Return an upload, with the epoch of one of its extents; ``None`` if there is none.

        :param upload_id: Identifier of the upload.
        :param number: Number of the extent. The epoch is ``None`` if it has not been written yet.
        """
        found = read(cls._with_upload(), {"of_upload": upload_id, "of_number": number}).one_or_none()
        return None if found is None else (found[0], found[1])

    @classmethod
    @cache
    def _with_upload(cls) -> Any:
        this = and_(cls.upload_id == Upload.id, cls.number == bindparam("of_number"))
        both = select(Upload, cls.epoch).outerjoin(cls, this).where(Upload.id == bindparam("of_upload"))
        return both.execution_options(populate_existing=True)

    @classmethod
    def of_epoch(cls, upload_id: uuid.UUID, number: int, epoch: int) -> UploadExtent | None:
        """Return an extent, or ``None`` if the epoch has ended. The transaction has locked the upload.

        :param upload_id: Identifier of the upload.
        :param number: Number of the extent.
        :param epoch: The epoch.
        """
        extent = db.session.get(cls, (upload_id, number), populate_existing=True, with_for_update=True)
        return extent if extent is not None and extent.epoch == epoch else None

    @classmethod
    def arrived(cls, upload_id: uuid.UUID, number: int, epoch: int, by_itself: bool = False, **columns: Any) -> bool:
        """Record what has arrived of an extent, in one statement. Who ends the epoch waits for it, or it for that one.

        :param upload_id: Identifier of the upload.
        :param number: Number of the extent.
        :param epoch: Epoch of who records it.
        :param by_itself: Whether that is all of the transaction, so that it may be committed at once.
        :param columns: New values of columns.
        :returns: Whether it was recorded; not if the epoch has ended.
        """
        new = {"updated": utcnow(), **columns}
        mine = {"of_upload": upload_id, "of_number": number, "of_epoch": epoch}
        values = {f"new_{name}": value for name, value in new.items()}
        execute_it = write_by_itself if by_itself else db.session.execute
        return bool(execute_it(cls._arrived(tuple(new)), mine | values).rowcount)

    @classmethod
    @cache
    def _arrived(cls, names: tuple[str, ...]) -> Any:
        # Of the table, since one of the model takes four times as long.
        table = cls.__table__
        mine = (
            table.c.upload_id == bindparam("of_upload"),
            table.c.number == bindparam("of_number"),
            table.c.epoch == bindparam("of_epoch"),
        )
        return update(table).where(*mine).values({name: bindparam(f"new_{name}") for name in names})

    @classmethod
    def recorded(cls, *upload_ids: uuid.UUID) -> list[UploadExtent]:
        """Return the extents of uploads that have arrived, those of each in order.

        :param upload_ids: Identifiers of the uploads.
        """
        there = select(cls).where(cls.upload_id.in_(upload_ids), cls.receipt.isnot(None)).order_by(cls.number)
        return list(db.session.scalars(there.execution_options(populate_existing=True)))

    @classmethod
    def forget(cls, upload_id: uuid.UUID, *but: int) -> None:
        """Delete the extents of an upload.

        :param upload_id: Identifier of the upload.
        :param but: Numbers of the extents to keep.
        """
        execute(delete(cls).where(cls.upload_id == upload_id, cls.number.notin_(but)))

    @classmethod
    def total(cls, upload_id: uuid.UUID) -> int:
        """Return how many bytes of an upload have arrived.

        :param upload_id: Identifier of the upload.
        """
        there = select(func.coalesce(func.sum(cls.size), 0)).where(cls.upload_id == upload_id)
        return int(db.session.scalar(there) or 0)

    @classmethod
    def epochs(cls, upload_ids: Collection[uuid.UUID]) -> dict[tuple[uuid.UUID, int], int]:
        """Return the epochs of the extents of those uploads that still take bytes, by upload and number.

        :param upload_ids: Identifiers of the uploads.
        """
        running = read(cls._epochs(), {"upload_ids": list(upload_ids)})
        return {(row.upload_id, row.number): row.epoch for row in running}

    @classmethod
    @cache
    def _epochs(cls) -> Any:
        # Of the tables, for the reason that _arrived has.
        extent, upload = cls.__table__.c, Upload.__table__.c
        columns = select(extent.upload_id, extent.number, extent.epoch).join(Upload.__table__)
        return columns.where(extent.upload_id.in_(bindparam("upload_ids", expanding=True)), upload.status == OPEN)

    def __repr__(self) -> str:
        """Return a text with upload and number."""
        return f"<UploadExtent {self.upload_id}, {self.number}>"
