"""A long file goes to the disk while it is written, and does not fill the memory."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from invenio_files_rest.config import FILES_REST_UPLOAD_CACHED_SHARE
from invenio_files_rest.storage import PyFSFileStorage, memory, pyfs_storage_factory, writeback
from invenio_files_rest.storage.uploads import ExtentWrite, Uploads
from invenio_files_rest.storage.writeback import KEPT, PIECE
from invenio_files_rest.testing.storage import GeneratedStream

MIB = 1024**2

BEGIN, WAIT = 2, 1 | 2 | 4
"""Flags of sync_file_range(2): begin to write, and wait until all is written."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs sync_file_range of Linux")

LITTLE_MEMORY = 256 * MIB
"""Bytes of a machine where files of more than 8 MiB do not stay in memory."""


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "memory_size", lambda: LITTLE_MEMORY)


def bytes_in_memory(path: Path) -> int:
    """Return how much of a file the system has in memory."""
    pages = -(-path.stat().st_size // mmap.PAGESIZE)
    found = (ctypes.c_ubyte * pages)()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        start = ctypes.c_char.from_buffer(mapped)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mincore(ctypes.byref(start), ctypes.c_size_t(len(mapped)), found) == 0
        del start
    return sum(page & 1 for page in found) * mmap.PAGESIZE


def ensure_pages_can_be_given_back(tmp_path: Path) -> None:
    system = subprocess.check_output(["stat", "-f", "-c", "%T", str(tmp_path)], text=True).strip()
    if system not in ("ext2/ext3", "xfs", "btrfs"):
        pytest.skip(f"{system} keeps its files in memory, or has others keep them")


@pytest.mark.usefixtures("little_memory")
def test_a_long_file_stays_in_memory_with_its_end_alone(tmp_path: Path) -> None:
    ensure_pages_can_be_given_back(tmp_path)
    PyFSFileStorage(f"{tmp_path}/long").save(GeneratedStream(KEPT + 60 * MIB))
    assert bytes_in_memory(tmp_path / "long") <= KEPT + PIECE


def test_a_file_of_up_to_a_share_of_the_memory_stays_there(
    app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_pages_can_be_given_back(tmp_path)
    size = KEPT + 20 * MIB
    for share, stays in ((1, True), (size / LITTLE_MEMORY, True), ((size - PIECE) / LITTLE_MEMORY, False), (0, False)):
        monkeypatch.setattr(writeback, "memory_size", lambda: LITTLE_MEMORY)
        app.config["FILES_REST_UPLOAD_CACHED_SHARE"] = share
        pyfs_storage_factory(fileurl=f"{tmp_path}/file", size=size).save(GeneratedStream(size))
        assert (bytes_in_memory(tmp_path / "file") >= size) is stays, share


def test_the_default_suits_small_and_large_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for gib, cached in ((4, 64), (256, 4096)):
        monkeypatch.setattr(writeback, "memory_size", lambda gib=gib: gib * 1024 * MIB)
        assert writeback.largest_cached(writeback.CACHED_SHARE) == cached * MIB
    assert writeback.CACHED_SHARE == FILES_REST_UPLOAD_CACHED_SHARE


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/app/web\n", {"memory.max": "max", "app/memory.max": "1000", "app/web/memory.max": "max"}, 1000),
        ("0::/app/web\n", {"app/memory.max": "1000", "app/web/memory.max": "999"}, 999),
        # In a container the path may be that outside of it.
        ("4:cpu,memory:/docker/1\n", {"memory/memory.limit_in_bytes": "1001"}, 1001),
        ("4:memory:/\n0::/\n", {"memory/memory.limit_in_bytes": str(2**63 - 4096)}, None),
        ("3:cpu:/\n", {}, None),
    ],
)
def test_a_container_has_the_memory_that_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, limits: dict[str, str], expected: int | None
) -> None:
    (tmp_path / "own").write_text(groups)
    for name, limit in limits.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(limit + "\n")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "own")
    assert memory.memory_size.__wrapped__() == (expected or memory._of_machine())
    assert memory._of_machine() > 100 * MIB


@pytest.fixture
def ranges(little_memory: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[int, int]]]:
    """Collect the ranges of the file that are asked to be written, waited for, and given back."""
    found: dict[str, list[tuple[int, int]]] = {"begun": [], "awaited": [], "released": []}

    def sync(descriptor: int, offset: int, size: int, flags: int) -> None:
        assert os.fstat(descriptor).st_size >= offset + size
        kind = {BEGIN: "begun", WAIT: "awaited"}[flags]
        found[kind].append((offset, offset + size))
        sync_file_range(descriptor, offset, size, flags)

    def advise(descriptor: int, offset: int, size: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_DONTNEED
        found["released"].append((offset, offset + size))
        assert found["released"] == found["awaited"]
        # It may be refused.
        raise OSError(errno.ENOSYS, "no advice is taken")

    sync_file_range = writeback.sync_file_range
    monkeypatch.setattr(writeback, "sync_file_range", sync)
    monkeypatch.setattr(os, "posix_fadvise", advise)
    return found


def test_the_disk_gets_each_piece_as_soon_as_it_is_there_and_is_waited_for_much_later(
    tmp_path: Path, ranges: dict[str, list[tuple[int, int]]]
) -> None:
    pieces = KEPT // PIECE + 2
    PyFSFileStorage(f"{tmp_path}/file").save(GeneratedStream(pieces * PIECE + 1))
    assert ranges["begun"] == [(number * PIECE, (number + 1) * PIECE) for number in range(pieces)]
    assert ranges["released"] == [(0, PIECE), (PIECE, 2 * PIECE)]


def test_a_long_file_that_grows_request_by_request_stays_in_memory_with_its_end_alone_too(
    tmp_path: Path, ranges: dict[str, list[tuple[int, int]]]
) -> None:
    path = tmp_path / "file"
    path.touch()
    for start in range(0, KEPT + 3 * PIECE, PIECE):
        with writeback.StreamedFile(io.FileIO(path, "r+b"), cached=PIECE) as file:
            file.seek(start)
            file.write(bytes(PIECE))
    assert ranges["released"] == [(number * PIECE, (number + 1) * PIECE) for number in range(3)]


def test_the_disk_is_asked_for_what_the_system_has(tmp_path: Path, ranges: dict[str, list[tuple[int, int]]]) -> None:
    PyFSFileStorage(f"{tmp_path}/file").save(GeneratedStream(3 * PIECE), chunk_size=1000)
    ends = [0, *(end for _, end in ranges["begun"])]
    assert ranges["begun"] == list(pairwise(ends))
    assert len(ends) == 3


def test_the_disk_gets_most_of_a_short_run_before_its_end_is_waited_for(
    tmp_path: Path, ranges: dict[str, list[tuple[int, int]]]
) -> None:
    uploads = PyFSFileStorage(f"{tmp_path}/file").capability(Uploads)
    assert uploads is not None
    state = uploads.begin()
    if not state["locks"]:
        pytest.skip("Runs are written to files of their own here.")
    receipt = uploads.write(state, ExtentWrite(0, 0, whole=False), GeneratedStream(8 * MIB))
    uploads.write(state, ExtentWrite(0, 8 * MIB, epoch=2, receipt=receipt, whole=False), GeneratedStream(21 * MIB))
    begun = [(start // MIB, end // MIB) for start, end in ranges["begun"]]
    assert begun == [*pairwise(range(18)), *pairwise(range(17, 26, 2)), (25, 28)]


def test_the_disk_gets_a_part_from_where_it_begins_and_all_of_it_stays_in_memory(
    tmp_path: Path, ranges: dict[str, list[tuple[int, int]]]
) -> None:
    storage = PyFSFileStorage(f"{tmp_path}/file")
    start, pieces = 12_345, KEPT // PIECE + 2
    storage.initialize(start + pieces * PIECE + 1)
    checksum = storage.update(GeneratedStream(pieces * PIECE + 1), seek=start)[1]
    assert ranges["begun"] == [(start + number * PIECE, start + (number + 1) * PIECE) for number in range(pieces)]
    assert ranges["awaited"] == ranges["released"] == []
    with (tmp_path / "file").open("rb") as file:
        assert file.read(start) == bytes(start)
        assert checksum == f"md5:{hashlib.md5(file.read(), usedforsecurity=False).hexdigest()}"


@pytest.fixture
def refuse(little_memory: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Let what is asked of the disk with some flags fail, once, with an error."""

    def set_refusal(flags: int, number: int) -> None:
        refusals = iter([number])

        def sync(descriptor: int, offset: int, size: int, asked: int) -> None:
            if asked == flags and (error := next(refusals, 0)):
                raise OSError(error, os.strerror(error))
            sync_file_range(descriptor, offset, size, asked)

        sync_file_range = writeback.sync_file_range
        monkeypatch.setattr(writeback, "sync_file_range", sync)

    return set_refusal


@pytest.mark.parametrize(
    ("flags", "number"),
    [
        *((BEGIN, number) for number in (errno.EIO, errno.EINTR, errno.EAGAIN)),
        *((WAIT, number) for number in (errno.EIO, errno.EINTR, errno.EAGAIN, errno.EINVAL, errno.EPERM)),
    ],
)
@pytest.mark.parametrize("chunk_size", [1000, None])
def test_what_the_disk_says_meanwhile_fails_the_upload(
    tmp_path: Path, refuse: Callable[[int, int], None], flags: int, number: int, chunk_size: int | None
) -> None:
    refuse(flags, number)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        PyFSFileStorage(f"{tmp_path}/file").save(GeneratedStream(KEPT + 2 * PIECE), chunk_size=chunk_size)
    assert caught.value.errno == number
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EPERM])
def test_a_system_that_cannot_be_asked_is_not_asked_again(
    tmp_path: Path, ranges: dict[str, list[tuple[int, int]]], refuse: Callable[[int, int], None], number: int
) -> None:
    refuse(BEGIN, number)
    _, size, checksum = PyFSFileStorage(f"{tmp_path}/file").save(GeneratedStream(KEPT + 2 * PIECE))
    assert ranges == {"begun": [], "awaited": [], "released": []}
    content = (tmp_path / "file").read_bytes()
    assert len(content) == size
    assert checksum == f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
