"""The suite for what every storage does: save, open, delete, checksum and copy."""

from __future__ import annotations

import hashlib
import io
import threading
import tracemalloc

import pytest

from ..errors import DigestMismatchError, FileSizeError, UnexpectedFileSizeError
from ..limiters import FileSizeLimit
from ..storage.base import FileStorage
from ..storage.pump import VerifiedStream
from .base import Contract, MakeStorage
from .memory import MemoryStorage
from .streams import MIB, GeneratedStream


class SavingContract(Contract):
    """A file is stored completely, byte for byte, or not at all."""

    @pytest.mark.parametrize("size", [0, 1, 65_535, MIB, 3 * MIB + 1])
    def test_what_is_saved_is_read_again(self, storage: FileStorage, make_storage: MakeStorage, size: int) -> None:
        """Also with another object for the same file."""
        content = bytes(range(256)) * (size // 256 + 1)
        content = content[:size]
        _, saved_size, checksum = self.save(storage, content)
        assert saved_size == size
        assert checksum == self.expected_checksum(storage, content)
        assert self.content(make_storage("file")) == content

    def test_the_uri_of_a_saved_file_is_a_text(self, storage: FileStorage) -> None:
        """It is stored in the database."""
        uri = self.save(storage, b"content")[0]
        assert isinstance(uri, str)
        assert uri

    def test_a_stream_of_unknown_size_is_saved(self, storage: FileStorage) -> None:
        """As that of a chunked request."""
        assert storage.save(GeneratedStream(200_000))[1] == 200_000
        assert len(self.content(storage)) == 200_000

    def test_the_chunk_size_does_not_change_the_content(self, storage: FileStorage) -> None:
        """However small."""
        storage.save(io.BytesIO(b"0123456789"), chunk_size=3)
        assert self.content(storage) == b"0123456789"

    def test_saving_replaces_the_content(self, storage: FileStorage) -> None:
        """Nothing of the old content is left, although it was longer."""
        self.save(storage, b"the first content")
        self.save(storage, b"second")
        assert self.content(storage) == b"second"

    @pytest.mark.parametrize("announced", [9, 11])
    def test_a_stream_of_another_size_than_announced_is_refused_and_leaves_nothing(
        self, storage: FileStorage, announced: int
    ) -> None:
        """Whether it is shorter or longer."""
        with pytest.raises(UnexpectedFileSizeError):
            storage.save(io.BytesIO(b"0123456789"), size=announced)
        assert not self.exists(storage)

    def test_a_file_of_the_size_of_its_limit_is_saved(self, storage: FileStorage) -> None:
        """The limit itself is allowed."""
        assert storage.save(io.BytesIO(b"0123456789"), size_limit=10)[1] == 10

    @pytest.mark.parametrize("size", [None, 100])
    def test_a_file_over_its_limit_is_refused_and_leaves_nothing(self, storage: FileStorage, size: int | None) -> None:
        """Whether its size is announced or not."""
        with pytest.raises(FileSizeError) as error:
            storage.save(io.BytesIO(b"x" * 100), size=size, size_limit=FileSizeLimit(99, "Too much of it."))
        assert error.value.description == "Too much of it."
        assert not self.exists(storage)

    def test_an_endless_stream_is_refused_at_its_limit(self, storage: FileStorage) -> None:
        """It is not read to its end, which never comes."""
        stream = GeneratedStream(10**15)
        with pytest.raises(FileSizeError):
            storage.save(stream, size_limit=5 * MIB)
        assert stream.position < 16 * MIB
        assert not self.exists(storage)

    @pytest.mark.parametrize("fail_at", [0, 100_000, 6 * MIB])
    def test_an_error_of_the_source_passes_unchanged_and_leaves_nothing(
        self, storage: FileStorage, fail_at: int
    ) -> None:
        """Neither a file nor a thread is left."""
        threads = threading.active_count()
        with pytest.raises(ConnectionResetError, match="The client has gone"):
            storage.save(GeneratedStream(8 * MIB, fail_at=fail_at), size=8 * MIB)
        assert threading.active_count() <= threads
        assert not self.exists(storage)

    def test_a_stream_with_the_wrong_digest_leaves_nothing(self, storage: FileStorage) -> None:
        """The digest is compared before the file exists."""
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
        """As the size and the number of bytes so far."""
        calls: list[tuple[int | None, int]] = []
        storage.save(
            io.BytesIO(b"0123456789"), size=10, chunk_size=4, progress_callback=lambda *args: calls.append(args)
        )
        assert calls
        assert calls[-1] == (10, 10)
        assert [done for _, done in calls] == sorted(done for _, done in calls)

    def test_memory_is_bounded_whatever_the_size(self, storage: FileStorage) -> None:
        """Saving 64 MiB takes less than 16 MiB of memory."""
        tracemalloc.start()
        try:
            assert storage.save(GeneratedStream(64 * MIB), size=64 * MIB)[1] == 64 * MIB
            assert tracemalloc.get_traced_memory()[1] < 16 * MIB
        finally:
            tracemalloc.stop()

    def test_a_file_that_is_not_there_is_not_found(self, storage: FileStorage) -> None:
        """``open`` raises FileNotFoundError."""
        with pytest.raises(FileNotFoundError):
            storage.open(mode="rb")

    def test_deleting_is_repeatable(self, storage: FileStorage) -> None:
        """It is not an error if the file is already gone."""
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

    def test_the_checksum_tells_its_progress(self, storage: FileStorage, make_storage: MakeStorage) -> None:
        """To the last byte."""
        calls: list[tuple[int | None, int]] = []
        self.save(storage, b"0123456789")
        make_storage("file", size=10).checksum(chunk_size=4, progress_callback=lambda *args: calls.append(args))
        assert calls[-1] == (10, 10)

    def test_a_file_of_the_same_backend_is_copied(self, storage: FileStorage, make_storage: MakeStorage) -> None:
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
        """Copying works in the other direction, too."""
        self.save(storage, b"content")
        other = MemoryStorage()
        other.copy(storage)
        assert other.content == b"content"
