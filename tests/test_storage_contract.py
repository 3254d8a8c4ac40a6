"""Every storage that comes with the package keeps the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.storages import FolderAsFor61, MakeStorage, OnPyFilesystem

from invenio_files_rest.testing import StorageContract
from invenio_files_rest.testing.storage import MemoryStorage


class PyFSContract(OnPyFilesystem, StorageContract):
    """The contract over a URL of PyFilesystem."""


class TestFolder(PyFSContract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return str(tmp_path)


class TestRelativeFolder(PyFSContract):
    @pytest.fixture
    def location(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        return "../there"


class TestOSFS(PyFSContract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return f"osfs://{tmp_path}"


class TestFolderAsFor61(StorageContract):
    @pytest.fixture
    def make_storage(self, tmp_path: Path) -> MakeStorage:
        return lambda name, size=None: FolderAsFor61(str(tmp_path / name / "data"), size=size)


class TestTemp(PyFSContract):
    base = "temp://"


class TestMem(PyFSContract):
    base = "mem://"

    # What the storage itself holds is in memory: the promise is for what it needs to get there.
    test_memory_is_bounded_whatever_the_size = None  # type: ignore[assignment]


class TestMandatoryMethodsAlone(StorageContract):
    test_memory_is_bounded_whatever_the_size = None  # type: ignore[assignment]
    # It opens a copy of its content, which is all that it is here for.
    test_parts_of_one_file_do_not_disturb_each_other = None  # type: ignore[assignment]

    @pytest.fixture
    def make_storage(self) -> MakeStorage:
        files: dict[str, MemoryStorage] = {}

        def make(name: str, size: int | None = None) -> MemoryStorage:
            return files.setdefault(name, MemoryStorage())

        return make
