"""The storage of a file in an object store."""

from __future__ import annotations

import io
from contextlib import closing
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, cast

from ..base import FileStorage, ProgressCallback
from ..capabilities import BYTE_METHODS, C, DirectParts, Listable, Signer, bypasses
from ..uploads import Uploads
from .links import S3Signer
from .listing import S3Listing
from .locations import S3Location
from .native import Absent, NativeMultipartMixin
from .objects import S3Object
from .reading import S3File
from .room import PartsOfRoom
from .uploads import BLOCK, S3Uploads
from .writing import ObjectWriter

if TYPE_CHECKING:
    from _typeshed import SupportsRead

    from ...limiters import FileSizeLimit


class S3FileStorage(NativeMultipartMixin, FileStorage):
    """Storage of one file as an object.

    :param fileurl: URI of the file, ``s3://bucket/key``.
    :param location: The location in the settings.
    :param size: Size of the file in bytes, if known.
    :param modified: See :class:`~invenio_files_rest.storage.FileStorage`.
    """

    def __init__(
        self, fileurl: str, location: S3Location, size: int | None = None, modified: datetime | float | None = None
    ) -> None:
        """Remember the URI."""
        super().__init__(size=size, modified=modified)
        self.fileurl = fileurl
        self._object = S3Object(location, fileurl)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Hide the multipart uploads of the store if the subclass has its own way to store bytes."""
        super().__init_subclass__(**kwargs)
        if bypasses(cls, S3FileStorage, BYTE_METHODS):
            for name in vars(NativeMultipartMixin).keys() - vars(cls).keys():
                if name.startswith("multipart_"):
                    setattr(cls, name, Absent())

    def capability(self, kind: type[C]) -> C | None:
        """Return what this storage can do beyond the documented methods; see :meth:`.FileStorage.capability`.

        A subclass that overrides how bytes are read or written has to declare in this method what it can do.
        """
        if kind is not Listable and self._is_overridden():
            return None
        provided = {
            DirectParts: self._parts,
            Listable: lambda: S3Listing(self._object.location),
            Signer: lambda: S3Signer(self._object),
            Uploads: self._uploads,
        }
        provide = provided.get(kind)
        return None if provide is None else cast("C", provide())

    def _is_overridden(self) -> bool:
        return bypasses(type(self), S3FileStorage, BYTE_METHODS)

    def _uploads(self) -> S3Uploads:
        return S3Uploads(self._object, self._init_hash)

    def _parts(self) -> PartsOfRoom:
        return PartsOfRoom(self._object, self._uploads())

    def open(self, mode: str | None = None) -> IO[bytes]:
        """Open the file to read it, with one request to the store.

        :param mode: ``rb``, or ``None``.
        :raises ValueError: If it is to be written; that is what :meth:`save` is for.
        :raises FileNotFoundError: If there is no such file.
        :raises StorageError: If the store fails.
        """
        if mode not in (None, "r", "rb"):
            raise ValueError(f"A file in an object store cannot be opened with mode {mode!r}.")
        file = S3File(self._object)
        try:
            file.prepare(0, None)
        except FileNotFoundError:
            unfinished = self._parts().settle()
            if unfinished is not None:
                return io.BufferedReader(unfinished)
            file.prepare(0, None)
        return cast("IO[bytes]", file)

    def _open_to_send(self) -> IO[bytes]:
        """Return the file; the store is asked once it is known which bytes are needed."""
        return super()._open_to_send() if self._is_overridden() else cast("IO[bytes]", S3File(self._object))

    def checksum(
        self, chunk_size: int | None = None, progress_callback: ProgressCallback | None = None, **kwargs: Any
    ) -> str | None:
        """Compute the checksum of the file, after putting it together of its parts if that was not done."""
        unfinished = self._parts().settle()
        stream: Any = self.open() if unfinished is None else io.BufferedReader(unfinished)
        with closing(stream):
            return self._compute_checksum(
                stream, size=self._size, chunk_size=chunk_size, progress_callback=progress_callback, **kwargs
            )

    def initialize(self, size: int = 0) -> tuple[str, int, str | None]:
        """Make room for the file; see :mod:`.s3.room`."""
        self._parts().make(size)
        self._size = size
        return self.fileurl, size, None

    def save(
        self,
        incoming_stream: SupportsRead[bytes],
        size_limit: int | FileSizeLimit | None = None,
        size: int | None = None,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> tuple[str, int, str | None]:
        """Store a stream as the file, atomically; see :meth:`.FileStorage.save`.

        A small file is one request to the store. A larger one is sent in parts, several at a time.
        """
        with ObjectWriter(self._object, size) as writer:
            written, checksum = self._write_stream(
                incoming_stream,
                writer,
                size=size,
                size_limit=size_limit,
                chunk_size=min(chunk_size or BLOCK, BLOCK),
                progress_callback=progress_callback,
            )
        self._size = written
        return self.fileurl, written, checksum

    def update(
        self,
        incoming_stream: SupportsRead[bytes],
        seek: int = 0,
        size: int | None = None,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> tuple[int, str | None]:
        """Write a stream over a part of the file; see :meth:`.FileStorage.update`.

        A file that is complete shows the change once :meth:`checksum` was called.
        """
        algorithm, digest = self._init_hash()
        written = self._parts().write(incoming_stream, seek, size, digest)
        if progress_callback is not None:
            progress_callback(written, written)
        return written, None if digest is None else f"{algorithm}:{digest.hexdigest()}"

    def delete(self) -> bool:
        """Delete the file, and what there is of it in parts."""
        self._parts().remove()
        return True
