"""A folder in other orders than that of keys, and what was deleted in it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from helpers.statements import statements
from invenio_db import db
from sqlalchemy import insert, update

from invenio_files_rest.models import Bucket, FileInstance, ObjectVersion
from invenio_files_rest.models.folder import ORDERS, Folder, versions_of

FILES = {
    "b.txt": 3,
    "a.TXT": 5,
    "c.csv": 9,
    "noext": 1,
    ".hidden": 2,
    "data/1.csv": 4,
    "data/deep/x.b": 40,
    "old/x": 7,
    "ž%_.tar.gz": 6,
    "data": 8,
}
MOMENT = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def filled(bucket: Bucket) -> Bucket:
    """Give a bucket with files, stored a day after each other."""
    for number, (key, size) in enumerate(FILES.items()):
        version = ObjectVersion.create(bucket, key, stream=BytesIO(bytes(size)))
        version.created = MOMENT + timedelta(days=number)
    db.session.commit()
    return bucket


def keys(entries: Iterable[Any] | None) -> list[str]:
    assert entries is not None
    return [entry.key for entry in entries]


def test_a_folder_is_ordered_by_each_order_with_its_folders_first(filled: Bucket) -> None:
    def ordered(order: str, descending: bool = False, prefix: str = "") -> list[str]:
        return keys(Folder(filled.id, prefix).ordered(order, descending, 0, 100))

    folders = ["data/", "old/"]
    assert ordered("name") == folders + sorted(key for key in FILES if "/" not in key)
    assert ordered("name", True) == folders[::-1] + sorted((key for key in FILES if "/" not in key), reverse=True)
    by_size = ["noext", ".hidden", "b.txt", "a.TXT", "ž%_.tar.gz", "data", "c.csv"]
    assert ordered("size") == ["old/", "data/", *by_size]
    assert ordered("size", True) == ["data/", "old/", *by_size[::-1]]
    by_time = [key for key in FILES if "/" not in key]
    assert ordered("time") == ["data/", "old/", *by_time]
    assert ordered("time", True) == ["old/", "data/", *by_time[::-1]]
    assert ordered("type") == [*folders, "data", "noext", "c.csv", "ž%_.tar.gz", ".hidden", "a.TXT", "b.txt"]
    assert ordered("name", prefix="data/") == ["data/deep/", "data/1.csv"]
    assert ordered("size", prefix="dat") == ["data/", "data"]
    assert ordered("size", prefix="none/") == []


def test_a_folder_tells_the_size_and_the_latest_time_of_what_is_in_it(filled: Bucket) -> None:
    entries = Folder(filled.id).ordered("name", False, 0, 2)
    assert entries is not None
    data, old = entries
    assert (data.is_folder, data.size, data.created) == (True, 44, MOMENT + timedelta(days=6))
    assert (old.size, old.created) == (7, MOMENT + timedelta(days=7))


def test_pages_follow_each_other_in_one_statement_each(filled: Bucket) -> None:
    folder, seen = Folder(filled.id), []
    for offset in range(0, 12, 3):
        with statements() as found:
            seen += keys(folder.ordered("size", True, offset, 3))
        assert len(found) == 1
    assert seen == keys(folder.ordered("size", True, 0, 100))
    assert len(seen) == len(set(seen)) == 9


def test_deleted_and_replaced_versions_are_in_no_order(filled: Bucket) -> None:
    ObjectVersion.create(filled, "b.txt", stream=BytesIO(bytes(100)))
    ObjectVersion.delete(filled, "c.csv")
    db.session.commit()
    entries = Folder(filled.id).ordered("size", True, 0, 100)
    assert entries is not None
    assert [(entry.key, entry.size) for entry in entries][2] == ("b.txt", 100)
    assert "c.csv" not in keys(entries)


def test_more_keys_than_the_limit_are_not_ordered(filled: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invenio_files_rest.models.folder.MOST_KEYS", len(FILES))
    assert Folder(filled.id).ordered("size", False, 0, 5) is not None
    monkeypatch.setattr("invenio_files_rest.models.folder.MOST_KEYS", len(FILES) - 1)
    assert Folder(filled.id).ordered("size", False, 0, 5) is None
    assert Folder(filled.id, "data/").ordered("size", False, 0, 5) is not None


def test_what_was_deleted_is_listed_with_its_last_version(filled: Bucket) -> None:
    for key in ("a.TXT", "data/1.csv", "old/x"):
        ObjectVersion.delete(filled, key)
    ObjectVersion.create(filled, "a.TXT", stream=BytesIO(b"again"))
    ObjectVersion.delete(filled, "a.TXT")
    for version in ObjectVersion.get_versions(filled, "old/x").all():
        if version.file_id is not None:
            version.remove()
    db.session.commit()
    folder = Folder(filled.id)
    with statements() as found:
        deleted = folder.deleted("", 100)
    assert len(found) == 2
    assert keys(deleted) == ["a.TXT", "data/1.csv", "old/x"]
    last = deleted[0].last
    assert last is not None
    assert last.file.size == 5
    assert last.created > MOMENT + timedelta(days=20)
    assert deleted[2].last is None
    assert keys(Folder(filled.id).deleted("a.TXT", 1)) == ["data/1.csv"]
    assert keys(Folder(filled.id, "data/").deleted("", 9)) == ["data/1.csv"]


def test_versions_of_a_file_are_the_newest(filled: Bucket) -> None:
    for size in (20, 30):
        ObjectVersion.create(filled, "b.txt", stream=BytesIO(bytes(size)))
    db.session.commit()
    assert [version.file.size for version in versions_of(filled.id, "b.txt", 2)] == [30, 20]


@pytest.mark.skipif("FOLDER_KEYS" not in os.environ, reason="FOLDER_KEYS says of how many keys to measure the orders")
def test_orders_of_many_keys_are_quick(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    number = int(os.environ["FOLDER_KEYS"])
    template = {"readable": True, "writable": False, "storage_class": "S", "checksum": "md5:x"}
    files = [{"id": uuid4(), "uri": f"/nowhere/{i}", "size": i * 7919 % 100_003, **template} for i in range(number)]
    for batch in range(0, number, 1000):
        db.session.execute(insert(FileInstance), files[batch : batch + 1000])
    rows = [
        {
            "key": f"{f'{i % 50}/' if i % 2 else ''}{i:07}.{'csv' if i % 3 else 'txt'}",
            "bucket_id": bucket.id,
            "file_id": files[i]["id"],
            "is_head": True,
        }
        for i in range(number)
    ]
    for batch in range(0, number, 1000):
        db.session.execute(insert(ObjectVersion), rows[batch : batch + 1000])
    db.session.commit()
    if db.engine.dialect.name == "postgresql":
        db.session.execute(db.text("ANALYZE"))
    taken = {}
    for order in ORDERS:
        begun = time.monotonic()
        assert Folder(bucket.id).ordered(order, True, 0, 101)
        taken[order] = time.monotonic() - begun
    db.session.execute(update(ObjectVersion).where(ObjectVersion.key < "0000100").values(file_id=None))
    begun = time.monotonic()
    assert Folder(bucket.id).deleted("", 101)
    taken["deleted"] = time.monotonic() - begun
    with capsys.disabled():
        shown = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in taken.items())
        sys.stdout.write(f"\n{db.engine.dialect.name}, {number} keys: {shown}\n")
