"""Errors of file systems come out as our own or as those of the operating system, with their cause."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from invenio_files_rest.errors import FileSizeError, StorageError, StorageFullError
from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.storage._pyfilesystem import FS, MemoryFS, fs_errors
from invenio_files_rest.storage.failures import translated_errors


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (fs_errors.ResourceNotFound("/secret"), FileNotFoundError),
        (fs_errors.PermissionDenied("/secret"), PermissionError),
        (fs_errors.FileExpected("/secret"), IsADirectoryError),
        (fs_errors.DirectoryExpected("/secret"), NotADirectoryError),
        (fs_errors.FileExists("/secret"), FileExistsError),
        (fs_errors.ResourceReadOnly("/secret"), OSError),
        (fs_errors.InsufficientStorage("/secret"), StorageFullError),
        (fs_errors.RemoteConnectionError("/secret"), StorageError),
        (fs_errors.IllegalBackReference("/secret/../.."), StorageError),
        (OSError(errno.ENOSPC, "full", "/secret"), StorageFullError),
        (OSError(errno.EDQUOT, "full", "/secret"), StorageFullError),
        (OSError(errno.EFBIG, "large", "/secret"), FileSizeError),
    ],
)
def test_an_error_is_translated_with_its_cause(error: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, translated_errors():
        raise error
    assert caught.value.__cause__ is error
    assert "/secret" not in str(getattr(caught.value, "description", caught.value))


def test_an_error_of_the_operating_system_stays() -> None:
    error = PermissionError(errno.EACCES, "denied")
    with pytest.raises(PermissionError) as caught, translated_errors():
        raise error
    assert caught.value is error


def failing_folder_sync(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Have every folder fail to synchronise, as some file systems do."""
    fsync = os.fsync

    def sync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)


def test_a_file_system_that_cannot_synchronise_folders_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_folder_sync(monkeypatch, errno.EINVAL)
    assert PyFSFileStorage(f"{tmp_path}/ab/data").save(io.BytesIO(b"content"))[1] == 7


def test_a_folder_that_fails_to_synchronise_fails_the_save_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_folder_sync(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        PyFSFileStorage(f"{tmp_path}/ab/data").save(io.BytesIO(b"content"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_a_permission_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        PyFSFileStorage(f"{tmp_path}/ab/data").save(io.BytesIO(b"content"))


class OpenedAtTheFolder(PyFSFileStorage):
    """A storage whose file system is opened at the file's folder, as those of other machines are."""

    root = MemoryFS()

    def _get_fs(self, create_dir: bool = True) -> tuple[FS, str]:
        folder, _, name = self.fileurl.rpartition("/")
        if create_dir:
            return self.root.makedirs(folder, recreate=True), name
        return self.root.opendir(folder), name


def test_a_file_system_that_opens_existing_folders_alone_is_made_its_folder() -> None:
    storage: Any = OpenedAtTheFolder("ab/cd/data")
    with pytest.raises(FileNotFoundError):
        storage.open()
    assert storage.delete()
    storage.save(io.BytesIO(b"content"))
    with storage.open() as file:
        assert file.read() == b"content"


def test_a_file_system_that_nobody_knows_is_a_storage_error() -> None:
    with pytest.raises(StorageError) as error:
        PyFSFileStorage("nonsense://secret/data").save(io.BytesIO(b"content"))
    assert "secret" not in str(error.value.description)


def test_an_archive_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PyFSFileStorage(f"tar://{tmp_path}/none.tar/data").open()
