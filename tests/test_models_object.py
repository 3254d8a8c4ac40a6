"""Versions of objects: one head for each key, whatever is added, deleted, restored, copied and removed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from helpers.statements import statements
from sqlalchemy.exc import IntegrityError

from invenio_files_rest.errors import (
    FileInstanceAlreadySetError,
    FileSizeError,
    InvalidKeyError,
    InvalidOperationError,
    StorageError,
    UnexpectedFileSizeError,
)
from invenio_files_rest.models import (
    Bucket,
    FileInstance,
    ObjectVersion,
    ObjectVersionTag,
    as_object_version,
    as_object_version_id,
)


def put(bucket: Any, key: str = "key", data: bytes = b"hello", **kwargs: Any) -> ObjectVersion:
    return ObjectVersion.create(bucket, key, stream=BytesIO(data), **kwargs)


def read(version: ObjectVersion) -> bytes:
    with version.file.storage().open() as stream:
        return stream.read()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def state(bucket: Bucket, key: str = "key") -> list[tuple[bytes | None, bool]]:
    """Return the bytes of a key's versions from the newest to the oldest, and which of them is the head."""
    versions = ObjectVersion.get_versions(bucket, key)
    return [(None if version.deleted else read(version), version.is_head) for version in versions]


def test_to_find_an_object_takes_one_statement_with_bucket_and_file(db: Any, bucket: Bucket) -> None:
    put(bucket)
    db.session.commit()
    bucket_id = bucket.id
    db.session.expunge_all()
    with statements() as sent:
        found, version = ObjectVersion.find(bucket_id, "key")
        assert (version.bucket, version.file.size) == (found, 5)
    assert len(sent) == 1


def test_to_find_an_object_keeps_the_file_that_it_is_about_to_have(db: Any, bucket: Bucket) -> None:
    version, other = put(bucket), put(bucket, "other", b"other bytes")
    db.session.commit()
    with db.session.no_autoflush:
        version.file = other.file
        _, found = ObjectVersion.find(bucket.id, "key")
        assert found is version
        assert found.file is other.file
    db.session.commit()
    assert read(version) == b"other bytes"


def test_a_version_has_what_it_was_given(db: Any, bucket: Bucket) -> None:
    identifier = uuid.uuid4()
    version = put(bucket, "folder/name.txt", mimetype="text/x-special", version_id=identifier)
    db.session.commit()
    assert (version.version_id, version.bucket, version.bucket_id) == (identifier, bucket, bucket.id)
    assert (version.key, version.basename, version.mimetype) == ("folder/name.txt", "name.txt", "text/x-special")
    assert (version.is_head, version.deleted, version.file.size, read(version)) == (True, False, 5, b"hello")
    assert repr(version) == f"{bucket.id}:{identifier}:folder/name.txt"
    assert version.created <= version.updated


def test_a_mimetype_is_guessed_from_the_key_where_none_is_given(db: Any, bucket: Bucket) -> None:
    assert put(bucket, "a.pdf").mimetype == "application/pdf"
    assert put(bucket, "without").mimetype == "application/octet-stream"
    version = put(bucket, "b.pdf")
    version.mimetype = "text/plain"
    db.session.commit()
    assert version.mimetype == "text/plain"
    assert ObjectVersion.query.filter_by(mimetype="text/plain").all() == [version]


def test_a_new_version_becomes_the_head(db: Any, bucket: Bucket) -> None:
    first, second = put(bucket, data=b"1"), put(bucket.id, data=b"2")
    put(str(bucket.id), "other", b"3")
    db.session.commit()
    assert state(bucket) == [(b"2", True), (b"1", False)]
    assert ObjectVersion.get(bucket, "key") == ObjectVersion.get(bucket.id, "key") == second
    assert ObjectVersion.get(bucket, "key", version_id=first.version_id) == first
    assert ObjectVersion.get(bucket, "other", version_id=first.version_id) is None
    assert ObjectVersion.get(bucket, "none") is None
    assert ObjectVersion.get(bucket, "key", version_id=uuid.uuid4()) is None
    assert ObjectVersion.get_versions(bucket, "key", desc=False).all() == [first, second]
    assert as_object_version(first) == as_object_version(first.version_id) == first
    assert as_object_version_id(first) == as_object_version_id(first.version_id) == first.version_id


def test_a_version_without_contents_is_a_delete_marker_until_it_has_some(db: Any, bucket: Bucket) -> None:
    put(bucket, data=b"old")
    version = ObjectVersion.create(bucket, "key")
    assert version.deleted is True
    assert ObjectVersion.get(bucket, "key") is None
    assert version.set_contents(BytesIO(b"hello"), size=5, chunk_size=2) is version
    db.session.commit()
    assert (version.deleted, ObjectVersion.get(bucket, "key"), bucket.size) == (False, version, 8)
    with pytest.raises(FileInstanceAlreadySetError):
        version.set_contents(BytesIO(b"other"))
    with pytest.raises(FileInstanceAlreadySetError):
        version.set_location("/x", 1, "md5:a")
    with pytest.raises(FileInstanceAlreadySetError):
        version.set_file(FileInstance.create())
    assert (read(version), bucket.size) == (b"hello", 8)


def test_a_version_can_refer_to_a_file_that_exists(db: Any, bucket: Bucket) -> None:
    file = put(bucket).file
    for version in (
        ObjectVersion.create(bucket, "a", _file_id=file),
        ObjectVersion.create(bucket, "b", _file_id=file.id),
        ObjectVersion.create(bucket, "c").set_file(file),
    ):
        assert version.file == file
    db.session.commit()
    assert bucket.size == 20
    with pytest.raises(InvalidOperationError):
        ObjectVersion.create(bucket, "d", _file_id=uuid.uuid4())


class Failing:
    """A stream that breaks after some bytes."""

    def __init__(self) -> None:
        self.chunks = [b"some", b"bytes"]

    def read(self, size: int = -1) -> bytes:
        if self.chunks:
            return self.chunks.pop()
        raise OSError("The network is gone.")


def too_large(bucket: Bucket) -> ObjectVersion:
    bucket.quota_size = bucket.size + 4
    return put(bucket)


FAILURES: dict[str, Callable[[Bucket], Any]] = {
    "a stream that breaks": lambda bucket: ObjectVersion.create(bucket, "key", stream=Failing()),
    "a stream that is too short": lambda bucket: put(bucket, size=6),
    "a stream that is too long": lambda bucket: put(bucket, size=4),
    "a stream over the limit given": lambda bucket: put(bucket, size_limit=4),
    "a stream over the quota": too_large,
    "a key that is too long": lambda bucket: put(bucket, "k" * 256),
    "a key with a null character": lambda bucket: put(bucket, "a\0b"),
    "contents that break": lambda bucket: ObjectVersion.get_versions(bucket, "empty").one().set_contents(Failing()),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_upload_leaves_no_row_no_bytes_and_no_size(db: Any, bucket: Bucket, failure: str) -> None:
    put(bucket, data=b"before")
    ObjectVersion.create(bucket, "empty")
    db.session.commit()
    folder = Path(bucket.location.uri)
    rows, files = ObjectVersion.query.count(), FileInstance.query.count()
    with pytest.raises((OSError, StorageError, FileSizeError, UnexpectedFileSizeError, InvalidKeyError)):
        FAILURES[failure](bucket)
    # The transaction of the caller goes on.
    db.session.commit()
    assert (ObjectVersion.query.count(), FileInstance.query.count(), bucket.size) == (rows, files, 6)
    assert state(bucket) == [(b"before", True)]
    assert len(files_in(folder)) == 1


def test_a_rolled_back_upload_leaves_no_row_and_no_size(db: Any, bucket: Bucket) -> None:
    put(bucket, data=b"before")
    db.session.commit()
    put(bucket, data=b"after")
    db.session.rollback()
    assert (state(bucket), bucket.size) == ([(b"before", True)], 6)


def test_a_savepoint_that_is_rolled_back_takes_its_version_back(db: Any, bucket: Bucket) -> None:
    first = put(bucket, data=b"before")
    db.session.commit()
    assert (first.is_head, bucket.size) == (True, 6)
    savepoint = db.session.begin_nested()
    put(bucket, data=b"after")
    assert (first.is_head, bucket.size) == (False, 11)
    savepoint.rollback()
    assert (first.is_head, ObjectVersion.get(bucket, "key").is_head, bucket.size) == (True, True, 6)


def test_a_savepoint_that_is_rolled_back_takes_copies_back(db: Any, bucket: Bucket) -> None:
    other = Bucket.create()
    first = put(other, data=b"before")
    put(bucket, data=b"copied")
    db.session.commit()
    savepoint = db.session.begin_nested()
    ObjectVersion.copy_from(bucket.id, other.id)
    assert (first.is_head, other.size) == (False, 12)
    savepoint.rollback()
    assert (first.is_head, other.size) == (True, 6)


@pytest.mark.filterwarnings("ignore:New instance:sqlalchemy.exc.SAWarning")
def test_a_second_version_of_an_identifier_is_refused_and_its_bytes_deleted(db: Any, bucket: Bucket) -> None:
    version = put(bucket)
    db.session.commit()
    folder = Path(bucket.location.uri)
    with pytest.raises(IntegrityError):
        ObjectVersion.create(bucket, "other", stream=BytesIO(b"x"), version_id=version.version_id)
    db.session.rollback()
    assert (ObjectVersion.query.count(), bucket.size, len(files_in(folder))) == (1, 5, 1)


def test_deleting_adds_a_marker_and_changes_no_size(db: Any, bucket: Bucket) -> None:
    version = put(bucket)
    marker = ObjectVersion.delete(bucket, "key")
    db.session.commit()
    assert (marker.deleted, marker.is_head, marker.file) == (True, True, None)
    assert state(bucket) == [(None, True), (b"hello", False)]
    assert ObjectVersion.get(bucket, "key") is None
    assert ObjectVersion.get(bucket, "key", version_id=version.version_id) == version
    assert ObjectVersion.get(bucket, "key", version_id=marker.version_id) == marker
    assert bucket.size == 5
    assert ObjectVersion.delete(bucket, "key") is None
    assert ObjectVersion.delete(bucket.id, "none") is None
    assert ObjectVersion.query.count() == 2


def test_an_object_comes_back_with_a_new_version(db: Any, bucket: Bucket) -> None:
    put(bucket, data=b"1")
    ObjectVersion.delete(bucket, "key")
    put(bucket, data=b"2")
    db.session.commit()
    assert state(bucket) == [(b"2", True), (None, False), (b"1", False)]


def test_a_listing_has_heads_or_versions_with_or_without_markers(db: Any, bucket: Bucket) -> None:
    for key, data in (("b", b"1"), ("a", b"2"), ("b", b"3"), ("c", b"4")):
        put(bucket, key, data)
    ObjectVersion.delete(bucket, "c")
    put(Bucket.create(), "elsewhere")
    db.session.commit()

    def listed(**kwargs: bool) -> list[tuple[str, bool, bool]]:
        versions = ObjectVersion.get_by_bucket(bucket.id, **kwargs)
        return [(version.key, version.is_head, version.deleted) for version in versions]

    assert listed() == [("a", True, False), ("b", True, False)]
    assert listed(with_deleted=True) == [("a", True, False), ("b", True, False), ("c", True, True)]
    assert listed(versions=True) == [("a", True, False), ("b", True, False), ("b", False, False), ("c", False, False)]
    assert listed(versions=True, with_deleted=True)[-2:] == [("c", True, True), ("c", False, False)]


def test_restoring_makes_a_version_the_latest_again(db: Any, bucket: Bucket) -> None:
    first = put(bucket, data=b"1", mimetype="text/x-special")
    ObjectVersionTag.create(first, "tag", "value")
    marker = ObjectVersion.delete(bucket, "key")
    restored = first.restore()
    db.session.commit()
    assert state(bucket) == [(b"1", True), (None, False), (b"1", False)]
    assert (restored.file, restored.mimetype, restored.get_tags()) == (first.file, "text/x-special", {"tag": "value"})
    assert bucket.size == 2
    with pytest.raises(InvalidOperationError):
        restored.restore()
    with pytest.raises(InvalidOperationError):
        marker.restore()
    assert ObjectVersion.query.count() == 3


def test_a_copy_shares_the_file_and_takes_the_tags_along(db: Any, bucket: Bucket) -> None:
    other = Bucket.create()
    version = put(bucket, mimetype="text/x-special")
    ObjectVersionTag.create(version, "tag", "value")
    put(other, data=b"replaced")
    copies = [version.copy(bucket=other), version.copy(bucket=other.id, key="new"), version.copy(key="here")]
    db.session.commit()
    for copy in copies:
        assert (copy.file, copy.mimetype, copy.is_head) == (version.file, "text/x-special", True)
        assert copy.get_tags() == {"tag": "value"}
    assert state(other) == [(b"hello", True), (b"replaced", False)]
    assert (bucket.size, other.size) == (10, 18)
    ObjectVersionTag.create_or_update(copies[0], "tag", "changed")
    assert version.get_tags() == {"tag": "value"}
    with pytest.raises(InvalidOperationError):
        ObjectVersion.delete(bucket, "key").copy(key="other")
    with pytest.raises(InvalidKeyError):
        version.copy(key="k" * 256)


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        ([2], [(b"22", True), (b"1", False)]),
        ([1], [(b"333", True), (b"1", False)]),
        ([0], [(b"333", True), (b"22", False)]),
        ([2, 1], [(b"1", True)]),
        ([0, 1, 2], []),
    ],
)
def test_removing_leaves_the_latest_of_the_others_as_the_head(
    db: Any, bucket: Bucket, removed: list[int], left: list[tuple[bytes, bool]]
) -> None:
    versions = [put(bucket, data=data) for data in (b"1", b"22", b"333")]
    db.session.commit()
    for number in removed:
        assert versions[number].remove() is versions[number]
    db.session.commit()
    assert (state(bucket), bucket.size) == (left, sum(len(data) for data, _ in left))


def test_removing_a_delete_marker_brings_the_object_back(db: Any, bucket: Bucket) -> None:
    version = put(bucket)
    marker = ObjectVersion.delete(bucket, "key")
    db.session.commit()
    marker.remove()
    db.session.commit()
    assert (ObjectVersion.get(bucket, "key"), bucket.size) == (version, 5)


def test_removing_the_head_before_a_delete_marker_leaves_the_object_deleted(db: Any, bucket: Bucket) -> None:
    put(bucket)
    ObjectVersion.delete(bucket, "key")
    head = put(bucket, data=b"again")
    head.remove()
    db.session.commit()
    assert state(bucket) == [(None, True), (b"hello", False)]


def test_removing_takes_tags_along_and_leaves_the_file(db: Any, bucket: Bucket) -> None:
    version = put(bucket)
    ObjectVersionTag.create(version, "tag", "value")
    db.session.commit()
    path = Path(version.file.uri)
    version.remove()
    db.session.commit()
    assert (ObjectVersionTag.query.count(), FileInstance.query.count(), path.exists()) == (0, 1, True)


def test_removing_twice_subtracts_once(db: Any, bucket: Bucket) -> None:
    put(bucket, data=b"kept")
    version = put(bucket)
    db.session.commit()
    version.remove()
    version.remove()
    db.session.commit()
    assert (state(bucket), bucket.size) == ([(b"kept", True)], 4)


def test_a_version_in_a_bucket_marked_as_deleted_can_be_removed(db: Any, bucket: Bucket) -> None:
    version = put(bucket)
    Bucket.delete(bucket.id)
    version.remove()
    db.session.commit()
    assert (ObjectVersion.query.count(), bucket.size) == (0, 0)


def test_a_link_refers_to_a_file_elsewhere(db: Any, bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere"
    path.write_bytes(b"hello")
    version = ObjectVersion.create(bucket, "key").set_location(str(path), 5, "md5:abc", storage_class="A")
    db.session.commit()
    assert (read(version), bucket.size) == (b"hello", 5)
    file = version.file
    assert (file.uri, file.size, file.checksum, file.storage_class) == (str(path), 5, "md5:abc", "A")
    assert (file.readable, file.writable) == (True, False)


def test_a_second_link_to_a_file_shares_it(db: Any, bucket: Bucket) -> None:
    first = ObjectVersion.create(bucket, "a").set_location("/some/file", 5, "md5:abc")
    second = ObjectVersion.create(bucket, "b").set_location("/some/file", 5, "md5:abc")
    other = ObjectVersion.create(bucket, "c").set_location("/some/FILE", 5, "md5:abc")
    db.session.commit()
    assert first.file == second.file
    assert first.file != other.file
    assert bucket.size == 15
    with pytest.raises(InvalidOperationError):
        ObjectVersion.create(bucket, "d").set_location("/some/file", 6, "md5:abc")
    with pytest.raises(InvalidOperationError):
        ObjectVersion.create(bucket, "e").set_location("/some/file", 5, "md5:abd")


def test_all_versions_of_a_file_are_linked_to_another(db: Any, bucket: Bucket) -> None:
    version = put(bucket)
    copy, other = version.copy(key="copy"), put(bucket, "other")
    old, new = version.file, FileInstance.create()
    new.copy_contents(old, default_location=bucket.location.uri)
    ObjectVersion.relink_all(old, new)
    db.session.commit()
    assert version.file == copy.file == new
    assert other.file not in (old, new)
    assert bucket.size == 15
    old.delete()
    db.session.commit()
    assert read(version) == b"hello"
    with pytest.raises(InvalidOperationError):
        ObjectVersion.relink_all(new, put(bucket, "third", b"other").file)


def test_a_version_is_sent(app: Any, db: Any, bucket: Bucket) -> None:
    version = put(bucket, "folder/name.txt")
    with app.test_request_context():
        response = version.send_file(restricted=False)
        response.direct_passthrough = False
        assert (response.get_data(), response.mimetype) == (b"hello", "text/plain")
        attachment = version.send_file(as_attachment=True)
        assert "name.txt" in attachment.headers["Content-Disposition"]
        assert "folder" not in attachment.headers["Content-Disposition"]
        attachment.close()


@pytest.mark.filterwarnings("ignore:New instance:sqlalchemy.exc.SAWarning")
def test_tags_of_a_version(db: Any, bucket: Bucket) -> None:
    version, other = put(bucket), put(bucket, "other")
    tag = ObjectVersionTag.create(version, "key", "value")
    ObjectVersionTag.create(version.version_id, "KEY", "v" * 1000)
    assert (tag.object_version, tag.version_id, tag.key, tag.value) == (version, version.version_id, "key", "value")
    assert ObjectVersionTag.get(version, "key") == ObjectVersionTag.get(version.version_id, "key") == tag
    assert ObjectVersionTag.get_value(version, "KEY") == "v" * 1000
    assert ObjectVersionTag.get(version, "none") is ObjectVersionTag.get_value(other, "key") is None
    ObjectVersionTag.create_or_update(version, "key", "new")
    ObjectVersionTag.create_or_update(version, "third", "3")
    assert version.get_tags() == {"key": "new", "KEY": "v" * 1000, "third": "3"}
    with pytest.raises(IntegrityError):
        ObjectVersionTag.create(version, "key", "again")
    tag.copy(other)
    tag.copy(other.version_id, key="renamed")
    tag.copy(key="here")
    assert other.get_tags() == {"key": "new", "renamed": "new"}
    ObjectVersionTag.delete(version, "key")
    ObjectVersionTag.delete(version, "none")
    assert version.get_tags() == {"KEY": "v" * 1000, "third": "3", "here": "new"}
    ObjectVersionTag.delete(version)
    db.session.commit()
    assert version.get_tags() == {}
    assert other.get_tags() == {"key": "new", "renamed": "new"}


def test_versions_made_in_one_transaction_are_in_order(db: Any, bucket: Bucket) -> None:
    for number in range(20):
        put(bucket, data=b"%d" % number)
    db.session.commit()
    assert [data for data, _ in state(bucket)] == [b"%d" % number for number in reversed(range(20))]
