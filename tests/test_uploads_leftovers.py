"""What uploads leave: nothing that counts, nothing on the disk, whatever has been killed or forgotten."""

from __future__ import annotations

import os
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from helpers.uploading import age, bucket_size, files_in, folders_in
from invenio_db import db
from sqlalchemy import update

from invenio_files_rest.errors import BucketDeletedError
from invenio_files_rest.models import Bucket, FileInstance, ObjectVersion, Upload, UploadExtent
from invenio_files_rest.models.inventory import buckets_of_wrong_size, recount
from invenio_files_rest.services.sweep import sweep
from invenio_files_rest.services.uploads.errors import UploadClosed, UploadGone
from invenio_files_rest.services.uploads.free import FreeTables
from invenio_files_rest.services.uploads.plans import APPENDED, PARTS
from invenio_files_rest.tasks import complete_upload, remove_expired_multipartobjects


@pytest.fixture
def open_upload(bucket: Bucket) -> Any:
    """Begin an upload that has one part in its place and another beside it."""
    upload = PARTS.begin(bucket, "key", None, protocol="test")
    for number, data in ((1, b"0123"), (2, b"456789")):
        PARTS.write(upload, number, BytesIO(data), size=len(data))
    return upload


def swept(delete: bool = True) -> list[str]:
    return [finding.kind for finding in sweep(timedelta(0), delete)]


def test_uploads_in_progress_are_counted(bucket: Bucket, open_upload: Any) -> None:
    assert bucket_size(bucket) == 10
    assert list(buckets_of_wrong_size()) == []
    db.session.execute(update(Bucket).values(size=3))
    assert [(row.size, row.sum) for row in buckets_of_wrong_size()] == [(3, 10)]
    recount(bucket.id)
    assert bucket_size(bucket) == 10
    PARTS.complete(open_upload)
    assert list(buckets_of_wrong_size()) == []


def test_the_sweep_leaves_an_upload_in_progress_alone(bucket: Bucket, open_upload: Any) -> None:
    APPENDED.write(APPENDED.begin(bucket, "run", None, protocol="test"), 0, BytesIO(b"run"))
    before = files_in(bucket)
    assert len(before) == 3
    assert swept() == []
    assert files_in(bucket) == before
    version = PARTS.complete(open_upload)
    assert db.session.get(ObjectVersion, version).file.size == 10


def test_the_sweep_leaves_a_file_alone_that_is_about_to_become_a_version(bucket: Bucket, open_upload: Any) -> None:
    from invenio_files_rest.services.uploads.access import backend

    PARTS.close(open_upload)
    upload = Upload.get(open_upload)
    receipts = [extent.receipt for extent in UploadExtent.recorded(open_upload)]
    backend(open_upload, upload.state).uploads.finish(upload.state, receipts)
    db.session.commit()
    assert files_in(bucket) == ["data"]
    # The upload is young, its bytes are not.
    (path,) = Path(bucket.location.uri).rglob("data")
    os.utime(path, (0, 0))
    assert list(sweep(timedelta(hours=1), delete=True)) == []
    assert complete_upload(str(open_upload)) == str(Upload.get(open_upload).version_id)


def test_the_sweep_completes_what_nobody_has_gone_on_to_complete(bucket: Bucket, open_upload: Any) -> None:
    PARTS.close(open_upload)
    assert swept(delete=False) == ["upload"]
    assert swept() == ["upload"]
    assert Path(ObjectVersion.get(bucket, "key").file.uri).read_bytes() == b"0123456789"
    assert swept() == []
    assert files_in(bucket) == ["data"]


def test_the_sweep_removes_expired_uploads(bucket: Bucket, open_upload: Any) -> None:
    age(open_upload)
    assert swept(delete=False) == ["upload"]
    assert bucket_size(bucket) == 10
    assert swept() == ["upload"]
    assert (files_in(bucket), folders_in(bucket), bucket_size(bucket)) == ([], [], 0)
    assert UploadExtent.query.count() == 0


def test_the_sweep_removes_what_an_upload_left_whose_row_is_gone(bucket: Bucket, open_upload: Any) -> None:
    db.session.execute(UploadExtent.__table__.delete())
    db.session.execute(Upload.__table__.delete())
    db.session.commit()
    assert set(swept()) == {"temporary"}
    assert (files_in(bucket), folders_in(bucket)) == ([], [])


def test_the_task_removes_expired_uploads_and_goes_on_with_forgotten_ones(bucket: Bucket, open_upload: Any) -> None:
    expired = APPENDED.begin(bucket, "expired", 5, protocol="test")
    age(expired)
    assert bucket_size(bucket) == 15
    PARTS.close(open_upload)
    assert remove_expired_multipartobjects() == 1
    assert Upload.get(open_upload).status == "completing"
    age(open_upload)
    assert remove_expired_multipartobjects() == 0
    assert Upload.get(open_upload).status == "done"
    assert bucket_size(bucket) == 10
    assert files_in(bucket) == ["data"]


def test_what_is_done_is_forgotten_when_it_expires_and_the_object_stays(bucket: Bucket, open_upload: Any) -> None:
    version = PARTS.complete(open_upload)
    age(open_upload)
    assert remove_expired_multipartobjects() == 1
    assert Upload.query.count() == 0
    assert Path(db.session.get(ObjectVersion, version).file.uri).read_bytes() == b"0123456789"
    assert bucket_size(bucket) == 10
    assert complete_upload(str(open_upload)) == str(version)


def test_one_expired_upload_that_cannot_be_removed_does_not_keep_the_others(
    bucket: Bucket, open_upload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = APPENDED.begin(bucket, "other", 5, protocol="test")
    age(open_upload)
    age(other)
    expire = FreeTables.expire

    def fail(self: FreeTables, upload_id: Any) -> bool:
        if upload_id == open_upload:
            raise OSError("No.")
        return expire(self, upload_id)

    monkeypatch.setattr(FreeTables, "expire", fail)
    assert remove_expired_multipartobjects() == 1
    assert [upload.id for upload in Upload.query] == [open_upload]


def test_a_bucket_is_removed_with_its_uploads(bucket: Bucket, open_upload: Any) -> None:
    bucket.remove()
    db.session.commit()
    assert (Bucket.query.count(), Upload.query.count(), UploadExtent.query.count()) == (0, 0, 0)
    with pytest.raises(UploadGone):
        PARTS.write(open_upload, 3, BytesIO(b"x"), size=1)


def test_an_upload_to_a_bucket_that_was_deleted_meanwhile_fails(bucket: Bucket, open_upload: Any) -> None:
    bucket.deleted = True
    db.session.commit()
    with pytest.raises(BucketDeletedError):
        PARTS.complete(open_upload)
    with pytest.raises(UploadClosed, match="Bucket does not exist"):
        PARTS.complete(open_upload)
    assert files_in(bucket) == []
    assert FileInstance.query.count() == 0
