"""The bytes of a file: writing, copying, checking and sending them through the file's storage."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Response, current_app
from invenio_db import db

from ..checksums import agree
from ..errors import FileInstanceUnreadableError, UnexpectedFileSizeError
from ..messages import lazy_gettext as _
from ..proxies import current_files_rest
from .base import Mixin, utcnow

if TYPE_CHECKING:
    from ..storage import FileStorage
    from .file_instance import FileInstance


class FileContents(Mixin):
    """The part of :class:`FileInstance` that handles the bytes of the file."""

    def storage(self, **kwargs: Any) -> FileStorage:
        """Return the storage interface of this file.

        :param kwargs: Passed to the storage factory, e.g. ``default_location`` for a file without a URI.
        """
        return current_files_rest.storage_factory(fileinstance=self, **kwargs)

    def keep(self, storage: FileStorage, stored: tuple[str, int | None, str | None], **kwargs: Any) -> FileInstance:
        """Record where a storage has just stored the bytes, or delete them if the URI cannot be recorded.

        :param storage: The storage.
        :param stored: URI, size in bytes, and checksum, as the storage returned them.
        :param kwargs: Passed to :meth:`set_uri`.
        :returns: The file.
        :raises ValueError: If the URI is too long.
        """
        try:
            return self.set_uri(*stored, **kwargs)
        except ValueError:
            storage.delete()
            raise

    def init_contents(self, size: int = 0, **kwargs: Any) -> None:
        """Reserve room for the file in its storage.

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
        :param size: Size in bytes, if known; a stream with another size is refused.
        :param size_limit: Largest size allowed, in bytes, or a :class:`~invenio_files_rest.limiters.FileSizeLimit`.
        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :param kwargs: Passed to the storage factory.
        :raises ValueError: If the file is not writable.
        :raises FileSizeError: If the stream exceeds the limit.
        :raises UnexpectedFileSizeError: If the stream does not have the given size.
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
        """Store the bytes of a stream as the whole file, in a given storage.

        :param storage: Storage of this file.
        :param stream: Object with ``read(n)``.
        :param storage_class: Storage class; by default the one in the configuration.
        :param kwargs: Passed to the storage's ``save()``.
        :returns: The file.
        """
        return self.keep(storage, storage.save(stream, **kwargs), storage_class=storage_class)

    def make_room(self, storage: FileStorage, size: int, storage_class: str | None = None) -> FileInstance:
        """Reserve room for the file in a given storage.

        :param storage: Storage of this file.
        :param size: Size in bytes.
        :param storage_class: Storage class; by default the one in the configuration.
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
        :param size: Number of bytes, if known; a stream with another number is refused.
        :param chunk_size: Bytes to read at a time.
        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :param kwargs: Passed to the storage factory.
        :returns: The number of bytes written, and their checksum.
        :raises ValueError: If the file is not writable.
        """
        self._ensure_writable()
        self.checksum: str | None = None
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
        """Fill this file, which has no bytes yet, with those of another file, which stays unchanged.

        :param fileinstance: The file to copy, as in ``copy.copy_contents(original)``.
        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :param chunk_size: Bytes to read at a time.
        :param kwargs: Passed to the storage factory for this file, e.g. ``default_location``.
        :raises ValueError: If this file is not writable or has bytes, or if the other one is not readable.
        :raises UnexpectedFileSizeError: If the copy does not have the size of the other file.
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
            raise UnexpectedFileSizeError(description=_("The copy of the file is not of its size."))
        # A storage that copies on the server, such as S3, returns neither size nor checksum.
        stored = uri, fileinstance.size, checksum or fileinstance.checksum
        self.keep(storage, stored, storage_class=kwargs.get("default_storage_class"))

    def update_checksum(
        self,
        progress_callback: Any = None,
        chunk_size: int | None = None,
        checksum_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Compute the checksum of the bytes, and set it.

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
        :param throws: Whether to raise an error that occurs while reading; otherwise it is only logged.
        :param checksum_kwargs: Passed to the storage's ``checksum()``.
        :param kwargs: Passed to the storage factory.
        :returns: Whether they match; ``None`` if that is unknown, because the bytes could not be read or there is no
            checksum to compare.
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
        """Clear the result of the last check.

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

        :param filename: Name of the file for the client; ``None`` if it has none.
        :param restricted: Whether shared caches must not store it.
        :param mimetype: MIME type; by default guessed from the name.
        :param trusted: Whether the browser may render it; see :func:`invenio_files_rest.helpers.send_stream`.
        :param chunk_size: Bytes to read at a time.
        :param as_attachment: Whether the browser should save it instead of showing it.
        :param last_modified: When the requested object was last modified; by default what the storage factory says.
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
        """Return the storage for writing the whole file, after checking that its location is there."""
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
