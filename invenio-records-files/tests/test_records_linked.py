"""Records whose bucket is known by the link between them alone, and files given to a record all at once."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from invenio_db import db
from invenio_files_rest.errors import BucketLockedError, InvalidOperationError
from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_pidstore.models import PersistentIdentifier
from invenio_records.api import Record as PlainRecord
from invenio_records.errors import MissingModelError

from invenio_records_files.api import FilesMixin, Record
from invenio_records_files.links import default_bucket_link_factory, default_record_files_links_factory
from invenio_records_files.models import RecordsBuckets
from invenio_records_files.utils import record_file_factory

HOST = "http://localhost"


@pytest.fixture
def linked(location: Any) -> Record:
    """Make a record whose metadata do not name its bucket."""
    plain = PlainRecord.create({"title": "Thesis"})
    RecordsBuckets.create(plain.model, Bucket.create())
    db.session.commit()
    return Record.get_record(plain.id)


def reread(record: Record) -> Record:
    record.commit()
    db.session.commit()
    db.session.expire_all()
    return Record.get_record(record.id)


def test_a_record_has_the_bucket_that_it_is_linked_to(linked: Record):
    bucket = RecordsBuckets.query.one().bucket
    assert (linked.bucket, linked.bucket_id) == (bucket, str(bucket.id))
    linked.files["a.txt"] = BytesIO(b"a")
    record = reread(linked)
    assert (record.files.keys, record["_files"][0]["bucket"]) == (["a.txt"], str(bucket.id))
    assert "_bucket" not in record
    assert record_file_factory(None, record, "a.txt").key == "a.txt"


def test_a_record_that_is_linked_to_its_bucket_has_its_links(
    app: Flask, client: FlaskClient, linked: Record, register: Callable[..., str], allow_all: None
):
    files = register(linked)
    stored = client.put(f"{files}/a.txt", data=b"a").json
    assert client.get(stored["links"]["self"]).data == b"a"
    assert client.get(files).json["links"]["self"] == HOST + files
    pid = PersistentIdentifier.get("recid", "1")
    with app.test_request_context():
        assert default_bucket_link_factory(pid) == f"{HOST}/files/{linked.bucket_id}"
        assert default_record_files_links_factory(pid, record=linked)["files"] == HOST + files


def test_a_copy_of_a_record_keeps_its_files_in_its_own_bucket(record: Record):
    copy = Record.create(dict(record), with_bucket=False)
    own = Bucket.create()
    RecordsBuckets.create(copy.model, own)
    copy.files["a.txt"] = BytesIO(b"a")
    reread(copy)
    assert [obj.bucket_id for obj in ObjectVersion.query] == [own.id]
    assert len(record.files) == 0


def test_what_others_do_to_the_files_of_a_linked_record_stays(linked: Record):
    other = Record.get_record(linked.id)
    linked.files["a.txt"] = BytesIO(b"a")
    linked.commit()
    db.session.commit()
    other.files["b.txt"] = BytesIO(b"b")
    assert sorted(entry["key"] for entry in reread(other)["_files"]) == ["a.txt", "b.txt"]


def test_a_record_without_a_link_has_no_bucket(location: Any):
    record = Record.create({}, with_bucket=False)
    assert (record.bucket, record.bucket_id, record.files) == (None, "", None)
    assert (Record({}).bucket, Record({}).bucket_id) == (None, "")


def test_there_is_no_link_where_there_is_no_record(app: Flask, db: Any):
    without_record = PersistentIdentifier.create("recid", "7")
    with app.test_request_context():
        assert default_bucket_link_factory(None) is None
        assert default_bucket_link_factory(without_record) is None


def test_a_record_that_is_not_in_the_database_has_no_file(app: Flask):
    assert record_file_factory(None, Record({}), "a.txt") is None
    assert record_file_factory(None, PlainRecord({}), "a.txt") is None
    assert record_file_factory(None, None, "a.txt") is None


def test_files_are_given_all_at_once(record: Record):
    record.files = {"b.txt": BytesIO(b"b"), "a.txt": BytesIO(b"a")}
    record = reread(record)
    assert [entry["key"] for entry in record["_files"]] == ["b.txt", "a.txt"]
    assert record.files.keys == ["b.txt", "a.txt"]


def test_giving_no_files_stores_none(record: Record):
    record.files = {}
    assert "_files" not in record


def test_files_are_given_to_a_record_that_makes_its_bucket(location: Any):
    class Making(FilesMixin, PlainRecord):
        def _create_bucket(self) -> Bucket:
            return Bucket.create()

    record = Making.create({})
    record.files = {"a.txt": BytesIO(b"a")}
    assert record.files.keys == ["a.txt"]


def test_files_that_are_there_are_not_replaced_all_at_once(record_with_files: Record):
    before = record_with_files.files.dumps()
    with pytest.raises(RuntimeError, match="has files already"):
        record_with_files.files = {"c.txt": BytesIO(b"c")}
    assert record_with_files.files.dumps() == before
    for key in record_with_files.files.keys:
        del record_with_files.files[key]
    record_with_files.files = {"c.txt": BytesIO(b"c")}
    assert record_with_files.files.keys == ["c.txt"]


def test_files_are_not_given_where_nothing_takes_them(record: Record):
    with pytest.raises(MissingModelError):
        Record({}).files = {"a.txt": BytesIO(b"a")}
    with pytest.raises(InvalidOperationError, match="no bucket"):
        Record.create({}, with_bucket=False).files = {"a.txt": BytesIO(b"a")}
    record.bucket.locked = True
    with pytest.raises(BucketLockedError):
        record.files = {"a.txt": BytesIO(b"a")}
    assert ObjectVersion.query.count() == 0
