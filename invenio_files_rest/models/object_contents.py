"""The file of a version: storing its bytes, referring to a file that there is, and sending it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response
from invenio_db import db

from ..errors import FileInstanceAlreadySetError, InvalidOperationError
from ..messages import lazy_gettext as _
from ..proxies import current_files_rest
from .base import Mixin
from .bucket import Bucket, open_bucket
from .file_instance import FileInstance

if TYPE_CHECKING:
    from .object_version import ObjectVersion


class ObjectContents(Mixin):
    """The part of :class:`ObjectVersion` that handles its file."""

    def set_contents(
        self,
        stream: Any,
        chunk_size: int | None = None,
        size: int | None = None,
        size_limit: Any = None,
        progress_callback: Any = None,
    ) -> ObjectVersion:
        """Store the bytes of a stream as this version's file.

        :param stream: Object with ``read(n)``.
        :param chunk_size: Bytes to read at a time.
        :param size: Size in bytes, if known; a stream with another size is refused.
        :param size_limit: Largest size allowed, in bytes, in addition to the bucket's limits.
        :param progress_callback: Function called as ``callback(bytes_in_all, bytes_done)``.
        :returns: The version.
        :raises FileInstanceAlreadySetError: If it already has a file.
        :raises BucketLockedError: If the bucket is locked.
        :raises FileSizeError: If a limit is exceeded.
        :raises StorageError: If the storage fails.
        """
        self._ensure_no_file()
        file = current_files_rest.deposit.store(
            open_bucket(self.bucket or self.bucket_id),
            stream,
            chunk_size=chunk_size,
            size=size,
            size_limit=size_limit,
            progress_callback=progress_callback,
        )
        with current_files_rest.deposit.discarded_on_error(file):
            return self._attach(file, limited=True)

    def set_location(
        self, uri: str, size: int, checksum: str | None, storage_class: str | None = None
    ) -> ObjectVersion:
        """Refer to a file that is stored outside this module's locations, and leave it there.

        :param uri: URI of the file, as the storage understands it.
        :param size: Size in bytes.
        :param checksum: Checksum, as ``algorithm:hexdigest``.
        :param storage_class: Storage class; by default the one in the configuration.
        :returns: The version.
        :raises FileInstanceAlreadySetError: If it already has a file.
        :raises InvalidOperationError: If a file with this URI is known with another size or checksum.
        """
        self._ensure_no_file()
        file = FileInstance.get_by_uri(uri)
        if file is None:
            file = FileInstance.new().set_uri(uri, size, checksum, storage_class=storage_class)
        elif (file.size, file.checksum) != (size, checksum):
            raise InvalidOperationError(description=_("The file is known with another size or checksum."))
        return self._attach(file)

    def set_file(self, fileinstance: FileInstance) -> ObjectVersion:
        """Refer to an existing file.

        :param fileinstance: The file.
        :returns: The version.
        :raises FileInstanceAlreadySetError: If it already has a file.
        """
        self._ensure_no_file()
        return self._attach(fileinstance)

    def send_file(self, restricted: bool = True, trusted: bool = False, **kwargs: Any) -> Response:
        """Return the response that sends the file.

        :param restricted: Whether shared caches must not store it.
        :param trusted: Whether the browser may render it.
        :param kwargs: Passed to :meth:`FileInstance.send_file`; ``last_modified`` is by default :attr:`last_modified`.
        """
        kwargs.setdefault("last_modified", self.last_modified)
        return self.file.send_file(
            self.basename, restricted=restricted, trusted=trusted, mimetype=self.mimetype, **kwargs
        )

    def _ensure_no_file(self) -> None:
        if self.file_id is not None or self.file is not None:
            raise FileInstanceAlreadySetError()

    def _attach(self, file: FileInstance, limited: bool = False) -> ObjectVersion:
        db.session.add(self)
        db.session.flush()
        self._claim_for(self.bucket_id, file, limited)
        db.session.refresh(self, ["file_id"], with_for_update=True)
        if self.file_id is not None:
            Bucket.claim(self.bucket_id, -(file.size or 0))
            raise FileInstanceAlreadySetError()
        self.file = file
        db.session.flush()
        return self
