"""Storages that the suites for storages are run with."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from os.path import basename, dirname

import pytest

from invenio_files_rest.storage import FileStorage, PyFSFileStorage
from invenio_files_rest.storage.pyfs import FS

MakeStorage = Callable[..., FileStorage]


class OnPyFilesystem:
    """Fixtures of a suite, for files below a URL of PyFilesystem."""

    base: str

    @pytest.fixture
    def location(self) -> str:
        return f"{self.base}{uuid.uuid4().hex}"

    @pytest.fixture
    def make_storage(self, location: str) -> MakeStorage:
        return lambda name, size=None: PyFSFileStorage(f"{location}/{name}/data", size=size)


class FolderAsFor61(PyFSFileStorage):
    """A storage that opens the folder of its file as one for 6.1 does."""

    def _get_fs(self, create_dir: bool = True) -> tuple[FS, str]:
        return FS(dirname(self.fileurl), writeable=True, create=create_dir), basename(self.fileurl)
