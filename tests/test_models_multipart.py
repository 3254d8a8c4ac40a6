"""Multipart uploads: parts in any order, sizes that are reserved and given back, and a version at the end."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from invenio_files_rest.errors import (
    BucketLockedError,
    FileSizeError,
    InvalidKeyError,
    MultipartAlreadyCompleted,
    MultipartInvalidChunkSize,
    MultipartInvalidPartNumber,
    MultipartInvalidSize,
    MultipartMissingParts,
    MultipartNotCompleted,
    UnexpectedFileSizeError,
)
from invenio_files_rest.models import Bucket, FileInstance, MultipartObject, ObjectVersion, Part


@pytest.fixture(autouse=True)
def limits(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow parts of 2 to 4 bytes, and 3 parts."""
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 2)
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MAX", 4)
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_MAX_PARTS", 3)


@pytest.fixture
def upload(db: Any, bucket: Bucket) -> MultipartObject:
    """Begin an upload of 5 bytes in parts of 2."""
    upload = MultipartObject.create(bucket, "key", 5, 2)
    db.session.commit()
    return upload


def fill(upload: MultipartObject) -> MultipartObject:
    for number, data in ((2, b"e"), (0, b"ab"), (1, b"cd")):
        Part.create(upload, number, stream=BytesIO(data))
    return upload


def test_an_upload_reserves_its_size(db: Any, bucket: Bucket, upload: MultipartObject) -> None:
    assert (upload.bucket, upload.key, upload.size, upload.chunk_size) == (bucket, "key", 5, 2)
    assert (upload.completed, upload.last_part_number, upload.last_part_size) == (False, 2, 1)
    assert (upload.file.size, upload.file.readable, upload.file.writable) == (5, False, True)
    assert (bucket.size, ObjectVersion.query.count()) == (5, 0)
    assert repr(upload) == f"{bucket.id}:{upload.upload_id}:key"


@pytest.mark.parametrize(
    ("size", "chunk_size", "last", "last_size"), [(1, 2, 0, 1), (2, 2, 0, 2), (4, 2, 1, 2), (6, 2, 2, 2)]
)
def test_the_last_part_is_whatever_is_left(
    bucket: Bucket, size: int, chunk_size: int, last: int, last_size: int
) -> None:
    upload = MultipartObject.create(bucket, "key", size, chunk_size)
    assert (upload.last_part_number, upload.last_part_size) == (last, last_size)
    assert [upload.expected_part_size(number) for number in range(last + 1)] == [chunk_size] * last + [last_size]
    for number in (-1, last + 1):
        with pytest.raises(MultipartInvalidPartNumber):
            upload.expected_part_size(number)


@pytest.mark.parametrize("chunk_size", [1, 5])
def test_a_part_size_outside_the_limits_is_refused(bucket: Bucket, chunk_size: int) -> None:
    assert MultipartObject.is_valid_chunksize(chunk_size) is False
    with pytest.raises(MultipartInvalidChunkSize):
        MultipartObject.create(bucket, "key", 3, chunk_size)


@pytest.mark.parametrize("size", [-1, 0, 7])
def test_a_size_of_none_or_too_many_parts_is_refused(db: Any, bucket: Bucket, size: int) -> None:
    assert MultipartObject.is_valid_size(size, 2) is False
    with pytest.raises(MultipartInvalidSize):
        MultipartObject.create(bucket, "key", size, 2)
    db.session.commit()
    assert (bucket.size, MultipartObject.query.count(), FileInstance.query.count()) == (0, 0, 0)


def test_the_limits_themselves_are_allowed(app: Any) -> None:
    assert MultipartObject.is_valid_chunksize(2) is MultipartObject.is_valid_chunksize(4) is True
    assert MultipartObject.is_valid_size(1, 2) is MultipartObject.is_valid_size(6, 2) is True


@pytest.mark.parametrize("limit", ["quota_size", "max_file_size"])
def test_an_upload_over_a_limit_is_refused_and_leaves_nothing(db: Any, bucket: Bucket, limit: str) -> None:
    setattr(bucket, limit, 4)
    db.session.commit()
    with pytest.raises(FileSizeError):
        MultipartObject.create(bucket, "key", 5, 2)
    db.session.commit()
    assert (bucket.size, MultipartObject.query.count(), FileInstance.query.count()) == (0, 0, 0)
    assert [path for path in Path(bucket.location.uri).rglob("*") if path.is_file()] == []


def test_reserved_bytes_count_against_the_quota(db: Any, bucket: Bucket, upload: MultipartObject) -> None:
    bucket.quota_size = 7
    db.session.commit()
    assert bucket.quota_left == 2
    with pytest.raises(FileSizeError):
        ObjectVersion.create(bucket, "other", stream=BytesIO(b"123"))
    ObjectVersion.create(bucket, "other", stream=BytesIO(b"12"))
    db.session.commit()
    fill(upload).complete().merge_parts()
    db.session.commit()
    assert (bucket.size, bucket.quota_left) == (7, 0)


def test_a_key_that_cannot_be_kept_is_refused(db: Any, bucket: Bucket) -> None:
    with pytest.raises(InvalidKeyError):
        MultipartObject.create(bucket, "k" * 256, 5, 2)
    assert FileInstance.query.count() == 0


def test_an_upload_is_found_by_bucket_key_and_identifier(db: Any, bucket: Bucket, upload: MultipartObject) -> None:
    found = [MultipartObject.get(one, "key", upload.upload_id) for one in (bucket, bucket.id, str(bucket.id))]
    assert found == [upload] * 3
    assert MultipartObject.get(bucket, "key", str(upload.upload_id)) == upload
    for arguments in ((bucket, "other"), (Bucket.create(), "key")):
        assert MultipartObject.get(*arguments, upload.upload_id) is None
    assert MultipartObject.get(bucket, "key", uuid.uuid4()) is None


def test_completed_uploads_are_found_where_asked(db: Any, bucket: Bucket, upload: MultipartObject) -> None:
    other = MultipartObject.create(bucket, "key", 2, 2)
    fill(upload).complete()
    db.session.commit()
    assert MultipartObject.get(bucket, "key", upload.upload_id) is None
    assert MultipartObject.get(bucket, "key", upload.upload_id, with_completed=True) == upload
    assert MultipartObject.query_by_bucket(bucket).all() == MultipartObject.query_by_bucket(bucket.id).all() == [other]


def test_uploads_that_nobody_uses_expire(db: Any, bucket: Bucket, upload: MultipartObject) -> None:
    elsewhere = MultipartObject.create(Bucket.create(), "key", 2, 2)
    db.session.commit()
    assert MultipartObject.query_expired(timedelta(hours=1)).all() == []
    assert set(MultipartObject.query_expired(timedelta(seconds=-1))) == {upload, elsewhere}
    assert MultipartObject.query_expired(timedelta(seconds=-1), bucket=bucket).all() == [upload]


@pytest.mark.parametrize("zone", [None, timezone.utc, timezone(timedelta(hours=5))])
def test_uploads_expire_by_a_point_in_time(db: Any, upload: MultipartObject, zone: timezone | None) -> None:
    now = datetime.now(timezone.utc)
    for hours, expired in ((-1, []), (1, [upload])):
        time = now + timedelta(hours=hours)
        time = time.astimezone(zone) if zone else time.replace(tzinfo=None)
        assert MultipartObject.query_expired(time).all() == expired


def test_a_completed_upload_expires_by_the_time_of_its_completion(db: Any, upload: MultipartObject) -> None:
    fill(upload).complete()
    db.session.commit()
    begun, completed = datetime.now(timezone.utc) - timedelta(days=9), datetime.now(timezone.utc) - timedelta(days=2)
    table = MultipartObject.__table__
    db.session.execute(table.update().values(created=begun, updated=completed))
    db.session.execute(Part.__table__.update().values(created=begun, updated=begun))
    db.session.commit()
    assert MultipartObject.query_expired(timedelta(days=4)).all() == []
    assert MultipartObject.query_expired(timedelta(days=1)).all() == [upload]


def test_parts_come_in_any_order_and_again(db: Any, upload: MultipartObject) -> None:
    Part.create(upload, 2, stream=BytesIO(b"e"))
    part = Part.create(upload, 0, stream=BytesIO(b"xx"))
    part.set_contents(BytesIO(b"ab"))
    Part.get_or_create(upload, 1).set_contents(BytesIO(b"cd"))
    db.session.commit()
    assert [one.part_number for one in Part.query_by_multipart(upload)] == [0, 1, 2]
    assert (Part.count(upload), upload.bucket.size) == (3, 5)
    assert (part.multipart, part.upload_id, part.checksum) == (
        upload,
        upload.upload_id,
        f"md5:{hashlib.md5(b'ab').hexdigest()}",
    )
    parts = [(one.start_byte, one.end_byte, one.part_size) for one in Part.query_by_multipart(upload)]
    assert parts == [(0, 2, 2), (2, 4, 2), (4, 5, 1)]
    assert Part.get_or_none(upload, 0) == Part.get_or_create(upload, 0) == part


def test_a_part_can_be_deleted_and_sent_again(db: Any, upload: MultipartObject) -> None:
    fill(upload)
    Part.delete(upload, 1)
    Part.delete(upload, 1)
    assert (Part.get_or_none(upload, 1), Part.count(upload)) == (None, 2)
    with pytest.raises(MultipartMissingParts):
        upload.complete()
    Part.create(upload, 1, stream=BytesIO(b"CD"))
    with upload.complete().merge_parts().file.storage().open() as merged:
        assert merged.read() == b"abCDe"


@pytest.mark.parametrize("number", [-1, 3])
def test_a_part_that_the_upload_does_not_have_is_refused(upload: MultipartObject, number: int) -> None:
    for refused in (Part.create, Part.get_or_create):
        with pytest.raises(MultipartInvalidPartNumber):
            refused(upload, number)
    assert Part.count(upload) == 0


@pytest.mark.parametrize(("number", "data"), [(0, b"a"), (0, b"abc"), (2, b""), (2, b"ef")])
def test_a_part_of_another_size_is_refused_and_leaves_no_row(
    db: Any, upload: MultipartObject, number: int, data: bytes
) -> None:
    with pytest.raises(UnexpectedFileSizeError):
        Part.create(upload, number, stream=BytesIO(data))
    db.session.commit()
    assert (Part.count(upload), upload.bucket.size) == (0, 5)


def test_completing_needs_all_parts_and_ends_the_upload(db: Any, upload: MultipartObject) -> None:
    with pytest.raises(MultipartNotCompleted):
        upload.merge_parts()
    with pytest.raises(MultipartMissingParts):
        upload.complete()
    part = fill(upload).parts[0]
    assert upload.complete() is upload
    db.session.commit()
    assert upload.completed is True
    for refused in (
        upload.complete,
        lambda: part.set_contents(BytesIO(b"xx")),
        lambda: Part.create(upload, 0, stream=BytesIO(b"xx")),
    ):
        with pytest.raises(MultipartAlreadyCompleted):
            refused()


def test_merging_makes_a_version_of_it(db: Any, bucket: Bucket, upload: MultipartObject) -> None:
    old = ObjectVersion.create(bucket, "key", stream=BytesIO(b"old"))
    identifier = uuid.uuid4()
    version = fill(upload).complete().merge_parts(version_id=identifier)
    db.session.commit()
    assert (version.version_id, version.key, version.is_head, old.is_head) == (identifier, "key", True, False)
    file = version.file
    assert (file.size, file.readable, file.writable) == (5, True, False)
    assert (file.checksum, file.verify_checksum()) == (f"md5:{hashlib.md5(b'abcde').hexdigest()}", True)
    assert (bucket.size, MultipartObject.query.count(), Part.query.count()) == (8, 0, 0)


def test_aborting_gives_the_size_back(db: Any, bucket: Bucket, upload: MultipartObject) -> None:
    Part.create(upload, 0, stream=BytesIO(b"ab"))
    assert upload.delete() is upload
    db.session.commit()
    assert (bucket.size, MultipartObject.query.count(), Part.query.count()) == (0, 0, 0)
    assert (FileInstance.query.count(), ObjectVersion.query.count()) == (1, 0)


def test_aborting_twice_gives_the_size_back_once(db: Any, bucket: Bucket, upload: MultipartObject) -> None:
    ObjectVersion.create(bucket, "other", stream=BytesIO(b"123"))
    db.session.commit()
    upload.delete()
    upload.delete()
    db.session.commit()
    assert bucket.size == 3


def test_an_upload_in_a_bucket_marked_as_deleted_can_be_aborted(
    db: Any, bucket: Bucket, upload: MultipartObject
) -> None:
    Bucket.delete(bucket.id)
    upload.delete()
    db.session.commit()
    assert (bucket.size, MultipartObject.query.count()) == (0, 0)


def test_an_upload_is_not_merged_into_a_locked_bucket(db: Any, bucket: Bucket, upload: MultipartObject) -> None:
    fill(upload).complete()
    bucket.locked = True
    db.session.commit()
    with pytest.raises(BucketLockedError):
        upload.merge_parts()
    db.session.rollback()
    assert (bucket.size, MultipartObject.query.count(), ObjectVersion.query.count()) == (5, 1, 0)
