"""The fixtures and helpers that all suites share."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from ..storage.base import FileStorage

MakeStorage = Callable[..., FileStorage]


class Contract:
    """The base of all suites. Every subclass provides the fixture ``make_storage``."""

    @pytest.fixture
    def make_storage(self) -> MakeStorage:
        """Return a function that makes the storage of a file.

        It is called with a name of letters, digits and hyphens, and with ``size``, the size in bytes, if the test knows
        it. Calls with the same name are for the same file. A name that was not used before in the same test is for a
        file that does not exist.
        """
        raise NotImplementedError("A subclass of the suite has to provide this fixture.")

    @pytest.fixture
    def storage(self, make_storage: MakeStorage) -> Iterator[FileStorage]:
        """Make the storage of a file that does not exist, and delete the file afterwards."""
        storage = make_storage("file")
        yield storage
        storage.delete()

    @staticmethod
    def content(storage: FileStorage) -> bytes:
        """Return the content of a file."""
        with closing(storage.open(mode="rb")) as stream:
            return stream.read()

    @staticmethod
    def exists(storage: FileStorage) -> bool:
        """Return whether a file can be opened."""
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
        """Return the checksum that a storage has to return for some bytes."""
        return storage._compute_checksum(io.BytesIO(content))
