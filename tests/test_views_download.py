"""``GET`` and ``HEAD /files/<bucket>/<key>``: the bytes of a head or of a version, with their headers."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from uuid import uuid4
from wsgiref.util import FileWrapper

import pytest
from helpers.rest import CONTENT, error, put, url
from werkzeug.exceptions import NotFound

from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.serializer import json_serializer
from invenio_files_rest.views import ObjectResource

pytestmark = pytest.mark.usefixtures("allow_all")

MD5 = hashlib.md5(CONTENT).hexdigest()
ETAG = f'"md5:{MD5}"'


def test_a_head_is_served_with_its_headers(client: Any, bucket: Any) -> None:
    put(client, bucket)
    response = client.get(url(bucket, "a.txt"))
    assert (response.status_code, response.data) == (200, CONTENT)
    headers = dict(response.headers)
    assert "Last-Modified" in headers
    digest = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
    expected = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": "inline",
        "Content-Length": str(len(CONTENT)),
        "Content-MD5": MD5,
        "Content-Security-Policy": "default-src 'none';",
        "Content-Type": "text/plain; charset=utf-8",
        "ETag": ETAG,
        "Repr-Digest": f"md5=:{digest}:",
        "Vary": "Authorization, Cookie",
        "X-Content-Type-Options": "nosniff",
        "X-Download-Options": "noopen",
        "X-Frame-Options": "deny",
        "X-Permitted-Cross-Domain-Policies": "none",
        "X-XSS-Protection": "1; mode=block",
    }
    assert {name: headers[name] for name in expected} == expected


def test_a_head_request_has_the_same_headers_and_no_body(client: Any, bucket: Any) -> None:
    put(client, bucket)
    for path in (url(bucket, "a.txt"), url(bucket, "a.txt", download=True)):
        got, head = client.get(path), client.head(path)
        assert head.status_code == 200
        assert head.data == b""
        assert dict(head.headers) == dict(got.headers)


def test_a_download_is_an_attachment(client: Any, bucket: Any) -> None:
    put(client, bucket)
    put(client, bucket, "a.html", b"<script>")
    for query in ({"download": True}, {"download": "1"}, {"download": "0"}):
        response = client.get(url(bucket, "a.txt", **query))
        assert response.headers["Content-Disposition"] == "attachment; filename=a.txt"
    assert client.get(url(bucket, "a.html")).mimetype == "text/plain"


def test_an_unknown_type_is_an_attachment(client: Any, bucket: Any) -> None:
    put(client, bucket, "a.bin")
    response = client.get(url(bucket, "a.bin"))
    assert response.mimetype == "application/octet-stream"
    assert response.headers["Content-Disposition"] == "attachment; filename=a.bin"


def test_a_version_is_served_by_its_identifier(client: Any, bucket: Any) -> None:
    versions = [put(client, bucket, "a", content)["version_id"] for content in (b"one", b"two")]
    client.delete(url(bucket, "a"))
    for version, content in zip(versions, (b"one", b"two"), strict=True):
        path = url(bucket, "a", versionId=version)
        assert client.get(path).data == content
        assert client.head(path).content_length == 3


def test_what_is_not_there_is_not_found(client: Any, bucket: Any, db: Any) -> None:
    version = put(client, bucket, "a")["version_id"]
    other = Bucket.create(bucket.location)
    db.session.commit()
    put(client, other, "b")
    paths = [
        url(bucket, "b"),
        url(other, "a"),
        url(uuid4(), "a"),
        url("no-uuid", "a"),
        url(bucket, "a", versionId=uuid4()),
        url(bucket, "b", versionId=version),
        url(other, "a", versionId=version),
        url(other, "b", versionId=version),
    ]
    answers = [error(client.get(path), 404) for path in paths]
    assert all(answer == answers[0] for answer in answers)
    for path in paths:
        assert client.head(path).status_code == 404
        error(client.delete(path), 404)
    assert client.get(url(bucket, "a")).status_code == 200


def test_a_deleted_object_and_its_marker_are_not_found(client: Any, bucket: Any) -> None:
    put(client, bucket, "a")
    client.delete(url(bucket, "a"))
    marker = ObjectVersion.query.filter_by(is_head=True).one()
    for path in (url(bucket, "a"), url(bucket, "a", versionId=marker.version_id)):
        error(client.get(path), 404)
        assert client.head(path).status_code == 404


@pytest.mark.parametrize("value", ["no-uuid", "1", "%00", "%ff"])
@pytest.mark.parametrize("name", ["versionId", "uploadId"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_identifier_that_is_no_uuid_is_refused(client: Any, bucket: Any, name: str, value: str, method: str) -> None:
    put(client, bucket, "a")
    answer = error(client.open(f"{url(bucket, 'a')}?{name}={value}", method=method), 422)
    assert [item["field"] for item in answer["errors"]] == [name]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_uploads_of_an_object_are_neither_read_nor_deleted(client: Any, bucket: Any, method: str) -> None:
    put(client, bucket, "a")
    for path in (url(bucket, "a", uploads=True), url(bucket, "a", uploads="1")):
        response = client.open(path, method=method)
        error(response, 405)
        assert response.headers["Allow"] == "POST"
    assert client.get(url(bucket, "a")).data == CONTENT


def test_a_known_file_is_not_sent_again(client: Any, bucket: Any) -> None:
    put(client, bucket)
    modified = client.get(url(bucket, "a.txt")).headers["Last-Modified"]
    for headers in ({"If-None-Match": ETAG}, {"If-None-Match": "*"}, {"If-Modified-Since": modified}):
        for method in ("GET", "HEAD"):
            response = client.open(url(bucket, "a.txt"), method=method, headers=headers)
            assert (response.status_code, response.data) == (304, b"")
            assert response.headers["ETag"] == ETAG
    put(client, bucket, data=b"new")
    assert client.get(url(bucket, "a.txt"), headers={"If-None-Match": ETAG}).data == b"new"
    error(client.get(url(bucket, "a.txt"), headers={"If-Match": ETAG}), 412)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-3", slice(0, 4)),
        ("bytes=5-", slice(5, None)),
        ("bytes=-4", slice(-4, None)),
        ("bytes=5-5", slice(5, 6)),
    ],
)
def test_a_range_is_served(client: Any, bucket: Any, value: str, expected: slice) -> None:
    put(client, bucket)
    response = client.get(url(bucket, "a.txt"), headers={"Range": value})
    start = range(len(CONTENT))[expected].start
    stop = range(len(CONTENT))[expected].stop
    assert (response.status_code, response.data) == (206, CONTENT[expected])
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"
    for tag, status in ((ETAG, 206), ('"other"', 200)):
        headers = {"Range": value, "If-Range": tag}
        assert client.get(url(bucket, "a.txt"), headers=headers).status_code == status


def test_a_range_that_cannot_be_served_is_refused_with_the_size(client: Any, bucket: Any) -> None:
    put(client, bucket)
    response = client.get(url(bucket, "a.txt"), headers={"Range": "bytes=1000-"})
    error(response, 416)
    assert response.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


def test_the_server_sends_a_file_by_itself_where_it_can(client: Any, bucket: Any) -> None:
    put(client, bucket)
    used: list[Any] = []

    class Wrapper(FileWrapper):
        def __init__(self, file: Any, size: int = 8192) -> None:
            used.append(file.fileno())
            super().__init__(file, size)

    response = client.get(url(bucket, "a.txt"), environ_overrides={"wsgi.file_wrapper": Wrapper})
    assert response.data == CONTENT
    assert len(used) == 1


def test_the_web_server_in_front_sends_the_file_where_that_is_set(
    client: Any, bucket: Any, app: Any, monkeypatch: Any
) -> None:
    put(client, bucket)
    monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_ENABLED", True)
    response = client.get(url(bucket, "a.txt"))
    assert response.data == b""
    assert response.headers["X-Accel-Redirect"].endswith(ObjectVersion.query.one().file.uri)


@pytest.mark.parametrize("name", ["bucket", "version_id"])
def test_an_identifier_that_is_none_finds_no_object(db: Any, name: str) -> None:
    identifiers = {"bucket": str(uuid4()), "version_id": str(uuid4()), name: "none"}
    with pytest.raises(NotFound):
        ObjectResource.get_object(key="a.txt", **identifiers)


def test_a_view_of_another_package_passes_the_bucket(app: Any, client: Any, bucket: Any, small_parts: None) -> None:
    put(client, bucket, "a")
    upload = client.post(url(bucket, "b", uploads=True, size=4, partSize=4)).json["id"]
    view = ObjectResource(serializers={"application/json": json_serializer})
    for given in (bucket, bucket.id):
        with app.test_request_context(), view.get(bucket=given, key="a") as response:
            response.direct_passthrough = False
            assert response.data == CONTENT
        with app.test_request_context(query_string={"uploadId": upload}):
            assert view.get(bucket=given, key="b").json["id"] == upload
