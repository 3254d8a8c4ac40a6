"""A file in storage: its URI, size and checksum, and what is known of its health."""

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
from ..paths import spellings
from .base import ExactText, Timestamp, UTCTimestamp, utcnow
from .file_contents import FileContents


class FileInstance(FileContents, db.Model, Timestamp):
    """A file in storage, to which any number of object versions refer.

    While a file is written it is ``writable`` and not ``readable``; once it has all its bytes it is ``readable`` and
    not ``writable``, for what is stored never changes.
    """

    __tablename__ = "files_files"

    id = db.Column(UUIDType, primary_key=True, default=uuid.uuid4)
    """Identifier of the file."""

    uri = db.Column(ExactText(255), unique=True, nullable=True)
    """Where the file is, in the words of its storage; ``None`` where it has no place yet."""

    storage_class = db.Column(db.String(1), nullable=True)
    """Storage class, a letter of ``FILES_REST_STORAGE_CLASS_LIST``."""

    size = db.Column(db.BigInteger, default=0, nullable=True)
    """Size in bytes."""

    checksum = db.Column(db.String(255), nullable=True)
    """Checksum, as ``algorithm:hexdigest``."""

    readable = db.Column(db.Boolean(name="readable"), default=False, nullable=False)
    """Whether all the bytes are there."""

    writable = db.Column(db.Boolean(name="writable"), default=True, nullable=False)
    """Whether bytes may be written, and the file be deleted by a sweep."""

    last_check_at = db.Column(UTCTimestamp, nullable=True)
    """When the checksum was last compared with the bytes."""

    last_check = db.Column(db.Boolean(name="last_check"), default=True, nullable=True)
    """Whether they agreed; ``None`` where the comparison could not be made."""

    @validates("uri")
    def validate_uri(self, key: str, uri: str | None) -> str | None:
        """Check the URI's length against ``FILES_REST_FILE_URI_MAX_LEN``.

        :raises ValueError: If it is too long.
        """
        if uri is not None and len(uri) > current_app.config["FILES_REST_FILE_URI_MAX_LEN"]:
            raise ValueError(f"FileInstance URI too long ({len(uri)}).")
        return uri

    @validates("checksum")
    def validate_checksum(self, key: str, checksum: str | None) -> str | None:
        """Check the checksum's form.

        :raises ValueError: If it is not ``algorithm:value``, with one colon.
        """
        if checksum and not CHECKSUM.match(checksum):
            raise ValueError(f"Invalid checksum format: {checksum!r}. Expected format 'algorithm:value'.")
        return checksum

    @classmethod
    def new(cls) -> FileInstance:
        """Return a file that the session does not know yet, ready to be written."""
        return cls(id=uuid.uuid4(), size=0, readable=False, writable=True, last_check=True)

    def twin(self) -> FileInstance:
        """Return the same file as another object that no session knows."""
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
        """Return the file of an identifier, ``None`` where there is none.

        :param file_id: The identifier.
        """
        return cls.query.filter_by(id=file_id).one_or_none()

    @classmethod
    def get_by_uri(cls, uri: str) -> FileInstance | None:
        """Return the file of a URI, ``None`` where there is none.

        :param uri: The URI.
        """
        assert uri is not None
        return cls.query.filter_by(uri=uri).one_or_none()

    @classmethod
    def hold_all(cls, file_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Keep others from deleting files, as :meth:`hold` does.

        :param file_ids: Identifiers of the files.
        :returns: Identifiers of those that are there.
        """
        held = select(cls.id).where(cls.id.in_(file_ids)).with_for_update(read=True, key_share=True)
        return set(db.session.scalars(held)) if file_ids else set()

    @classmethod
    def uris_below(cls, uri: str, limit: int) -> list[str]:
        """Return the URIs of some files in a location.

        :param uri: URI of the location.
        :param limit: How many at most.
        """
        # What begins with a folder and a slash comes before what begins with the folder and the next character.
        folders = {spelling.rstrip("/") for spelling in spellings(uri)}
        below = or_(*(and_(cls.uri >= f"{folder}/", cls.uri < f"{folder}0") for folder in folders))
        return list(db.session.scalars(select(cls.uri).where(below).limit(limit)))

    def hold(self) -> bool:
        """Keep others from deleting a file that is about to be referred to, until the end of the transaction.

        :returns: Whether the file is there, or new; not where it has been deleted meanwhile.
        """
        if self not in db.session or self in db.session.new:
            return True
        return bool(self.hold_all([self.id]))

    @classmethod
    def query_orphaned(cls) -> Query[Any]:
        """Return a query of the files that neither an object version nor a multipart upload refers to."""
        return cls.query.filter(~cls.objects.any(), ~cls.multipart_objects.any())

    @classmethod
    def intact(cls, checksums: Collection[str], most: int) -> list[FileInstance]:
        """Return stored files of some checksums that are not known to be damaged, the oldest first.

        :param checksums: The checksums, as ``algorithm:hexdigest``.
        :param most: How many files of one checksum and size to return at most.
        """
        rank = func.row_number().over(partition_by=(cls.checksum, cls.size), order_by=(cls.created, cls.id))
        stored = cls.readable, ~cls.writable, cls.uri.isnot(None), cls.last_check.isnot(False)
        ranked = select(cls.id, rank.label("rank")).where(cls.checksum.in_(checksums), *stored).subquery()
        files = select(cls).join(ranked, ranked.c.id == cls.id).where(ranked.c.rank <= most)
        return list(db.session.scalars(files.order_by(ranked.c.rank)))

    @classmethod
    def note_check(cls, file_id: uuid.UUID | str, result: bool | None) -> FileInstance | None:
        """Note the result of a comparison of the checksum with the bytes.

        :param file_id: Identifier of the file, which may be gone.
        :param result: Whether they agree; ``None`` where that could not be told.
        :returns: The file; ``None`` where it is gone.
        """
        noted = cls._note(file_id, last_check=result, last_check_at=utcnow())
        return cls.get(file_id) if noted else None

    @classmethod
    def touch(cls, file_id: uuid.UUID | str) -> None:
        """Note the time as that of the last change.

        :param file_id: Identifier of the file, which may be gone.
        """
        cls._note(file_id)

    @classmethod
    def _note(cls, file_id: uuid.UUID | str, **columns: Any) -> bool:
        """Change columns of a file that somebody else may delete at any moment, and tell whether it is there."""
        # One statement: between reading the row and writing it, it might go.
        statement = update(cls).where(cls.id == uuid.UUID(str(file_id))).values(updated=utcnow(), **columns)
        return bool(db.session.execute(statement).rowcount)

    def delete(self) -> FileInstance:
        """Delete the row of this file; its bytes stay.

        :returns: The file.
        :raises sqlalchemy.exc.IntegrityError: If an object version or a multipart upload refers to it.
        """
        db.session.flush()
        unused = ~FileInstance.objects.any() & ~FileInstance.multipart_objects.any()
        statement = delete(FileInstance).where(FileInstance.id == self.id, unused)
        # SQLite does not enforce foreign keys unless it is told to, so the condition stands in the statement.
        if not db.session.execute(statement.execution_options(synchronize_session=False)).rowcount and (
            db.session.execute(select(FileInstance.id).where(FileInstance.id == self.id)).first()
        ):
            reason = InvalidOperationError(description="The file is in use.")
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
        """Say where the file is.

        :param uri: URI of the file.
        :param size: Size in bytes.
        :param checksum: Checksum, as ``algorithm:hexdigest``.
        :param readable: Whether its bytes are there.
        :param writable: Whether bytes may be written.
        :param storage_class: Storage class; the default one where none is given.
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
        """Show the identifier."""
        return f"<FileInstance {self.id}>"
