"""Storages take a file piece by piece: in place where that can be, and each byte is read and written once."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.storages import OnPyFilesystem
from helpers.uploading import Transferred

from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.storage.in_place import InPlace
from invenio_files_rest.storage.part_files import PartFiles
from invenio_files_rest.storage.uploads import ComeBetween, ExtentWrite, Uploads
from invenio_files_rest.testing import UploadsContract
from invenio_files_rest.testing.storage import MIB, MemoryStorage


class PyFSUploads(OnPyFilesystem, UploadsContract):
    pass


class TestFolder(PyFSUploads):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return str(tmp_path)


class TestFolderWithoutLocks(TestFolder):
    """As on a network file system that has none."""

    @pytest.fixture(autouse=True)
    def no_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: Any) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr("fcntl.fcntl", refuse)


class TestOSFS(PyFSUploads):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return f"osfs://{tmp_path}"


class TestTemp(PyFSUploads):
    base = "temp://"


class TestMem(PyFSUploads):
    base = "mem://"

    # What the storage itself holds is in memory.
    test_memory_is_bounded_whatever_the_size_of_an_upload = None  # type: ignore[assignment]


# Who has the capability


class OtherFileSystem(PyFSFileStorage):
    def _get_fs(self, create_dir: bool = True) -> tuple[Any, str]:
        return super()._get_fs(create_dir)


class OtherSave(PyFSFileStorage):
    def save(self, *args: Any, **kwargs: Any) -> Any:
        return super().save(*args, **kwargs)


class OtherResponse(PyFSFileStorage):
    def send_file(self, *args: Any, **kwargs: Any) -> Any:
        return super().send_file(*args, **kwargs)


class Declaring(OtherSave):
    def capability(self, kind: Any) -> Any:
        return PyFSFileStorage(self.fileurl).capability(kind)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PyFSFileStorage, InPlace),
        (OtherResponse, InPlace),
        (OtherFileSystem, None),
        (OtherSave, None),
        (Declaring, InPlace),
    ],
)
def test_who_stores_bytes_in_a_way_of_its_own_is_not_gone_round(tmp_path: Path, kind: Any, expected: Any) -> None:
    found = kind(f"{tmp_path}/a/data").capability(Uploads)
    assert (found and type(found)) == expected


def test_a_storage_with_the_documented_methods_alone_has_no_capability() -> None:
    assert MemoryStorage().capability(Uploads) is None


def test_no_storage_has_what_it_does_not_know(tmp_path: Path) -> None:
    assert PyFSFileStorage(f"{tmp_path}/a/data").capability(dict) is None


def test_a_file_system_without_paths_has_files_for_its_pieces() -> None:
    assert type(PyFSFileStorage("mem://a/data").capability(Uploads)) is PartFiles


# In place


@pytest.fixture
def uploads(tmp_path: Path) -> InPlace:
    found = PyFSFileStorage(f"{tmp_path}/a/data").capability(Uploads)
    assert isinstance(found, InPlace)
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def write_parts(uploads: Uploads, sizes: list[int], offsets: list[int | None]) -> tuple[Any, list[Any]]:
    state = uploads.begin()
    return state, [
        uploads.write(state, ExtentWrite(number, offset, size=size), io.BytesIO(bytes([number]) * size))
        for number, (size, offset) in enumerate(zip(sizes, offsets, strict=True))
    ]


def test_equal_parts_are_put_together_without_writing_a_byte(uploads: InPlace, tmp_path: Path) -> None:
    sizes = [8 * MIB, 8 * MIB, 8 * MIB, 1 * MIB]
    state, receipts = write_parts(uploads, sizes, [8 * MIB * number for number in range(4)])
    with Transferred() as moved:
        assert uploads.finish(state, receipts).size == 25 * MIB
    assert 25 * MIB <= moved.read < 26 * MIB
    assert moved.written < MIB
    assert names(tmp_path) == ["data"]


def test_a_run_whose_checksum_is_known_is_neither_read_nor_written_at_the_end(uploads: InPlace) -> None:
    state = uploads.begin()
    receipt = uploads.write(state, ExtentWrite(0, 0), io.BytesIO(bytes(25 * MIB)))
    with Transferred() as moved:
        uploads.finish(state, [receipt], checksum="md5:abc")
    assert moved.read + moved.written < MIB


@pytest.mark.parametrize("offsets", [[None] * 4, [0, 8 * MIB, 16 * MIB, 24 * MIB]])
def test_unequal_parts_are_read_and_written_once(uploads: InPlace, tmp_path: Path, offsets: list[int | None]) -> None:
    state, receipts = write_parts(uploads, [8 * MIB, 7 * MIB, 8 * MIB, 2 * MIB], offsets)
    with Transferred() as moved:
        assert uploads.finish(state, receipts).size == 25 * MIB
    assert 25 * MIB <= moved.read < 26 * MIB
    assert 25 * MIB <= moved.written < 26 * MIB
    assert names(tmp_path) == ["data"]


def test_a_part_that_was_sent_anew_is_copied_alone(uploads: InPlace, tmp_path: Path) -> None:
    state, receipts = write_parts(uploads, [8 * MIB] * 3, [8 * MIB * number for number in range(3)])
    receipts[1] = uploads.write(state, ExtentWrite(1, size=8 * MIB, epoch=2), io.BytesIO(b"x" * 8 * MIB))
    with Transferred() as moved:
        uploads.finish(state, receipts)
    assert 24 * MIB <= moved.read < 25 * MIB
    assert 8 * MIB <= moved.written < 9 * MIB
    content = (tmp_path / "a" / "data").read_bytes()
    assert [content[start] for start in (0, 8 * MIB, 16 * MIB - 1, 16 * MIB)] == [0, ord("x"), ord("x"), 2]


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a file system whose files can share blocks."""
    mkfs = shutil.which("mkfs.xfs")
    if mkfs is None or os.getuid() != 0:
        pytest.skip("Only root can mount a file system, of xfsprogs.")
    image, folder = tmp_path / "image", tmp_path / "xfs"
    with image.open("wb") as file:
        file.truncate(400 * MIB)
    folder.mkdir()
    subprocess.run([mkfs, "-q", "-m", "reflink=1", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=False, capture_output=True).returncode:
        pytest.skip("No file system can be mounted here.")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_parts_share_their_blocks_with_the_file_where_they_can(sharing: Path) -> None:
    uploads = PyFSFileStorage(f"{sharing}/a/data").capability(Uploads)
    assert uploads is not None
    state, receipts = write_parts(uploads, [8 * MIB, 4 * MIB, 8 * MIB, 2 * MIB + 5], [None] * 4)
    with Transferred() as moved:
        assert uploads.finish(state, receipts).size == 22 * MIB + 5
    assert 22 * MIB <= moved.read < 23 * MIB
    assert moved.written < MIB
    content = (sharing / "a" / "data").read_bytes()
    assert content == bytes(8 * MIB) + b"\1" * 4 * MIB + b"\2" * 8 * MIB + b"\3" * (2 * MIB + 5)


def test_parts_that_end_within_a_block_are_copied_where_others_are_shared(sharing: Path) -> None:
    uploads = PyFSFileStorage(f"{sharing}/a/data").capability(Uploads)
    assert uploads is not None
    sizes = [8 * MIB + 1, 4 * MIB, 3]
    state, receipts = write_parts(uploads, sizes, [None] * 3)
    stored = uploads.finish(state, receipts)
    content = (sharing / "a" / "data").read_bytes()
    assert content == b"".join(bytes([number]) * size for number, size in enumerate(sizes))
    assert stored.checksum == PyFSFileStorage(f"{sharing}/a/data").checksum()


def test_an_extent_too_far_from_the_beginning_gets_a_file_of_its_own(uploads: InPlace, tmp_path: Path) -> None:
    state, [first] = write_parts(uploads, [4], [0])
    last = uploads.write(state, ExtentWrite(9, 2**62, size=4), io.BytesIO(b"last"))
    uploads.finish(state, [first, last])
    assert (tmp_path / "a" / "data").read_bytes() == bytes(4) + b"last"


class SlowStream:
    """A stream that waits to be let go on."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)
        self.waiting, self.released = threading.Event(), threading.Event()

    def read(self, size: int = -1, /) -> bytes:
        self.waiting.set()
        assert self.released.wait(20)
        return self._stream.read(size)


@pytest.mark.parametrize("size", [None, 4])
def test_two_never_write_one_place_at_once(uploads: InPlace, tmp_path: Path, size: int | None) -> None:
    state, slow = uploads.begin(), SlowStream(b"slow")
    thread = threading.Thread(target=lambda: uploads.write(state, ExtentWrite(0, 0, size=size), slow))
    thread.start()
    assert slow.waiting.wait(10)
    again = PyFSFileStorage(f"{tmp_path}/a/data").capability(Uploads)
    assert again is not None
    with pytest.raises(TimeoutError):
        again.write(state, ExtentWrite(0, 0, size=size, epoch=2, timeout=0.1), io.BytesIO(b"fast"))
    if size is None:
        with pytest.raises(TimeoutError):
            again.kept(state, 0, None, epoch=1, timeout=0)
    else:
        # Another place is free.
        again.write(state, ExtentWrite(1, 4, size=4), io.BytesIO(b"next"))
    slow.released.set()
    thread.join()
    assert again.write(state, ExtentWrite(0, 0, size=size, epoch=3), io.BytesIO(b"fast"))["size"] == 4


@pytest.mark.parametrize("writes", [False, True])
def test_who_comes_between_is_seen_where_times_are_of_two_seconds(
    uploads: InPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: bool
) -> None:
    """As on FAT; those of ext4 with small inodes are of one."""
    utime, coarse = os.utime, 2 * 10**9

    def set_time(file: Any, ns: tuple[int, int]) -> None:
        utime(file, ns=(ns[0] // coarse * coarse, ns[1] // coarse * coarse))

    monkeypatch.setattr("os.utime", set_time)
    state = uploads.begin()
    receipt = uploads.write(state, ExtentWrite(0, 0, whole=False), io.BytesIO(b"0123"))
    now = receipt["left"][1]
    set_time(tmp_path / "a" / ".incoming-whole", (now, now))
    receipt["left"][1] = now // coarse * coarse
    if writes:
        uploads.write(state, ExtentWrite(0, 4, epoch=2, receipt=receipt), io.BytesIO())
    else:
        uploads.kept(state, 0, receipt, epoch=1, takes_over=True)
    with pytest.raises(ComeBetween):
        uploads.write(state, ExtentWrite(0, 4, receipt=receipt, goes_on=True), io.BytesIO(b"late"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as another user")
def test_another_user_who_may_write_the_file_takes_it_over() -> None:
    set_user = ctypes.CDLL(None).setfsuid
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        uploads = PyFSFileStorage(f"{folder}/data").capability(Uploads)
        assert uploads is not None
        state = uploads.begin()
        receipt = uploads.write(state, ExtentWrite(0, 0, whole=False), io.BytesIO(b"0123"))
        (path,) = Path(folder).iterdir()
        path.chmod(0o666)
        # Another time than now, which the clock of the file system may not have passed yet.
        os.utime(path, (0, 0))
        receipt["left"][1] = 0
        set_user(65534)
        try:
            assert uploads.kept(state, 0, receipt, epoch=1, takes_over=True)["size"] == 4
        finally:
            set_user(0)
        with pytest.raises(ComeBetween):
            uploads.write(state, ExtentWrite(0, 4, receipt=receipt, goes_on=True), io.BytesIO(b"late"))


def test_who_waited_until_the_upload_was_finished_writes_nothing(uploads: InPlace, tmp_path: Path) -> None:
    state = uploads.begin()
    receipt = uploads.write(state, ExtentWrite(0, 0), io.BytesIO(b"0123"))
    slow, failures = SlowStream(b"45"), []

    def write() -> None:
        try:
            uploads.write(state, ExtentWrite(0, 4, epoch=3, receipt=receipt, timeout=10), io.BytesIO(b"late"))
        except FileNotFoundError as error:
            failures.append(error)

    holder = threading.Thread(target=lambda: uploads.write(state, ExtentWrite(0, 4, epoch=2, receipt=receipt), slow))
    holder.start()
    assert slow.waiting.wait(10)
    late = threading.Thread(target=write)
    late.start()
    time.sleep(0.1)
    # As another process would that has got the lock first.
    os.rename(tmp_path / "a" / ".incoming-whole", tmp_path / "a" / "data")
    slow.released.set()
    holder.join()
    late.join()
    assert len(failures) == 1
    assert (tmp_path / "a" / "data").read_bytes() == b"012345"


def test_bytes_that_were_acknowledged_and_are_gone_are_an_error(uploads: InPlace, tmp_path: Path) -> None:
    from invenio_files_rest.errors import StorageError

    state = uploads.begin()
    receipt = uploads.write(state, ExtentWrite(0, 0), io.BytesIO(b"0123"))
    (tmp_path / "a" / ".incoming-whole").write_bytes(b"01")
    with pytest.raises(StorageError):
        uploads.kept(state, 0, receipt, epoch=1)
    with pytest.raises(StorageError):
        uploads.write(state, ExtentWrite(0, 4, epoch=2, receipt=receipt), io.BytesIO(b"4"))
    with pytest.raises(StorageError):
        uploads.finish(state, [receipt])


def test_an_aborted_upload_takes_its_folders_with_it(tmp_path: Path) -> None:
    identifier = str(uuid.uuid4())
    path = tmp_path / identifier[:2] / identifier[2:4] / identifier[4:] / "data"
    uploads = PyFSFileStorage(str(path)).capability(Uploads)
    assert uploads is not None
    state, _ = write_parts(uploads, [4, 4], [0, None])
    uploads.abort(state)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_finish_leaves_all_extents_as_they_were(
    uploads: InPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, receipts = write_parts(uploads, [4, 3, 4], [None, 4, None])

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(5, "The disk has failed.")

    with monkeypatch.context() as patch:
        patch.setattr("invenio_files_rest.storage.part_files.pump", fail)
        with pytest.raises(OSError, match="The disk has failed"):
            uploads.finish(state, receipts)
    assert uploads.finish(state, receipts).size == 11
    assert (tmp_path / "a" / "data").read_bytes() == bytes(4) + b"\1" * 3 + b"\2" * 4
    assert names(tmp_path) == ["data"]


def test_a_file_that_another_process_has_put_together_has_a_durable_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That process may have been killed between giving the name and making it durable."""
    folder = tmp_path / "a"
    uploads = PyFSFileStorage(f"{folder}/data").capability(Uploads)
    assert uploads is not None
    state, receipts = write_parts(uploads, [4, 4], [0, 4])
    shutil.copy(folder / ".incoming-whole", folder / "data")
    synchronised = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synchronised.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    assert uploads.finish(state, receipts).size == 8
    assert synchronised == [str(folder)]


def test_a_disk_that_cannot_keep_the_name_of_a_file_fails_the_upload(
    uploads: InPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, receipts = write_parts(uploads, [4, 4], [0, 4])
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "The disk has failed.")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="The disk has failed"):
            uploads.finish(state, receipts)
    assert uploads.finish(state, receipts).size == 8
    assert names(tmp_path) == ["data"]
