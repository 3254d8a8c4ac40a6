"""Whole buckets: snapshot, sync and copy_from, in as many statements for a thousand objects as for ten."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers.statements import statements
from helpers.uploading import elsewhere

from invenio_files_rest.errors import InvalidOperationError
from invenio_files_rest.models import Bucket, FileInstance, ObjectVersion, ObjectVersionTag


def put(bucket: Bucket, key: str = "key", data: bytes = b"hello", **kwargs: Any) -> ObjectVersion:
    return ObjectVersion.create(bucket, key, stream=BytesIO(data), **kwargs)


def heads(bucket: Bucket) -> dict[str, Any]:
    """Return the file of each head, by key."""
    return {version.key: version.file_id for version in ObjectVersion.get_by_bucket(bucket, with_deleted=True)}


def counted_size(bucket: Bucket) -> int:
    return sum(version.file.size for version in ObjectVersion.get_by_bucket(bucket, versions=True))


@pytest.fixture
def source(db: Any, bucket: Bucket) -> Bucket:
    """Make a bucket with versions, tags, a type and a delete marker."""
    put(bucket, "a", b"old")
    head = put(bucket, "a", b"12345", mimetype="text/x-special")
    ObjectVersionTag.create(head, "tag", "value")
    ObjectVersionTag.create(head, "other", "value")
    put(bucket, "b", b"1")
    put(bucket, "gone", b"gone")
    ObjectVersion.delete(bucket, "gone")
    db.session.commit()
    return bucket


def test_a_snapshot_has_the_heads_with_their_types_and_tags(db: Any, source: Bucket) -> None:
    source.quota_size, source.max_file_size = 100, 50
    files = FileInstance.query.count()
    snapshot = source.snapshot()
    db.session.commit()
    assert heads(snapshot) == {key: file for key, file in heads(source).items() if file}
    copy = ObjectVersion.get(snapshot, "a")
    assert (copy.mimetype, copy.get_tags()) == ("text/x-special", {"tag": "value", "other": "value"})
    assert (snapshot.size, source.size, FileInstance.query.count()) == (6, 13, files)
    assert (snapshot.location, snapshot.quota_size, snapshot.max_file_size) == (source.location, 100, 50)
    assert (snapshot.locked, snapshot.deleted) == (False, False)


def test_a_snapshot_stays_as_it_is(db: Any, source: Bucket) -> None:
    snapshot = source.snapshot()
    db.session.commit()
    before = heads(snapshot)
    put(source, "a", b"changed")
    ObjectVersion.delete(source, "b")
    db.session.commit()
    assert heads(snapshot) == before


@pytest.mark.parametrize(("locked", "lock", "expected"), [(False, True, True), (True, False, True), (True, True, True)])
def test_a_snapshot_is_locked_where_asked_or_where_the_bucket_is(
    db: Any, source: Bucket, locked: bool, lock: bool, expected: bool
) -> None:
    source.locked = locked
    snapshot = source.snapshot(lock=lock)
    db.session.commit()
    assert (snapshot.locked, len(heads(snapshot))) == (expected, 2)


def test_a_snapshot_of_an_empty_bucket_is_empty(db: Any, bucket: Bucket) -> None:
    snapshot = bucket.snapshot()
    db.session.commit()
    assert (heads(snapshot), snapshot.size) == ({}, 0)


def test_sync_adds_what_is_new_or_another_file(db: Any, source: Bucket) -> None:
    destination = Bucket.create()
    replaced = put(destination, "a", b"replaced")
    same = ObjectVersion.get(source, "b").copy(bucket=destination)
    db.session.commit()
    bucket, changes = source.sync(destination)
    db.session.commit()
    assert bucket is destination
    assert [(what, version.key) for what, version in changes] == [("add", "a")]
    added = changes[0][1]
    assert (added.bucket_id, added.is_head, added.mimetype) == (destination.id, True, "text/x-special")
    assert added.get_tags() == {"tag": "value", "other": "value"}
    assert ObjectVersion.get_versions(destination, "a").all() == [added, replaced]
    assert replaced.is_head is False
    assert ObjectVersion.get(destination, "b") == same
    assert destination.size == 8 + 1 + 5


def test_sync_deletes_what_is_deleted_and_extras_where_asked(db: Any, source: Bucket) -> None:
    destination = Bucket.create()
    put(destination, "gone", b"still there")
    put(destination, "extra", b"extra")
    db.session.commit()
    assert {change[:2] for change in source.sync(destination).changes if change[0] == "delete"} == {("delete", "gone")}
    db.session.commit()
    assert ObjectVersion.get(destination, "gone") is None
    assert ObjectVersion.get(destination, "extra") is not None
    assert source.sync(destination, delete_extras=True).changes == [("delete", "extra")]
    db.session.commit()
    assert {key for key, file in heads(destination).items() if file} == {"a", "b"}
    assert destination.size == counted_size(destination) == 11 + 5 + 5 + 1


def test_sync_twice_changes_nothing(db: Any, source: Bucket) -> None:
    destination = Bucket.create()
    source.sync(destination, delete_extras=True)
    db.session.commit()
    before = ObjectVersion.query.count()
    assert source.sync(destination, delete_extras=True).changes == []
    assert source.sync(source, delete_extras=True).changes == []
    assert (ObjectVersion.query.count(), source.size, destination.size) == (before, 13, 6)


def test_sync_brings_back_what_was_deleted_there(db: Any, source: Bucket) -> None:
    destination = Bucket.create()
    source.sync(destination)
    ObjectVersion.delete(destination, "a")
    db.session.commit()
    assert [(what, version.key) for what, version in source.sync(destination).changes] == [("add", "a")]
    db.session.commit()
    assert ObjectVersion.get(destination, "a").file == ObjectVersion.get(source, "a").file


def test_sync_to_a_deleted_bucket_is_refused(db: Any, source: Bucket) -> None:
    destination = Bucket.create()
    destination.deleted = True
    db.session.commit()
    with pytest.raises(InvalidOperationError):
        source.sync(destination)


def test_copy_from_adds_the_heads_over_those_that_are_there(db: Any, source: Bucket) -> None:
    destination = Bucket.create()
    replaced = put(destination, "a", b"replaced")
    put(destination, "gone", b"stays")
    db.session.commit()
    rows = ObjectVersion.copy_from(source.id, destination.id)
    db.session.commit()
    assert {row["key"]: row["file_id"] for row in rows} == {k: f for k, f in heads(source).items() if f}
    row = next(row for row in rows if row["key"] == "a")
    version = ObjectVersion.get(destination, "a")
    assert set(row) == {column.name for column in ObjectVersion.__table__.columns}
    assert (row["version_id"], row["bucket_id"], row["is_head"]) == (version.version_id, destination.id, True)
    assert (version.mimetype, version.get_tags()) == ("text/x-special", {"tag": "value", "other": "value"})
    assert replaced.is_head is False
    assert ObjectVersion.get(destination, "gone") is not None
    assert destination.size == counted_size(destination) == 8 + 5 + 5 + 1


def test_copy_from_a_bucket_to_itself_changes_nothing(db: Any, source: Bucket) -> None:
    before = heads(source)
    assert ObjectVersion.copy_from(source.id, source.id) == []
    db.session.commit()
    assert (heads(source), source.size) == (before, 13)


def many(db: Any, number: int) -> uuid.UUID:
    """Make a bucket of many tagged objects, whose files need not be there, and return its identifier."""
    bucket = Bucket.create()
    bucket.size = number
    db.session.flush()
    ids = [uuid.uuid4() for _ in range(number)]
    rows: list[tuple[Any, Callable[[int, uuid.UUID], dict[str, Any]]]] = [
        (FileInstance, lambda n, i: {"id": i, "uri": f"/{i}", "size": 1, "readable": True, "writable": False}),
        (ObjectVersion, lambda n, i: {"version_id": i, "bucket_id": bucket.id, "key": f"key {n:04}", "file_id": i}),
        (ObjectVersionTag, lambda n, i: {"version_id": i, "key": "tag", "value": str(n)}),
    ]
    for model, row in rows:
        db.session.execute(model.__table__.insert(), [row(n, i) for n, i in enumerate(ids)])
    db.session.commit()
    return bucket.id


OPERATIONS: dict[str, Callable[[Bucket, Bucket], Any]] = {
    "snapshot": lambda bucket, other: bucket.snapshot(),
    "sync of new objects": lambda bucket, other: bucket.sync(Bucket.create()),
    "sync of changed objects": lambda bucket, other: bucket.sync(other),
    "sync that deletes": lambda bucket, other: Bucket.create().sync(other, delete_extras=True),
    "copy_from": lambda bucket, other: ObjectVersion.copy_from(bucket.id, other.id),
    "remove": lambda bucket, other: bucket.remove(),
    "listing": lambda bucket, other: [version.file.size for version in ObjectVersion.get_by_bucket(bucket)],
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_thousand_objects_take_as_many_statements_as_ten(db: Any, bucket: Bucket, operation: str) -> None:
    counts = []
    for number in (10, 1000):
        one, other = (Bucket.get(many(db, number)) for _ in range(2))
        with statements() as seen:
            OPERATIONS[operation](one, other)
            db.session.flush()
        counts.append(len(seen))
        db.session.commit()
    assert counts[0] == counts[1]


def test_files_are_neither_copied_nor_deleted(db: Any, source: Bucket) -> None:
    folder = Path(source.location.uri)
    before = sorted(folder.rglob("*"))
    destination = source.snapshot()
    ObjectVersion.delete(source, "a")
    source.sync(destination, delete_extras=True)
    ObjectVersion.copy_from(destination.id, source.id)
    destination.remove()
    db.session.commit()
    assert sorted(folder.rglob("*")) == before


def test_a_file_that_came_after_the_transaction_began_is_there_with_its_version(
    app: Flask, db: Any, bucket: Bucket
) -> None:
    source, destination = bucket.id, Bucket.create().id
    db.session.commit()
    # On MariaDB the transaction sees from here on what is there now.
    assert [db.session.get(Bucket, one).size for one in (source, destination)] == [0, 0]

    def store() -> None:
        ObjectVersion.create(source, "key", stream=BytesIO(b"content"))
        db.session.commit()

    if db.engine.dialect.name != "sqlite":
        elsewhere(app, store)
    else:
        store()
    [(_, version)] = db.session.get(Bucket, source).sync(db.session.get(Bucket, destination)).changes
    assert version.file.size == 7
