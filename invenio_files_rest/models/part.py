"""Parts of multipart uploads."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from invenio_db import db
from sqlalchemy import delete
from sqlalchemy.orm import Query, attributes
from sqlalchemy_utils.types import UUIDType

from ..errors import MultipartAlreadyCompleted
from .base import Timestamp

if TYPE_CHECKING:
    from .multipart import MultipartObject


class Part(db.Model, Timestamp):
    """A part of a multipart upload, which is there once it has a row."""

    __tablename__ = "files_multipartobject_part"

    upload_id = db.Column(
        UUIDType,
        db.ForeignKey("files_multipartobject.upload_id", ondelete="RESTRICT"),
        primary_key=True,
        default=uuid.uuid4,
    )
    """Identifier of the upload."""

    part_number = db.Column(db.Integer, primary_key=True, autoincrement=False)
    """Number of the part; the first is 0."""

    checksum = db.Column(db.String(255), nullable=True)
    """Checksum of the part, as ``algorithm:hexdigest``."""

    multipart = db.relationship("MultipartObject", backref=db.backref("parts", passive_deletes="all"))
    """The upload."""

    @property
    def start_byte(self) -> int:
        """Where the part begins in the file, in bytes."""
        return int(self.part_number * self.multipart.chunk_size)

    @property
    def end_byte(self) -> int:
        """Where the part ends in the file, in bytes: the first byte after it."""
        return self.start_byte + self.part_size

    @property
    def part_size(self) -> int:
        """Size of the part, in bytes."""
        return self.multipart.expected_part_size(self.part_number)

    @classmethod
    def create(cls, mp: MultipartObject, part_number: int, stream: Any = None, **kwargs: Any) -> Part:
        """Add a part, and store the bytes of a stream as it.

        :param mp: The upload.
        :param part_number: Number of the part.
        :param stream: Object with ``read(n)``.
        :param kwargs: Passed to :meth:`set_contents`.
        :raises MultipartInvalidPartNumber: If the upload has no such part.
        :raises MultipartAlreadyCompleted: If the upload is completed.
        """
        part = cls._new(mp, part_number)
        if stream is not None:
            part.set_contents(stream, **kwargs)
        with db.session.begin_nested():
            db.session.add(part)
        return part

    @classmethod
    def get_or_none(cls, mp: MultipartObject, part_number: int) -> Part | None:
        """Return a part, ``None`` where it is not there.

        :param mp: The upload.
        :param part_number: Number of the part.
        """
        return cls.query.filter_by(upload_id=mp.upload_id, part_number=part_number).one_or_none()

    @classmethod
    def get_or_create(cls, mp: MultipartObject, part_number: int) -> Part:
        """Return a part, which is added where it is not there.

        :param mp: The upload.
        :param part_number: Number of the part.
        :raises MultipartInvalidPartNumber: If the upload has no such part.
        """
        return cls.get_or_none(mp, part_number) or cls.create(mp, part_number)

    @classmethod
    def delete(cls, mp: MultipartObject, part_number: int) -> int:
        """Delete a part; its bytes are overwritten when it is sent again.

        :param mp: The upload.
        :param part_number: Number of the part.
        :returns: How many parts were deleted: 1, or 0 where there was none.
        """
        return int(cls.query.filter_by(upload_id=mp.upload_id, part_number=part_number).delete())

    @classmethod
    def take_away(cls, mp: MultipartObject, part_number: int) -> str | None:
        """Delete a part, and return its checksum if the database returns what it deletes: MySQL does not.

        :param mp: The upload.
        :param part_number: Number of the part.
        """
        if not db.engine.dialect.delete_returning:
            cls.delete(mp, part_number)
            return None
        statement = delete(cls).where(cls.upload_id == mp.upload_id, cls.part_number == part_number)
        return db.session.scalars(statement.returning(cls.checksum)).first()

    @classmethod
    def query_by_multipart(cls, multipart: MultipartObject) -> Query[Any]:
        """Return a query of the parts of an upload, in order.

        :param multipart: The upload.
        """
        return cls.query.filter_by(upload_id=multipart.upload_id).order_by(cls.part_number)

    @classmethod
    def count(cls, mp: MultipartObject) -> int:
        """Return how many parts of an upload are there.

        :param mp: The upload.
        """
        return int(cls.query.filter_by(upload_id=mp.upload_id).count())

    @classmethod
    def put(cls, mp: MultipartObject, part_number: int, checksum: str | None) -> Part:
        """Add a part whose bytes are in the file, or change its checksum.

        :param mp: The upload.
        :param part_number: Number of the part.
        :param checksum: Checksum of the part.
        """
        part = cls.get_or_none(mp, part_number) or cls._new(mp, part_number)
        part.checksum = checksum
        db.session.add(part)
        db.session.flush()
        return part

    def set_contents(self, stream: Any, progress_callback: Any = None) -> Part:
        """Store the bytes of a stream as this part.

        :param stream: Object with ``read(n)``.
        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :returns: The part.
        :raises MultipartAlreadyCompleted: If the upload is completed.
        :raises UnexpectedFileSizeError: If the stream is not of the part's size.
        """
        self._ensure_open(self.multipart)
        _, self.checksum = self.multipart.file.update_contents(
            stream, seek=self.start_byte, size=self.part_size, progress_callback=progress_callback
        )
        return self

    @classmethod
    def _new(cls, mp: MultipartObject, part_number: int) -> Part:
        cls._ensure_open(mp)
        mp.expected_part_size(part_number)
        part = cls(upload_id=mp.upload_id, part_number=part_number)
        # As a loaded value, so that the part joins neither the session nor the upload's parts before its bytes are
        # there.
        attributes.set_committed_value(part, "multipart", mp)
        return part

    @staticmethod
    def _ensure_open(upload: MultipartObject) -> None:
        if upload.completed:
            raise MultipartAlreadyCompleted()

    def __repr__(self) -> str:
        """Show upload and number."""
        return f"<Part {self.upload_id}, {self.part_number}>"
