"""*Fixed parts* behind the interface of all plans: the tables, and the answers, are those of the documented API."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers.parts import CONTENT, PARTS, age, begin, bucket_size, checksum
from helpers.rest import url
from helpers.statements import statements
from helpers.uploading import age as age_free
from helpers.uploading import note_signals
from invenio_db import db

from invenio_files_rest.errors import (
    MultipartAlreadyCompleted,
    MultipartInvalidSize,
    MultipartMissingParts,
    MultipartNotCompleted,
    PreconditionFailed,
    UnexpectedFileSizeError,
)
from invenio_files_rest.models import Bucket, FileInstance, MultipartObject, ObjectVersion, Upload
from invenio_files_rest.services.uploads.errors import UploadGone
from invenio_files_rest.services.uploads.interface import Forgotten
from invenio_files_rest.services.uploads.plans import APPENDED, FIXED, PLANS, TABLES
from invenio_files_rest.storage import FileStorage, PyFSFileStorage, pyfs_storage_factory

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


def test_a_closed_upload_takes_no_parts_and_is_finished_by_whoever_comes(bucket: Bucket) -> None:
    upload = FIXED.begin(bucket, "key", 10, part_size=4).upload_id
    for number, part in enumerate(PARTS):
        FIXED.write(upload, number, BytesIO(part))
    with pytest.raises(MultipartNotCompleted):
        FIXED.finish(upload)
    FIXED.close(upload)
    FIXED.close(upload)
    with pytest.raises(MultipartAlreadyCompleted):
        FIXED.write(upload, 0, BytesIO(PARTS[0]))
    with note_signals() as seen:
        version = FIXED.finish(upload)
        assert FIXED.finish(upload) == version
    assert [obj.version_id for obj in seen] == [version]
    with pytest.raises(UploadGone):
        FIXED.close(upload)
    with pytest.raises(UploadGone):
        FIXED.finish(uuid4())


def test_conditions_come_with_each_step_since_the_tables_keep_none(bucket: Bucket) -> None:
    new = {"If-None-Match": "*"}
    upload = FIXED.begin(bucket, "key", 10, part_size=4, conditions=new).upload_id
    for number, part in enumerate(PARTS):
        FIXED.write(upload, number, BytesIO(part))
    FIXED.close(upload, new)
    ObjectVersion.create(bucket, "key", stream=BytesIO(b"faster"))
    db.session.commit()
    with pytest.raises(PreconditionFailed):
        FIXED.close(upload, new)
    with pytest.raises(PreconditionFailed):
        FIXED.finish(upload, conditions=new)
    # It is open again, with all its parts.
    FIXED.write(upload, 0, BytesIO(PARTS[0]))
    assert FIXED.missing(upload) == []
    with pytest.raises(PreconditionFailed):
        FIXED.begin(bucket, "key", 10, part_size=4, conditions=new)
    version = FIXED.complete(upload)
    assert Path(db.session.get(ObjectVersion, version).file.uri).read_bytes() == CONTENT


def test_uploads_of_all_tables_are_forgotten_and_expire_in_the_same_way(bucket: Bucket) -> None:
    fixed = FIXED.begin(bucket, "fixed", 10, part_size=4).upload_id
    free = APPENDED.begin(bucket, "free", 10, protocol="test")
    for tables, upload, key, make_older in zip(TABLES, (fixed, free), ("fixed", "free"), (age, age_free), strict=True):
        assert list(tables.forgotten()) == []
        assert tables.expire(upload) is False
        make_older(upload)
        assert list(tables.forgotten()) == [Forgotten(upload, key, 10)]
        assert tables.expire(upload) is True
        assert tables.expire(upload) is False
    assert bucket_size(bucket) == 0
    assert list(Path(bucket.location.uri).iterdir()) == []


def test_the_rest_api_sends_the_statements_that_it_always_sent(client: FlaskClient, bucket: Bucket) -> None:
    """Some databases return what they have changed, in one."""
    returning = int(db.engine.dialect.update_returning)
    address = url(bucket, "a.txt")

    def count(method: str, query: dict[str, Any], **kwargs: Any) -> tuple[int, Any]:
        db.session.remove()
        with statements() as seen:
            response = client.open(address, method=method, query_string=query, **kwargs)
        return len(seen), response

    sent, response = count("POST", {"uploads": "", "size": 10, "partSize": 4})
    assert (sent, response.status_code) == (5 - returning, 200)
    upload = response.json["id"]
    for _ in range(2):
        sent, response = count("PUT", {"uploadId": upload, "partNumber": 0}, data=PARTS[0])
        assert (sent, response.status_code) == (9 - 2 * returning, 200)
    sent, response = count("POST", {"uploadId": upload})
    assert (sent, response.status_code) == (7 - 2 * returning, 400)
    sent, response = count("GET", {"uploadId": upload})
    assert (sent, response.status_code) == (3, 200)


@pytest.mark.parametrize("body", [b"", PARTS[0][:2], PARTS[0] + b"!"], ids=["nothing", "the same", "too much"])
def test_a_body_that_fails_takes_no_part_away_that_it_has_not_changed(
    bucket: Bucket, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request may break, and the server get to it only after the client has sent the part again."""
    # Blocks of one byte, so that all that comes is written.
    monkeypatch.setattr("invenio_files_rest.storage.pump.chunk_size_or_default", lambda size: 1)
    upload = FIXED.begin(bucket, "key", 10, part_size=4).upload_id
    for number, part in enumerate(PARTS):
        FIXED.write(upload, number, BytesIO(part))
    before = FIXED.extents(upload)
    with pytest.raises(UnexpectedFileSizeError):
        FIXED.write(upload, 0, BytesIO(body))
    assert FIXED.extents(upload) == before
    assert Path(db.session.get(ObjectVersion, FIXED.complete(upload)).file.uri).read_bytes() == CONTENT


@pytest.mark.parametrize("locks", [True, False])
def test_a_body_that_fails_takes_a_part_away_that_it_has_changed_or_could_have(
    bucket: Bucket, locks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invenio_files_rest.storage.pump.chunk_size_or_default", lambda size: 1)
    upload = FIXED.begin(bucket, "key", 10, part_size=4).upload_id
    FIXED.write(upload, 0, BytesIO(PARTS[0]))
    if not locks:
        # Another one could be writing the same bytes now.
        monkeypatch.setattr(PyFSFileStorage, "locked_region", FileStorage.locked_region)
    with pytest.raises(UnexpectedFileSizeError):
        FIXED.write(upload, 0, BytesIO(b"01!" if locks else b"01"))
    assert 0 in FIXED.missing(upload)


class Plain:
    """A storage of somebody's that inherits from nothing, and has the documented methods alone."""

    def __init__(self, inner: FileStorage) -> None:
        for name in ("open", "initialize", "save", "update", "delete", "checksum", "send_file"):
            setattr(self, name, getattr(inner, name))


def test_a_storage_with_the_documented_methods_alone_takes_parts(
    app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def factory(**kwargs: Any) -> Plain:
        return Plain(pyfs_storage_factory(**kwargs))

    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    upload = FIXED.begin(bucket, "key", 10, part_size=4).upload_id
    for number, part in enumerate(PARTS):
        FIXED.write(upload, number, BytesIO(part))
    assert Path(db.session.get(ObjectVersion, FIXED.complete(upload)).file.uri).read_bytes() == CONTENT
    other = FIXED.begin(bucket, "other", 10, part_size=4).upload_id
    age(other)
    assert FIXED.expire(other)


def test_a_completed_file_is_readable_and_one_that_is_open_again_is_not(bucket: Bucket) -> None:
    upload = FIXED.begin(bucket, "key", 10, part_size=4).upload_id

    def state() -> tuple[bool, bool]:
        db.session.rollback()
        file = MultipartObject.query.one().file
        return file.readable, file.writable

    for number, part in enumerate(PARTS):
        FIXED.write(upload, number, BytesIO(part))
    assert state() == (False, True)
    FIXED.close(upload)
    assert state() == (True, False)
    with pytest.raises(PreconditionFailed):
        FIXED.finish(upload, conditions={"If-Match": "*"})
    assert state() == (False, True)


@pytest.mark.parametrize("end", ["abort", "expire"])
def test_the_bytes_of_a_completed_upload_go_with_it(bucket: Bucket, end: str) -> None:
    upload = FIXED.begin(bucket, "key", 10, part_size=4).upload_id
    for number, part in enumerate(PARTS):
        FIXED.write(upload, number, BytesIO(part))
    FIXED.close(upload)
    age(upload)
    getattr(FIXED, end)(upload)
    assert FileInstance.query.count() == 0
    assert list(Path(bucket.location.uri).iterdir()) == []
    assert bucket_size(bucket) == 0
