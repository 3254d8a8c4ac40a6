"""A file in storage: its row, with URI, size, checksum and the result of its last check."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from flask import current_app
from invenio_db import db
from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Query, validates
from sqlalchemy_utils.types import UUIDType

from ..checksums import CHECKSUM
from ..errors import InvalidOperationError
from ..messages import lazy_gettext as _
from ..paths import spellings
from .base import ExactText, Timestamp, UTCTimestamp, execute, utcnow
from .file_contents import FileContents


class FileInstance(FileContents, db.Model, Timestamp):
    """A file in storage, to which any number of object versions refer.

    While a file is being written it is ``writable`` and not ``readable``. Once it has all its bytes it is ``readable``
    and not ``writable``: stored files never change.
    """

    __tablename__ = "files_files"

    __table_args__ = (db.Index("ix_files_files_last_check_at_id", "last_check_at", "id"),)

    id = db.Column(UUIDType, primary_key=True, default=uuid.uuid4)
    """Identifier of the file."""

    uri = db.Column(ExactText(255), unique=True, nullable=True)
    """URI of the file, as its storage understands it; ``None`` if it has no place yet."""

    storage_class = db.Column(db.String(1), nullable=True)
    """Storage class, a letter of ``FILES_REST_STORAGE_CLASS_LIST``."""

    size = db.Column(db.BigInteger, default=0, nullable=True)
    """Size in bytes."""

    checksum = db.Column(db.String(255), nullable=True)
    """Checksum, as ``algorithm:hexdigest``."""

    readable = db.Column(db.Boolean(name="readable"), default=False, nullable=False)
    """Whether all the bytes are there."""

    writable = db.Column(db.Boolean(name="writable"), default=True, nullable=False)
    """Whether bytes may be written, and a sweep may delete the file."""

    last_check_at = db.Column(UTCTimestamp, nullable=True)
    """When the checksum was last compared with the bytes."""

    last_check = db.Column(db.Boolean(name="last_check"), default=True, nullable=True)
    """Whether they matched; ``None`` if they could not be compared."""

    @validates("uri")
    def validate_uri(self, key: str, uri: str | None) -> str | None:
        """Check the length of the URI against ``FILES_REST_FILE_URI_MAX_LEN``.

        :raises ValueError: If it is too long.
        """
        if uri is not None and len(uri) > current_app.config["FILES_REST_FILE_URI_MAX_LEN"]:
            raise ValueError(f"FileInstance URI too long ({len(uri)}).")
        return uri

    @validates("checksum")
    def validate_checksum(self, key: str, checksum: str | None) -> str | None:
        """Check the form of the checksum.

        :raises ValueError: If it is not ``algorithm:value``, with one colon.
        """
        if checksum and not CHECKSUM.match(checksum):
            raise ValueError(f"Invalid checksum format: {checksum!r}. Expected format 'algorithm:value'.")
        return checksum

    @classmethod
    def new(cls) -> FileInstance:
        """Return a new file, ready to be written, that is not in the session yet."""
        return cls(id=uuid.uuid4(), size=0, readable=False, writable=True, last_check=True)

    def twin(self) -> FileInstance:
        """Return a copy of this object that is in no session."""
        return FileInstance(
            **{column.key: getattr(self, column.key) for column in FileInstance.__mapper__.column_attrs}
        )

    @classmethod
    def create(cls) -> FileInstance:
        """Return a new file, added to the session."""
        file = cls.new()
        db.session.add(file)
        return file

    @classmethod
    def get(cls, file_id: uuid.UUID | str) -> FileInstance | None:
        """Return a file by its identifier, or ``None`` if there is none.

        :param file_id: The identifier.
        """
        file: FileInstance | None = db.session.execute(select(cls).where(cls.id == file_id)).scalar_one_or_none()
        return file

    @classmethod
    def get_many(cls, file_ids: Collection[uuid.UUID]) -> list[FileInstance]:
        """Return files by their identifiers, without those that do not exist.

        :param file_ids: The identifiers.
        """
        return list(db.session.scalars(select(cls).where(cls.id.in_(file_ids))))

    @classmethod
    def get_by_uri(cls, uri: str) -> FileInstance | None:
        """Return a file by its URI, or ``None`` if there is none.

        :param uri: The URI.
        """
        assert uri is not None
        file: FileInstance | None = db.session.execute(select(cls).where(cls.uri == uri)).scalar_one_or_none()
        return file

    @classmethod
    def hold_all(cls, file_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Keep other transactions from deleting files, as :meth:`hold` does for one file.

        :param file_ids: Identifiers of the files.
        :returns: Identifiers of those that exist.
        """
        held = select(cls.id).where(cls.id.in_(file_ids)).with_for_update(read=True, key_share=True)
        return set(db.session.scalars(held)) if file_ids else set()

    @classmethod
    def uris_below(cls, uri: str, limit: int) -> list[str]:
        """Return the URIs of some files in a location.

        :param uri: URI of the location.
        :param limit: Largest number of URIs to return.
        """
        # "0" is the character after "/", so that this is the range of all URIs that begin with the folder and a slash.
        folders = {spelling.rstrip("/") for spelling in spellings(uri)}
        below = or_(*(and_(cls.uri >= f"{folder}/", cls.uri < f"{folder}0") for folder in folders))
        return list(db.session.scalars(select(cls.uri).where(below).limit(limit)))

    def hold(self) -> bool:
        """Keep other transactions from deleting this file until the end of this one, so that a version can refer to it.

        :returns: Whether the file still exists, or is new.
        """
        if self not in db.session or self in db.session.new:
            return True
        return bool(self.hold_all([self.id]))

    @classmethod
    def query_orphaned(cls) -> Query[Any]:
        """Return a query of the files that no object version and no multipart upload refers to."""
        return cls.query.filter(cls.unused())

    @classmethod
    def unused(cls) -> Any:
        """Return the condition that no object version and no multipart upload refers to a file."""
        return ~cls.objects.any() & ~cls.multipart_objects.any()

    @classmethod
    def intact(cls, checksums: Collection[str], most: int) -> list[FileInstance]:
        """Return stored files with given checksums that are not known to be damaged, the oldest first.

        :param checksums: The checksums, as ``algorithm:hexdigest``.
        :param most: Largest number of files to return for each combination of checksum and size.
        """
        rank = func.row_number().over(partition_by=(cls.checksum, cls.size), order_by=(cls.created, cls.id))
        stored = cls.readable, ~cls.writable, cls.uri.isnot(None), cls.last_check.isnot(False)
        ranked = select(cls.id, rank.label("rank")).where(cls.checksum.in_(checksums), *stored).subquery()
        files = select(cls).join(ranked, ranked.c.id == cls.id).where(ranked.c.rank <= most)
        return list(db.session.scalars(files.order_by(ranked.c.rank)))

    @classmethod
    def note_check(cls, file_id: uuid.UUID | str, result: bool | None) -> FileInstance | None:
        """Record the result of comparing a file's checksum with its bytes.

        :param file_id: Identifier of the file, which may have been deleted.
        :param result: Whether they match; ``None`` if they could not be compared.
        :returns: The file; ``None`` if it has been deleted.
        """
        noted = cls._note(file_id, last_check=result, last_check_at=utcnow())
        return cls.get(file_id) if noted else None

    @classmethod
    def touch(cls, file_id: uuid.UUID | str) -> None:
        """Set the time of a file's last change to now.

        :param file_id: Identifier of the file, which may have been deleted.
        """
        cls._note(file_id)

    @classmethod
    def _note(cls, file_id: uuid.UUID | str, **columns: Any) -> bool:
        """Update columns of a file that may be deleted at any moment, and return whether it exists."""
        # In one statement, since the row might be deleted between reading and writing it.
        statement = update(cls).where(cls.id == uuid.UUID(str(file_id))).values(updated=utcnow(), **columns)
        return bool(db.session.execute(statement).rowcount)

    def delete(self) -> FileInstance:
        """Delete the row of this file; its bytes stay.

        :returns: The file.
        :raises sqlalchemy.exc.IntegrityError: If an object version or a multipart upload refers to it.
        """
        db.session.flush()
        statement = delete(FileInstance).where(FileInstance.id == self.id, self.unused())
        # The condition is in the statement, since SQLite enforces foreign keys only if told to.
        if not execute(statement).rowcount and (
            db.session.execute(select(FileInstance.id).where(FileInstance.id == self.id)).first()
        ):
            reason = InvalidOperationError(description=_("The file is in use."))
            raise IntegrityError(str(statement), {"id": self.id}, reason)
        if self in db.session:
            db.session.expunge(self)
        return self

    def set_uri(
        self,
        uri: str,
        size: int | None,
        checksum: str | None,
        readable: bool = True,
        writable: bool = False,
        storage_class: str | None = None,
    ) -> FileInstance:
        """Record where the file is.

        :param uri: URI of the file.
        :param size: Size in bytes.
        :param checksum: Checksum, as ``algorithm:hexdigest``.
        :param readable: Whether all its bytes are there.
        :param writable: Whether bytes may be written.
        :param storage_class: Storage class; by default the one in the configuration.
        :returns: The file.
        """
        self.uri = uri
        self.size = size
        self.checksum = checksum
        self.readable = readable
        self.writable = writable
        self.storage_class = storage_class or current_app.config["FILES_REST_DEFAULT_STORAGE_CLASS"]
        return self

    def __repr__(self) -> str:
        """Return a text with the identifier."""
        return f"<FileInstance {self.id}>"
