"""What records with files promise to those who program with them."""

from __future__ import annotations

import copy
from io import BytesIO
from typing import Any

import pytest
from invenio_db import db
from invenio_files_rest.errors import BucketLockedError, InvalidOperationError
from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_records.api import Record as PlainRecord
from invenio_records.errors import MissingModelError

from invenio_records_files.api import FileObject, FilesIterator, FilesMixin, Record
from invenio_records_files.models import RecordsBuckets
from invenio_records_files.utils import record_file_factory, sorted_files_from_bucket

FACTS = ["bucket", "checksum", "file_id", "key", "size", "version_id"]


def contents(record: Record) -> dict[str, bytes]:
    """Return the bytes of each file of a record."""
    found = {}
    for file in record.files:
        with file.file.storage().open() as stream:
            found[file.key] = stream.read()
    return found


def reread(record: Record) -> Record:
    """Commit, and read the record from the database."""
    record.commit()
    db.session.commit()
    db.session.expire_all()
    return type(record).get_record(record.id)


def test_a_record_gets_a_bucket_that_it_keeps_in_its_metadata(record: Record):
    link = RecordsBuckets.query.one()
    assert (link.record_id, str(link.bucket_id)) == (record.id, record["_bucket"])
    assert (link.record, link.bucket) == (record.model, record.bucket)
    assert record.bucket_id == record["_bucket"]
    assert len(record.files) == 0
    assert "_files" not in record


def test_a_record_may_have_no_bucket(location: Any):
    record = Record.create({}, with_bucket=False)
    assert (record.files, record.bucket, record.bucket_id) == (None, None, "")
    assert Bucket.query.count() == 0
    assert RecordsBuckets.query.count() == 0


def test_a_record_without_a_bucket_is_committed_as_any_other(location: Any):
    record = Record.create({}, with_bucket=False)
    record["title"] = "Thesis"
    assert dict(reread(record)) == {"title": "Thesis"}
    record.delete()
    with pytest.raises(MissingModelError):
        record.commit()


def test_a_record_whose_bucket_is_deleted_has_no_files(record: Record):
    Bucket.delete(record.bucket_id)
    db.session.commit()
    assert record.files is None


def test_a_record_that_is_not_in_the_database_has_no_files(app: Any):
    with pytest.raises(MissingModelError):
        Record({}).files  # noqa: B018
    with pytest.raises(MissingModelError):
        Record({}).commit()
    with pytest.raises(MissingModelError):
        Record({}).delete(force=True)


def test_create_bucket_may_return_another_bucket(record: Record):
    class Sharing(Record):
        @classmethod
        def create_bucket(cls, data: dict[str, Any]) -> Bucket:
            return Bucket.get(data["share"])

    shared = Sharing.create({"share": record.bucket_id})
    assert shared.bucket is record.bucket
    assert RecordsBuckets.query.count() == 2


def test_create_bucket_may_return_none(location: Any):
    class Without(Record):
        @classmethod
        def create_bucket(cls, data: dict[str, Any]) -> None:
            return None

    record = Without.create({})
    assert (dict(record), record.files) == ({}, None)


def test_the_bucket_may_be_kept_elsewhere(location: Any):
    class Elsewhere(Record):
        @classmethod
        def dump_bucket(cls, data: dict[str, Any], bucket: Bucket) -> None:
            data["files"] = {"in": str(bucket.id)}

        @classmethod
        def load_bucket(cls, record: Record) -> str:
            return record["files"]["in"]

    record = Elsewhere.create({})
    assert "_bucket" not in record
    record.files["a.txt"] = BytesIO(b"a")
    record = reread(record)
    assert record.bucket_id == record["files"]["in"]
    assert contents(record) == {"a.txt": b"a"}


def test_files_are_stored_and_found_by_key(record_with_files: Record):
    record = reread(record_with_files)
    assert contents(record) == {"b.txt": b"second", "a.txt": b"first"}
    assert len(record.files) == 2
    assert "a.txt" in record.files
    assert "c.txt" not in record.files
    assert record.files["a.txt"].key == "a.txt"
    with pytest.raises(KeyError, match=r"c\.txt"):
        record.files["c.txt"]


def test_a_new_version_begins_without_metadata(record_with_files: Record):
    record_with_files.files["b.txt"] = BytesIO(b"third")
    record = reread(record_with_files)
    assert contents(record) == {"b.txt": b"third", "a.txt": b"first"}
    assert sorted(record["_files"][0]) == FACTS
    assert record["_files"][0]["version_id"] == str(record.files["b.txt"].version_id)


def test_deleted_files_are_gone_from_the_record_and_keep_their_versions(record_with_files: Record):
    del record_with_files.files["b.txt"]
    record = reread(record_with_files)
    assert [entry["key"] for entry in record["_files"]] == ["a.txt"]
    assert "b.txt" not in record.files
    assert ObjectVersion.get_versions(record.bucket, "b.txt").count() == 2
    with pytest.raises(KeyError, match=r"b\.txt"):
        del record.files["b.txt"]


def test_a_locked_bucket_takes_no_file(record_with_files: Record):
    record_with_files.bucket.locked = True
    with pytest.raises(BucketLockedError):
        record_with_files.files["c.txt"] = BytesIO(b"c")
    with pytest.raises(BucketLockedError):
        record_with_files.files.rename("a.txt", "c.txt")
    with pytest.raises(BucketLockedError):
        del record_with_files.files["a.txt"]
    assert record_with_files.files.keys == ["b.txt", "a.txt"]


def test_metadata_are_kept_in_the_record(record_with_files: Record):
    record = reread(record_with_files)
    assert record.files["b.txt"]["language"] == "en"
    assert record.files["b.txt"].get("language") == "en"
    assert record.files["b.txt"].get("pages") is None
    assert record.files["b.txt"].get("pages", 3) == 3
    with pytest.raises(KeyError, match="pages"):
        record.files["b.txt"]["pages"]


@pytest.mark.parametrize(
    "name", ["key", "bucket", "bucket_id", "file", "file_id", "mimetype", "tags", "version_id", "size", "checksum"]
)
def test_names_that_are_the_objects_own_are_reserved(record_with_files: Record, name: str):
    before = copy.deepcopy(record_with_files["_files"])
    with pytest.raises(KeyError, match=name):
        record_with_files.files["b.txt"][name] = "x"
    assert record_with_files["_files"] == before


def test_reserved_names_can_be_read(record_with_files: Record):
    file = record_with_files.files["b.txt"]
    assert file["key"] == file.get("key") == "b.txt"
    assert file["size"] == 6
    assert file["version_id"] == file.obj.version_id


def test_metadata_set_on_a_file_stay_whatever_happens_to_others(record_with_files: Record):
    file = record_with_files.files["b.txt"]
    record_with_files.files["c.txt"] = BytesIO(b"c")
    file["pages"] = 3
    assert reread(record_with_files).files["b.txt"]["pages"] == 3


def test_metadata_can_be_set_on_a_file_that_came_by_another_way(record: Record):
    ObjectVersion.create(record.bucket, "rest.txt", stream=BytesIO(b"rest"))
    first, second = record.files["rest.txt"], record.files["rest.txt"]
    assert "_files" not in record
    first["language"] = "en"
    second["pages"] = 3
    first["language"] = "de"
    record = reread(record)
    assert record["_files"] == record.files.dumps()
    assert {key: record["_files"][0][key] for key in ("language", "pages", "size")} == {
        "language": "de",
        "pages": 3,
        "size": 4,
    }


def test_dumps_have_the_facts_and_the_metadata(record_with_files: Record):
    first, second = record_with_files.files.dumps()
    assert sorted(second) == FACTS
    file = record_with_files.files["b.txt"]
    assert first == {
        "bucket": record_with_files.bucket_id,
        "checksum": "md5:a9f0e61a137d86aa9db53465e0801612",
        "file_id": str(file.file_id),
        "key": "b.txt",
        "language": "en",
        "size": 6,
        "version_id": str(file.version_id),
    }
    assert file.dumps() == first
    assert record_with_files["_files"] == [first, second]


def test_dumps_of_another_bucket_have_its_objects(record_with_files: Record):
    snapshot = record_with_files.bucket.snapshot()
    dumped = record_with_files.files.dumps(bucket=snapshot)
    assert [(entry["key"], entry["bucket"]) for entry in dumped] == [
        ("b.txt", str(snapshot.id)),
        ("a.txt", str(snapshot.id)),
    ]
    assert dumped[0]["language"] == "en"
    assert record_with_files["_files"][0]["bucket"] == record_with_files.bucket_id


def test_flush_writes_what_is_in_the_bucket(record_with_files: Record):
    ObjectVersion.create(record_with_files.bucket, "c.txt", stream=BytesIO(b"c"))
    ObjectVersion.delete(record_with_files.bucket, "a.txt")
    record_with_files.files.flush()
    assert [entry["key"] for entry in record_with_files["_files"]] == ["b.txt", "c.txt"]
    assert record_with_files["_files"][0]["language"] == "en"


def test_flush_of_no_files_adds_no_list(record: Record):
    record.files.flush()
    assert "_files" not in record


def test_renaming_keeps_file_metadata_and_place(record_with_files: Record):
    before = record_with_files.files["b.txt"]
    ids = before.file_id, before.version_id
    renamed = record_with_files.files.rename("b.txt", "folder/new.txt")
    assert renamed.key == "folder/new.txt"
    record = reread(record_with_files)
    assert record.files.keys == ["folder/new.txt", "a.txt"]
    file = record.files["folder/new.txt"]
    assert (file.file_id, file["language"]) == (ids[0], "en")
    assert "b.txt" not in record.files
    assert ObjectVersion.get(record.bucket, "b.txt", version_id=ids[1]) is not None


def test_renaming_to_a_key_that_is_taken_changes_nothing(record_with_files: Record):
    before = copy.deepcopy(dict(record_with_files))
    with pytest.raises(InvalidOperationError):
        record_with_files.files.rename("a.txt", "b.txt")
    with pytest.raises(KeyError, match="c"):
        record_with_files.files.rename("c", "d")
    assert dict(record_with_files) == before
    assert contents(record_with_files) == {"b.txt": b"second", "a.txt": b"first"}


def test_a_file_that_the_record_does_not_list_can_be_renamed(record: Record):
    ObjectVersion.create(record.bucket, "rest.txt", stream=BytesIO(b"rest"))
    record.files.rename("rest.txt", "new.txt")
    assert [entry["key"] for entry in record["_files"]] == ["new.txt"]


@pytest.mark.parametrize("by", ["key", "file_id"])
def test_files_are_put_in_order(record_with_files: Record, by: str):
    record_with_files.files["c.txt"] = BytesIO(b"c")
    ids = [record_with_files.files[key][by] for key in ("c.txt", "a.txt", "b.txt")]
    record_with_files.files.sort_by(*ids)
    record = reread(record_with_files)
    assert record.files.keys == ["c.txt", "a.txt", "b.txt"]
    assert [file.key for file in record.files] == record.files.keys
    assert record.files["b.txt"]["language"] == "en"


def test_files_that_are_not_named_follow_in_their_order(record_with_files: Record):
    record_with_files.files["c.txt"] = BytesIO(b"c")
    record_with_files.files.sort_by("c.txt")
    assert record_with_files.files.keys == ["c.txt", "b.txt", "a.txt"]
    with pytest.raises(KeyError, match="none"):
        record_with_files.files.sort_by("none", "a.txt")
    assert record_with_files.files.keys == ["c.txt", "b.txt", "a.txt"]


def test_objects_of_a_bucket_are_sorted_by_given_keys(record_with_files: Record):
    bucket = record_with_files.bucket
    assert [obj.key for obj in sorted_files_from_bucket(bucket)] == ["a.txt", "b.txt"]
    assert [obj.key for obj in sorted_files_from_bucket(bucket, ["none", "b.txt"])] == ["b.txt", "a.txt"]


def test_files_are_iterated_one_by_one(record_with_files: Record):
    files = record_with_files.files
    assert [files.next().key, next(files).key] == ["b.txt", "a.txt"]
    with pytest.raises(StopIteration):
        files.next()
    assert [(a.key, b.key) for a in files for b in files][1] == ("b.txt", "a.txt")


def test_versions_of_a_file_are_had(record_with_files: Record):
    old = record_with_files.files["b.txt"].version_id
    record_with_files.files["b.txt"] = BytesIO(b"new")
    file = record_with_files.files["b.txt"]
    assert file.get_version().version_id == file.version_id != old
    assert file.get_version(version_id=old).file.size == 6
    assert file.get_version(version_id=record_with_files.files["a.txt"].version_id) is None


def test_files_can_be_copied_and_shown(record_with_files: Record):
    file = record_with_files.files["b.txt"]
    assert copy.copy(file).key == "b.txt"
    assert "b.txt" in repr(file)


def test_classes_of_files_may_be_others(location: Any):
    class Typed(FileObject):
        def dumps(self) -> dict[str, Any]:
            return {**super().dumps(), "type": self.obj.key.rpartition(".")[2]}

    class Counting(FilesIterator):
        pass

    class TypedRecord(Record):
        file_cls = Typed
        files_iter_cls = Counting

    record = TypedRecord.create({})
    record.files["a.txt"] = BytesIO(b"a")
    assert isinstance(record.files, Counting)
    assert isinstance(record.files["a.txt"], Typed)
    assert record["_files"][0]["type"] == "txt"
    assert isinstance(FilesIterator(record)["a.txt"], FileObject)


def test_the_mixin_takes_the_bucket_that_the_record_is_linked_to(location: Any):
    class Plain(FilesMixin, PlainRecord):
        pass

    record = Plain.create({})
    assert (record.files, record.bucket, record.bucket_id) == (None, None, "")
    bucket = Bucket.create()
    RecordsBuckets.create(record.model, bucket)
    db.session.flush()
    assert (record.bucket, record.bucket_id) == (bucket, str(bucket.id))
    record.files["a.txt"] = BytesIO(b"a")
    assert contents(reread(record)) == {"a.txt": b"a"}


def test_the_mixin_makes_a_bucket_where_the_class_says_how(location: Any):
    class Making(FilesMixin, PlainRecord):
        def _create_bucket(self) -> Bucket:
            return Bucket.create()

    record = Making.create({})
    record.files["a.txt"] = BytesIO(b"a")
    assert contents(reread(record)) == {"a.txt": b"a"}
    assert Bucket.query.count() == RecordsBuckets.query.count() == 1


def test_record_file_factory_finds_files(record_with_files: Record):
    assert record_file_factory(None, record_with_files, "b.txt").key == "b.txt"
    assert record_file_factory(None, record_with_files, "none") is None
    assert record_file_factory(None, PlainRecord.create({}), "b.txt") is None
    assert record_file_factory(None, Record.create({}, with_bucket=False), "b.txt") is None


def test_a_deleted_record_keeps_its_link_and_so_its_files(record_with_files: Record):
    record_with_files.delete()
    db.session.commit()
    assert RecordsBuckets.query.count() == 1
    assert Record.get_record(record_with_files.id, with_deleted=True).files.keys == ["a.txt", "b.txt"]


def test_deletion_by_force_removes_the_link_and_no_file(record_with_files: Record):
    class Sharing(Record):
        @classmethod
        def create_bucket(cls, data: dict[str, Any]) -> Bucket:
            return record_with_files.bucket

    other = Sharing.create({})
    record_with_files.delete(force=True)
    db.session.commit()
    assert [link.record_id for link in RecordsBuckets.query] == [other.id]
    assert contents(other) == {"a.txt": b"first", "b.txt": b"second"}
    other.delete(force=True)
    db.session.commit()
    assert RecordsBuckets.query.count() == 0
    assert ObjectVersion.query.count() == 2
