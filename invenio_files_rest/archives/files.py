"""Opening the files of an archive: by their paths, where no storage has a say in that."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from typing import IO, TypeVar

from flask import Flask

from ..errors import StorageError
from ..http.file_body import ensure_size
from ..models import FileInstance, ObjectVersion
from ..paths import is_plain
from ..services.transactions import in_transaction
from ..storage import FileStorage, pyfs_storage_factory
from .formats import Member

T = TypeVar("T")


class Files:
    """Opens files. No connection to the database is in use when it returns.

    The storage factory gets the row of each file, and the storage that it makes opens the file. Where the factory is
    ours, and the URI a path, that comes to opening the path, which takes a tenth of the time.

    :param app: The application, in whose context factory and storage are called.
    """

    def __init__(self, app: Flask) -> None:
        """Ask which factory there is."""
        self._app = app
        self._by_path = app.extensions["invenio-files-rest"].storage_factory is pyfs_storage_factory
        self._rows: dict[str, FileInstance | None] = {}

    def expect(self, members: Iterable[Member]) -> None:
        """Read the rows of files, if their storages need them, in one statement, and forget those before.

        :param members: The files that are going to be opened; no others are.
        """
        wanted = [member.file_id for member in members if not self._by_path or not is_plain(member.uri or "")]
        self._rows = dict.fromkeys(wanted)
        if wanted:
            with self._app.app_context():
                self._rows |= _rows(wanted)

    def read(self, member: Member) -> bytes:
        """Return the bytes of a file.

        :param member: The file.
        :raises OSError: If it cannot be opened.
        :raises StorageError: If it has another size than it should have.
        """
        return self._get(member, _read, _read_path)

    def open(self, member: Member) -> IO[bytes]:
        """Open a file. The caller closes it.

        :param member: The file.
        :raises OSError: If it cannot be opened.
        :raises StorageError: If it has another size than it should have.
        """
        return self._get(member, _open, _open_path)

    def _get(self, member: Member, by_storage: Callable[[Member, FileStorage], T], by_path: Callable[[Member], T]) -> T:
        try:
            return self._by_storage(member, by_storage) if member.file_id in self._rows else by_path(member)
        except Exception as error:
            return self._moved(member, by_storage, error)

    def _by_storage(self, member: Member, get: Callable[[Member, FileStorage], T]) -> T:
        row = self._rows[member.file_id]
        if row is None:
            raise StorageError(f"The file {member.uri} has been deleted.")
        with self._app.app_context():
            return get(member, row.storage())

    def _moved(self, member: Member, get: Callable[[Member, FileStorage], T], error: Exception) -> T:
        """Try again, if a file has been moved to another location since its row was read."""
        with self._app.app_context():
            row = in_transaction(partial(ObjectVersion.file_of, uuid.UUID(member.version_id)))
            if row is None or row.uri == member.uri:
                raise error
            return get(member, row.storage())


def _rows(file_ids: list[str]) -> dict[str, FileInstance]:
    rows = in_transaction(partial(FileInstance.get_many, [uuid.UUID(file_id) for file_id in file_ids]))
    return {row.id.hex: row for row in rows}


def exactly(file: IO[bytes], size: int, member: Member) -> bytes:
    """Read so many bytes of a file.

    :param file: The file.
    :param size: Number of bytes.
    :param member: What it is in the archive.
    :raises StorageError: If it ends before.
    """
    data = file.read(size)
    while len(data) < size:
        more = file.read(size - len(data))
        if not more:
            raise StorageError(f"The file {member.uri} ended {size - len(data)} bytes too early.")
        data += more
    return data


def _read(member: Member, storage: FileStorage) -> bytes:
    with closing(storage.open(mode="rb")) as file:
        data = exactly(file, member.size, member)
        if file.read(1):
            raise _too_long(member)
        return data


def _read_path(member: Member) -> bytes:
    descriptor = os.open(member.uri or "", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, member.size + 1)
        while len(data) < member.size and (more := os.read(descriptor, member.size + 1 - len(data))):
            data += more
    finally:
        os.close(descriptor)
    if len(data) > member.size:
        raise _too_long(member)
    if len(data) < member.size:
        raise StorageError(f"The file {member.uri} ended {member.size - len(data)} bytes too early.")
    return data


def _open(member: Member, storage: FileStorage) -> IO[bytes]:
    return _of_its_size(member, storage.open(mode="rb"))


def _open_path(member: Member) -> IO[bytes]:
    return _of_its_size(member, open(member.uri or "", "rb", buffering=0))


def _of_its_size(member: Member, file: IO[bytes]) -> IO[bytes]:
    try:
        ensure_size(file, member.size)
    except BaseException:
        file.close()
        raise
    return file


def _too_long(member: Member) -> StorageError:
    return StorageError(f"The file {member.uri} has more than {member.size} bytes.")
