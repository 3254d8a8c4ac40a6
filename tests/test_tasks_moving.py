"""Migration: a file moves while it is in use, or stays where it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from helpers.faults import refusing
from helpers.rest import put, stored, url
from helpers.stored import CONTENT, ago, damage, orphan, store
from sqlalchemy.exc import OperationalError

from invenio_files_rest.errors import StorageError
from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.tasks import migrate_file, remove_file_data, verify_checksum


@pytest.fixture
def other(db: Any, tmp_path: Path) -> Location:
    """Make a second location."""
    (tmp_path / "other").mkdir()
    location = Location(name="other", uri=str(tmp_path / "other"))
    db.session.add(location)
    db.session.commit()
    return location


@pytest.fixture
def while_copied(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Return a function that has something done when a file has been copied and is not in use yet."""

    def while_copied(work: Callable[[], Any]) -> None:
        original = PyFSFileStorage.copy

        def copy(self: Any, *args: Any, **kwargs: Any) -> Any:
            done = original(self, *args, **kwargs)
            work()
            return done

        monkeypatch.setattr(PyFSFileStorage, "copy", copy)

    return while_copied


def test_all_versions_refer_to_the_copy(bucket: Bucket, other: Location, db: Any):
    version = store(bucket)
    again = version.copy(key="again")
    db.session.commit()
    source = version.file
    copy = FileInstance.get(migrate_file(str(source.id), "other"))
    db.session.expire_all()
    assert version.file == again.file == copy != source
    assert copy.uri.startswith(other.uri + "/")
    assert (copy.size, copy.checksum, copy.storage_class) == (source.size, source.checksum, source.storage_class)
    assert (copy.readable, copy.writable) == (True, False)
    assert stored(other) == [CONTENT]


def test_the_source_stays_for_the_sweep_and_counts_as_changed(bucket: Bucket, other: Location, db: Any):
    source = store(bucket).file
    source.updated = ago(days=100)
    db.session.commit()
    migrate_file(str(source.id), "other")
    db.session.expire_all()
    assert Path(source.uri).read_bytes() == CONTENT
    assert source.updated > ago(minutes=1)
    assert FileInstance.query_orphaned().all() == [source]


def test_migrating_twice_does_nothing_more(bucket: Bucket, other: Location):
    source_id = store(bucket).file.id
    assert migrate_file(str(source_id), "other") is not None
    assert migrate_file(str(source_id), "other") is None
    assert len(stored(other)) == 1


def test_a_file_that_is_gone_or_unused_is_left(bucket: Bucket, other: Location):
    assert migrate_file(str(uuid4()), "other") is None
    assert migrate_file(str(orphan(bucket).id), "other") is None
    assert stored(other) == []


def test_an_unknown_location_is_an_error(bucket: Bucket):
    with pytest.raises(ValueError, match="Unknown location: nowhere"):
        migrate_file(str(store(bucket).file.id), "nowhere")


def test_the_copy_is_verified_where_asked(bucket: Bucket, other: Location, monkeypatch: pytest.MonkeyPatch):
    sent: list[str] = []
    monkeypatch.setattr(verify_checksum, "delay", sent.append)
    copy_id = migrate_file(str(store(bucket).file.id), "other", post_fixity_check=True)
    assert sent == [copy_id]


@pytest.mark.parametrize("checksum", [None, "elsewhere:abc"])
def test_a_checksum_that_cannot_be_compared_goes_along(bucket: Bucket, other: Location, db: Any, checksum: str | None):
    version = store(bucket)
    version.file.checksum = checksum
    db.session.commit()
    migrate_file(str(version.file.id), "other")
    db.session.expire_all()
    assert version.file.checksum == checksum
    assert stored(other) == [CONTENT]


def unused_after(version: ObjectVersion, source: FileInstance, other: Location, db: Any) -> None:
    db.session.expire_all()
    assert version.file == source
    assert FileInstance.query.count() == 1
    assert list(Path(other.uri).iterdir()) == []


@pytest.mark.parametrize("content", [b"changed", b"longer than it was", None])
def test_a_source_whose_bytes_are_not_its_own_stays_in_use(
    bucket: Bucket, other: Location, db: Any, content: bytes | None
):
    version = store(bucket)
    damage(version.file, content)
    with pytest.raises((StorageError, FileNotFoundError)):
        migrate_file(str(version.file.id), "other")
    unused_after(version, version.file, other, db)


def test_a_copy_without_a_checksum_is_read_again(
    bucket: Bucket, other: Location, db: Any, monkeypatch: pytest.MonkeyPatch
):
    original = PyFSFileStorage.copy

    def copy(self: Any, *args: Any, **kwargs: Any) -> Any:
        uri, _, _ = original(self, *args, **kwargs)
        Path(uri).write_bytes(b"brokens")
        return uri, None, None

    monkeypatch.setattr(PyFSFileStorage, "copy", copy)
    version = store(bucket)
    with pytest.raises(StorageError):
        migrate_file(str(version.file.id), "other")
    unused_after(version, version.file, other, db)


def test_a_database_that_fails_leaves_the_source_in_use(bucket: Bucket, other: Location, db: Any):
    version = store(bucket)
    with refusing("UPDATE files_object"), pytest.raises(OperationalError):
        migrate_file(str(version.file.id), "other")
    unused_after(version, version.file, other, db)


def test_versions_that_are_removed_meanwhile_leave_no_copy(bucket: Bucket, other: Location, db: Any, while_copied: Any):
    version = store(bucket)
    source_id, source_uri = version.file.id, version.file.uri

    def remove() -> None:
        version.remove()
        db.session.commit()
        remove_file_data(source_id, force=True)

    while_copied(remove)
    assert migrate_file(str(source_id), "other") is None
    assert FileInstance.query.count() == 0
    assert list(Path(other.uri).iterdir()) == []
    assert not Path(source_uri).exists()


def test_versions_that_are_removed_before_their_file_is_read_leave_nothing(
    bucket: Bucket, other: Location, db: Any, monkeypatch: pytest.MonkeyPatch
):
    version = store(bucket)
    source_id = version.file.id
    original = PyFSFileStorage.copy

    def copy(self: Any, *args: Any, **kwargs: Any) -> Any:
        version.remove()
        db.session.commit()
        assert remove_file_data(source_id, force=True)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(PyFSFileStorage, "copy", copy)
    assert migrate_file(str(source_id), "other") is None
    assert FileInstance.query.count() == 0
    assert list(Path(other.uri).iterdir()) == []


def test_versions_that_come_meanwhile_refer_to_the_copy(bucket: Bucket, other: Location, db: Any, while_copied: Any):
    version = store(bucket)

    def snapshot() -> None:
        bucket.snapshot()
        db.session.commit()

    while_copied(snapshot)
    copy_id = migrate_file(str(version.file.id), "other")
    db.session.expire_all()
    assert [str(found.file_id) for found in ObjectVersion.query] == 2 * [copy_id]


def test_no_connection_is_taken_while_bytes_are_copied(bucket: Bucket, other: Location, db: Any, while_copied: Any):
    taken = []
    while_copied(lambda: taken.append(db.session().in_transaction()))
    migrate_file(str(store(bucket).file.id), "other")
    assert taken == [False]


def test_readers_get_the_file_before_while_and_after(
    client: Any, allow_all: None, bucket: Bucket, other: Location, while_copied: Any
):
    put(client, bucket, "key", CONTENT)
    read = []

    def get() -> None:
        response = client.get(url(bucket, "key"))
        read.append((response.status_code, response.data))

    while_copied(get)
    get()
    # The response of a reader who has begun goes on, whatever happens to the file.
    begun = client.get(url(bucket, "key"))
    source_id = FileInstance.query.one().id
    migrate_file(source_id, "other")
    remove_file_data(source_id, force=True)
    get()
    assert read == 3 * [(200, CONTENT)]
    assert begun.data == CONTENT
