"""tus 1.0, as its text has it: core and extensions, and what an upload is in a bucket."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask_login import LoginManager
from helpers.rest import Unreadable, error, statements
from helpers.tus import TYPE, TusClient, local, metadata
from helpers.uploading import Breaking, age, bucket_size, files_in, note_signals
from invenio_db import db
from werkzeug.http import http_date, parse_date

from invenio_files_rest.models import Bucket, ObjectVersion, Upload
from invenio_files_rest.models.base import utcnow
from invenio_files_rest.models.upload import COMPLETING, DONE
from invenio_files_rest.services.uploads.completion import begin_completion
from invenio_files_rest.services.uploads.errors import UploadLost
from invenio_files_rest.services.uploads.plans import APPENDED
from invenio_files_rest.storage.in_place import InPlace
from invenio_files_rest.tasks import remove_expired_multipartobjects
from invenio_files_rest.tus import finishing
from invenio_files_rest.tus.resource import owner

pytestmark = pytest.mark.usefixtures("allow_all")

CONTENT = b"0123456789"


@pytest.fixture
def tus(client: Any, bucket: Bucket) -> TusClient:
    return TusClient(client, bucket)


def content(tus: TusClient, key: str = "key") -> bytes:
    response = tus.client.get(f"{tus.url}/{key}")
    assert response.status_code == 200, response.text
    return bytes(response.data)


def nothing_of(bucket: Bucket) -> None:
    db.session.rollback()
    assert Upload.query.count() == 0
    assert bucket_size(bucket) == 0
    assert files_in(bucket) == []


# Core


def test_an_upload_in_several_requests_becomes_an_object(tus: TusClient, bucket: Bucket) -> None:
    upload = tus.begin()
    assert tus.head(upload).headers["Upload-Offset"] == "0"
    with note_signals() as seen:
        for offset, data in ((0, b"0123"), (4, b"4567"), (8, b"89")):
            response = tus.patch(upload, offset, data)
            assert (response.status_code, response.headers["Upload-Offset"]) == (204, str(offset + len(data)))
            assert "Content-Type" not in response.headers
    assert content(tus) == CONTENT
    head = ObjectVersion.get(bucket, "key")
    assert head is not None
    assert [obj.version_id for obj in seen] == [head.version_id]
    assert head.file.checksum == f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert local(response.headers["Location"]) == f"{tus.url}/key?versionId={head.version_id}"
    assert bucket_size(bucket) == 10


def test_the_offset_is_told_also_when_all_is_there(tus: TusClient) -> None:
    upload = tus.begin()
    tus.patch(upload, 0, b"0123")
    response = tus.head(upload)
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Upload-Offset"] == "4"
    assert response.headers["Upload-Length"] == "10"
    assert response.headers["Cache-Control"] == "no-store"
    tus.patch(upload, 4, b"456789")
    response = tus.head(upload)
    assert (response.headers["Upload-Offset"], response.headers["Upload-Length"]) == ("10", "10")
    assert "versionId=" in response.headers["Location"]
    # As of a client that has not heard the answer.
    assert tus.patch(upload, 10, b"").headers["Upload-Offset"] == "10"


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.1", "one"])
def test_another_version_is_refused_with_ours(tus: TusClient, version: str | None) -> None:
    upload = tus.begin()
    for method, url in (("POST", f"{tus.url}?tus"), ("PATCH", upload), ("DELETE", upload)):
        headers = {"Tus-Resumable": version, "Upload-Offset": 0, "Content-Type": TYPE}
        response = tus.send(method, url, headers, data=b"1" if method == "PATCH" else None)
        error(response, 412)
        assert response.headers["Tus-Version"] == "1.0.0"
    assert tus.head(upload).headers["Upload-Offset"] == "0"


def test_bytes_go_where_those_that_are_there_end(tus: TusClient) -> None:
    upload = tus.begin()
    tus.patch(upload, 0, b"0123")
    for offset in (0, 3, 5, 10):
        response = tus.patch(upload, offset, b"x")
        assert "offset 4" in error(response, 409)["message"]
        assert response.headers["Upload-Offset"] == "4"
    error(tus.patch(upload, None, b"x"), 400)
    for wrong in ("-1", "x", "1.0", "1_0", ""):
        error(tus.patch(upload, wrong, b"x"), 400)
    assert tus.head(upload).headers["Upload-Offset"] == "4"


def test_a_body_of_another_type_is_refused_unread(tus: TusClient) -> None:
    upload = tus.begin()
    for wrong in (None, "application/octet-stream", "text/plain"):
        error(tus.patch(upload, 0, None, Content_Type=wrong, Content_Length=4), 415)
    error(tus.create(data=b"0123", Content_Type="text/plain"), 415)
    assert "offset+octet-stream" in tus.patch(upload, 0, b"x", Content_Type="text/plain").json["message"]


def test_more_bytes_than_the_length_are_refused(tus: TusClient) -> None:
    upload = tus.begin()
    error(tus.patch(upload, 0, b"x" * 11), 413)
    tus.patch(upload, 0, b"0123")
    error(tus.patch(upload, 4, b"x" * 7), 413)
    assert tus.head(upload).headers["Upload-Offset"] == "4"


def test_an_upload_that_is_none_is_not_found(tus: TusClient, bucket: Bucket) -> None:
    for method in ("HEAD", "GET", "PATCH", "DELETE"):
        headers = {"Upload-Offset": 0, "Content-Type": TYPE}
        response = tus.send(method, f"{tus.url}?uploadId={uuid.uuid4()}", headers, data=b"x")
        assert response.status_code == 404
        assert "Upload-Offset" not in response.headers
        assert tus.send(method, f"/files/{uuid.uuid4()}?uploadId={uuid.uuid4()}", headers).status_code == 404
        assert tus.send(method, f"{tus.url}?uploadId=x", headers).status_code == 422
    other = Bucket.create(bucket.location)
    db.session.commit()
    elsewhere = tus.begin().replace(str(bucket.id), str(other.id))
    assert tus.head(elsewhere).status_code == 404


def test_the_method_may_be_said_in_a_header(tus: TusClient) -> None:
    upload = tus.begin()
    headers = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": 0, "Content-Type": TYPE}
    response = tus.send("POST", upload, headers, data=b"0123")
    assert (response.status_code, response.headers["Upload-Offset"]) == (204, "4")
    assert tus.send("POST", upload, {"X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert tus.head(upload).status_code == 404


def test_methods_that_make_no_sense_are_refused(tus: TusClient) -> None:
    upload = tus.begin()
    response = tus.send("POST", upload)
    error(response, 405)
    assert "PATCH" in response.headers["Allow"]
    for method in ("PATCH", "DELETE"):
        assert tus.send(method, tus.url).headers["Allow"] == "GET, HEAD, OPTIONS, PATCH"


def test_a_plain_request_to_a_bucket_is_what_it_was(client: Any, bucket: Bucket) -> None:
    for method in ("POST", "PUT", "DELETE"):
        response = client.open(f"/files/{bucket.id}", method=method)
        error(response, 405)
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, PATCH"
        assert "Tus-Resumable" not in response.headers


# Creation


def test_location_leads_to_the_upload(tus: TusClient) -> None:
    response = tus.create()
    assert response.status_code == 201
    assert re.fullmatch(rf"http://localhost{tus.url}\?uploadId=[0-9a-f-]{{36}}", response.headers["Location"])
    assert response.data == b""


def test_metadata_are_told_as_they_came(tus: TusClient) -> None:
    for text in (
        metadata(filename="key", other=b"\0\xff"),
        "is_confidential,filename a2V5",
        "filename a2V5, empty",
    ):
        upload = tus.begin(Upload_Metadata=text)
        assert tus.head(upload).headers["Upload-Metadata"] == text


def test_the_key_is_that_of_the_metadata(tus: TusClient, bucket: Bucket) -> None:
    keys = {"filename": metadata(filename="é/ü.txt"), "key": metadata(key="é/ü.txt", filename="other")}
    for text in keys.values():
        tus.begin(data=CONTENT, Upload_Metadata=text)
    found = ObjectVersion.query.filter_by(bucket_id=bucket.id).all()
    assert {version.key for version in found} == {"é/ü.txt"}
    assert len(found) == 2


def test_tags_and_type_come_with_the_metadata(tus: TusClient, bucket: Bucket) -> None:
    text = metadata(filename="key", filetype="image/png", tags="a=1&b=%C3%A9")
    tus.begin(data=CONTENT, Upload_Metadata=text, X_Invenio_File_Tags="c=3")
    head = ObjectVersion.get(bucket, "key")
    assert head is not None
    assert head.get_tags() == {"a": "1", "b": "é", "c": "3"}
    assert head.mimetype == "image/png"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "filename",
        "filename #",
        "filename a2V",
        "filename a2V5,filename a2V5",
        "filename a2V5,,",
        "filename a2V5 x",
        metadata(filename=b"\xff"),
        metadata(filename="a\0b"),
        metadata(filename="../x"),
        metadata(filename="x" * 256),
        metadata(filename="key", tags="a="),
        metadata(filename="key", tags="a=1&a=2"),
        metadata(filename="key", tags=b"\xff"),
    ],
)
def test_metadata_that_cannot_be_read_are_refused(tus: TusClient, bucket: Bucket, text: str | None) -> None:
    error(tus.create(key=None, **({} if text is None else {"Upload_Metadata": text})), 400)
    nothing_of(bucket)


@pytest.mark.parametrize(
    "headers",
    [
        {"Upload-Length": None},
        {"Upload-Length": "-1"},
        {"Upload-Length": "x"},
        {"Upload-Length": "9" * 19},
        {"Upload-Length": "0"},
        {"Upload-Defer-Length": "1"},
        {"Upload-Length": None, "Upload-Defer-Length": "2"},
        {"Upload-Concat": "whole"},
        {"Upload-Concat": "final;"},
        {"Upload-Concat": "final;http://localhost/x"},
        {"Upload-Concat": "final;?uploadId=x"},
    ],
)
def test_an_upload_without_a_sensible_length_is_refused(tus: TusClient, bucket: Bucket, headers: Any) -> None:
    named = {"Upload-Metadata": metadata(filename="key"), "Upload-Length": 10, **headers}
    error(tus.send("POST", f"{tus.url}?tus", named), 400)
    nothing_of(bucket)


def test_an_empty_file_is_complete_at_once_where_empty_files_are_taken(
    tus: TusClient, bucket: Bucket, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_MIN_FILE_SIZE", 0)
    upload = tus.begin(0)
    assert content(tus) == b""
    assert tus.head(upload).headers["Upload-Offset"] == "0"


def test_an_upload_that_is_too_large_is_refused(tus: TusClient, bucket: Bucket) -> None:
    bucket.quota_size, bucket.max_file_size = 100, 50
    db.session.commit()
    error(tus.create(51), 413)
    uploads = [tus.begin(50), tus.begin(50)]
    assert "quota" in error(tus.create(1), 413)["message"].lower()
    assert tus.send("DELETE", uploads[0]).status_code == 204
    assert tus.create(50).status_code == 201


def test_more_bytes_than_can_be_counted_are_refused(tus: TusClient, client: Any, bucket: Bucket) -> None:
    most = 10**18 - 1
    for number in range(9):
        tus.begin(most, f"{number}")
    error(tus.create(most), 413)
    deferred = tus.begin(None, Upload_Defer_Length="1")
    error(tus.patch(deferred, 0, b"1", Upload_Length=most), 413)
    assert tus.head(deferred).headers["Upload-Offset"] == "0"
    assert bucket_size(bucket) == 9 * most
    assert client.put(f"{tus.url}/plain", data=b"0123").status_code == 200
    assert bucket_size(bucket) == 9 * most + 4


def test_a_bucket_has_so_many_uploads_in_progress(tus: TusClient, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_UPLOADS_MAX_OPEN", 2)
    uploads = [tus.begin(), tus.begin()]
    error(tus.create(), 429)
    tus.patch(uploads[0], 0, CONTENT)
    tus.begin()


def test_a_locked_bucket_takes_nothing(tus: TusClient, bucket: Bucket) -> None:
    upload = tus.begin()
    bucket.locked = True
    db.session.commit()
    error(tus.create(), 403)
    error(tus.patch(upload, 0, b"x"), 403)
    error(tus.send("DELETE", upload), 403)
    assert tus.head(upload).headers["Upload-Offset"] == "0"


# Creation with upload


def test_bytes_may_come_with_the_creation(tus: TusClient, bucket: Bucket) -> None:
    response = tus.create(data=b"0123")
    assert (response.status_code, response.headers["Upload-Offset"]) == (201, "4")
    upload = response.headers["Location"]
    assert tus.patch(upload, 4, b"456789").status_code == 204
    assert content(tus) == CONTENT
    response = tus.create(data=CONTENT, key="at once")
    assert (response.status_code, response.headers["Upload-Offset"]) == (201, "10")
    assert content(tus, "at once") == CONTENT


def test_nothing_stays_of_an_upload_that_nobody_was_told_of(tus: TusClient, bucket: Bucket) -> None:
    wrong = base64.b64encode(hashlib.sha1(b"x").digest()).decode()
    error(tus.create(data=b"0123", Upload_Checksum=f"sha1 {wrong}"), 460)
    error(tus.create(data=b"x" * 11), 413)
    nothing_of(bucket)


# Deferred length


def test_the_length_may_come_with_the_last_bytes(tus: TusClient, bucket: Bucket) -> None:
    upload = tus.begin(None, Upload_Defer_Length=1)
    tus.patch(upload, 0, b"0123")
    response = tus.head(upload)
    assert response.headers["Upload-Defer-Length"] == "1"
    assert "Upload-Length" not in response.headers
    error(tus.patch(upload, 4, b"4", Upload_Length=3), 400)
    tus.patch(upload, 4, b"4567", Upload_Length=10)
    assert tus.head(upload).headers["Upload-Length"] == "10"
    error(tus.patch(upload, 8, b"8", Upload_Length=11), 400)
    tus.patch(upload, 8, b"89")
    assert content(tus) == CONTENT
    assert bucket_size(bucket) == 10


def test_the_length_may_come_after_the_last_bytes(tus: TusClient) -> None:
    upload = tus.begin(None, Upload_Defer_Length=1)
    tus.patch(upload, 0, CONTENT)
    assert tus.patch(upload, 10, b"", Upload_Length=10).status_code == 204
    assert content(tus) == CONTENT


# Checksum


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_bytes_are_kept_where_their_checksum_is_right(tus: TusClient, algorithm: str) -> None:
    def checksum(data: bytes) -> str:
        return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"

    upload = tus.begin()
    tus.patch(upload, 0, b"01", Upload_Checksum=checksum(b"01"))
    assert "checksum" in error(tus.patch(upload, 2, b"xxxx", Upload_Checksum=checksum(b"2345")), 460)["message"]
    assert tus.head(upload).headers["Upload-Offset"] == "2"
    tus.patch(upload, 2, b"23456789", Upload_Checksum=checksum(b"23456789"))
    assert content(tus) == CONTENT


@pytest.mark.parametrize("value", ["", "sha1", "sha1 #", "sha1 a2V", "crc32 a2V5", "SHA1 a2V5", "sha1  a2V5"])
def test_a_checksum_that_cannot_be_read_is_refused(tus: TusClient, value: str) -> None:
    upload = tus.begin()
    error(tus.patch(upload, 0, b"01", Upload_Checksum=value), 400)
    assert tus.head(upload).headers["Upload-Offset"] == "0"


def test_of_a_body_with_a_checksum_that_breaks_nothing_is_kept(tus: TusClient) -> None:
    upload = tus.begin()
    digest = base64.b64encode(hashlib.sha1(b"0123").digest()).decode()
    environ = {"wsgi.input": BytesIO(b"012"), "CONTENT_LENGTH": "4"}
    headers = {"Upload-Offset": 0, "Content-Type": TYPE, "Upload-Checksum": f"sha1 {digest}"}
    assert tus.send("PATCH", upload, headers, environ_overrides=environ).status_code == 400
    assert tus.head(upload).headers["Upload-Offset"] == "0"
    del headers["Upload-Checksum"]
    environ["wsgi.input"] = BytesIO(b"012")
    assert tus.send("PATCH", upload, headers, environ_overrides=environ).status_code == 400
    assert tus.head(upload).headers["Upload-Offset"] == "3"


# Termination and expiration


def test_an_upload_that_is_ended_is_gone(tus: TusClient, bucket: Bucket) -> None:
    upload = tus.begin()
    tus.patch(upload, 0, b"0123")
    assert tus.send("DELETE", upload).status_code == 204
    for method in ("HEAD", "PATCH", "DELETE"):
        assert tus.send(method, upload, {"Content-Type": TYPE, "Upload-Offset": 4}).status_code == 404
    nothing_of(bucket)


def test_what_an_upload_has_become_stays_when_that_is_ended(tus: TusClient) -> None:
    upload = tus.begin(data=CONTENT)
    assert tus.send("DELETE", upload).status_code == 204
    assert content(tus) == CONTENT


def test_an_upload_says_when_it_expires(tus: TusClient, app: Flask) -> None:
    response = tus.create(data=b"0")
    expected = utcnow() + app.config["FILES_REST_MULTIPART_EXPIRES"]
    upload = response.headers["Location"]
    for answer in (response, tus.patch(upload, 1, b"1"), tus.head(upload)):
        expires = parse_date(answer.headers["Upload-Expires"])
        assert expires is not None
        assert abs(expires - expected) < timedelta(minutes=1)
        assert http_date(expires) == answer.headers["Upload-Expires"]


def lasts(answer: Any) -> timedelta:
    expires = parse_date(answer.headers["Upload-Expires"])
    assert expires is not None
    return expires - utcnow()


def test_an_upload_that_nobody_has_asked_for_gives_its_quota_back_earlier(
    tus: TusClient, bucket: Bucket, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    unused, used = (app.config[f"FILES_REST_{name}_EXPIRES"] for name in ("UPLOADS_UNUSED", "MULTIPART"))
    answers = [tus.create() for _ in range(3)]
    _, asked, sent = uploads = [answer.headers["Location"] for answer in answers]
    for answer in answers:
        assert unused - timedelta(minutes=1) < lasts(answer) <= unused
    # From the first request on there is more time, also for one that is paused before its first byte.
    for answer in (tus.head(asked), tus.patch(sent, 0, b"0123")):
        assert lasts(answer) > used - timedelta(minutes=1)
    assert bucket_size(bucket) == 30
    monkeypatch.setattr("invenio_files_rest.models.upload.utcnow", lambda: utcnow() + unused)
    assert remove_expired_multipartobjects() == 1
    assert bucket_size(bucket) == 20
    assert [tus.head(upload).status_code for upload in uploads] == [404, 200, 200]


def test_an_upload_without_bytes_does_not_outlast_others(
    tus: TusClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_EXPIRES", timedelta(hours=1))
    assert lasts(tus.create()) <= timedelta(hours=1)


def test_an_upload_that_has_expired_gives_its_quota_back(tus: TusClient, bucket: Bucket) -> None:
    upload = tus.begin()
    tus.patch(upload, 0, b"0123")
    age(uuid.UUID(upload[-36:]))
    for method in ("HEAD", "PATCH"):
        assert tus.send(method, upload, {"Content-Type": TYPE, "Upload-Offset": 4}).status_code == 410
    assert remove_expired_multipartobjects() == 1
    assert tus.head(upload).status_code == 404
    nothing_of(bucket)


# Concatenation


def final(*urls: str) -> str:
    return "final;" + " ".join(urls)


def test_partial_uploads_become_one_object(tus: TusClient, bucket: Bucket) -> None:
    parts = [tus.begin(4, None, Upload_Concat="partial"), tus.begin(6, None, data=b"456789", Upload_Concat="partial")]
    assert tus.head(parts[0]).headers["Upload-Concat"] == "partial"
    tus.patch(parts[0], 0, b"0123")
    assert tus.head(parts[0]).headers["Upload-Offset"] == "4"
    assert ObjectVersion.query.count() == 0
    assert bucket_size(bucket) == 10
    named = final(parts[0], local(parts[1]))
    upload = tus.begin(None, Upload_Concat=named)
    assert content(tus) == CONTENT
    response = tus.head(upload)
    assert response.headers["Upload-Concat"] == named
    assert (response.headers["Upload-Offset"], response.headers["Upload-Length"]) == ("10", "10")
    error(tus.patch(upload, 10, b"x"), 403)
    assert bucket_size(bucket) == 10
    assert files_in(bucket) == ["data"]


def test_who_did_not_get_the_answer_to_the_last_request_finds_all_there(tus: TusClient, bucket: Bucket) -> None:
    parts = [tus.begin(len(data), None, data=data, Upload_Concat="partial") for data in (b"0123", b"456789")]
    upload = tus.begin(None, Upload_Concat=final(*parts))
    for part, length in zip(parts, ("4", "6"), strict=True):
        response = tus.head(part)
        assert (response.status_code, response.headers["Upload-Offset"]) == (200, length)
        assert tus.patch(part, length, b"").status_code == 204
        error(tus.patch(part, 0, b"x"), 409)
        assert tus.send("GET", part).json["status"] == DONE
    again = tus.create(None, Upload_Concat=final(*parts))
    assert (again.status_code, again.headers["Location"]) == (201, upload)
    assert ObjectVersion.query.count() == 1
    error(tus.create(None, "other", Upload_Concat=final(*parts)), 409)
    assert (files_in(bucket), bucket_size(bucket)) == (["data"], 10)
    assert tus.send("DELETE", upload).status_code == 204
    assert [tus.head(each).status_code for each in (upload, *parts)] == [404] * 3
    assert content(tus) == CONTENT


@pytest.mark.parametrize("joined", [False, True])
def test_an_upload_waits_while_its_bucket_is_locked(
    tus: TusClient, bucket: Bucket, joined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = InPlace.finish

    def set_locked(locked: bool) -> None:
        db.session.execute(db.update(Bucket).values(locked=locked))
        db.session.commit()

    def lock(*args: Any, **kwargs: Any) -> Any:
        stored = store(*args, **kwargs)
        set_locked(True)
        return stored

    with monkeypatch.context() as patched:
        patched.setattr(InPlace, "finish", lock)
        if joined:
            part = tus.begin(10, None, data=CONTENT, Upload_Concat="partial")
            message = error(tus.create(None, Upload_Concat=final(part)), 403)["message"]
            upload = f"{tus.url}?uploadId={Upload.query.filter_by(key='key').one().id}"
        else:
            upload = tus.begin()
            message = error(tus.patch(upload, 0, CONTENT), 403)["message"]
    assert "kept" in message
    # Of another status clients would take the upload for lost.
    assert tus.head(upload).status_code == 423
    error(tus.patch(upload, 10, b""), 403)
    shown = tus.send("GET", upload).json
    assert (shown["status"], shown["reason"]) == (COMPLETING, message)
    age(uuid.UUID(upload[-36:]), days=1)
    assert remove_expired_multipartobjects() == 0
    assert (ObjectVersion.query.count(), bucket_size(bucket)) == (0, 10)
    set_locked(False)
    response = tus.head(upload)
    assert (response.status_code, response.headers["Upload-Offset"]) == (200, "10")
    assert tus.send("GET", upload).json["status"] == DONE
    assert content(tus) == CONTENT
    assert bucket_size(bucket) == 10


def test_partial_uploads_that_are_not_whole_are_not_joined(tus: TusClient, bucket: Bucket) -> None:
    part, plain = tus.begin(4, None, Upload_Concat="partial"), tus.begin(4, data=b"0123")
    error(tus.create(None, Upload_Concat=final(part)), 400)
    error(tus.create(None, Upload_Concat=final(plain)), 403)
    error(tus.create(None, Upload_Concat=final(f"{tus.url}?uploadId={uuid.uuid4()}")), 404)
    error(tus.create(4, Upload_Concat=final(part)), 400)
    tus.patch(part, 0, b"0123")
    tus.begin(None, Upload_Concat=final(part), key="joined")
    assert content(tus, "joined") == b"0123"


@pytest.mark.parametrize("kind", ["osfs", "temp"])
def test_uploads_go_on_on_file_systems_of_pyfilesystem(tus: TusClient, bucket: Bucket, kind: str) -> None:
    bucket.location.uri = f"osfs://{bucket.location.uri}" if kind == "osfs" else f"temp://{uuid.uuid4().hex}"
    db.session.commit()
    upload = tus.begin()
    environ = {"wsgi.input": Breaking(b"0123", "raises"), "CONTENT_LENGTH": "10"}
    headers = {"Upload-Offset": 0, "Content-Type": TYPE}
    assert tus.send("PATCH", upload, headers, environ_overrides=environ).status_code == 400
    assert tus.head(upload).headers["Upload-Offset"] == "4"
    assert tus.patch(upload, 4, b"456789").status_code == 204
    assert content(tus) == CONTENT
    parts = [tus.begin(len(data), None, data=data, Upload_Concat="partial") for data in (b"01234", b"56789")]
    tus.begin(None, "joined", Upload_Concat=final(*parts))
    assert content(tus, "joined") == CONTENT


# What there is


def test_options_says_what_there_is(client: Any, bucket: Bucket) -> None:
    bucket.max_file_size = 1000
    db.session.commit()
    response = client.options(f"/files/{bucket.id}")
    assert response.status_code == 200
    assert response.headers["Tus-Version"] == response.headers["Tus-Resumable"] == "1.0.0"
    assert response.headers["Tus-Max-Size"] == "1000"
    assert set(response.headers["Tus-Extension"].split(",")) == {
        *("creation", "creation-with-upload", "creation-defer-length", "termination", "checksum", "expiration"),
        "concatenation",
    }
    assert response.headers["Tus-Checksum-Algorithm"] == "sha1,md5,sha256,sha512"
    assert set(response.headers["Allow"].split(", ")) == {*("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}


def test_options_says_nothing_to_who_may_not_upload(client: Any, bucket: Bucket, app: Flask, monkeypatch: Any) -> None:
    state = app.extensions["invenio-files-rest"]
    denied = type("Permission", (), {"can": lambda self: False})()
    monkeypatch.setattr(state, "permission_factory", lambda obj, action: denied)
    for path in (f"/files/{bucket.id}", f"/files/{uuid.uuid4()}", "/files/x", f"/files/{bucket.id}/key"):
        response = client.options(path)
        assert response.status_code == 200
        assert not [name for name in dict(response.headers) if name.startswith(("Tus-", "Upload-"))]


def test_a_storage_that_takes_whole_files_alone_has_no_uploads(
    tus: TusClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from invenio_files_rest.testing.storage import MemoryStorage

    monkeypatch.setattr(
        app.extensions["invenio-files-rest"], "storage_factory", lambda **kwargs: MemoryStorage("mem://x")
    )
    assert "Tus-Version" not in tus.client.options(tus.url).headers
    error(tus.create(), 501)


# An upload is a version like any other


def test_conditions_hold_at_the_beginning_and_at_the_end(tus: TusClient, client: Any, bucket: Bucket) -> None:
    upload = tus.begin(If_None_Match="*")
    client.put(f"{tus.url}/key", data=b"sooner")
    error(tus.create(If_None_Match="*"), 412)
    error(tus.patch(upload, 0, CONTENT), 412)
    assert tus.head(upload).status_code == 410
    assert "precondition" in tus.send("GET", upload).json["reason"]
    assert content(tus) == b"sooner"
    assert bucket_size(bucket) == 6


def test_who_asks_sees_how_far_it_is(tus: TusClient) -> None:
    upload = tus.begin(data=b"0123")
    shown = tus.send("GET", upload).json
    assert (shown["key"], shown["status"], shown["offset"], shown["length"]) == ("key", "open", 4, 10)
    assert shown["links"] == {"self": upload}
    tus.patch(upload, 4, b"456789")
    shown = tus.send("GET", upload).json
    assert (shown["status"], shown["offset"]) == ("done", 10)
    assert tus.client.get(local(shown["links"]["version"])).data == CONTENT


def test_who_was_killed_before_the_end_finds_it_by_asking(tus: TusClient) -> None:
    """The client takes an upload for an object that has all its bytes."""
    upload = tus.begin()
    APPENDED.write(uuid.UUID(upload[-36:]), 0, BytesIO(CONTENT), size=10)
    assert tus.head(upload).headers["Upload-Offset"] == "10"
    assert content(tus) == CONTENT


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_who_asks_while_the_last_bytes_come_is_told_of_them(
    tus: TusClient, app: Flask, monkeypatch: Any, method: str
) -> None:
    """Clients take an upload of which they are told 409 for lost, and begin anew."""
    upload, state, came = tus.begin(), app.extensions["invenio-files-rest"], []
    permission = state.permission_factory

    def factory(*args: Any) -> Any:
        """Let the bytes come between finding the upload and asking how far it is."""
        if not came:
            came.append(True)
            assert tus.patch(upload, 0, CONTENT).status_code == 204
        return permission(*args)

    monkeypatch.setattr(state, "permission_factory", factory)
    answer = tus.send(method, upload)
    assert came
    assert answer.status_code == 200
    assert "10" in (answer.headers.get("Upload-Offset"), str((answer.get_json(silent=True) or {}).get("offset")))


def test_who_asks_at_the_same_time_as_another_is_told_to_ask_again(tus: TusClient, monkeypatch: Any) -> None:
    upload = tus.begin()

    def lost(*args: Any, **kwargs: Any) -> Any:
        raise UploadLost

    monkeypatch.setattr(APPENDED, "offset", lost)
    assert tus.head(upload).status_code == 423


def test_an_application_that_can_find_no_user_has_anonymous_callers(app: Flask, monkeypatch: Any) -> None:
    monkeypatch.setattr(app, "login_manager", LoginManager(), raising=False)
    with app.test_request_context():
        assert owner() is None


def test_an_upload_in_one_go_needs_no_second_reading(tus: TusClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "PROMPT_BYTES", 0)
    monkeypatch.setattr(finishing, "send_task", pytest.fail)
    upload = tus.begin()
    tus.patch(upload, 0, b"0123")
    tus.patch(upload, 4, b"456789")
    assert content(tus) == CONTENT


@pytest.mark.parametrize("patience", [0, 10])
def test_the_last_request_waits_for_a_worker_for_a_set_time(
    tus: TusClient, app: Flask, patience: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_UPLOADS_WAIT_SECONDS", patience)
    monkeypatch.setattr(finishing, "PROMPT_BYTES", 0)
    request.getfixturevalue("worker" if patience else "celery_app")
    parts = [tus.begin(len(data), None, data=data, Upload_Concat="partial") for data in (b"01234", b"56789")]
    upload = tus.begin(None, Upload_Concat=final(*parts))
    status = tus.send("GET", upload).json["status"]
    response = tus.head(upload)
    if patience:
        assert status == DONE
        assert content(tus) == CONTENT
    else:
        assert status == COMPLETING
        assert "Upload-Offset" not in response.headers
    assert response.headers["Upload-Length"] == "10"


def test_a_refusal_needs_no_body(tus: TusClient) -> None:
    upload = tus.begin()
    tus.patch(upload, 0, b"0123")
    headers = {"Content-Type": TYPE, "Upload-Offset": 0}
    environ = {"wsgi.input": Unreadable(), "CONTENT_LENGTH": "6"}
    assert tus.send("PATCH", upload, headers, environ_overrides=environ).status_code == 409


def test_no_statement_is_one_for_each_request_before(tus: TusClient) -> None:
    upload, counts = tus.begin(30), []
    for offset in range(0, 30, 10):
        with statements() as found:
            tus.patch(upload, offset, CONTENT)
        counts.append(len(found))
    # One for the bucket, one for the upload and its epoch, and one that records.
    assert counts[1] == 3
    # Two fewer where an update returns the row.
    assert counts[0] <= (10 if db.engine.dialect.update_returning else 12)


def test_an_upload_that_is_being_completed_takes_no_more(tus: TusClient) -> None:
    upload = tus.begin()
    identifier = uuid.UUID(upload[-36:])
    APPENDED.write(identifier, 0, BytesIO(CONTENT), size=10)
    begin_completion(APPENDED, identifier)
    error(tus.patch(upload, 4, b"x"), 409)
    assert tus.head(upload).headers["Upload-Offset"] == "10"
    assert tus.patch(upload, 10, b"").status_code == 204
