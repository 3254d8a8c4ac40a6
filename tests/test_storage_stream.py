"""The pump and the verified stream."""

from __future__ import annotations

import errno
import hashlib
import io
import threading
from pathlib import Path

import pytest

from invenio_files_rest.errors import (
    DigestMismatchError,
    FileSizeError,
    StorageFullError,
    UnexpectedFileSizeError,
)
from invenio_files_rest.limiters import FileSizeLimit
from invenio_files_rest.storage.base import check_size, check_sizelimit
from invenio_files_rest.storage.pump import INLINE_BYTES, VerifiedStream, pump
from invenio_files_rest.testing.storage import GeneratedStream

LARGE = 4 * INLINE_BYTES


def pump_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "files-rest-pump"]


class WatchingTarget(io.BytesIO):
    """A target that remembers who wrote to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: set[threading.Thread] = set()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.writers.add(threading.current_thread())
        return super().write(data)


class WatchingStream(GeneratedStream):
    """A source that remembers who read it."""

    readers: set[threading.Thread]

    def read(self, size: int = -1, /) -> bytes:
        self.readers = {*getattr(self, "readers", ()), threading.current_thread()}
        return super().read(size)


def test_a_small_body_starts_no_thread() -> None:
    target = WatchingTarget()
    assert pump(GeneratedStream(INLINE_BYTES), target, hashlib.md5()) == INLINE_BYTES
    assert target.writers == {threading.current_thread()}


def test_a_large_body_is_written_by_another_thread_than_reads_it() -> None:
    source, target, digest = WatchingStream(LARGE), WatchingTarget(), hashlib.md5()
    pump(source, target, digest)
    assert source.readers == {threading.current_thread()}
    assert len(target.writers) == 2
    assert digest.hexdigest() == hashlib.md5(target.getvalue()).hexdigest()
    assert len(target.getvalue()) == LARGE
    assert pump_threads() == []


def test_a_source_that_fails_leaves_no_thread() -> None:
    with pytest.raises(ConnectionResetError):
        pump(GeneratedStream(LARGE, fail_at=LARGE - 1000), io.BytesIO(), hashlib.md5())
    assert pump_threads() == []


def test_a_source_that_fails_with_a_full_disk_of_its_own_fails_unchanged() -> None:
    error = OSError(errno.ENOSPC, "The spool is full.")

    class Spool:
        def read(self, size: int = -1, /) -> bytes:
            raise error

    with pytest.raises(OSError, match="spool") as caught:
        pump(Spool(), io.BytesIO())
    assert caught.value is error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("size", [10, LARGE])
def test_a_full_disk_is_a_typed_error_with_its_cause(size: int) -> None:
    with open("/dev/full", "wb", buffering=0) as target, pytest.raises(StorageFullError) as error:
        pump(GeneratedStream(size), target, hashlib.md5())
    assert error.value.code == 507
    assert isinstance(error.value.__cause__, OSError)
    assert pump_threads() == []


def test_an_error_of_the_target_ends_an_endless_stream() -> None:
    class Broken(io.BytesIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            if self.tell() > INLINE_BYTES:
                raise OSError(errno.EIO, "broken")
            return super().write(data)

    with pytest.raises(OSError, match="broken"):
        pump(GeneratedStream(10**15), Broken())
    assert pump_threads() == []


@pytest.mark.parametrize("limit", [5, FileSizeLimit(5, "reason"), INLINE_BYTES + 5])
def test_nothing_is_written_beyond_the_limit(limit: int | FileSizeLimit) -> None:
    target = io.BytesIO()
    with pytest.raises(FileSizeError):
        pump(GeneratedStream(LARGE), target, size_limit=limit)
    assert len(target.getvalue()) <= (limit.limit or 0 if isinstance(limit, FileSizeLimit) else limit)


def test_an_announced_size_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    source = GeneratedStream(100)
    with pytest.raises(FileSizeError):
        pump(source, io.BytesIO(), size=100, size_limit=99)
    assert source.position == 0


def test_a_limit_of_none_with_a_reason_is_no_limit() -> None:
    assert pump(io.BytesIO(b"content"), io.BytesIO(), size_limit=FileSizeLimit(None, "reason")) == 7


def test_a_stream_with_more_bytes_than_announced_is_not_read_to_its_end() -> None:
    source = GeneratedStream(10**15)
    with pytest.raises(UnexpectedFileSizeError, match="bigger"):
        pump(source, io.BytesIO(), size=10)
    assert source.position < INLINE_BYTES


def test_short_reads_are_gathered_to_full_blocks() -> None:
    class Counting(io.BytesIO):
        writes = 0

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.writes += 1
            return super().write(data)

    target = Counting()
    pump(GeneratedStream(1_000_000), target, chunk_size=500_000)
    assert target.writes == 2


def test_the_pump_tells_size_and_progress() -> None:
    calls: list[tuple[int | None, int]] = []
    pump(io.BytesIO(b"0123456789"), io.BytesIO(), chunk_size=4, progress_callback=lambda *args: calls.append(args))
    assert calls == [(None, 4), (None, 8), (None, 10), (10, 10)]


@pytest.mark.parametrize(("content", "calls"), [(b"0123456789", [(10, 4), (10, 8), (10, 10)]), (b"", [(0, 0)])])
def test_the_pump_tells_the_end_once(content: bytes, calls: list[tuple[int, int]]) -> None:
    told: list[tuple[int | None, int]] = []
    pump(
        io.BytesIO(content),
        io.BytesIO(),
        size=len(content),
        chunk_size=4,
        progress_callback=lambda *args: told.append(args),
    )
    assert told == calls


def test_a_verified_stream_passes_what_has_its_digests() -> None:
    digests = {"md5": hashlib.md5(b"content").digest(), "sha512": hashlib.sha512(b"content").digest()}
    target = io.BytesIO()
    pump(VerifiedStream(io.BytesIO(b"content"), digests), target, hashlib.sha256(), chunk_size=3)
    assert target.getvalue() == b"content"


@pytest.mark.parametrize("chunk_size", [1, 7, 100])
@pytest.mark.parametrize("size", [None, 7])
def test_a_verified_stream_fails_where_one_digest_does_not_match(chunk_size: int, size: int | None) -> None:
    digests = {"md5": hashlib.md5(b"content").digest(), "sha256": b"other"}
    with pytest.raises(DigestMismatchError) as error:
        pump(VerifiedStream(io.BytesIO(b"content"), digests, size=size), io.BytesIO(), size=size, chunk_size=chunk_size)
    assert error.value.code == 400


def test_a_verified_stream_fails_when_it_is_read_at_once() -> None:
    with pytest.raises(DigestMismatchError):
        VerifiedStream(io.BytesIO(b"content"), {"md5": b"other"}).read()


def test_a_verified_stream_of_known_size_fails_without_a_read_at_its_end() -> None:
    with pytest.raises(DigestMismatchError):
        VerifiedStream(io.BytesIO(b"content"), {"md5": b"other"}, size=7).read(7)


def test_a_verified_stream_does_not_fail_before_its_end() -> None:
    stream = VerifiedStream(io.BytesIO(b"content"), {"md5": b"other"})
    assert stream.read(0) == b""
    assert stream.read(6) == b"conten"


def test_an_empty_verified_stream_is_verified() -> None:
    with pytest.raises(DigestMismatchError):
        pump(VerifiedStream(io.BytesIO(), {"md5": b"other"}), io.BytesIO(), size=0)


@pytest.mark.parametrize(("written", "message"), [(3, "smaller"), (5, "bigger")])
def test_a_size_is_checked(written: int, message: str) -> None:
    check_size(4, 4)
    check_size(4, None)
    with pytest.raises(UnexpectedFileSizeError, match=message):
        check_size(written, 4)


def test_a_size_limit_is_checked() -> None:
    check_sizelimit(10, 10, None)
    check_sizelimit(None, 10, None)
    with pytest.raises(FileSizeError):
        check_sizelimit(10, 11, 11)
