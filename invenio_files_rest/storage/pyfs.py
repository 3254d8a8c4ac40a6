"""Storage on PyFilesystem: a path on this machine, or any URL that ``fs`` opens.

A file is saved under a temporary name beside its own (see :data:`~invenio_files_rest.storage.local.TEMPORARY_PREFIX`),
made durable, and renamed. So a file that has its name has all its bytes, whenever the machine stops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from datetime import datetime
from os.path import commonprefix
from typing import IO, TYPE_CHECKING, Any, cast

from flask import current_app

from ..checksums import DEFAULT_ALGORITHM, algorithm_of
from ..errors import StorageError
from ..paths import is_folder_for, local_path, make_path
from ._pyfilesystem import OSFS, fs_errors
from .base import FileStorage, ProgressCallback
from .capabilities import BYTE_METHODS, C, Deferred, Listable, LocalPath, Siblings, bypasses
from .failures import translated_errors
from .filesystems import filesystem_of, local_path_of, store_of
from .listing import Listing
from .local_store import LocalStore
from .locking import locked_region
from .settling import CAN_SETTLE, Settling
from .store import Store, StoredFile
from .uploads import Uploads
from .writeback import CACHED_SHARE

if TYPE_CHECKING:
    from _typeshed import SupportsRead

    from ..limiters import FileSizeLimit

_GONE_ROUND: dict[type, tuple[str, ...]] = {
    Deferred: (*BYTE_METHODS, "_get_fs"),
    Listable: (),
    LocalPath: (*BYTE_METHODS, "_get_fs", "local_path"),
    Siblings: (*BYTE_METHODS, "_get_fs"),
    Uploads: (*BYTE_METHODS, "_get_fs"),
}
"""The capabilities, and the methods that each of them would bypass if a subclass overrode them."""


class FS(OSFS):
    """A folder on this machine as a file system, for a ``_get_fs`` that was written for 6.1.

    :param base_directory: Path of the folder.
    :param writeable: Not used; the permissions of the folder apply.
    :param create: Whether to make the folder if it is missing.
    :raises FileNotFoundError: If it is missing, and is not to be made.
    """

    def __init__(self, base_directory: str, writeable: bool = True, create: bool = True) -> None:
        """Open the folder."""
        try:
            super().__init__(base_directory, create=create, expand_vars=False)
        except fs_errors.CreateFailed as error:
            raise FileNotFoundError("The folder cannot be opened.") from error


class PyFSFileStorage(FileStorage):
    """Storage of one file on PyFilesystem, at ``<base_uri>/<identifier of the file>/data``.

    A subclass for another file system overrides :meth:`_get_fs`, and nothing else if the file system has the methods of
    those of fsspec.

    :param fileurl: Path on this machine, taken literally, or a URL of PyFilesystem.
    :param size: Size of the file in bytes, if known.
    :param modified: See :class:`FileStorage`.
    :param clean_dir: Whether :meth:`delete` removes the folders that only this file needed.
    """

    cached_share = CACHED_SHARE
    """Largest size of a file with which all of it stays in memory once it is written, as a share of the memory. The
    storage factory may set another one."""

    def __init__(
        self,
        fileurl: str,
        size: int | None = None,
        modified: datetime | float | None = None,
        clean_dir: bool = True,
    ) -> None:
        """Remember the URL."""
        self.fileurl = fileurl
        self.clean_dir = clean_dir
        super().__init__(size=size, modified=modified)

    def _get_fs(self, create_dir: bool = True) -> tuple[Any, str]:
        """Return the file system, and the path of the file in it.

        :param create_dir: Whether to make the file's folder.
        """
        return filesystem_of(self.fileurl, create_dir)

    def _store(self, create_dir: bool = False) -> tuple[Store, str]:
        """Return the store that has the file, and the file's path there."""
        with translated_errors():
            return store_of(*self._get_fs(create_dir=create_dir), self.cached_share)

    def _file(self, create_dir: bool = False) -> StoredFile:
        store, path = self._store(create_dir)
        return store.file(path)

    @contextmanager
    def _replace(self) -> Iterator[IO[bytes]]:
        """Open a file that takes the place of this one when the block ends without an error."""
        try:
            target = self._file()
        except (FileNotFoundError, StorageError):
            # Some file systems are opened at the file's folder, which has to exist.
            target = self._file(create_dir=True)
        try:
            with target.replace() as file:
                yield file
        except BaseException:
            if not target.atomic:
                with suppress(Exception):
                    self.delete()
            raise

    def capability(self, kind: type[C]) -> C | None:
        """Return what this storage can do beyond the documented methods; see :meth:`FileStorage.capability`.

        A subclass has no capability that would bypass a method of its own. If it overrides :meth:`_get_fs`, or how
        bytes are read or written, it has to declare in this method what it can do. A listing bypasses nothing, since
        it uses :meth:`_get_fs`, and files are removed with :meth:`delete`.
        """
        provide = {
            Deferred: self._deferred,
            Listable: self._listable,
            LocalPath: self._local_path,
            Siblings: self._siblings,
            Uploads: self._uploads,
        }.get(kind)
        if provide is None or bypasses(type(self), PyFSFileStorage, _GONE_ROUND[kind]):
            return None
        return cast("C | None", provide())

    def _siblings(self) -> Siblings | None:
        # The openers of others may have any folder at a URI.
        return None if local_path(self.fileurl) is None else self._new_files()

    def _new_files(self) -> _Siblings | None:
        try:
            store, path = self._store()
        except (FileNotFoundError, StorageError):
            return None
        return _Siblings(self, store, path) if CAN_SETTLE and isinstance(store, LocalStore) else None

    def _deferred(self) -> Deferred | None:
        siblings = self._new_files()
        return None if siblings is None else _DeferredFile(self, siblings)

    def _listable(self) -> Listing:
        def find(uri: str) -> tuple[Store, str]:
            storage = copy(self)
            storage.fileurl = uri
            return storage._store()

        return Listing(find)

    def _local_path(self) -> LocalPath | None:
        store, path = self._store()
        return store.local_path(path)

    def _uploads(self) -> Uploads | None:
        try:
            store, path = self._store()
        except FileNotFoundError:
            # Some file systems are opened at the file's folder, which has to exist.
            store, path = self._store(create_dir=True)
        return store.uploads(path, self.fileurl, self._init_hash, self.clean_dir)

    def local_path(self) -> str | None:
        """Return the path at which this machine keeps the file; see :meth:`FileStorage.local_path`."""
        with translated_errors():
            return local_path_of(*self._get_fs(create_dir=False))

    @contextmanager
    def locked_region(self, start: int, size: int, timeout: float) -> Iterator[bool]:
        """Lock a region of the file; see :meth:`FileStorage.locked_region`.

        Only files on this machine have locks.
        """
        if self._local_path() is None:
            yield False
            return
        with self._file().open("r+b") as stream, locked_region(stream, start, size, timeout) as is_locked:
            yield is_locked

    def open(self, mode: str | None = "rb") -> IO[Any]:
        """Open the file. The caller closes it.

        :param mode: Mode as of :func:`open`.
        :returns: A file with a file descriptor if the file is on this machine, which a web server can send itself.
        :raises OSError: If the file cannot be opened, e.g. ``FileNotFoundError``.
        :raises StorageError: If the file system fails otherwise.
        """
        return self._file().open(mode or "rb")

    def delete(self) -> bool:
        """Delete the file, and the folders that only it needed.

        :returns: ``True``, even if there was no file.
        :raises OSError: If it cannot be deleted.
        """
        try:
            file = self._file()
        except FileNotFoundError:
            return True
        file.remove(self.clean_dir)
        return True

    def initialize(self, size: int = 0) -> tuple[str, int, str | None]:
        """Create or replace the file with zeros, which take no space if the file system has sparse files.

        :param size: Size in bytes.
        :returns: URL of the file, its size, and ``None`` for the checksum.
        :raises OSError: If it cannot be created; nothing is left of it.
        """
        with self._replace() as file, translated_errors():
            file.truncate(size)
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
        """Store a stream as the file, atomically and durably; see :meth:`FileStorage.save`.

        After an error the file is as it was before; if there was none, neither a file nor a folder is left.
        """
        with self._replace() as file:
            bytes_written, checksum = self._write_stream(
                incoming_stream,
                file,
                size=size,
                size_limit=size_limit,
                chunk_size=chunk_size,
                progress_callback=progress_callback,
            )
        self._size = bytes_written
        return self.fileurl, bytes_written, checksum

    def update(
        self,
        incoming_stream: SupportsRead[bytes],
        seek: int = 0,
        size: int | None = None,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> tuple[int, str | None]:
        """Write a stream over a part of the file, durably; see :meth:`FileStorage.update`.

        Other parts may be written at the same time. After an error the file is still there, and the bytes of the part
        may be old or new.
        """
        with self._file().update() as file:
            file.seek(seek)
            return self._write_stream(
                incoming_stream, file, size=size, chunk_size=chunk_size, progress_callback=progress_callback
            )


class _Siblings:
    """The capability :class:`Siblings` of a file on this machine.

    :param storage: Its storage.
    :param store: The store that has it.
    :param path: Its path.
    """

    def __init__(self, storage: PyFSFileStorage, store: LocalStore, path: str) -> None:
        self._storage, self._store = storage, store
        # URI and path of a file of the same location end alike, and begin with these.
        alike = len(commonprefix([storage.fileurl[::-1], path[::-1]]))  # noqa: RUF071
        self._uri_begins, self._path_begins = storage.fileurl[: -alike or None], path[: -alike or None]

    def save(
        self, fileurl: str, incoming_stream: SupportsRead[bytes], settling: Settling, **options: Any
    ) -> tuple[str, int, str | None]:
        new = self._store.file(self._path_begins + fileurl[len(self._uri_begins) :])
        with new.write_new(settling, options.get("size")) as file:
            size, checksum = self._storage._write_stream(incoming_stream, file, **options)
        return fileurl, size, checksum


class _DeferredFile:
    """The capability :class:`Deferred` of a file on this machine.

    :param storage: Its storage.
    :param siblings: What stores it, as it stores its siblings.
    """

    def __init__(self, storage: PyFSFileStorage, siblings: _Siblings) -> None:
        self._storage, self._siblings = storage, siblings

    def save(
        self, incoming_stream: SupportsRead[bytes], settling: Settling, **options: Any
    ) -> tuple[str, int, str | None]:
        stored = self._siblings.save(self._storage.fileurl, incoming_stream, settling, **options)
        self._storage._size = stored[1]
        return stored


def _in_object_store(
    settings: Mapping[str, Any], fileurl: str, size: int | None, modified: datetime | float | None
) -> FileStorage | None:
    """Return the storage of a file in an object store; ``None`` if the settings name none for it."""
    locations = settings.get("FILES_REST_S3_LOCATIONS")
    if not locations:
        return None
    # Who has no object store need not have boto3.
    from .s3 import S3FileStorage, location_of

    location = location_of(fileurl, locations)
    if location is None:
        return None
    storage = S3FileStorage(fileurl, location, size=size, modified=modified)
    storage.direct_upload = settings.get("FILES_REST_S3_DIRECT_UPLOAD")
    return storage


def new_uri(file_id: Any, location: str, settings: Mapping[str, Any]) -> str:
    """Return the URI that a new file gets from :func:`pyfs_storage_factory`.

    :param file_id: Identifier of the file.
    :param location: URI of its location.
    :param settings: Settings of the application.
    """
    dimensions = settings["FILES_REST_STORAGE_PATH_DIMENSIONS"]
    return make_path(location, str(file_id), "data", dimensions, settings["FILES_REST_STORAGE_PATH_SPLIT_LENGTH"])


def pyfs_storage_factory(
    fileinstance: Any = None,
    default_location: str | None = None,
    default_storage_class: str | None = None,
    filestorage_class: type[PyFSFileStorage] = PyFSFileStorage,
    fileurl: str | None = None,
    size: int | None = None,
    modified: datetime | float | None = None,
    clean_dir: bool = True,
) -> FileStorage:
    """Make the storage of a file, from its row in the database or from its URL.

    A file in one of ``FILES_REST_S3_LOCATIONS`` is in that object store, unless another class is asked for. Clients
    themselves send it parts there where ``FILES_REST_S3_DIRECT_UPLOAD`` says so.
    Of a new file on this machine, up to ``FILES_REST_UPLOAD_CACHED_SHARE`` of the memory stays in the page cache.
    It hashes with the algorithm that the file's checksum has, or else with ``FILES_REST_CHECKSUM_ALGORITHM``.

    :param fileinstance: The :class:`~invenio_files_rest.models.FileInstance`. Its URI, size and time are taken.
    :param default_location: URI of the location of a file that has no URI yet.
    :param default_storage_class: Storage class; PyFilesystem has none.
    :param filestorage_class: Class of the storage.
    :param fileurl: URL of the file, if there is no ``fileinstance``; then its size is needed, too.
    :param size: Size of the file in bytes.
    :param modified: When it was last modified.
    :param clean_dir: See :class:`PyFSFileStorage`. The folders of a ``fileinstance`` are removed only where their names
        are its identifier, as :func:`~invenio_files_rest.paths.make_path` has it.
    :returns: The storage.
    :raises AssertionError: If there is neither a file nor a URL with a size, or a new file has no location.
    """
    # Asked for once: the proxy takes longer than all the rest.
    settings: Mapping[str, Any] = current_app.config if current_app else {}
    if fileinstance is not None:
        if fileinstance.uri:
            fileurl, size, modified = fileinstance.uri, fileinstance.size, fileinstance.updated
            # A folder with another name was not made by us: it may be that of a location.
            clean_dir = clean_dir and is_folder_for(fileurl, str(getattr(fileinstance, "id", None)))
        else:
            assert default_location, "A file without a URI needs a location."
            fileurl = new_uri(fileinstance.id, default_location, settings)
    else:
        assert size is not None, "A URL without a file needs a size."
    assert fileurl, "A file or a URL is needed."
    storage: FileStorage | None = None
    if filestorage_class is PyFSFileStorage:
        storage = _in_object_store(settings, fileurl, size, modified)
    if storage is None:
        storage = of_files = filestorage_class(fileurl, size=size, modified=modified, clean_dir=clean_dir)
        share = settings.get("FILES_REST_UPLOAD_CACHED_SHARE")
        if share is not None:
            of_files.cached_share = share
    configured = settings.get("FILES_REST_CHECKSUM_ALGORITHM") or DEFAULT_ALGORITHM
    storage.checksum_algorithm = algorithm_of(getattr(fileinstance, "checksum", None), default=configured)
    return storage
