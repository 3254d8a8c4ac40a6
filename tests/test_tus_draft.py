"""The IETF's draft of resumable uploads, on a plain PUT and POST of an object."""

from __future__ import annotations

import base64
import hashlib
import uuid
from io import BytesIO
from typing import Any

import pytest
from helpers.rest import error, nothing_stays, statements
from helpers.tus import local
from helpers.uploading import age, bucket_size
from invenio_db import db

from invenio_files_rest.models import Bucket, ObjectVersion, Upload
from invenio_files_rest.models.upload import COMPLETING
from invenio_files_rest.services.uploads.completion import begin_completion, finish_upload
from invenio_files_rest.services.uploads.plans import APPENDED

pytestmark = pytest.mark.usefixtures("allow_all")

CONTENT = b"0123456789"
TYPE = "application/partial-upload"
PROBLEMS = "https://iana.org/assignments/http-problem-types#"


class Draft:
    """A client of the draft."""

    def __init__(self, client: Any, bucket: Bucket, version: int | None) -> None:
        self.client, self.version = client, version
        self.url = f"/files/{bucket.id}/key"

    def send(self, method: str, url: str, complete: bool | None = None, **kwargs: Any) -> Any:
        headers = {name.replace("_", "-"): str(value) for name, value in kwargs.pop("headers", {}).items()}
        if self.version is not None:
            headers["Upload-Draft-Interop-Version"] = str(self.version)
        if complete is not None and self.version == 3:
            headers["Upload-Incomplete"] = f"?{int(not complete)}"
        elif complete is not None:
            headers["Upload-Complete"] = f"?{int(complete)}"
        return self.client.open(local(url), method=method, headers=headers, **kwargs)

    def begin(self, data: bytes = b"", method: str = "PUT", **headers: Any) -> Any:
        return self.send(method, self.url, False, data=data, headers=headers)

    def append(self, url: str, offset: int, data: bytes, complete: bool, **headers: Any) -> Any:
        if self.version is None or self.version > 5:
            headers.setdefault("Content_Type", TYPE)
        return self.send("PATCH", url, complete, data=data, headers={"Upload_Offset": offset, **headers})

    def head(self, url: str) -> Any:
        return self.send("HEAD", url)

    def complete(self, response: Any) -> bool:
        """Return whether an answer says that it is one of what the upload was for."""
        if self.version == 3:
            assert "Upload-Complete" not in response.headers
            return bool(response.headers["Upload-Incomplete"] == "?0")
        return bool(response.headers["Upload-Complete"] == "?1")


@pytest.fixture(params=[None, 3, 4, 5, 6, 7, 8])
def every(request: pytest.FixtureRequest, client: Any, bucket: Bucket) -> Draft:
    """Give a client of each interop version."""
    return Draft(client, bucket, request.param)


@pytest.fixture
def draft(client: Any, bucket: Bucket) -> Draft:
    return Draft(client, bucket, 8)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_upload_in_several_requests_becomes_an_object(every: Draft, bucket: Bucket, method: str) -> None:
    response = every.begin(b"0123", method)
    assert (response.status_code, response.data) == (201, b"")
    assert response.headers["Upload-Offset"] == "4"
    assert ("max-age=" in response.headers["Upload-Limit"]) is (every.version != 6)
    assert not every.complete(response)
    upload = response.headers["Location"]
    assert local(upload).startswith(f"/files/{bucket.id}?uploadId=")
    response = every.append(upload, 4, b"45", False)
    assert (response.status_code, response.headers["Upload-Offset"]) == (204, "6")
    assert not every.complete(response)
    response = every.head(upload)
    assert (response.status_code, response.headers["Upload-Offset"]) == (204, "6")
    assert response.headers["Cache-Control"] == "no-store"
    assert "Upload-Length" not in response.headers
    assert not every.complete(response)
    response = every.append(upload, 6, b"6789", True)
    assert response.status_code == 200
    assert every.complete(response)
    assert every.client.get(every.url).data == CONTENT
    response = every.head(upload)
    assert (response.headers["Upload-Offset"], response.headers["Upload-Length"]) == ("10", "10")
    assert every.complete(response)


def test_the_last_answer_is_that_of_a_plain_request(draft: Draft, client: Any) -> None:
    upload = draft.begin(b"0123").headers["Location"]
    resumed = draft.append(upload, 4, b"456789", True)
    plain = client.put(draft.url, data=CONTENT)
    assert set(resumed.json) == set(plain.json)
    for name in ("key", "size", "checksum", "mimetype", "is_head", "tags"):
        assert resumed.json[name] == plain.json[name]
    assert resumed.headers["ETag"] == plain.headers["ETag"]
    assert client.get(local(resumed.json["links"]["version"])).data == CONTENT


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_whole_file_is_stored_as_by_any_request(every: Draft, bucket: Bucket, method: str) -> None:
    response = every.send(method, every.url, True, data=CONTENT)
    assert response.status_code == 200
    assert every.complete(response)
    assert response.json["size"] == 10
    db.session.rollback()
    assert Upload.query.count() == 0


def test_who_knows_nothing_of_the_draft_sees_no_difference(draft: Draft, client: Any) -> None:
    client.put(draft.url, data=b"first")
    with statements() as plain:
        response = client.put(draft.url, data=CONTENT)
    assert not [name for name in dict(response.headers) if name.startswith("Upload-")]
    with statements() as whole:
        draft.send("PUT", draft.url, True, data=CONTENT)
    assert len(plain) == len(whole)
    error(client.post(draft.url, data=CONTENT), 403)
    for nonsense in ("1", "?2", "true", ""):
        response = client.put(draft.url, data=CONTENT, headers={"Upload-Complete": nonsense})
        assert response.status_code == 200
        assert "Upload-Complete" not in response.headers


def test_a_form_is_a_form(draft: Draft, client: Any) -> None:
    form = {"file": (BytesIO(CONTENT), "x"), "_totalSize": "10"}
    response = draft.send("PUT", draft.url, False, data=form)
    assert response.status_code == 200
    assert client.get(draft.url).data == CONTENT


def test_another_offset_is_a_problem_with_a_type(draft: Draft) -> None:
    upload = draft.begin(b"0123").headers["Location"]
    for offset in (0, 3, 5):
        response = draft.append(upload, offset, b"x", False)
        assert (response.status_code, response.mimetype) == (409, "application/problem+json")
        assert (response.headers["Upload-Offset"], response.headers["Upload-Complete"]) == ("4", "?0")
        assert response.json["type"] == f"{PROBLEMS}mismatching-upload-offset"
        assert (response.json["expected-offset"], response.json["provided-offset"]) == (4, offset)
        assert (response.json["status"], bool(response.json["message"])) == (409, True)


def test_two_lengths_are_a_problem_with_a_type(draft: Draft, location: Any) -> None:
    def check(response: Any) -> None:
        assert (response.status_code, response.mimetype) == (400, "application/problem+json")
        assert response.json["type"] == f"{PROBLEMS}inconsistent-upload-length"

    with nothing_stays(location):
        check(draft.send("PUT", draft.url, True, data=CONTENT, headers={"Upload_Length": 9}))
    upload = draft.begin(b"0123", Upload_Length=10).headers["Location"]
    check(draft.append(upload, 4, b"45", True))
    check(draft.append(upload, 4, b"45", False, Upload_Length=11))
    check(draft.append(upload, 4, b"456789", True, Upload_Length=11))
    error(draft.append(upload, 4, b"4567890", False), 413)
    assert draft.head(upload).headers["Upload-Offset"] == "4"
    assert draft.head(upload).headers["Upload-Length"] == "10"
    assert draft.append(upload, 4, b"456789", True, Upload_Length=10).status_code == 200


def test_an_upload_with_all_its_bytes_is_not_complete_before_it_is_said(draft: Draft) -> None:
    upload = draft.begin(CONTENT, Upload_Length=10).headers["Location"]
    response = draft.head(upload)
    assert (response.headers["Upload-Offset"], response.headers["Upload-Complete"]) == ("10", "?0")
    assert draft.client.get(draft.url).status_code == 404
    assert draft.append(upload, 10, b"", True).status_code == 200
    assert draft.client.get(draft.url).data == CONTENT


def test_a_complete_upload_takes_nothing_and_answers_again(draft: Draft) -> None:
    upload = draft.begin(b"0123").headers["Location"]
    first = draft.append(upload, 4, b"456789", True)
    again = draft.append(upload, 10, b"", True)
    assert (again.status_code, again.json) == (200, first.json)
    for wrong in (draft.append(upload, 10, b"x", True), draft.append(upload, 4, b"456789", True)):
        assert wrong.status_code == 400
        assert wrong.json["type"] == f"{PROBLEMS}completed-upload"


def test_bytes_of_an_upload_have_their_type(draft: Draft) -> None:
    upload = draft.begin(b"0123").headers["Location"]
    for wrong in ("application/octet-stream", "application/offset+octet-stream"):
        error(draft.append(upload, 4, b"4", False, Content_Type=wrong), 415)
    error(draft.send("PATCH", upload, None, data=b"4", headers={"Content-Type": TYPE, "Upload-Offset": 4}), 400)
    error(draft.send("PATCH", upload, True, data=b"4", headers={"Content-Type": TYPE}), 400)


def test_limits_are_told_before_and_while_bytes_come(draft: Draft, client: Any, bucket: Bucket) -> None:
    bucket.quota_size, bucket.max_file_size = 100, 50
    db.session.commit()
    for url in (draft.url, f"/files/{bucket.id}"):
        assert client.options(url).headers["Upload-Limit"].startswith("max-size=50, max-age=")
    response = draft.begin(b"", Upload_Length=51)
    error(response, 413)
    assert response.headers["Upload-Limit"].startswith("max-size=50,")
    upload = draft.begin(b"0123", Upload_Length=50).headers["Location"]
    assert draft.head(upload).headers["Upload-Limit"].startswith("max-size=50,")
    unknown = draft.begin(b"0123").headers["Location"]
    error(draft.append(unknown, 4, b"x" * 47, False), 413)


def test_an_upload_that_is_ended_is_gone(draft: Draft, bucket: Bucket) -> None:
    upload = draft.begin(b"0123").headers["Location"]
    assert draft.send("DELETE", upload).status_code == 204
    for response in (draft.head(upload), draft.append(upload, 4, b"4", True), draft.send("DELETE", upload)):
        assert response.status_code == 404
        assert "Upload-Offset" not in response.headers
    assert bucket_size(bucket) == 0


def test_an_upload_that_has_expired_is_gone(draft: Draft) -> None:
    upload = draft.begin(b"0123").headers["Location"]
    age(uuid.UUID(upload[-36:]))
    assert draft.head(upload).status_code == 410
    error(draft.append(upload, 4, b"4", True), 410)


def test_conditions_and_tags_are_those_of_the_first_request(draft: Draft, client: Any, bucket: Bucket) -> None:
    upload = draft.begin(b"0123", If_None_Match="*", X_Invenio_File_Tags="a=1").headers["Location"]
    draft.append(upload, 4, b"456789", True)
    head = ObjectVersion.get(bucket, "key")
    assert head is not None
    assert head.get_tags() == {"a": "1"}
    error(draft.begin(b"0123", If_None_Match="*"), 412)
    upload = draft.begin(b"0123", If_Match=f'"{head.file.checksum}"').headers["Location"]
    client.put(draft.url, data=b"sooner")
    error(draft.append(upload, 4, b"456789", True), 412)
    assert draft.head(upload).status_code == 410
    assert client.get(draft.url).data == b"sooner"


def test_a_body_is_kept_where_its_digest_is_right(draft: Draft) -> None:
    def digest(data: bytes) -> str:
        return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"

    upload = draft.begin(b"0123", Content_Digest=digest(b"0123")).headers["Location"]
    error(draft.append(upload, 4, b"xxxxxx", False, Content_Digest=digest(b"456789")), 400)
    assert draft.head(upload).headers["Upload-Offset"] == "4"
    assert draft.append(upload, 4, b"456789", True, Content_Digest=digest(b"456789")).status_code == 200


def test_a_body_that_breaks_leaves_what_came(draft: Draft) -> None:
    upload = draft.begin(b"0123").headers["Location"]
    environ = {"wsgi.input": BytesIO(b"45"), "CONTENT_LENGTH": "6"}
    headers = {"Content-Type": TYPE, "Upload-Offset": "4"}
    error(draft.send("PATCH", upload, True, headers=headers, environ_overrides=environ), 400)
    response = draft.head(upload)
    assert (response.headers["Upload-Offset"], response.headers["Upload-Length"]) == ("6", "10")
    assert response.headers["Upload-Complete"] == "?0"
    assert draft.append(upload, 6, b"6789", True).json["size"] == 10


def test_nothing_stays_of_a_first_request_that_breaks_where_nobody_knows_where_to_go_on(
    draft: Draft, location: Any
) -> None:
    environ = {"wsgi.input": BytesIO(b"01"), "CONTENT_LENGTH": "4"}
    for complete in (True, False):
        with nothing_stays(location):
            error(draft.send("PUT", draft.url, complete, environ_overrides=environ), 400)


def test_files_that_are_too_small_are_refused(draft: Draft, location: Any) -> None:
    with nothing_stays(location):
        error(draft.begin(b"", Upload_Length=0), 400)
    upload = draft.begin(b"").headers["Location"]
    error(draft.append(upload, 0, b"", True), 400)


def test_an_upload_that_a_worker_completes_answers_that_all_is_there(
    draft: Draft, monkeypatch: pytest.MonkeyPatch, app: Any
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_UPLOADS_WAIT_SECONDS", 0)
    upload = draft.begin(CONTENT).headers["Location"]
    identifier = uuid.UUID(upload[-36:])
    begin_completion(APPENDED, identifier)
    response = draft.append(upload, 10, b"", True)
    assert (response.status_code, response.headers["Upload-Complete"]) == (202, "?1")
    assert "will appear" in response.json["message"]
    assert draft.head(upload).headers["Upload-Complete"] == "?0"
    db.session.rollback()
    assert Upload.get(identifier).status == COMPLETING  # type: ignore[union-attr]
    finish_upload(identifier)
    assert draft.append(upload, 10, b"", True).status_code == 200


def test_an_upload_of_one_protocol_is_none_of_the_other(draft: Draft, bucket: Bucket) -> None:
    upload = draft.begin(b"0123").headers["Location"]
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "4", "Content-Type": "application/offset+octet-stream"}
    error(draft.client.patch(local(upload), data=b"4", headers=headers), 415)
