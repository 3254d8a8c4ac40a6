"""The storage on PyFilesystem, beyond what every backend must do."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from invenio_files_rest.errors import FileSizeError, StorageError, UnexpectedFileSizeError
from invenio_files_rest.storage import PyFSFileStorage, pyfs_storage_factory
from invenio_files_rest.storage.local import TEMPORARY_PREFIX
from invenio_files_rest.storage.pyfs import FS
from invenio_files_rest.testing.storage import GeneratedStream

ID = "2a4f3950-33af-4c42-8b1d-000102030405"
PATH = f"{ID[:2]}/{ID[2:4]}/{ID[4:]}/data"


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def location(tmp_path: Path) -> Path:
    folder = tmp_path / "location"
    folder.mkdir()
    return folder


@pytest.fixture
def storage(location: Path) -> PyFSFileStorage:
    return PyFSFileStorage(f"{location}/{PATH}")


def save(storage: PyFSFileStorage, content: bytes = b"content") -> None:
    storage.save(io.BytesIO(content))


def content_of(storage: PyFSFileStorage) -> bytes:
    with storage.open() as file:
        return file.read()


def told(storage: PyFSFileStorage) -> tuple[int | None, float | None]:
    """Return what a response tells of the file: its size, and as Unix time, when it was changed."""
    with Flask("app").test_request_context(), storage.send_file("data") as response:
        return response.content_length, response.last_modified and response.last_modified.timestamp()


def test_saving_returns_the_url_as_it_was_given(location: Path) -> None:
    for url in (f"{location}/a/data", f"osfs://{location}/b/data", "mem://x/c/data", "temp://d/data"):
        storage = PyFSFileStorage(url)
        assert storage.save(io.BytesIO(b"content")) == (url, 7, "md5:" + hashlib.md5(b"content").hexdigest())
        storage.delete()


FAILURES: dict[str, Callable[[PyFSFileStorage], Any]] = {
    "size": lambda storage: storage.save(io.BytesIO(b"content"), size=8),
    "limit": lambda storage: storage.save(io.BytesIO(b"content"), size_limit=3),
    "source": lambda storage: storage.save(GeneratedStream(10**7, fail_at=5 * 10**6)),
    "initialize": lambda storage: storage.initialize(-1),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("base", ["{}", "osfs://{}"])
def test_a_failed_save_leaves_no_file_and_no_folder(location: Path, failure: str, base: str) -> None:
    storage = PyFSFileStorage(f"{base.format(location)}/{PATH}")
    with pytest.raises((StorageError, OSError)):
        FAILURES[failure](storage)
    assert files_below(location) == []


def test_a_failed_save_in_memory_leaves_no_file_and_no_folder() -> None:
    storage = PyFSFileStorage(f"mem://{uuid.uuid4()}/ab/data")
    with pytest.raises(UnexpectedFileSizeError):
        storage.save(io.BytesIO(b"content"), size=8)
    filesystem, path = storage._get_fs(create_dir=False)
    assert not filesystem.exists(path.partition("/")[0])


def test_a_failed_save_leaves_a_folder_that_was_there(location: Path) -> None:
    (location / ID[:2]).mkdir()
    with pytest.raises(UnexpectedFileSizeError):
        PyFSFileStorage(f"{location}/{PATH}").save(io.BytesIO(b"content"), size=8)
    assert files_below(location) == [ID[:2]]


@pytest.mark.parametrize("base", [None, "mem://"])
def test_a_failed_save_leaves_the_old_file(location: Path, base: str | None) -> None:
    storage = PyFSFileStorage(f"{base or location}/{PATH}")
    save(storage, b"old")
    with pytest.raises(ConnectionResetError):
        storage.save(GeneratedStream(10**7, fail_at=5 * 10**6))
    assert content_of(storage) == b"old"
    storage.delete()


def test_a_file_that_exceeds_what_the_system_allows_leaves_nothing(storage: PyFSFileStorage, location: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(FileSizeError, match="File too large"):
            storage.save(GeneratedStream(8 * 10**6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert files_below(location) == []


def test_a_file_that_is_being_saved_has_a_temporary_name_beside_its_own(
    storage: PyFSFileStorage, location: Path
) -> None:
    seen: list[str] = []

    class Source(GeneratedStream):
        def read(self, size: int = -1, /) -> bytes:
            seen.extend(os.listdir((location / PATH).parent))
            return super().read(size)

    storage.save(Source(10))
    assert seen
    assert all(name.startswith(TEMPORARY_PREFIX) for name in seen)
    assert os.listdir((location / PATH).parent) == ["data"]


def test_a_saved_file_has_the_permissions_of_the_process(storage: PyFSFileStorage, location: Path) -> None:
    mask = os.umask(0o027)
    try:
        save(storage)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((location / PATH).stat().st_mode) == 0o640


def test_bytes_are_durable_before_their_name_and_their_name_before_saving_returns(
    storage: PyFSFileStorage, location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def spy_fsync(number: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{number}"))
        steps.append("file" if path.name.startswith(TEMPORARY_PREFIX) else str(path.relative_to(location)))
        fsync(number)

    def spy_rename(*args: Any, **kwargs: Any) -> None:
        steps.append("rename")
        rename(*args, **kwargs)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to tell what is synchronised")
    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "rename", spy_rename)
    save(storage)
    folder = os.path.dirname(PATH)
    assert steps == ["file", ".", ID[:2], f"{ID[:2]}/{ID[2:4]}", "rename", folder]
    steps.clear()
    storage.update(io.BytesIO(b"C"))
    assert steps == [PATH]


def test_a_process_that_is_killed_leaves_a_temporary_file_alone(location: Path) -> None:
    code = (
        "import os, sys\n"
        "from invenio_files_rest.storage import PyFSFileStorage\n"
        "from invenio_files_rest.testing.storage import GeneratedStream\n"
        "class Source(GeneratedStream):\n"
        "    def read(self, size=-1):\n"
        "        if self.position > 5_000_000: os.kill(os.getpid(), 9)\n"
        "        return super().read(size)\n"
        "PyFSFileStorage(sys.argv[1]).save(Source(10_000_000))\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(location / PATH)], check=False)
    assert result.returncode == -signal.SIGKILL
    names = [path.name for path in location.rglob("*") if path.is_file()]
    assert len(names) == 1
    assert names[0].startswith(TEMPORARY_PREFIX)


def test_saves_and_deletes_of_siblings_do_not_disturb_each_other(location: Path) -> None:
    # All share the folders that each makes, and that each removes again.
    def work(number: int) -> None:
        for _ in range(25):
            storage = PyFSFileStorage(f"{location}/2a/4f/3950-33af-4c42-8b1d-{number:012}/data")
            with pytest.raises(UnexpectedFileSizeError):
                storage.save(io.BytesIO(b"content"), size=8)
            save(storage)
            assert content_of(storage) == b"content"
            storage.delete()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert files_below(location) == []


def test_saves_of_one_file_leave_one_of_them_whole(storage: PyFSFileStorage) -> None:
    contents = [bytes([number]) * 300_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: PyFSFileStorage(storage.fileurl).save(io.BytesIO(content)), contents))
    assert content_of(storage) in contents


def test_processes_write_their_parts_of_one_file(storage: PyFSFileStorage) -> None:
    storage.initialize(400_000)
    code = (
        "import io, sys\n"
        "from invenio_files_rest.storage import PyFSFileStorage\n"
        "n = int(sys.argv[2])\n"
        "PyFSFileStorage(sys.argv[1]).update(io.BytesIO(bytes([n]) * 100_000), seek=n * 100_000, chunk_size=999)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, storage.fileurl, str(n)]) for n in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert content_of(storage) == b"".join(bytes([n]) * 100_000 for n in range(4))


def test_an_initialized_file_takes_no_room(storage: PyFSFileStorage, location: Path) -> None:
    storage.initialize(10**9)
    status = (location / PATH).stat()
    assert status.st_size == 10**9
    assert status.st_blocks * 512 < 10**6


def test_deleting_removes_the_folders_of_the_identifier_and_keeps_the_location(
    storage: PyFSFileStorage, location: Path
) -> None:
    save(storage)
    storage.delete()
    assert files_below(location) == []
    assert location.is_dir()


def test_deleting_keeps_the_folders_of_other_files(storage: PyFSFileStorage, location: Path) -> None:
    other = PyFSFileStorage(f"{location}/{ID[:2]}/ff/other/data")
    save(storage)
    save(other)
    storage.delete()
    assert files_below(location) == [ID[:2], f"{ID[:2]}/ff", f"{ID[:2]}/ff/other", f"{ID[:2]}/ff/other/data"]


def test_deleting_keeps_a_folder_with_another_file(storage: PyFSFileStorage, location: Path) -> None:
    save(storage)
    beside = (location / PATH).parent / "beside"
    beside.touch()
    storage.delete()
    assert beside.exists()


def test_deleting_keeps_the_folder_where_it_shall(location: Path) -> None:
    storage = PyFSFileStorage(f"{location}/{PATH}", clean_dir=False)
    save(storage)
    storage.delete()
    assert (location / PATH).parent.is_dir()
    assert not (location / PATH).exists()


@pytest.mark.parametrize(
    "name", ["a!b", "a#b", "a%20b", "a b", "a?b=c", "a:b", "a\\b", "*", "ä\u0301", "'\"", "~", "-rf"]
)
def test_a_path_is_taken_literally(location: Path, name: str) -> None:
    storage = PyFSFileStorage(f"{location}/{name}/data")
    save(storage)
    assert (location / name / "data").read_bytes() == b"content"
    assert storage.local_path() == f"{location}/{name}/data"
    storage.delete()
    assert files_below(location) == []


def test_nothing_outside_its_folder_is_reached(location: Path) -> None:
    secret = location.parent / "secret"
    secret.write_bytes(b"secret")
    for url in (f"{location}/../secret", f"osfs://{location}/ab/../../secret", "mem://a/../../secret"):
        storage = PyFSFileStorage(url)
        for call in (storage.open, storage.delete, storage.initialize, storage.local_path, lambda s=storage: save(s)):
            with pytest.raises(StorageError) as error:
                call()
            assert error.value.description == StorageError.description
    assert secret.read_bytes() == b"secret"


def test_an_open_file_is_one_of_the_operating_system(storage: PyFSFileStorage) -> None:
    save(storage)
    with storage.open() as file:
        assert os.fstat(file.fileno()).st_size == 7


def test_a_file_opened_to_be_written_gets_its_folder(location: Path) -> None:
    for url in (f"{location}/{PATH}", f"mem://{uuid.uuid4()}/data"):
        storage = PyFSFileStorage(url)
        with storage.open(mode="wb") as file:
            file.write(b"content")
        assert content_of(storage) == b"content"


def test_opening_makes_no_folder(storage: PyFSFileStorage, location: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.open()
    storage.delete()
    assert files_below(location) == []


def test_memory_is_shared_by_the_objects_of_a_process() -> None:
    url = f"mem://{uuid.uuid4()}/data"
    thread = threading.Thread(target=lambda: save(PyFSFileStorage(url)))
    thread.start()
    thread.join()
    assert content_of(PyFSFileStorage(url)) == b"content"
    assert PyFSFileStorage(url).local_path() is None


def test_a_file_system_that_someone_closed_is_made_anew(location: Path) -> None:
    storage = PyFSFileStorage(f"{location}/data")
    save(storage)
    storage._get_fs()[0].close()
    assert content_of(storage) == b"content"


def test_a_folder_in_place_of_the_file_is_an_error_that_leaves_it(location: Path) -> None:
    (location / "ab" / "data").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        save(PyFSFileStorage(f"{location}/ab/data"))
    assert files_below(location) == ["ab", "ab/data"]


def test_a_file_in_memory_in_place_of_the_folder_is_an_os_error() -> None:
    name = uuid.uuid4()
    save(PyFSFileStorage(f"mem://{name}/ab"))
    with pytest.raises((OSError, StorageError)):
        save(PyFSFileStorage(f"mem://{name}/ab/data"))


@pytest.mark.parametrize(
    "modified",
    [
        1577836800,
        datetime(2020, 1, 1),
        datetime(2020, 1, 1, tzinfo=timezone.utc),
        datetime(2020, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_time_is_that_of_the_response(storage: PyFSFileStorage, modified: datetime | int) -> None:
    save(storage)
    assert told(PyFSFileStorage(storage.fileurl, size=7, modified=modified)) == (7, 1577836800)


class FolderLikeS3:
    """A file system in the manner of fsspec: objects without folders, replaced when they are closed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, url: str) -> Path:
        return self.root / url.replace("/", "_")

    def open(self, path: str, mode: str = "rb") -> Any:
        return self._path(path).open(mode)

    def exists(self, path: str) -> bool:
        return self._path(path).exists()

    def rm(self, path: str) -> None:
        self._path(path).unlink()


@pytest.fixture
def foreign(location: Path) -> PyFSFileStorage:
    """Return a storage whose file system is none of PyFilesystem."""

    class ForeignStorage(PyFSFileStorage):
        def _get_fs(self, *args: Any, **kwargs: Any) -> Any:
            return FolderLikeS3(location), self.fileurl

    return ForeignStorage("like-s3://bucket/data")


def test_a_subclass_brings_a_file_system_of_another_kind(foreign: PyFSFileStorage, location: Path) -> None:
    assert foreign.save(io.BytesIO(b"content"))[:2] == ("like-s3://bucket/data", 7)
    assert content_of(foreign) == b"content"
    assert foreign.checksum() == "md5:" + hashlib.md5(b"content").hexdigest()
    assert foreign.update(io.BytesIO(b"C"))[0] == 1
    assert foreign.local_path() is None
    target = PyFSFileStorage(f"{location}/copy/data")
    target.copy(foreign)
    assert content_of(target) == b"Content"
    assert foreign.delete()
    assert foreign.delete()
    assert not foreign._get_fs()[0].exists(foreign.fileurl)


def test_a_failed_save_to_a_file_system_of_another_kind_is_deleted(foreign: PyFSFileStorage, location: Path) -> None:
    with pytest.raises(UnexpectedFileSizeError):
        foreign.save(io.BytesIO(b"content"), size=8)
    assert files_below(location) == []


def test_a_folder_is_a_file_system_as_in_6_1(location: Path) -> None:
    folder = FS(f"{location}/$HOME/~")
    assert files_below(location) == ["$HOME", "$HOME/~"]
    with folder.open("name", "wb") as file:
        file.write(b"content")
    assert folder.exists("name")
    folder.remove("name")
    assert not FS(f"{location}/$HOME/~", create=False).exists("name")
    with pytest.raises(FileNotFoundError):
        FS(f"{location}/none", create=False)


@pytest.fixture
def paths_app() -> Flask:
    app = Flask("app")
    app.config.update(FILES_REST_STORAGE_PATH_DIMENSIONS=2, FILES_REST_STORAGE_PATH_SPLIT_LENGTH=2)
    return app


def test_the_factory_makes_a_path_for_a_new_file(paths_app: Flask) -> None:
    file = SimpleNamespace(id=uuid.UUID(ID), uri=None, size=0, updated=None)
    with paths_app.app_context():
        storage = pyfs_storage_factory(fileinstance=file, default_location="/base")
        assert storage.fileurl == f"/base/{PATH}"
        with pytest.raises(AssertionError):
            pyfs_storage_factory(fileinstance=file)


def test_the_factory_takes_the_uri_of_a_file(storage: PyFSFileStorage) -> None:
    save(storage)
    file = SimpleNamespace(id=uuid.UUID(ID), uri=storage.fileurl, size=7, updated=datetime(2020, 1, 1))
    found = pyfs_storage_factory(fileinstance=file, default_location="/base")
    assert (found.fileurl, told(found)) == (storage.fileurl, (7, 1577836800))


def test_the_factory_asks_a_file_that_has_a_uri_for_no_identifier(location: Path) -> None:
    save(PyFSFileStorage(f"{location}/data"))
    storage = pyfs_storage_factory(SimpleNamespace(uri=f"{location}/data", size=7, updated=None))
    assert (content_of(storage), told(storage)) == (b"content", (7, None))
    # Nothing tells that the folder is the file's own.
    storage.delete()
    assert location.is_dir()


def test_the_factory_takes_a_url_and_a_size(location: Path) -> None:
    class Special(PyFSFileStorage):
        pass

    save(PyFSFileStorage(f"{location}/data"), b"")
    storage = pyfs_storage_factory(fileurl=f"{location}/data", size=0, clean_dir=False, filestorage_class=Special)
    assert isinstance(storage, Special)
    assert (storage.fileurl, told(storage), storage.clean_dir) == (f"{location}/data", (0, None), False)


@pytest.mark.parametrize("arguments", [{}, {"fileurl": "/data"}, {"size": 5}])
def test_the_factory_needs_a_file_or_a_url_with_a_size(arguments: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        pyfs_storage_factory(**arguments)
