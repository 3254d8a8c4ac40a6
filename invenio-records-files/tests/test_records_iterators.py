"""Subclasses of the iterator over files, as applications have written them for 4.0."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from invenio_db import db
from invenio_files_rest.errors import BucketLockedError, InvalidOperationError
from invenio_files_rest.models import Bucket, ObjectVersion

from invenio_records_files.api import FilesIterator, Record, _writable, sorted_files_from_bucket


class Dumping(FilesIterator):
    """Says more of each file than there is to know, and nothing of its size."""

    def dumps(self, bucket: Bucket | None = None) -> list[dict[str, Any]]:
        found = [self.file_cls(obj, self.filesmap.get(obj.key, {})) for obj in self._sorted(bucket)]
        return [{name: v for name, v in {**f.dumps(), "type": "text"}.items() if name != "size"} for f in found]

    def _sorted(self, bucket: Bucket | None) -> list[ObjectVersion]:
        return sorted_files_from_bucket(bucket or self.bucket, self.keys)


class Backwards(FilesIterator):
    """Iterates over itself, from the last file to the first."""

    def __iter__(self) -> FilesIterator:
        self._it = reversed(sorted_files_from_bucket(self.bucket, self.keys))
        return self


class OnlyText(FilesIterator):
    """Leaves files out that the iterator over all would have."""

    def __iter__(self) -> FilesIterator:
        super().__iter__()
        self._it = (obj for obj in self._it if obj.key.endswith(".txt"))
        return self


@pytest.fixture
def make(location: Any) -> Callable[[type[FilesIterator]], Record]:
    """Return a function that makes a record of a class with an iterator."""

    def make(iterator: type[FilesIterator]) -> Record:
        class Iterating(Record):
            files_iter_cls = iterator

        record = Iterating.create({})
        record.files["b.txt"] = BytesIO(b"b")
        record.files["a.txt"] = BytesIO(b"a")
        return record

    return make


Make = Callable[[type[FilesIterator]], Record]


def shown(record: Record) -> dict[str, tuple[Any, bool]]:
    return {entry["key"]: (entry.get("type"), "size" in entry) for entry in record["_files"]}


def test_dumps_is_asked_when_files_are_stored_flushed_renamed_sorted_and_deleted(make: Make):
    record = make(Dumping)
    as_it_says = ("text", False)
    assert shown(record) == {"b.txt": as_it_says, "a.txt": as_it_says}
    ObjectVersion.create(record.bucket, "c.txt", stream=BytesIO(b"c"))
    record.files.flush()
    assert shown(record) == {"b.txt": as_it_says, "a.txt": as_it_says, "c.txt": as_it_says}
    record.files.rename("b.txt", "d.txt")
    assert shown(record) == {"d.txt": as_it_says, "a.txt": as_it_says, "c.txt": as_it_says}
    record.files.sort_by("a.txt")
    assert list(shown(record)) == ["a.txt", "d.txt", "c.txt"]
    del record.files["a.txt"]
    assert shown(record) == {"d.txt": as_it_says, "c.txt": as_it_says}


def test_what_dumps_says_is_committed(make: Make):
    record = make(Dumping)
    record.files["b.txt"]["language"] = "en"
    record.commit()
    db.session.commit()
    db.session.expire_all()
    record = type(record).get_record(record.id)
    assert shown(record) == {"b.txt": ("text", False), "a.txt": ("text", False)}
    assert record["_files"][0]["language"] == "en"


def test_metadata_set_on_a_file_stay_whatever_dumps_says(make: Make):
    record = make(Dumping)
    file = record.files["b.txt"]
    record.files["c.txt"] = BytesIO(b"c")
    file["pages"] = 3
    assert record["_files"][0]["pages"] == 3


@pytest.mark.parametrize(
    ("iterator", "keys"), [(Backwards, ["picture", "a.txt", "b.txt"]), (OnlyText, ["b.txt", "a.txt"])]
)
def test_an_iterator_may_iterate_over_itself(make: Make, iterator: type[FilesIterator], keys: list[str]):
    record = make(iterator)
    record.files["picture"] = BytesIO(b"p")
    record.files["b.txt"]["language"] = "en"
    files = record.files
    assert [file.key for file in files] == [file.key for file in files] == keys
    assert {file.key: file.get("language") for file in files}["b.txt"] == "en"
    assert next(iter(files)).key == keys[0]
    assert files.keys == ["b.txt", "a.txt", "picture"]
    assert [entry["key"] for entry in record["_files"]] == files.keys


def test_an_iterator_knows_where_it_is(make: Make):
    files = make(FilesIterator).files
    assert files._it is None
    iter(files)
    assert [obj.key for obj in files._it] == ["b.txt", "a.txt"]
    with pytest.raises(StopIteration):
        next(files)


def test_the_map_of_files_has_the_entries_of_the_record(make: Make):
    record = make(FilesIterator)
    files = record.files
    assert list(files.filesmap) == ["b.txt", "a.txt"]
    assert files.filesmap["a.txt"] is record["_files"][1]
    files.filesmap["a.txt"]["language"] = "en"
    record.files["c.txt"] = BytesIO(b"c")
    assert list(files.filesmap) == ["b.txt", "a.txt", "c.txt"]
    assert files["a.txt"]["language"] == "en"
    assert Record.create({}).files.filesmap == {}


class Marking(FilesIterator):
    """Has a method of its own that changes files."""

    @_writable
    def mark(self, key: str, *, value: str) -> str:
        """Mark a file."""
        self[key]["mark"] = value
        return value


def test_a_method_of_a_subclass_may_need_a_bucket_that_can_be_changed(make: Make):
    record = make(Marking)
    files = record.files
    assert files.mark.__doc__ == "Mark a file."
    assert files.mark("a.txt", value="x") == record["_files"][1]["mark"] == "x"
    files.bucket.locked = True
    with pytest.raises(BucketLockedError):
        files.mark("a.txt", value="y")
    files.bucket.locked, files.bucket.deleted = False, True
    with pytest.raises(InvalidOperationError, match="deleted"):
        files.mark("a.txt", value="y")
    assert record["_files"][1]["mark"] == "x"
