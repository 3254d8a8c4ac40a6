"""``MultipartObject`` and ``Part`` in Python: the documented methods, inside the caller's transaction."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from helpers.parts import CONTENT, PARTS, bucket_size, checksum
from helpers.rest import rows, tree

from invenio_files_rest.errors import (
    BucketDeletedError,
    BucketLockedError,
    FileSizeError,
    InvalidKeyError,
    InvalidOperationError,
    MultipartAlreadyCompleted,
    MultipartInvalidChunkSize,
    MultipartInvalidPartNumber,
    MultipartInvalidSize,
    MultipartMissingParts,
    MultipartNotCompleted,
    UnexpectedFileSizeError,
)
from invenio_files_rest.models import Bucket, MultipartObject, ObjectVersion, Part

pytestmark = pytest.mark.usefixtures("small_parts")


@pytest.fixture
def upload(bucket: Bucket, db: Any) -> MultipartObject:
    upload = MultipartObject.create(bucket, "a.txt", 10, 4)
    db.session.commit()
    return upload


def fill(upload: MultipartObject) -> None:
    for number, data in enumerate(PARTS):
        Part.create(upload, number, stream=io.BytesIO(data))


def test_an_upload_reserves_its_size(upload: MultipartObject, bucket: Bucket) -> None:
    assert (upload.key, upload.size, upload.chunk_size, upload.completed) == ("a.txt", 10, 4, False)
    assert (upload.last_part_number, upload.last_part_size) == (2, 2)
    assert (upload.bucket, upload.file.size, upload.file.readable) == (bucket, 10, False)
    assert bucket_size(bucket) == 10


def test_the_part_sizes_are_those_of_the_size(upload: MultipartObject) -> None:
    assert [upload.expected_part_size(number) for number in range(3)] == [4, 4, 2]
    for number in (-1, 3):
        with pytest.raises(MultipartInvalidPartNumber):
            upload.expected_part_size(number)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("a", 10, 3), MultipartInvalidChunkSize),
        (("a", 10, 5 * 1024**3 + 1), MultipartInvalidChunkSize),
        (("a", 0, 4), MultipartInvalidSize),
        (("a", 40001, 4), MultipartInvalidSize),
        (("k" * 256, 10, 4), InvalidKeyError),
        (("a", 101, 4), FileSizeError),
    ],
)
def test_an_upload_that_is_not_allowed_leaves_nothing(
    bucket: Bucket, location: Any, db: Any, arguments: Any, error: type[Exception]
) -> None:
    bucket.quota_size = 100
    db.session.commit()
    before = rows(), tree(Path(location.uri))
    with pytest.raises(error):
        MultipartObject.create(bucket, *arguments)
    db.session.rollback()
    assert (rows(), tree(Path(location.uri))) == before


def test_locked_and_deleted_buckets_take_no_upload(bucket: Bucket, db: Any) -> None:
    bucket.locked = True
    db.session.commit()
    with pytest.raises(BucketLockedError):
        MultipartObject.create(bucket, "a", 10, 4)
    bucket.locked, bucket.deleted = False, True
    db.session.commit()
    with pytest.raises(BucketDeletedError):
        MultipartObject.create(bucket.id, "a", 10, 4)


def test_an_upload_is_found_by_bucket_key_and_identifier(upload: MultipartObject, bucket: Bucket, db: Any) -> None:
    assert MultipartObject.get(bucket, "a.txt", upload.upload_id) is upload
    assert MultipartObject.get(str(bucket.id), "a.txt", str(upload.upload_id)) is upload
    assert MultipartObject.get(bucket, "b.txt", upload.upload_id) is None
    assert MultipartObject.query_by_bucket(bucket).all() == [upload]
    fill(upload)
    upload.complete()
    db.session.commit()
    assert MultipartObject.get(bucket, "a.txt", upload.upload_id) is None
    assert MultipartObject.get(bucket, "a.txt", upload.upload_id, with_completed=True) is upload
    assert MultipartObject.query_by_bucket(bucket.id).all() == []


def test_parts_are_stored_where_they_belong(upload: MultipartObject, db: Any) -> None:
    part = Part.create(upload, 2, stream=io.BytesIO(b"89"))
    assert (part.start_byte, part.end_byte, part.part_size, part.checksum) == (8, 10, 2, checksum(b"89"))
    Part.create(upload, 0, stream=io.BytesIO(b"0123"))
    db.session.commit()
    assert Path(upload.file.uri).read_bytes() == b"0123\0\0\0\x0089"
    assert Part.count(upload) == 2
    assert [found.part_number for found in Part.query_by_multipart(upload)] == [0, 2]
    assert sorted(found.part_number for found in upload.parts) == [0, 2]
    assert upload.missing_parts() == [1]


def test_a_part_may_be_made_before_its_bytes_come(upload: MultipartObject, db: Any) -> None:
    assert Part.get_or_none(upload, 0) is None
    part = Part.get_or_create(upload, 0)
    db.session.commit()
    assert Part.get_or_create(upload, 0) is part
    seen: list[tuple[int | None, int]] = []
    part.set_contents(io.BytesIO(b"0123"), progress_callback=lambda size, done: seen.append((size, done)))
    db.session.commit()
    assert part.checksum == checksum(b"0123")
    assert seen == [(4, 4)]
    assert Part.delete(upload, 0) == 1
    assert Part.delete(upload, 0) == 0
    assert Part.get_or_none(upload, 0) is None


@pytest.mark.parametrize("data", [b"012", b"01234", b""])
def test_a_part_of_another_size_is_refused(upload: MultipartObject, db: Any, data: bytes) -> None:
    with pytest.raises(UnexpectedFileSizeError):
        Part.create(upload, 0, stream=io.BytesIO(data))
    db.session.commit()
    assert Part.count(upload) == 0


def test_a_completed_upload_takes_no_part(upload: MultipartObject, db: Any) -> None:
    with pytest.raises(MultipartMissingParts, match="400"):
        upload.complete()
    fill(upload)
    part = Part.get_or_none(upload, 0)
    upload.complete()
    db.session.commit()
    for change in (
        lambda: part.set_contents(io.BytesIO(b"abcd")),
        lambda: Part.create(upload, 0, stream=io.BytesIO(b"abcd")),
        upload.complete,
    ):
        with pytest.raises(MultipartAlreadyCompleted):
            change()
    assert Path(upload.file.uri).read_bytes() == CONTENT


def test_merging_makes_a_version(upload: MultipartObject, bucket: Bucket, db: Any) -> None:
    with pytest.raises(MultipartNotCompleted):
        upload.merge_parts()
    fill(upload)
    upload.complete()
    seen: list[tuple[int | None, int]] = []
    version = upload.merge_parts(progress_callback=lambda size, done: seen.append((size, done)))
    db.session.commit()
    assert version == ObjectVersion.get(bucket, "a.txt")
    assert (version.file.checksum, version.file.size) == (checksum(CONTENT), 10)
    assert seen[-1] == (10, 10)
    assert MultipartObject.query.count() == Part.query.count() == 0
    assert bucket_size(bucket) == 10


def test_an_upload_that_is_gone_becomes_no_version(upload: MultipartObject, bucket: Bucket, db: Any) -> None:
    fill(upload)
    upload.complete()
    db.session.commit()
    assert upload.file.size == upload.size
    with db.engine.begin() as connection:
        connection.execute(Part.__table__.delete())
        connection.execute(MultipartObject.__table__.delete())
    with pytest.raises(InvalidOperationError):
        upload.become_version("md5:0")
    assert bucket_size(bucket) == 10


def test_deleting_gives_the_size_back_once(upload: MultipartObject, bucket: Bucket, db: Any) -> None:
    Part.create(upload, 0, stream=io.BytesIO(b"0123"))
    db.session.commit()
    upload.delete()
    upload.delete()
    db.session.commit()
    assert bucket_size(bucket) == 0
    assert MultipartObject.query.count() == Part.query.count() == 0


def test_a_locked_bucket_keeps_its_uploads(upload: MultipartObject, bucket: Bucket, db: Any) -> None:
    bucket.locked = True
    db.session.commit()
    with pytest.raises(BucketLockedError):
        upload.delete()
    db.session.rollback()
    assert MultipartObject.query.count() == 1
    upload.delete(locked=True)
    db.session.commit()
    assert bucket_size(bucket) == 0


def test_a_transaction_that_is_rolled_back_leaves_no_upload(bucket: Bucket, db: Any) -> None:
    MultipartObject.create(bucket, "a", 10, 4)
    db.session.rollback()
    assert MultipartObject.query.count() == 0
    assert bucket_size(bucket) == 0


def test_uploads_and_parts_show_what_they_are(upload: MultipartObject, bucket: Bucket) -> None:
    assert repr(upload) == f"{bucket.id}:{upload.upload_id}:a.txt"
    assert repr(Part.get_or_create(upload, 1)) == f"<Part {upload.upload_id}, 1>"
