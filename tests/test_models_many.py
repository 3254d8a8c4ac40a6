"""Adding many objects at once in Python: all or none, in a fixed number of statements, with one wait for the disk."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from helpers.rest import nothing_stays, stored
from helpers.statements import statements
from helpers.stored import store

from invenio_files_rest.errors import (
    BucketDeletedError,
    BucketLockedError,
    FileSizeError,
    InvalidKeyError,
    StorageFullError,
)
from invenio_files_rest.helpers import populate_from_path
from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.storage.settling import Settling


def streams(count: int, size: int = 10) -> list[tuple[str, BytesIO]]:
    return [(f"{count}/{number}", BytesIO(f"{number:0{size}}".encode())) for number in range(count)]


def test_many_objects_are_added_in_order(db: Any, bucket: Bucket):
    versions = ObjectVersion.create_many(bucket, streams(5))
    db.session.commit()
    assert [version.key for version in versions] == [f"5/{number}" for number in range(5)]
    assert all(version.is_head and version.file.readable for version in versions)
    assert (bucket.size, len(stored(bucket.location))) == (50, 5)
    ObjectVersion.create_many(bucket.id, streams(5))
    assert ObjectVersion.get_versions(bucket, "5/0").count() == 2


def test_statements_do_not_grow_with_their_number(db: Any, bucket: Bucket):
    def cost(count: int) -> int:
        with statements() as sent:
            ObjectVersion.create_many(bucket, streams(count))
        db.session.commit()
        return len([one for one in sent if not one.startswith("INSERT")])

    assert cost(200) == cost(10)


@pytest.mark.parametrize(
    ("items", "kind"),
    [
        ([("a", b"a"), ("a", b"b")], InvalidKeyError),
        ([("a", b"a"), ("../b", b"b")], InvalidKeyError),
        ([("a", bytes(60)), ("b", bytes(60))], FileSizeError),
        ([("a", b"a"), ("b", bytes(200))], FileSizeError),
    ],
)
def test_none_is_added_if_one_is_refused(db: Any, bucket: Bucket, location: Any, items: Any, kind: type[Exception]):
    bucket.quota_size = 100
    db.session.commit()
    with nothing_stays(location):
        with pytest.raises(kind):
            ObjectVersion.create_many(bucket, [(key, BytesIO(content)) for key, content in items])
        db.session.commit()


def test_no_bytes_stay_if_the_disk_is_full_at_the_end(db: Any, bucket: Bucket, location: Any, monkeypatch: Any):
    def full(self: Any) -> None:
        raise OSError(28, "No space left on device")

    with nothing_stays(location):
        monkeypatch.setattr(Settling, "settle", full)
        with pytest.raises(StorageFullError):
            ObjectVersion.create_many(bucket, streams(3))
        db.session.rollback()


def test_a_bucket_that_cannot_be_changed_gets_none(db: Any, bucket: Bucket):
    bucket.locked = True
    with pytest.raises(BucketLockedError):
        ObjectVersion.create_many(bucket, streams(1))
    bucket.deleted = True
    with pytest.raises(BucketDeletedError):
        ObjectVersion.create_many(bucket, streams(1))


def test_a_folder_is_added_with_one_wait_for_the_disk(db: Any, bucket: Bucket, tmp_path: Path, monkeypatch: Any):
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(5):
        (folder / str(number)).write_text(f"content {number}")
    settled: list[int] = []
    plain = Settling.settle

    def settle(self: Settling) -> None:
        settled.append(ObjectVersion.query.count())
        plain(self)

    monkeypatch.setattr(Settling, "settle", settle)
    versions = list(populate_from_path(bucket, folder))
    db.session.commit()
    # Before any of them has a row, and again when there were no more files.
    assert settled[0] == 0
    assert len(settled) == 1
    assert [version.key for version in versions] == list("01234")


def test_one_file_is_stored_as_ever(bucket: Bucket, monkeypatch: Any):
    monkeypatch.setattr(Settling, "settle", None)
    assert store(bucket).file.readable
