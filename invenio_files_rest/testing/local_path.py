"""The suite for a storage with files on this machine.

::

    class TestMyPaths(LocalPathContract):
        @pytest.fixture
        def make_storage(self, tmp_path):
            return lambda name, size=None: MyStorage(f"{tmp_path}/{name}/data", size=size)

It needs pytest, but no database.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..storage.base import FileStorage
from ..storage.capabilities import LocalPath
from .base import Contract, MakeStorage


class LocalPathContract(Contract):
    """Each test is one promise of :class:`~invenio_files_rest.storage.capabilities.LocalPath`."""

    @staticmethod
    def path_of(storage: FileStorage) -> Path:
        """Return the path of a file."""
        local = storage.capability(LocalPath)
        assert local is not None
        return Path(local.path)

    def test_the_path_has_what_was_saved(self, storage: FileStorage) -> None:
        """Byte for byte, so that a web server may send it."""
        self.save(storage, bytes(range(256)) * 1000)
        assert self.path_of(storage).read_bytes() == bytes(range(256)) * 1000

    def test_the_path_has_what_the_storage_reads(self, storage: FileStorage) -> None:
        """Even if the file was written without the storage."""
        self.save(storage, b"content")
        self.path_of(storage).write_bytes(b"another content")
        assert self.content(storage) == b"another content"

    def test_the_path_is_absolute(self, storage: FileStorage) -> None:
        """It does not depend on the working folder."""
        assert os.path.isabs(self.path_of(storage))

    def test_the_path_is_known_before_there_is_a_file(self, storage: FileStorage, make_storage: MakeStorage) -> None:
        """By every object for the same file."""
        path = self.path_of(storage)
        assert not path.exists()
        self.save(storage, b"content")
        assert self.path_of(make_storage("file")) == path
        assert path.exists()

    def test_a_deleted_file_is_gone_from_its_path(self, storage: FileStorage) -> None:
        """Nothing is left to be sent."""
        self.save(storage, b"content")
        storage.delete()
        assert not self.path_of(storage).exists()
