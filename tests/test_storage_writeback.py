"""A long file goes to the disk while it is written, and does not fill the memory."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import subprocess
from pathlib import Path

import pytest

from invenio_files_rest.storage import PyFSFileStorage, writeback
from invenio_files_rest.storage.writeback import KEPT, PIECE
from invenio_files_rest.testing.storage import GeneratedStream

MIB = 1024**2

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


def test_the_disk_gets_each_piece_as_soon_as_it_is_there_and_is_waited_for_much_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, awaited = [], []

    def spy(descriptor: int, offset: ctypes.c_int64, size: ctypes.c_int64, flags: int) -> int:
        assert os.fstat(descriptor).st_size >= offset.value + size.value
        (begun if flags == 2 else awaited).append((offset.value, offset.value + size.value))
        return int(call(descriptor, offset, size, flags))

    call = writeback._sync_file_range
    monkeypatch.setattr(writeback, "_sync_file_range", spy)
    pieces = KEPT // PIECE + 2
    PyFSFileStorage(f"{tmp_path}/file").save(GeneratedStream(pieces * PIECE + 1))
    assert begun == [(number * PIECE, (number + 1) * PIECE) for number in range(pieces)]
    assert awaited == [(0, PIECE), (PIECE, 2 * PIECE)]


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
