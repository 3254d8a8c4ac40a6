"""A long file goes to the disk while it is written, and does not fill the memory."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import mmap
import os
import subprocess
from pathlib import Path

import pytest

from invenio_files_rest.storage import PyFSFileStorage, writeback
from invenio_files_rest.storage.writeback import KEPT, PIECE
from invenio_files_rest.testing.storage import GeneratedStream

MIB = 1024**2

BEGIN, WAIT = 2, 1 | 2 | 4
"""Flags of sync_file_range(2): begin to write, and wait until all is written."""

pytestmark = pytest.mark.skipif(writeback._sync_file_range is None, reason="needs sync_file_range of Linux")


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


def test_a_long_file_stays_in_memory_with_its_end_alone(tmp_path: Path) -> None:
    system = subprocess.check_output(["stat", "-f", "-c", "%T", str(tmp_path)], text=True).strip()
    if system not in ("ext2/ext3", "xfs", "btrfs"):
        pytest.skip(f"{system} keeps its files in memory, or has others keep them")
    PyFSFileStorage(f"{tmp_path}/long").save(GeneratedStream(KEPT + 60 * MIB))
    assert bytes_in_memory(tmp_path / "long") <= KEPT + PIECE
    PyFSFileStorage(f"{tmp_path}/short").save(GeneratedStream(KEPT))
    assert bytes_in_memory(tmp_path / "short") == KEPT


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[tuple[int, int]]]:
    """Collect the ranges that the system is asked to write, by whether it is waited for."""
    found: dict[int, list[tuple[int, int]]] = {BEGIN: [], WAIT: []}

    def spy(descriptor: int, offset: ctypes.c_int64, size: ctypes.c_int64, flags: int) -> int:
        assert os.fstat(descriptor).st_size >= offset.value + size.value
        found[flags].append((offset.value, offset.value + size.value))
        return int(call(descriptor, offset, size, flags))

    call = writeback._sync_file_range
    monkeypatch.setattr(writeback, "_sync_file_range", spy)
    return found


def test_the_disk_gets_each_piece_as_soon_as_it_is_there_and_is_waited_for_much_later(
    tmp_path: Path, ranges: dict[int, list[tuple[int, int]]]
) -> None:
    pieces = KEPT // PIECE + 2
    PyFSFileStorage(f"{tmp_path}/file").save(GeneratedStream(pieces * PIECE + 1))
    assert ranges[BEGIN] == [(number * PIECE, (number + 1) * PIECE) for number in range(pieces)]
    assert ranges[WAIT] == [(0, PIECE), (PIECE, 2 * PIECE)]


def test_the_disk_gets_a_part_from_where_it_begins_and_all_of_it_stays_in_memory(
    tmp_path: Path, ranges: dict[int, list[tuple[int, int]]]
) -> None:
    storage = PyFSFileStorage(f"{tmp_path}/file")
    start, pieces = 12_345, KEPT // PIECE + 2
    storage.initialize(start + pieces * PIECE + 1)
    checksum = storage.update(GeneratedStream(pieces * PIECE + 1), seek=start)[1]
    assert ranges[BEGIN] == [(start + number * PIECE, start + (number + 1) * PIECE) for number in range(pieces)]
    assert ranges[WAIT] == []
    with (tmp_path / "file").open("rb") as file:
        assert file.read(start) == bytes(start)
        assert checksum == f"md5:{hashlib.md5(file.read(), usedforsecurity=False).hexdigest()}"


@pytest.mark.parametrize(("number", "fails"), [(errno.EIO, True), (errno.EINVAL, False), (errno.ENOSYS, False)])
def test_what_the_disk_refuses_meanwhile_is_an_error_and_what_cannot_be_asked_for_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fails: bool
) -> None:
    def refuse(*args: object) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(writeback, "_sync_file_range", refuse)
    storage = PyFSFileStorage(f"{tmp_path}/file")
    if fails:
        with pytest.raises(OSError, match=os.strerror(number)):
            storage.save(GeneratedStream(KEPT + 2 * PIECE))
        assert list(tmp_path.iterdir()) == []
    else:
        storage.save(GeneratedStream(KEPT + 2 * PIECE))
        assert (tmp_path / "file").stat().st_size == KEPT + 2 * PIECE
