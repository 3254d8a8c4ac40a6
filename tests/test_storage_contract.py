"""Every storage that comes with the package keeps the contract."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from os.path import basename, dirname
from pathlib import Path

import pytest

from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.storage.base import FileStorage
from invenio_files_rest.storage.pyfs import FS
from invenio_files_rest.testing import StorageContract
from invenio_files_rest.testing.storage import MemoryStorage

MakeStorage = Callable[..., FileStorage]


class PyFSContract(StorageContract):
    """The contract over a URL of PyFilesystem."""

    base: str

    @pytest.fixture
    def location(self) -> str:
        return f"{self.base}{uuid.uuid4().hex}"

    @pytest.fixture
    def make_storage(self, location: str) -> MakeStorage:
        return lambda name, size=None: PyFSFileStorage(f"{location}/{name}/data", size=size)


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


class FolderAsFor61(PyFSFileStorage):
    """A storage that opens the folder of its file as one for 6.1 does."""

    def _get_fs(self, create_dir: bool = True) -> tuple[FS, str]:
        return FS(dirname(self.fileurl), writeable=True, create=create_dir), basename(self.fileurl)


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
