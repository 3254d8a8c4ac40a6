"""What storages can do beyond the documented methods: who has it, and that it is what the suites say."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import subprocess
import sys
import uuid
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from helpers.parts import PARTS, begin
from helpers.rest import put, url
from helpers.storages import FolderAsFor61, MakeStorage, OnPyFilesystem
from helpers.stored import CONTENT, ago, kinds, orphan, store

from invenio_files_rest.errors import FileSizeError, UnexpectedFileSizeError
from invenio_files_rest.models import Bucket, FileInstance
from invenio_files_rest.storage import FileStorage, PyFSFileStorage, local, pyfs_storage_factory
from invenio_files_rest.storage._pyfilesystem import OSFS
from invenio_files_rest.storage.capabilities import Deferred, Listable, LocalPath, Siblings, capability_of
from invenio_files_rest.storage.pyfs import new_uri
from invenio_files_rest.storage.settling import Settling
from invenio_files_rest.storage.uploads import Uploads
from invenio_files_rest.testing import ListableContract, LocalPathContract
from invenio_files_rest.testing.storage import MemoryStorage

# isort: split
# Without setuptools, PyFilesystem can be imported after our package alone.
from fs.opener import Opener, registry
from fs.wrap import read_only
from fs.wrapfs import WrapFS

Run = Callable[..., Result]


# The suites


class PyFSListable(OnPyFilesystem, ListableContract):
    pass


class TestFolder(PyFSListable, LocalPathContract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return str(tmp_path / "location")


class TestOSFS(TestFolder):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return f"osfs://{tmp_path}/location"


class TestRelativeFolder(TestFolder):
    @pytest.fixture
    def location(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        return "../there"


class TestTemp(PyFSListable, LocalPathContract):
    base = "temp://"


class TestMem(PyFSListable):
    base = "mem://"


class TestFolderAsFor61(ListableContract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return str(tmp_path / "location")

    @pytest.fixture
    def make_storage(self, location: str) -> MakeStorage:
        return lambda name, size=None: FolderAsFor61(f"{location}/{name}/data", size=size)


class Wrapper(FileStorage):
    """A storage of somebody's that counts what another one does."""

    calls: list[str] = []

    def __init__(self, inner: FileStorage) -> None:
        super().__init__()
        self.inner = inner

    def __getattribute__(self, name: str) -> Any:
        if name in ("open", "initialize", "save", "update", "delete", "checksum", "send_file", "capability"):
            Wrapper.calls.append(name)
            return getattr(self.inner, name)
        return super().__getattribute__(name)


class TestWrapper(TestFolder):
    @pytest.fixture
    def make_storage(self, location: str) -> MakeStorage:
        return lambda name, size=None: Wrapper(PyFSFileStorage(f"{location}/{name}/data", size=size))


class Proxy:
    """A storage of somebody's that knows of one method, and passes on whatever else is asked for."""

    def __init__(self, inner: FileStorage) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def open(self, mode: str | None = None) -> Any:
        return io.BytesIO(zlib.decompress(self.inner.open(mode).read()))


# Who has which


class OtherResponse(PyFSFileStorage):
    def send_file(self, *args: Any, **kwargs: Any) -> Any:
        return super().send_file(*args, **kwargs)


class Declaring(FolderAsFor61):
    def capability(self, kind: Any) -> Any:
        return PyFSFileStorage(self.fileurl).capability(kind)


ALL = {Deferred, Listable, LocalPath, Siblings, Uploads}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (PyFSFileStorage, ALL),
        (OtherResponse, ALL),
        (FolderAsFor61, {Listable}),
        (Declaring, ALL),
        (lambda url: Wrapper(PyFSFileStorage(url)), ALL),
        (lambda url: Proxy(PyFSFileStorage(url)), set()),
        (lambda url: PyFSFileStorage("mem://some/where/data"), {Listable, Uploads}),
        (lambda url: PyFSFileStorage(f"osfs://{url}"), ALL),
        (lambda url: MemoryStorage(), set()),
        (lambda url: object(), set()),
    ],
)
def test_a_storage_says_what_it_can_do(tmp_path: Path, make: Any, expected: set[type]) -> None:
    storage = make(f"{tmp_path}/a/data")
    assert {kind for kind in (*ALL, dict) if capability_of(storage, kind) is not None} == expected


@pytest.mark.parametrize(
    "name",
    ["_get_fs", "_write_stream", "checksum", "copy", "delete", "initialize", "open", "save", "update"],
)
def test_who_overrides_how_bytes_are_stored_is_gone_round_by_nothing(tmp_path: Path, name: str) -> None:
    original = getattr(PyFSFileStorage, name)
    other = type("Other", (PyFSFileStorage,), {name: lambda self, *args, **kwargs: original(self, *args, **kwargs)})
    storage = other(f"{tmp_path}/a/data")
    assert {kind for kind in ALL if capability_of(storage, kind) is not None} == {Listable}


class InUpperCase(WrapFS):
    """A file system of somebody's that has the files of another one, in its own way."""

    def openbin(self, path: str, mode: str = "r", buffering: int = -1, **options: Any) -> Any:
        file = super().openbin(path, mode, buffering, **options)
        if "w" in mode:
            file.write = lambda data, write=file.raw.write: write(data.upper())
        return file


@pytest.mark.parametrize("make", [InUpperCase, lambda inner: InUpperCase(inner).opendir("/")])
def test_a_file_system_that_wraps_another_is_not_gone_round(tmp_path: Path, make: Any) -> None:
    class Wrapped(PyFSFileStorage):
        def _get_fs(self, create_dir: bool = True) -> tuple[Any, str]:
            return make(OSFS(str(tmp_path))), "ab/data"

    storage = Wrapped(f"{tmp_path}/ab/data")
    storage.save(io.BytesIO(b"content"))
    assert (tmp_path / "ab" / "data").read_bytes() == b"CONTENT"
    # It is a folder of this machine nevertheless, whose disk may not be mounted.
    assert storage.local_path() == f"{tmp_path}/ab/data"


def test_a_file_system_that_is_only_read_is_not_written(tmp_path: Path) -> None:
    class OnlyRead(PyFSFileStorage):
        def _get_fs(self, create_dir: bool = True) -> tuple[Any, str]:
            return read_only(OSFS(str(tmp_path))), "data"

    with pytest.raises(OSError, match="Read-only"):
        OnlyRead(f"{tmp_path}/data").save(io.BytesIO(b"content"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_file_system_of_this_machine_is_one_of_it_too(tmp_path: Path) -> None:
    class Below(PyFSFileStorage):
        def _get_fs(self, create_dir: bool = True) -> tuple[Any, str]:
            return OSFS(str(tmp_path)).makedir("ab", recreate=True), "data"

    storage = Below(f"{tmp_path}/ab/data")
    storage.save(io.BytesIO(b"content"))
    with storage.open() as file:
        assert file.name == f"{tmp_path}/ab/data"


# What asks for them


@pytest.fixture
def use(app: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Return a function that has files made by another factory."""
    return lambda factory: monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)


def wrapping_factory(**kwargs: Any) -> Wrapper:
    return Wrapper(pyfs_storage_factory(**kwargs))


def test_locations_are_swept_and_checked_through_a_wrapper(
    run: Run, client: Any, bucket: Bucket, allow_all: None, use: Any, tmp_path: Path
) -> None:
    use(wrapping_factory)
    put(client, bucket, "kept")
    stray = FileInstance.new()
    stray.set_contents(io.BytesIO(CONTENT), default_location=bucket.location.uri)
    Wrapper.calls.clear()
    result = run("files", "sweep", "--delete", "--grace", "0", "--json")
    assert (result.exit_code, sorted(kinds(result))) == (0, ["file", "summary"])
    assert Wrapper.calls.count("delete") == 1
    with pytest.raises(FileNotFoundError):
        stray.storage().open()
    assert client.get(url(bucket, "kept")).status_code == 200
    Wrapper.calls.clear()
    assert run("files", "check", "--json").exit_code == 0
    # Only the file that every location is asked to keep.
    assert Wrapper.calls.count("open") == 1


class Compressing(PyFSFileStorage):
    """A storage of somebody's whose files are smaller on the disk."""

    def save(self, incoming_stream: Any, *args: Any, **kwargs: Any) -> Any:
        content = incoming_stream.read()
        uri, _, _ = super().save(io.BytesIO(zlib.compress(content)))
        return uri, len(content), self._compute_checksum(io.BytesIO(content))

    def open(self, mode: str | None = "rb") -> Any:
        with super().open(mode) as file:
            return io.BytesIO(zlib.decompress(file.read()))


def test_a_file_that_is_stored_in_another_way_than_it_is_read_is_checked_by_reading(
    run: Run, client: Any, bucket: Bucket, allow_all: None, use: Any
) -> None:
    use(partial(pyfs_storage_factory, filestorage_class=Compressing))
    put(client, bucket, "key", b"0" * 10_000)
    (path,) = (path for path in Path(bucket.location.uri).rglob("data") if path.is_file())
    assert path.stat().st_size < 100
    assert run("files", "check", "--json").exit_code == 0
    assert client.get(url(bucket, "key")).data == b"0" * 10_000
    path.write_bytes(zlib.compress(b"0" * 9999))
    assert kinds(run("files", "check", "--json")) == ["size", "summary"]


class Keeping(PyFSFileStorage):
    """A storage of somebody's that deletes nothing, but moves it aside."""

    def delete(self) -> bool:
        Path(self.fileurl).rename(f"{self.fileurl}.deleted")
        return True


def test_the_sweep_has_a_file_deleted_by_its_storage(run: Run, bucket: Bucket, use: Any) -> None:
    kept = Path(store(bucket).file.uri)
    unused = Path(orphan(bucket, updated=ago(days=2)).uri)
    stray = FileInstance.new()
    stray.set_contents(io.BytesIO(CONTENT), default_location=bucket.location.uri)
    use(partial(pyfs_storage_factory, filestorage_class=Keeping))
    result = run("files", "sweep", "--delete", "--grace", "0", "--json")
    assert sorted(kinds(result)) == ["file", "orphan", "summary"]
    assert kept.exists()
    for path in (unused, Path(stray.uri or "")):
        assert not path.exists()
        assert path.with_name("data.deleted").read_bytes() == CONTENT


# Who has none


class Mandatory(FileStorage):
    """A storage of somebody's with the five documented methods, and nothing else."""

    files: dict[str, MemoryStorage] = {}

    def __init__(self, uri: str, size: int | None = None, modified: Any = None) -> None:
        super().__init__(size, modified)
        self.uri = uri

    def open(self, mode: str | None = None) -> Any:
        if self.uri not in self.files:
            raise FileNotFoundError(self.uri)
        return self.files[self.uri].open()

    def initialize(self, size: int = 0) -> Any:
        return self.uri, *self.files.setdefault(self.uri, MemoryStorage()).initialize(size)[1:]

    def save(self, *args: Any, **kwargs: Any) -> Any:
        return self.uri, *self.files.setdefault(self.uri, MemoryStorage()).save(*args, **kwargs)[1:]

    def update(self, *args: Any, **kwargs: Any) -> Any:
        return self.files[self.uri].update(*args, **kwargs)

    def delete(self) -> bool:
        return bool(self.files.pop(self.uri, None)) or True


def mandatory_factory(fileinstance: Any, default_location: str | None = None, **kwargs: Any) -> Mandatory:
    uri = fileinstance.uri or f"{default_location}/{fileinstance.id}"
    return Mandatory(uri, size=fileinstance.size, modified=fileinstance.updated)


@pytest.mark.parametrize(
    ("base", "factory", "swept"),
    [
        ("somewhere://", mandatory_factory, "skipped"),
        ("{}", mandatory_factory, "skipped"),
        ("{}", partial(pyfs_storage_factory, filestorage_class=FolderAsFor61), "summary"),
    ],
    ids=["mandatory methods", "mandatory methods at a path", "file system of another"],
)
@pytest.mark.parametrize("accelerated", [False, True], ids=["sent by us", "nginx in front"])
def test_a_storage_of_others_works_by_the_documented_methods(
    run: Run,
    client: Any,
    app: Any,
    bucket: Bucket,
    allow_all: None,
    use: Any,
    small_parts: None,
    db: Any,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    factory: Any,
    swept: str,
    accelerated: bool,
) -> None:
    bucket.location.uri = base.format(bucket.location.uri)
    db.session.commit()
    use(factory)
    # A file that lies elsewhere is one that the web server may have.
    monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_ENABLED", accelerated and base == "{}")
    sent = []
    send_file = FileStorage.send_file
    monkeypatch.setattr(FileStorage, "send_file", lambda self, *a, **kw: sent.append(self) or send_file(self, *a, **kw))
    version = put(client, bucket, "whole", CONTENT)["version_id"]
    assert client.get(url(bucket, "whole")).data == CONTENT
    assert client.get(url(bucket, "whole"), headers={"Range": "bytes=2-4"}).data == CONTENT[2:5]
    upload = begin(client, bucket, "parts")
    upload.put_all()
    assert upload.complete().status_code == 200
    assert client.get(url(bucket, "parts")).data == b"".join(PARTS)
    assert len(sent) == 3
    assert run("files", "check", "--checksum", "--json").exit_code == 0
    assert kinds(run("files", "sweep", "--json"))[0] == swept
    assert client.delete(url(bucket, "whole", versionId=version)).status_code == 204
    assert FileInstance.query.count() == 1


# Many files that are made durable together


def deferred(storage: Any) -> Any:
    found = capability_of(storage, Deferred)
    assert found is not None
    return found


def test_a_file_whose_waiting_is_deferred_is_stored_as_any_other(tmp_path: Path) -> None:
    storage = PyFSFileStorage(f"{tmp_path}/ab/cd/data")
    with Settling() as settling:
        found = deferred(storage).save(io.BytesIO(b"content"), settling, size=7)
        settling.settle()
    assert found == (f"{tmp_path}/ab/cd/data", 7, f"md5:{hashlib.md5(b'content').hexdigest()}")
    with storage.open() as file:
        assert file.read() == b"content"


@pytest.mark.parametrize("wrong", [{"size": 6}, {"size": 8}, {"size_limit": 6}])
def test_nothing_is_left_of_one_that_is_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with Settling() as settling, pytest.raises(FileSizeError if "size_limit" in wrong else UnexpectedFileSizeError):
        deferred(PyFSFileStorage(f"{tmp_path}/ab/cd/data")).save(io.BytesIO(b"content"), settling, **wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [7, None])
def test_a_folder_that_others_remove_while_it_is_empty_is_made_again(
    tmp_path: Path, monkeypatch: Any, size: Any
) -> None:
    make, removed = local._make_folders, []

    def make_and_lose(path: str, made: list[str]) -> None:
        make(path, made)
        if not removed:
            removed.append(path)
            os.rmdir(path)

    monkeypatch.setattr(local, "_make_folders", make_and_lose)
    storage = PyFSFileStorage(f"{tmp_path}/ab/data")
    with Settling() as settling:
        deferred(storage).save(io.BytesIO(b"content"), settling, size=size)
    assert removed == [f"{tmp_path}/ab"]
    with storage.open() as file:
        assert file.read() == b"content"


def test_a_small_file_that_does_not_fit_is_refused_rather_than_cut_off(tmp_path: Path) -> None:
    """The system writes what fits, and tells of an error only when it is asked to write the rest."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Settling() as settling:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5, limits[1]))
        try:
            with pytest.raises(FileSizeError):
                deferred(PyFSFileStorage(f"{tmp_path}/ab/data")).save(io.BytesIO(b"content"), settling, size=7)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [7, None])
def test_a_file_system_that_cannot_settle_is_waited_for_at_once(tmp_path: Path, monkeypatch: Any, size: Any) -> None:
    synced: list[str] = []
    monkeypatch.setattr(Settling, "note", lambda self, descriptor: False)
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    with Settling() as settling:
        deferred(PyFSFileStorage(f"{tmp_path}/ab/cd/data")).save(io.BytesIO(b"content"), settling, size=size)
    assert synced == [f"{tmp_path}/ab/cd/data", str(tmp_path), f"{tmp_path}/ab", f"{tmp_path}/ab/cd"]


def test_a_small_file_is_opened_once_and_its_folder_is_not_looked_for(tmp_path: Path) -> None:
    program = f"""if True:
        import collections, io, sys
        from invenio_files_rest.storage import PyFSFileStorage
        from invenio_files_rest.storage.capabilities import Siblings
        from invenio_files_rest.storage.settling import Settling

        calls = collections.Counter()
        siblings = PyFSFileStorage("{tmp_path}/first/data").capability(Siblings)
        with Settling() as settling:
            siblings.save("{tmp_path}/second/data", io.BytesIO(b"content"), settling, size=7)
            sys.addaudithook(lambda event, arguments: calls.update([event]))
            for number in range(10):
                siblings.save(f"{tmp_path}/{{number}}/data", io.BytesIO(b"content"), settling, size=7)
            print(calls["open"], calls["os.mkdir"])
    """
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == ["10", "10"]


@pytest.mark.parametrize("location", ["{}", "{}/", "{}//nested", "file://{}", "osfs://{}/nested/", "relative"])
def test_siblings_are_where_storages_of_their_own_find_them(
    app: Flask, tmp_path: Path, monkeypatch: Any, location: str
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (new_uri(uuid.uuid4(), location.format(tmp_path), app.config) for _ in range(2))
    with Settling() as settling:
        siblings = capability_of(PyFSFileStorage(first), Siblings)
        assert siblings is not None
        stored = siblings.save(second, io.BytesIO(b"content"), settling, size=7)
    assert stored == (second, 7, f"md5:{hashlib.md5(b'content').hexdigest()}")
    with PyFSFileStorage(second).open() as file:
        assert file.read() == b"content"


def test_an_opener_of_others_is_asked_for_the_folder_of_each_file(tmp_path: Path) -> None:
    """It may spread folders over disks, so that nobody would find a file beside that of another one."""

    class Spreading(Opener):
        protocols = ("spread",)

        def open_fs(self, fs_url: str, parse_result: Any, writeable: bool, create: bool, cwd: str) -> Any:
            disk = zlib.crc32(parse_result.resource.encode())
            return OSFS(f"{tmp_path}/{disk}/{parse_result.resource}", create=create)

    registry.install(Spreading)
    try:
        storage = PyFSFileStorage("spread://location/first/data")
        storage.save(io.BytesIO(b"content"))
        assert capability_of(storage, Deferred) is not None
        assert capability_of(storage, Siblings) is None
    finally:
        registry._protocols.pop("spread")


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    storage = PyFSFileStorage(f"{tmp_path}/data")
    storage.save(io.BytesIO(b"before"))
    with Settling() as settling, pytest.raises(FileExistsError):
        deferred(storage).save(io.BytesIO(b"after"), settling)
    assert (tmp_path / "data").read_bytes() == b"before"


def test_where_file_systems_may_not_be_settled_each_file_is_durable_at_once(tmp_path: Path, monkeypatch: Any) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr("invenio_files_rest.storage.settling._FILE_SYSTEMS", {})
    monkeypatch.setattr(os, "fsync", noted)
    path = tmp_path / "ab" / "cd" / "data"
    with Settling() as settling:
        deferred(PyFSFileStorage(str(path))).save(io.BytesIO(b"content"), settling)
        assert {str(path), *map(str, list(path.parents)[:3])} <= {*synced}
        settling.settle()
