"""What all suites have in common: how they make a storage, and how they look at what it has."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from ..storage.base import FileStorage

MakeStorage = Callable[..., FileStorage]


class Contract:
    """The part of a suite that has no tests. Whoever subclasses a suite gives it the fixture ``make_storage``."""

    @pytest.fixture
    def make_storage(self) -> MakeStorage:
        """Return a function that makes the storage of a file.

        It is called with a name of letters and digits, and with ``size``, the size in bytes, where a test knows it. Two
        calls with one name are for the same file; a name that was not used in the same test is for a file that does not
        exist.
        """
        raise NotImplementedError("Whoever subclasses the suite gives this fixture.")

    @pytest.fixture
    def storage(self, make_storage: MakeStorage) -> Iterator[FileStorage]:
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
