"""CRC-32 checksums of files, which ZIP archives need; see :mod:`invenio_files_rest.archives`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from invenio_db import db
from sqlalchemy import insert, select, update
from sqlalchemy_utils.types import UUIDType

from .base import execute
from .file_instance import FileInstance


class FileCRC(db.Model):
    """The CRC-32 of a file, known once its bytes have been read for it. Stored files never change, nor does this."""

    __tablename__ = "files_crc32"

    file_id = db.Column(UUIDType, db.ForeignKey(FileInstance.id, ondelete="CASCADE"), primary_key=True)
    """Identifier of the file."""

    crc = db.Column(db.BigInteger, nullable=False)
    """Its CRC-32, from 0 to 2**32 - 1."""

    @classmethod
    def add(cls, crcs: Mapping[uuid.UUID, int]) -> None:
        """Add the checksums of files that still exist and have none yet, in two statements.

        :param crcs: The checksums, by the identifiers of the files.
        :raises sqlalchemy.exc.IntegrityError: If another transaction adds one, or deletes a file, at the same moment.
        """
        without = (
            select(FileInstance.id)
            .outerjoin(cls, cls.file_id == FileInstance.id)
            .where(FileInstance.id.in_(list(crcs)), cls.file_id.is_(None))
        )
        rows = [{"file_id": file_id, "crc": crcs[file_id]} for file_id in db.session.scalars(without)]
        if rows:
            db.session.execute(insert(cls.__table__), rows)

    @classmethod
    def set(cls, file_id: uuid.UUID, crc: int) -> None:
        """Add or correct the checksum of a file that still exists.

        :param file_id: Identifier of the file.
        :param crc: The checksum.
        :raises sqlalchemy.exc.IntegrityError: See :meth:`add`.
        """
        known = db.session.scalar(select(cls.crc).where(cls.file_id == file_id))
        if known is None:
            cls.add({file_id: crc})
        elif known != crc:
            execute(update(cls).where(cls.file_id == file_id).values(crc=crc))
