"""The interface to the storage of one file.

A backend implements five methods: ``open``, ``initialize``, ``save``, ``update`` and ``delete``. The other methods use
these, and can be overridden if the backend has a better way, or another checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from ..checksums import DEFAULT_ALGORITHM, Digests, MessageDigest, compute_checksum, new_digest
from ..errors import StorageError
from .capabilities import C, Signer
from .pump import check_size, check_sizelimit, pump

if TYPE_CHECKING:
    from _typeshed import SupportsRead, SupportsWrite
    from flask import Response

    from ..limiters import FileSizeLimit

ProgressCallback = Callable[[int | None, int], Any]
"""Function that is called with the size in bytes and the number of bytes done so far.

While a stream of unknown size is stored, the size is ``None``; at the end the two are equal. While the checksum of a
file of unknown size is computed, the function is not called.
"""

__all__ = ("FileStorage", "ProgressCallback", "check_size", "check_sizelimit")


def unix_time(modified: datetime | float | None) -> float | None:
    """Return a time as Unix time.

    :param modified: A Unix timestamp, or a date and time, in UTC if it has no zone.
    """
    if not isinstance(modified, datetime):
        return modified
    # Times in the database are in UTC and have no zone.
    return (modified if modified.tzinfo else modified.replace(tzinfo=timezone.utc)).timestamp()


class FileStorage:
    """Interface to the storage of one file.

    :param size: Size of the file in bytes, if known.
    :param modified: When it was last modified: a Unix timestamp, or a date and time, in UTC if it has no zone.
    """

    checksum_algorithm = DEFAULT_ALGORITHM
    """Name of the algorithm that the file is hashed with. The storage factory may set another one."""

    _also_fed: tuple[MessageDigest, ...] = ()

    def __init__(self, size: int | None = None, modified: datetime | float | None = None) -> None:
        """Remember the size and the time."""
        self._size = size
        self._modified = unix_time(modified)

    def open(self, mode: str | None = None) -> IO[bytes]:
        """Open the file. The caller closes it.

        :param mode: Mode as of :func:`open`; ``None`` for the backend's own, which is reading.
        :returns: File-like object.
        :raises OSError: If the file cannot be opened, e.g. ``FileNotFoundError``.
        """
        raise NotImplementedError

    def initialize(self, size: int = 0) -> tuple[str, int, str | None]:
        """Create the file, or empty it, and give it a size.

        :param size: Size in bytes.
        :returns: URI of the file, its size, and its checksum if known.
        """
        raise NotImplementedError

    def save(
        self,
        incoming_stream: SupportsRead[bytes],
        size_limit: int | FileSizeLimit | None = None,
        size: int | None = None,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> tuple[str, int, str | None]:
        """Store a stream as the file.

        :param incoming_stream: File-like object to read, to its end.
        :param size_limit: Largest number of bytes that it may have.
        :param size: Number of bytes that it must have, if known.
        :param chunk_size: Number of bytes to read at a time; the backend may choose another one.
        :param progress_callback: See :data:`ProgressCallback`.
        :returns: URI of the file, its size in bytes, and its checksum as ``algorithm:hexdigest``.
        :raises FileSizeError: If the stream is larger than the limit.
        :raises UnexpectedFileSizeError: If it has not as many bytes as announced.
        """
        raise NotImplementedError

    def update(
        self,
        incoming_stream: SupportsRead[bytes],
        seek: int = 0,
        size: int | None = None,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> tuple[int, str | None]:
        """Write a stream over a part of the file, which must exist.

        :param incoming_stream: File-like object to read, to its end.
        :param seek: Where the part begins, in bytes.
        :param size: Number of bytes that the stream must have, if known.
        :param chunk_size: Number of bytes to read at a time.
        :param progress_callback: See :data:`ProgressCallback`.
        :returns: Number of bytes written, and their checksum as ``algorithm:hexdigest``.
        :raises UnexpectedFileSizeError: If the stream has not as many bytes as announced.
        """
        raise NotImplementedError

    def delete(self) -> bool:
        """Delete the file. Deleting one that is gone is no error.

        :returns: ``True``.
        """
        raise NotImplementedError

    def capability(self, kind: type[C]) -> C | None:
        """Return what this storage can do beyond the documented methods.

        A storage that wraps another one asks that.

        :param kind: The capability: :class:`~invenio_files_rest.storage.uploads.Uploads`,
            :class:`~invenio_files_rest.storage.capabilities.Listable`,
            :class:`~invenio_files_rest.storage.capabilities.LocalPath` or
            :class:`~invenio_files_rest.storage.capabilities.Signer`.
        :returns: Its implementation for this file; ``None`` if the storage does not have it, as here.
        """
        return None

    def local_path(self) -> str | None:
        """Return the path at which this machine keeps the file, in whatever form.

        It tells that a location is a folder on this machine, which can be marked, and whose disk may not be mounted.
        The capability :class:`~invenio_files_rest.storage.capabilities.LocalPath` promises more: that reading the path
        gives the content.

        :returns: The path, which need not exist yet; ``None`` if the file is not kept on this machine.
        """
        return None

    @contextmanager
    def locked_region(self, start: int, size: int, timeout: float) -> Iterator[bool]:
        """Lock a region of the file while it is being written, if the storage can.

        This default does not. If two writers write the same region at once, the bytes may be of either.

        :param start: Where the region begins, in bytes.
        :param size: Its length in bytes.
        :param timeout: Seconds to wait for another writer.
        :returns: Context that yields whether the region is locked.
        :raises TimeoutError: If that was not enough.
        """
        yield False

    def send_file(
        self,
        filename: str | None = None,
        mimetype: str | None = None,
        restricted: bool = True,
        checksum: str | None = None,
        trusted: bool = False,
        chunk_size: int | None = None,
        as_attachment: bool = False,
    ) -> Response:
        """Make the response that sends the file to the client.

        :param filename: Name that is shown to the client; ``None`` if there is none.
        :param mimetype: Its MIME type; guessed from the name if not given.
        :param restricted: Whether shared caches must not keep it.
        :param checksum: Checksum as ``algorithm:hexdigest``, which becomes the entity tag.
        :param trusted: See :func:`~invenio_files_rest.helpers.send_stream`.
        :param chunk_size: Number of bytes to send at a time, unless the server chooses itself.
        :param as_attachment: Whether the browser should save the file rather than show it.
        :returns: The response.
        :raises StorageError: If the file cannot be sent.
        :raises werkzeug.exceptions.HTTPException: If a condition of the request does not hold, or its range.
        """
        # Storing and reading files does not need HTTP.
        from ..http.file_response import Representation, md5_of, send_stored, time_of

        representation = Representation(
            filename=filename,
            size=self._size,
            last_modified=time_of(self._modified),
            mimetype=mimetype,
            restricted=restricted,
            as_attachment=as_attachment,
            etag=checksum,
            content_md5=md5_of(checksum),
            trusted=trusted,
        )
        return send_stored(self._open_to_send, representation, chunk_size, signer=self.capability(Signer))

    def _open_to_send(self) -> IO[bytes]:
        """Open the file to send it, or a part of it.

        A storage that has to ask for bytes may ask later, for no more than are sent, if what it returns has the method
        ``prepare(start, length)``; see :class:`~invenio_files_rest.http.file_body.Preparable`.
        """
        return self.open(mode="rb")

    def checksum(
        self, chunk_size: int | None = None, progress_callback: ProgressCallback | None = None, **kwargs: Any
    ) -> str | None:
        """Compute the checksum of the file.

        :param chunk_size: Number of bytes to read at a time.
        :param progress_callback: See :data:`ProgressCallback`.
        :param kwargs: Options of other backends.
        :returns: The checksum as ``algorithm:hexdigest``.
        :raises OSError: If the file cannot be opened.
        :raises StorageError: If it cannot be read, or the callback fails.
        """
        with closing(self.open(mode="rb")) as stream:
            return self._compute_checksum(
                stream, size=self._size, chunk_size=chunk_size, progress_callback=progress_callback, **kwargs
            )

    def feed(self, *digests: MessageDigest) -> None:
        """Have :meth:`checksum` feed further digests with the bytes that it reads.

        A backend with a :meth:`checksum` of its own need not do so: look whether they got all bytes of the file.

        :param digests: The digests.
        """
        self._also_fed = digests

    def copy(
        self, src: FileStorage, chunk_size: int | None = None, progress_callback: ProgressCallback | None = None
    ) -> tuple[str, int | None, str | None]:
        """Store a copy of another file as this one.

        :param src: Storage of the other file, of this backend or of another.
        :param chunk_size: Number of bytes to read at a time.
        :param progress_callback: See :data:`ProgressCallback`.
        :returns: What :meth:`save` returns.
        :raises UnexpectedFileSizeError: If the other file is not of the size that its storage knows.
        """
        with closing(src.open(mode="rb")) as stream:
            return self.save(stream, size=src._size, chunk_size=chunk_size, progress_callback=progress_callback)

    def _init_hash(self) -> tuple[str | None, MessageDigest | None]:
        """Return the name and an empty digest of the algorithm that the file is hashed with.

        :returns: The name that checksums begin with, and the digest; ``None`` twice for no checksums.
        :raises ValueError: If the package of the algorithm is not installed.
        """
        return self.checksum_algorithm, new_digest(self.checksum_algorithm)

    def _compute_checksum(
        self,
        stream: SupportsRead[bytes],
        size: int | None = None,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
        **kwargs: Any,
    ) -> str | None:
        """Compute the checksum of a stream, with the algorithm of :meth:`_init_hash`.

        :raises StorageError: If the stream cannot be read, or the callback fails; its cause is kept.
        """
        algorithm, message_digest = self._init_hash()
        if algorithm is None or message_digest is None:
            return None
        if self._also_fed:
            message_digest = Digests(message_digest, self._also_fed)
        told = partial(progress_callback, size) if progress_callback is not None and size is not None else None
        try:
            return compute_checksum(stream, algorithm, message_digest, chunk_size=chunk_size, progress_callback=told)
        except StorageError:
            raise
        except Exception as error:
            raise StorageError(f"Cannot compute the checksum: {error}") from error

    def _write_stream(
        self,
        src: SupportsRead[bytes],
        dst: SupportsWrite[bytes],
        size: int | None = None,
        size_limit: int | FileSizeLimit | None = None,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> tuple[int, str | None]:
        """Copy a stream to an open file, hashed with the algorithm of :meth:`_init_hash`.

        :returns: Number of bytes written, and their checksum.
        """
        algorithm, message_digest = self._init_hash()
        bytes_written = pump(
            src,
            dst,
            message_digest,
            size=size,
            size_limit=size_limit,
            chunk_size=chunk_size,
            progress_callback=progress_callback,
        )
        return bytes_written, f"{algorithm}:{message_digest.hexdigest()}" if message_digest is not None else None
