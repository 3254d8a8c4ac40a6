"""The suite for a storage whose locations can be listed.

::

    class TestMyListing(ListableContract):
        @pytest.fixture
        def location(self):
            return "my://bucket/some/where"

        @pytest.fixture
        def make_storage(self, location):
            return lambda name, size=None: MyStorage(f"{location}/{name}/data", size=size)

It needs pytest, but no database.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from ..storage.capabilities import Entry, Listable
from ..storage.uploads import ExtentWrite, Uploads
from .base import Contract, MakeStorage

HOUR = 3600


class ListableContract(Contract):
    """Each test is one promise of :class:`~invenio_files_rest.storage.capabilities.Listable`."""

    @pytest.fixture
    def location(self) -> str:
        """Return the URI of a location that is empty or does not exist yet.

        ``make_storage`` makes the storages of files in it. If the name that it is called with is the identifier of a
        file, the file has to be where the storage factory would put it.
        """
        raise NotImplementedError("A subclass of the suite has to provide this fixture.")

    @pytest.fixture
    def listable(self, make_storage: MakeStorage) -> Listable:
        """Make the capability."""
        listable = make_storage(str(uuid4())).capability(Listable)
        assert listable is not None
        return listable

    @pytest.fixture
    def put(self, make_storage: MakeStorage) -> Iterator[Callable[..., str]]:
        """Return a function that stores a file by its name and returns its URI; remove the files afterwards."""
        names = []

        def put(name: UUID | str, content: bytes = b"content") -> str:
            names.append(str(name))
            return make_storage(str(name)).save(io.BytesIO(content), size=len(content))[0]

        yield put
        for name in names:
            make_storage(name).delete()

    @staticmethod
    def found(listable: Listable, location: str, age: float = -HOUR) -> list[Entry]:
        """Return the entries that are older than a number of seconds; by default all."""
        return list(listable.walk(location, time.time() - age))

    def test_a_file_is_found_by_its_identifier_its_size_and_its_uri(
        self, listable: Listable, location: str, put: Callable[..., str]
    ) -> None:
        """As they are in the database."""
        file_id = uuid4()
        uri = put(file_id, b"0123456789")
        (entry,) = self.found(listable, location)
        assert (entry.kind, entry.file_id, entry.size) == ("file", file_id, 10)
        assert uri in entry.uris
        assert entry.uris[0].startswith(location)

    def test_every_file_is_found_once(self, listable: Listable, location: str, put: Callable[..., str]) -> None:
        """Whatever their number."""
        names = {uuid4() for _ in range(50)}
        for name in names:
            put(name)
        found = self.found(listable, location)
        assert len(found) == 50
        assert {entry.file_id for entry in found} == names

    def test_a_young_file_is_not_found(self, listable: Listable, location: str, put: Callable[..., str]) -> None:
        """Its row may not be committed yet."""
        put(uuid4())
        assert self.found(listable, location, age=HOUR) == []

    def test_what_is_not_where_the_storage_puts_files_is_not_found(
        self, listable: Listable, location: str, put: Callable[..., str]
    ) -> None:
        """It belongs to somebody else."""
        put("photos")
        put("0")
        assert [entry for entry in self.found(listable, location) if entry.kind != "folder"] == []

    def test_a_location_whose_uri_begins_alike_is_another(
        self, listable: Listable, location: str, put: Callable[..., str]
    ) -> None:
        """A location ends at a slash."""
        put(uuid4())
        with suppress(FileNotFoundError):
            assert self.found(listable, location[:-1]) == []

    def test_a_location_without_anything_is_not_there_or_empty(self, listable: Listable, location: str) -> None:
        """Not every storage can tell the difference."""
        with suppress(FileNotFoundError):
            assert self.found(listable, location) == []

    def test_files_may_be_deleted_while_they_are_found(
        self, listable: Listable, location: str, put: Callable[..., str], make_storage: MakeStorage
    ) -> None:
        """No other file is missed."""
        for _ in range(10):
            put(uuid4())
        deleted = 0
        for entry in listable.walk(location, time.time() + HOUR):
            if entry.kind == "file":
                deleted += make_storage(str(entry.file_id)).delete()
        assert deleted == 10
        with suppress(FileNotFoundError):
            assert [entry for entry in self.found(listable, location) if entry.kind == "file"] == []

    def test_what_an_upload_left_behind_is_found_and_removed(
        self, listable: Listable, location: str, make_storage: MakeStorage
    ) -> None:
        """By a storage that can write a file piece by piece."""
        file_id = uuid4()
        uploads = make_storage(str(file_id)).capability(Uploads)
        if uploads is None:
            pytest.skip("The storage leaves nothing behind.")
        state = uploads.begin()
        uploads.write(state, ExtentWrite(1), io.BytesIO(b"content"))
        assert self.found(listable, location, age=HOUR) == []
        found = self.found(listable, location)
        assert found
        for entry in found:
            assert (entry.kind, entry.file_id) == ("temporary", file_id)
            listable.remove(location, entry)
        for entry in found:
            # It may have been removed by somebody else.
            listable.remove(location, entry)
        with suppress(FileNotFoundError):
            assert [entry for entry in self.found(listable, location) if entry.kind == "temporary"] == []
        with pytest.raises(FileNotFoundError):
            uploads.write(state, ExtentWrite(2), io.BytesIO(b"content"))
