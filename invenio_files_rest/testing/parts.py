"""The suite for ``initialize`` and ``update``: writing parts into an existing file."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..errors import UnexpectedFileSizeError
from ..storage.base import FileStorage
from .base import Contract, MakeStorage


class PartsContract(Contract):
    """Parts are written in any order, repeatedly, and in parallel."""

    def test_an_initialized_file_has_its_size(self, storage: FileStorage) -> None:
        """It is filled with zeros."""
        assert storage.initialize(1000)[1:] == (1000, None)
        assert self.content(storage) == bytes(1000)

    def test_an_initialized_file_of_no_size_is_empty(self, storage: FileStorage) -> None:
        """It exists."""
        storage.initialize()
        assert self.content(storage) == b""

    def test_parts_are_written_in_any_order(self, storage: FileStorage, make_storage: MakeStorage) -> None:
        """Each with an object of its own, as in separate requests."""
        storage.initialize(10)
        for seek, part in ((7, b"789"), (0, b"0123"), (4, b"456")):
            written, checksum = make_storage("file", size=10).update(io.BytesIO(part), seek=seek, size=len(part))
            assert written == len(part)
            assert checksum == self.expected_checksum(storage, part)
        assert self.content(storage) == b"0123456789"

    def test_a_part_can_be_written_again(self, storage: FileStorage, make_storage: MakeStorage) -> None:
        """A client that has lost the response sends it again."""
        storage.initialize(6)
        results = {make_storage("file", size=6).update(io.BytesIO(b"ab"), seek=2, size=2) for _ in range(2)}
        assert len(results) == 1
        assert self.content(storage) == b"\0\0ab\0\0"

    @pytest.mark.parametrize("announced", [3, 5])
    def test_a_part_of_another_size_than_announced_is_refused_and_the_file_stays(
        self, storage: FileStorage, make_storage: MakeStorage, announced: int
    ) -> None:
        """It can be sent again."""
        storage.initialize(10)
        with pytest.raises(UnexpectedFileSizeError):
            make_storage("file", size=10).update(io.BytesIO(b"part"), seek=0, size=announced)
        assert len(self.content(storage)) == 10

    def test_parts_of_one_file_do_not_disturb_each_other(self, storage: FileStorage, make_storage: MakeStorage) -> None:
        """They are written at the same time."""
        parts = [bytes([number]) * 100_000 for number in range(8)]
        storage.initialize(800_000)

        def update(number: int) -> None:
            stream = io.BytesIO(parts[number])
            make_storage("file", size=800_000).update(stream, seek=number * 100_000, size=100_000, chunk_size=1000)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(update, range(8)))
        assert self.content(storage) == b"".join(parts)

    def test_no_part_is_written_to_a_file_that_is_not_there(self, storage: FileStorage) -> None:
        """``update`` raises FileNotFoundError, and does not create it."""
        with pytest.raises(FileNotFoundError):
            storage.update(io.BytesIO(b"part"), size=4)
