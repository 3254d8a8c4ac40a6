"""A file in storage: its URI, size and checksum, and what is known of its health."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Response, current_app
from invenio_db import db
from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Query, validates
from sqlalchemy_utils.types import UUIDType

from ..checksums import CHECKSUM, agree
from ..errors import FileInstanceUnreadableError, InvalidOperationError, UnexpectedFileSizeError
from ..paths import spellings
from ..proxies import current_files_rest
from .base import ExactText, Timestamp, UTCTimestamp, utcnow

if TYPE_CHECKING:
    from ..storage import FileStorage


class FileInstance(db.Model, Timestamp):
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

    def storage(self, **kwargs: Any) -> FileStorage:
        """Return the storage interface of this file.

        :param kwargs: Passed to the storage factory, e.g. ``default_location`` for a file without a URI.
        """
        return current_files_rest.storage_factory(fileinstance=self, **kwargs)

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

    def keep(self, storage: FileStorage, stored: tuple[str, int | None, str | None], **kwargs: Any) -> FileInstance:
        """Say where the bytes are that a storage has just stored, and delete them where that cannot be said.

        :param storage: The storage.
        :param stored: URI, size in bytes, and checksum, as the storage returned them.
        :param kwargs: Passed to :meth:`set_uri`.
        :returns: The file.
        :raises ValueError: If the URI is too long to be kept.
        """
        try:
            return self.set_uri(*stored, **kwargs)
        except ValueError:
            storage.delete()
            raise

    def init_contents(self, size: int = 0, **kwargs: Any) -> None:
        """Make room for the file in storage.

        :param size: Size in bytes.
        :param kwargs: Passed to the storage factory.
        :raises ValueError: If the file is not writable.
        :raises LocationAwayError: If the location is away.
        """
        self.make_room(self._storage_to_write(kwargs), size, storage_class=kwargs.get("default_storage_class"))

    def set_contents(
        self,
        stream: Any,
        chunk_size: int | None = None,
        size: int | None = None,
        size_limit: Any = None,
        progress_callback: Any = None,
        **kwargs: Any,
    ) -> None:
        """Store the bytes of a stream as the whole file.

        :param stream: Object with ``read(n)``.
        :param chunk_size: Bytes to read at a time.
        :param size: Size in bytes where it is known; another number of bytes is refused.
        :param size_limit: Largest size allowed, in bytes, or a :class:`~invenio_files_rest.limiters.FileSizeLimit`.
        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :param kwargs: Passed to the storage factory.
        :raises ValueError: If the file is not writable.
        :raises FileSizeError: If the stream is over the limit.
        :raises UnexpectedFileSizeError: If the stream is not of the given size.
        :raises StorageError: If the storage fails, or the location is away.
        """
        self.fill(
            self._storage_to_write(kwargs),
            stream,
            storage_class=kwargs.get("default_storage_class"),
            chunk_size=chunk_size,
            size=size,
            size_limit=size_limit,
            progress_callback=progress_callback,
        )

    def fill(self, storage: FileStorage, stream: Any, storage_class: str | None = None, **kwargs: Any) -> FileInstance:
        """Store the bytes of a stream as the whole file, in a storage that has been made for it.

        :param storage: The storage.
        :param stream: Object with ``read(n)``.
        :param storage_class: Storage class; the default one where none is given.
        :param kwargs: What the storage's ``save()`` takes besides.
        :returns: The file.
        """
        return self.keep(storage, storage.save(stream, **kwargs), storage_class=storage_class)

    def make_room(self, storage: FileStorage, size: int, storage_class: str | None = None) -> FileInstance:
        """Make room for the file in a storage that has been made for it.

        :param storage: The storage.
        :param size: Size in bytes.
        :param storage_class: Storage class; the default one where none is given.
        :returns: The file.
        """
        stored = storage.initialize(size=size)
        return self.keep(storage, stored, readable=False, writable=True, storage_class=storage_class)

    def update_contents(
        self,
        stream: Any,
        seek: int = 0,
        size: int | None = None,
        chunk_size: int | None = None,
        progress_callback: Any = None,
        **kwargs: Any,
    ) -> tuple[int, str | None]:
        """Write the bytes of a stream into the file.

        :param stream: Object with ``read(n)``.
        :param seek: Where to write, in bytes from the beginning.
        :param size: Number of bytes where it is known; another number is refused.
        :param chunk_size: Bytes to read at a time.
        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :param kwargs: Passed to the storage factory.
        :returns: How many bytes were written, and their checksum.
        :raises ValueError: If the file is not writable.
        """
        self._ensure_writable()
        self.checksum = None
        return self.storage(**kwargs).update(
            stream, seek=seek, size=size, chunk_size=chunk_size, progress_callback=progress_callback
        )

    def copy_contents(
        self,
        fileinstance: FileInstance,
        progress_callback: Any = None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Fill this file, which has no bytes yet, with those of another, which stays as it is.

        :param fileinstance: The file to copy, as in ``copy.copy_contents(original)``.
        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :param chunk_size: Bytes to read at a time.
        :param kwargs: Passed to the storage factory for this file, e.g. ``default_location``.
        :raises ValueError: If this file is not writable or has bytes, or the other one is not readable.
        :raises UnexpectedFileSizeError: If the copy is not of the other file's size.
        :raises LocationAwayError: If the location is away.
        """
        self._ensure_writable()
        if self.size != 0:
            raise ValueError("File instance has data.")
        if not fileinstance.readable:
            raise ValueError("Source file instance is not readable.")
        storage = self._storage_to_write(kwargs)
        uri, size, checksum = storage.copy(
            fileinstance.storage(), chunk_size=chunk_size, progress_callback=progress_callback
        )
        if size is not None and size != fileinstance.size:
            storage.delete()
            raise UnexpectedFileSizeError(description="The copy of the file is not of its size.")
        # A storage that copies by itself, within S3 say, returns neither size nor checksum.
        stored = uri, fileinstance.size, checksum or fileinstance.checksum
        self.keep(storage, stored, storage_class=kwargs.get("default_storage_class"))

    def update_checksum(
        self,
        progress_callback: Any = None,
        chunk_size: int | None = None,
        checksum_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Compute the checksum from the bytes.

        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :param chunk_size: Bytes to read at a time.
        :param checksum_kwargs: Passed to the storage's ``checksum()``.
        :param kwargs: Passed to the storage factory.
        :raises FileInstanceUnreadableError: If the file is not readable.
        """
        self._ensure_readable()
        self.checksum = self._compute_checksum(progress_callback, chunk_size, checksum_kwargs, kwargs)

    def verify_checksum(
        self,
        progress_callback: Any = None,
        chunk_size: int | None = None,
        throws: bool = True,
        checksum_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> bool | None:
        """Compare the checksum with the bytes, and note the result in ``last_check`` and ``last_check_at``.

        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :param chunk_size: Bytes to read at a time.
        :param throws: Whether to raise the error that kept the bytes from being read; otherwise it is logged alone.
        :param checksum_kwargs: Passed to the storage's ``checksum()``.
        :param kwargs: Passed to the storage factory.
        :returns: Whether they agree; ``None`` where that could not be told, for want of the bytes or of a checksum to
            compare.
        :raises FileInstanceUnreadableError: If the file is not readable.
        """
        self._ensure_readable()
        try:
            computed = self._compute_checksum(progress_callback, chunk_size, checksum_kwargs, kwargs)
        except Exception:
            current_app.logger.exception("The checksum of file %s could not be computed.", self.id)
            if throws:
                raise
            self.last_check = None
        else:
            self.last_check = agree(self.checksum, computed)
        self.last_check_at = utcnow()
        return self.last_check

    def clear_last_check(self) -> FileInstance:
        """Forget the last comparison of the checksum with the bytes.

        :returns: The file.
        """
        self.last_check = None
        self.last_check_at = utcnow()
        return self

    def send_file(
        self,
        filename: str | None = None,
        restricted: bool = True,
        mimetype: str | None = None,
        trusted: bool = False,
        chunk_size: int | None = None,
        as_attachment: bool = False,
        last_modified: datetime | None = None,
        **kwargs: Any,
    ) -> Response:
        """Return the response that sends the file.

        :param filename: Name that the client shall give it; ``None`` where there is none.
        :param restricted: Whether caches may not keep it.
        :param mimetype: MIME type; guessed from the name where none is given.
        :param trusted: Whether the browser may render it; see :func:`invenio_files_rest.helpers.send_stream`.
        :param chunk_size: Bytes to read at a time.
        :param as_attachment: Whether the browser shall save it.
        :param last_modified: When what the client asks for was last modified; what the storage factory says of the file
            where none is given.
        :param kwargs: Passed to the storage factory.
        :raises FileInstanceUnreadableError: If the file is not readable.
        """
        self._ensure_readable()
        storage = self.storage(**kwargs)
        if last_modified is not None and hasattr(storage, "_modified"):
            storage._modified = last_modified.timestamp()
        return storage.send_file(
            filename,
            mimetype=mimetype,
            restricted=restricted,
            checksum=self.checksum,
            trusted=trusted,
            chunk_size=chunk_size,
            as_attachment=as_attachment,
        )

    def _compute_checksum(
        self,
        progress_callback: Any,
        chunk_size: int | None,
        checksum_kwargs: dict[str, Any] | None,
        storage_kwargs: dict[str, Any],
    ) -> str | None:
        return self.storage(**storage_kwargs).checksum(
            chunk_size=chunk_size, progress_callback=progress_callback, **(checksum_kwargs or {})
        )

    def _storage_to_write(self, kwargs: dict[str, Any]) -> FileStorage:
        """Return the storage to write the whole file in, once it is known to be there."""
        self._ensure_writable()
        uri = self.uri or f"{kwargs.get('default_location')}/data"
        with db.session.no_autoflush:
            current_files_rest.presence.ensure_reachable(uri)
        return self.storage(**kwargs)

    def _ensure_readable(self) -> None:
        if not self.readable:
            raise FileInstanceUnreadableError()

    def _ensure_writable(self) -> None:
        if not self.writable:
            raise ValueError("File is not writable.")

    def __repr__(self) -> str:
        """Show the identifier."""
        return f"<FileInstance {self.id}>"
