"""*Fixed parts* behind the interface of all plans: the tables, and the answers, are those of the documented API."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from helpers.parts import CONTENT, PARTS, begin, bucket_size, checksum
from invenio_db import db

from invenio_files_rest.errors import MultipartInvalidSize, MultipartMissingParts
from invenio_files_rest.models import Bucket, MultipartObject, ObjectVersion, Upload
from invenio_files_rest.services.uploads.errors import UploadGone
from invenio_files_rest.services.uploads.plans import FIXED, PLANS

pytestmark = pytest.mark.usefixtures("allow_all", "small_parts")


def test_every_plan_is_found_by_its_name() -> None:
    assert sorted(PLANS) == ["appended", "fixed", "parts"]


def test_an_upload_of_fixed_parts_becomes_a_version(bucket: Bucket) -> None:
    upload = FIXED.begin(bucket, "key", 10, part_size=4).upload_id
    assert bucket_size(bucket) == 10
    for number in (2, 0):
        assert FIXED.write(upload, number, BytesIO(PARTS[number]), size=len(PARTS[number])).start_byte == 4 * number
    assert FIXED.missing(upload) == [1]
    with pytest.raises(MultipartMissingParts):
        FIXED.complete(upload)
    FIXED.write(upload, 1, BytesIO(PARTS[1]))
    found = FIXED.extents(upload)
    assert [(part.number, part.offset, part.size) for part in found] == [(0, 0, 4), (1, 4, 4), (2, 8, 2)]
    assert [f"md5:{part.digests['md5']}" for part in found] == [checksum(part) for part in PARTS]
    version = FIXED.complete(upload)
    assert FIXED.complete(upload) == version
    assert Path(db.session.get(ObjectVersion, version).file.uri).read_bytes() == CONTENT
    assert bucket_size(bucket) == 10
    assert Upload.query.count() == 0


def test_an_upload_that_was_begun_over_rest_is_the_same(client: FlaskClient, bucket: Bucket) -> None:
    upload = begin(client, bucket)
    upload.put(0, PARTS[0])
    identifier = MultipartObject.query.one().upload_id
    FIXED.write(identifier, 1, BytesIO(PARTS[1]))
    upload.put(2, PARTS[2])
    assert FIXED.missing(identifier) == []
    assert upload.complete().status_code == 200
    assert Path(ObjectVersion.get(bucket, "a.txt").file.uri).read_bytes() == CONTENT


def test_an_aborted_upload_of_fixed_parts_leaves_nothing(bucket: Bucket) -> None:
    upload = FIXED.begin(bucket, "key", 10, part_size=4).upload_id
    FIXED.write(upload, 0, BytesIO(PARTS[0]))
    FIXED.abort(upload)
    assert bucket_size(bucket) == 0
    assert list(Path(bucket.location.uri).iterdir()) == []
    for call in (FIXED.abort, FIXED.extents, FIXED.missing):
        with pytest.raises(UploadGone):
            call(upload)
    with pytest.raises(UploadGone):
        FIXED.write(uuid4(), 0, BytesIO(b"x"))


def test_a_length_and_a_key_are_needed(bucket: Bucket) -> None:
    for key, length in ((None, 10), ("key", None)):
        with pytest.raises(MultipartInvalidSize):
            FIXED.begin(bucket, key, length, part_size=4)
