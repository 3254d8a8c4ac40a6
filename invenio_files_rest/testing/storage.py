"""What every storage backend must do, as a suite of tests to subclass.

::

    class TestMyStorage(StorageContract):
        @pytest.fixture
        def make_storage(self):
            return lambda name, size=None: MyStorage(f"my://bucket/{name}/data", size=size)

It needs pytest, and Flask for ``send_file``; nothing of the database.
"""

from __future__ import annotations

import hashlib
import io
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from flask import Flask, Response

from ..errors import DigestMismatchError, FileSizeError, StorageError, UnexpectedFileSizeError
from ..limiters import FileSizeLimit
from ..storage.base import FileStorage
from ..storage.pump import VerifiedStream

MIB = 1024 * 1024


class GeneratedStream:
    """A stream of any size that takes no memory, and reads short, as a socket does.

    :param size: Number of bytes.
    :param fail_at: Number of bytes after which reading fails, as when a client goes away.
    """

    def __init__(self, size: int, fail_at: int | None = None) -> None:
        """Start at the first byte."""
        self.size = size
        self.fail_at = fail_at
        self.position = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return fewer bytes than asked for."""
        if self.fail_at is not None and self.position >= self.fail_at:
            raise ConnectionResetError("The client has gone.")
        left = self.size - self.position
        length = min(left, 60_000 if size < 0 else min(size, 60_000))
        start, self.position = self.position, self.position + length
        return bytes(length) if start % 2 else b"\1" * length


class MemoryStorage(FileStorage):
    """The storage of one file in memory, with the five methods that a backend must have, and no more.

    :param content: What it holds.
    """

    def __init__(self, content: bytes | None = None) -> None:
        """Keep the content."""
        super().__init__(size=None if content is None else len(content))
        self.content = content

    def open(self, mode: str | None = None) -> io.BytesIO:
        """Open a copy of the content."""
        if self.content is None:
            raise FileNotFoundError("There is no such file.")
        return io.BytesIO(self.content)

    def initialize(self, size: int = 0) -> tuple[str, int, str | None]:
        """Fill it with zeros."""
        self.content, self._size = bytes(size), size
        return "memory:", size, None

    def save(self, incoming_stream, size_limit=None, size=None, chunk_size=None, progress_callback=None):  # type: ignore[no-untyped-def]
        """Read the stream."""
        target = io.BytesIO()
        written, checksum = self._write_stream(incoming_stream, target, size, size_limit, chunk_size, progress_callback)
        self.content, self._size = target.getvalue(), written
        return "memory:", written, checksum

    def update(self, incoming_stream, seek=0, size=None, chunk_size=None, progress_callback=None):  # type: ignore[no-untyped-def]
        """Read the stream over a part of the content."""
        with self.open() as target:
            target.seek(seek)
            result = self._write_stream(incoming_stream, target, size, None, chunk_size, progress_callback)
            self.content = target.getvalue()
        return result

    def delete(self) -> bool:
        """Forget the content."""
        self.content = None
        return True


class StorageContract:
    """The suite. Subclass it with a fixture ``make_storage``; each of its tests is one promise of the interface."""

    @pytest.fixture
    def make_storage(self) -> Callable[..., FileStorage]:
        """Return a function that makes the storage of a file.

        It is called with a name of letters and digits, and with ``size``, the size in bytes, where a test knows it. Two
        calls with one name are for the same file; a name that was not used in the same test is for a file that does not
        exist.
        """
        raise NotImplementedError("Whoever subclasses the suite gives this fixture.")

    @pytest.fixture
    def storage(self, make_storage: Callable[..., FileStorage]) -> Iterator[FileStorage]:
        """Make the storage of a file that does not exist, and delete the file afterwards."""
        storage = make_storage("file")
        yield storage
        storage.delete()

    @staticmethod
    def content(storage: FileStorage) -> bytes:
        """Return what a file holds."""
        with closing(storage.open(mode="rb")) as stream:
            return stream.read()

    @staticmethod
    def exists(storage: FileStorage) -> bool:
        """Tell whether a file can be opened."""
        try:
            storage.open(mode="rb").close()
        except FileNotFoundError:
            return False
        return True

    @staticmethod
    def save(storage: FileStorage, content: bytes) -> tuple[str, int, str | None]:
        """Store bytes."""
        return storage.save(io.BytesIO(content), size=len(content))

    def expected_checksum(self, storage: FileStorage, content: bytes) -> str | None:
        """Return the checksum that a backend has to give for some bytes."""
        return storage._compute_checksum(io.BytesIO(content))

    @pytest.mark.parametrize("size", [0, 1, 65_535, MIB, 3 * MIB + 1])
    def test_what_is_saved_is_read_again(
        self, storage: FileStorage, make_storage: Callable[..., FileStorage], size: int
    ) -> None:
        """Also by another object for the same file."""
        content = bytes(range(256)) * (size // 256 + 1)
        content = content[:size]
        _, saved_size, checksum = self.save(storage, content)
        assert saved_size == size
        assert checksum == self.expected_checksum(storage, content)
        assert self.content(make_storage("file")) == content

    def test_the_uri_of_a_saved_file_is_a_text(self, storage: FileStorage) -> None:
        """It goes into the database."""
        uri = self.save(storage, b"content")[0]
        assert isinstance(uri, str)
        assert uri

    def test_a_stream_of_unknown_size_is_saved(self, storage: FileStorage) -> None:
        """Chunked requests do not tell."""
        assert storage.save(GeneratedStream(200_000))[1] == 200_000
        assert len(self.content(storage)) == 200_000

    def test_the_chunk_size_does_not_change_the_content(self, storage: FileStorage) -> None:
        """However small."""
        storage.save(io.BytesIO(b"0123456789"), chunk_size=3)
        assert self.content(storage) == b"0123456789"

    def test_saving_replaces_the_content(self, storage: FileStorage) -> None:
        """Nothing of the old is left, though it was longer."""
        self.save(storage, b"the first content")
        self.save(storage, b"second")
        assert self.content(storage) == b"second"

    @pytest.mark.parametrize("announced", [9, 11])
    def test_a_stream_of_another_size_than_announced_is_refused_and_leaves_nothing(
        self, storage: FileStorage, announced: int
    ) -> None:
        """Shorter or longer."""
        with pytest.raises(UnexpectedFileSizeError):
            storage.save(io.BytesIO(b"0123456789"), size=announced)
        assert not self.exists(storage)

    def test_a_file_of_the_size_of_its_limit_is_saved(self, storage: FileStorage) -> None:
        """The limit is what may be."""
        assert storage.save(io.BytesIO(b"0123456789"), size_limit=10)[1] == 10

    @pytest.mark.parametrize("size", [None, 100])
    def test_a_file_over_its_limit_is_refused_and_leaves_nothing(self, storage: FileStorage, size: int | None) -> None:
        """Whether its size is announced or not."""
        with pytest.raises(FileSizeError) as error:
            storage.save(io.BytesIO(b"x" * 100), size=size, size_limit=FileSizeLimit(99, "Too much of it."))
        assert error.value.description == "Too much of it."
        assert not self.exists(storage)

    def test_an_endless_stream_is_refused_at_its_limit(self, storage: FileStorage) -> None:
        """Not read to its end, which never comes."""
        stream = GeneratedStream(10**15)
        with pytest.raises(FileSizeError):
            storage.save(stream, size_limit=5 * MIB)
        assert stream.position < 16 * MIB
        assert not self.exists(storage)

    @pytest.mark.parametrize("fail_at", [0, 100_000, 6 * MIB])
    def test_an_error_of_the_source_passes_unchanged_and_leaves_nothing(
        self, storage: FileStorage, fail_at: int
    ) -> None:
        """Neither a file nor a thread."""
        threads = threading.active_count()
        with pytest.raises(ConnectionResetError, match="The client has gone"):
            storage.save(GeneratedStream(8 * MIB, fail_at=fail_at), size=8 * MIB)
        assert threading.active_count() <= threads
        assert not self.exists(storage)

    def test_a_stream_with_the_wrong_digest_leaves_nothing(self, storage: FileStorage) -> None:
        """The digest is compared before the file is there."""
        stream = VerifiedStream(io.BytesIO(b"content"), {"sha256": hashlib.sha256(b"other").digest()})
        with pytest.raises(DigestMismatchError):
            storage.save(stream, size=7)
        assert not self.exists(storage)

    def test_a_failed_save_can_be_tried_again(self, storage: FileStorage) -> None:
        """With the same object."""
        with pytest.raises(ConnectionResetError):
            storage.save(GeneratedStream(10, fail_at=0))
        self.save(storage, b"content")
        assert self.content(storage) == b"content"

    def test_progress_is_told_to_the_end(self, storage: FileStorage) -> None:
        """As size and bytes so far."""
        calls: list[tuple[int | None, int]] = []
        storage.save(
            io.BytesIO(b"0123456789"), size=10, chunk_size=4, progress_callback=lambda *args: calls.append(args)
        )
        assert calls
        assert calls[-1] == (10, 10)
        assert [done for _, done in calls] == sorted(done for _, done in calls)

    def test_memory_is_bounded_whatever_the_size(self, storage: FileStorage) -> None:
        """A file of 64 MiB takes less than 16."""
        tracemalloc.start()
        try:
            assert storage.save(GeneratedStream(64 * MIB), size=64 * MIB)[1] == 64 * MIB
            assert tracemalloc.get_traced_memory()[1] < 16 * MIB
        finally:
            tracemalloc.stop()

    def test_an_initialized_file_has_its_size(self, storage: FileStorage) -> None:
        """Filled with zeros."""
        assert storage.initialize(1000)[1:] == (1000, None)
        assert self.content(storage) == bytes(1000)

    def test_an_initialized_file_of_no_size_is_empty(self, storage: FileStorage) -> None:
        """It exists."""
        storage.initialize()
        assert self.content(storage) == b""

    def test_parts_are_written_in_any_order(
        self, storage: FileStorage, make_storage: Callable[..., FileStorage]
    ) -> None:
        """Each by an object of its own, as requests do."""
        storage.initialize(10)
        for seek, part in ((7, b"789"), (0, b"0123"), (4, b"456")):
            written, checksum = make_storage("file", size=10).update(io.BytesIO(part), seek=seek, size=len(part))
            assert written == len(part)
            assert checksum == self.expected_checksum(storage, part)
        assert self.content(storage) == b"0123456789"

    def test_a_part_can_be_written_again(self, storage: FileStorage, make_storage: Callable[..., FileStorage]) -> None:
        """A client that lost the answer repeats it."""
        storage.initialize(6)
        results = {make_storage("file", size=6).update(io.BytesIO(b"ab"), seek=2, size=2) for _ in range(2)}
        assert len(results) == 1
        assert self.content(storage) == b"\0\0ab\0\0"

    @pytest.mark.parametrize("announced", [3, 5])
    def test_a_part_of_another_size_than_announced_is_refused_and_the_file_stays(
        self, storage: FileStorage, make_storage: Callable[..., FileStorage], announced: int
    ) -> None:
        """It can be sent again."""
        storage.initialize(10)
        with pytest.raises(UnexpectedFileSizeError):
            make_storage("file", size=10).update(io.BytesIO(b"part"), seek=0, size=announced)
        assert len(self.content(storage)) == 10

    def test_parts_of_one_file_do_not_disturb_each_other(
        self, storage: FileStorage, make_storage: Callable[..., FileStorage]
    ) -> None:
        """Written in the same moment."""
        parts = [bytes([number]) * 100_000 for number in range(8)]
        storage.initialize(800_000)

        def update(number: int) -> None:
            stream = io.BytesIO(parts[number])
            make_storage("file", size=800_000).update(stream, seek=number * 100_000, size=100_000, chunk_size=1000)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(update, range(8)))
        assert self.content(storage) == b"".join(parts)

    def test_a_file_that_is_not_there_is_not_found(self, storage: FileStorage) -> None:
        """To open or to change."""
        with pytest.raises(FileNotFoundError):
            storage.open(mode="rb")
        with pytest.raises(FileNotFoundError):
            storage.update(io.BytesIO(b"part"), size=4)

    def test_deleting_is_repeatable(self, storage: FileStorage) -> None:
        """A file that is gone is deleted."""
        self.save(storage, b"content")
        assert storage.delete()
        assert not self.exists(storage)
        assert storage.delete()

    def test_the_checksum_is_that_of_the_saved_file(self, storage: FileStorage) -> None:
        """So that it can be verified."""
        checksum = self.save(storage, b"content" * 1000)[2]
        assert checksum is not None
        assert checksum.count(":") == 1
        assert storage.checksum() == checksum
        assert storage.checksum(chunk_size=7) == checksum

    def test_the_checksum_tells_its_progress(self, storage: FileStorage) -> None:
        """To the last byte."""
        calls: list[tuple[int | None, int]] = []
        self.save(storage, b"0123456789")
        storage._size = 10
        storage.checksum(chunk_size=4, progress_callback=lambda *args: calls.append(args))
        assert calls[-1] == (10, 10)

    def test_a_file_of_the_same_backend_is_copied(
        self, storage: FileStorage, make_storage: Callable[..., FileStorage]
    ) -> None:
        """The copy does not need the original."""
        self.save(storage, b"content")
        copy = make_storage("copy")
        try:
            copy.copy(storage)
            storage.delete()
            assert self.content(copy) == b"content"
        finally:
            copy.delete()

    def test_a_file_of_another_backend_is_copied(self, storage: FileStorage) -> None:
        """Byte by byte."""
        _, size, checksum = storage.copy(MemoryStorage(b"content"))
        assert size == 7
        assert checksum == self.expected_checksum(storage, b"content")
        assert self.content(storage) == b"content"

    def test_another_backend_copies_a_file(self, storage: FileStorage) -> None:
        """The other way round."""
        self.save(storage, b"content")
        other = MemoryStorage()
        other.copy(storage)
        assert other.content == b"content"

    @staticmethod
    def sent(response: Response) -> bytes:
        """Return what a response sends, and close it."""
        with closing(response):
            return b"".join(response.iter_encoded())

    def test_a_file_is_sent(self, storage: FileStorage, make_storage: Callable[..., FileStorage]) -> None:
        """With its type and its checksum."""
        _, size, checksum = self.save(storage, b"0123456789")
        with Flask("contract").test_request_context():
            response = make_storage("file", size=size).send_file("file.txt", checksum=checksum)
            assert response.status_code == 200
            assert response.mimetype == "text/plain"
            assert response.get_etag() == (checksum, False)
            assert response.content_length == 10
            assert self.sent(response) == b"0123456789"

    def test_a_range_of_a_file_is_sent(self, storage: FileStorage, make_storage: Callable[..., FileStorage]) -> None:
        """Where the application allows it."""
        size = self.save(storage, b"0123456789")[1]
        app = Flask("contract")
        app.config["FILES_REST_ALLOW_RANGE_REQUESTS"] = True
        with app.test_request_context(headers={"Range": "bytes=2-4"}):
            response = make_storage("file", size=size).send_file("file.txt")
            assert response.status_code == 206
            assert response.headers["Content-Range"] == "bytes 2-4/10"
            assert self.sent(response) == b"234"

    def test_a_file_that_is_not_there_cannot_be_sent(self, storage: FileStorage) -> None:
        """The client learns nothing of where it should be."""
        with Flask("contract").test_request_context():
            with pytest.raises(StorageError) as error:
                storage.send_file("file.txt")
            uri = getattr(storage, "fileurl", "memory:")
            assert uri not in str(error.value.description)
            assert uri not in error.value.get_body()
            assert error.value.__cause__ is not None
