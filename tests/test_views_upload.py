"""``PUT /files/<bucket>/<key>``: what is stored, however it comes."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from typing import Any

import flask
import pytest
from helpers.rest import CONTENT, error, nothing_stays, put, put_stream, stored, tree, url

from invenio_files_rest.models import ObjectVersion
from invenio_files_rest.wrappers import Request

pytestmark = pytest.mark.usefixtures("allow_all")


def form(client: Any, bucket: Any, key: str = "a", **fields: Any) -> Any:
    """Send a form."""
    return client.put(url(bucket, key), data=fields, content_type="multipart/form-data")


@pytest.mark.parametrize("size", [1, 5 * 1024**2 + 1])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_becomes_the_head(client: Any, bucket: Any, location: Any, db: Any, size: int, chunked: bool) -> None:
    body = os.urandom(size)
    response = put_stream(client, bucket, "a.txt", io.BytesIO(body), None if chunked else size)
    assert response.status_code == 200
    assert response.json["checksum"] == "md5:" + hashlib.md5(body).hexdigest()
    assert response.json["size"] == size
    assert client.get(url(bucket, "a.txt")).data == body
    assert stored(location) == [body]
    db.session.refresh(bucket)
    assert bucket.size == size
    file = ObjectVersion.query.one().file
    assert (file.readable, file.writable) == (True, False)


def test_the_answer_has_the_entity_tag_of_the_file(client: Any, bucket: Any) -> None:
    response = client.put(url(bucket, "a"), data=CONTENT)
    assert response.headers["ETag"] == f'"md5:{hashlib.md5(CONTENT).hexdigest()}"'
    assert response.headers["ETag"] == client.get(url(bucket, "a")).headers["ETag"]
    assert response.mimetype == "application/json"


def test_a_new_body_becomes_a_new_version_and_counts(client: Any, bucket: Any, location: Any, db: Any) -> None:
    first, second = put(client, bucket, "a", b"one"), put(client, bucket, "a", b"three")
    assert first["version_id"] != second["version_id"]
    assert client.get(url(bucket, "a")).data == b"three"
    assert client.get(url(bucket, "a", versionId=first["version_id"])).data == b"one"
    db.session.refresh(bucket)
    assert bucket.size == len(b"one" + b"three")
    assert stored(location) == [b"one", b"three"]


def test_a_file_lies_where_the_settings_put_it(client: Any, bucket: Any, location: Any) -> None:
    put(client, bucket, "etc/..passwd")
    file = ObjectVersion.query.one().file
    name = str(file.id)
    assert file.uri == f"{location.uri}/{name[:2]}/{name[2:4]}/{name[4:]}/data"
    assert os.path.isfile(file.uri)


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "application/json", "text/html", "multipart/related; boundary=a", "bad", ""],
)
@pytest.mark.parametrize("touch", ["form", "files", "values", "json"])
def test_a_body_of_any_type_is_stored_as_it_is(
    client: Any, bucket: Any, app: Any, monkeypatch: Any, content_type: str, touch: str
) -> None:
    """Curl calls every body a form, and extensions look into the form of every request."""
    from flask import request

    def look() -> None:
        if touch != "json":
            getattr(request, touch)

    monkeypatch.setitem(app.before_request_funcs, None, [look])
    body = b'a=1&b=%41&{"c": \xff}\r\n--a--\r\n'
    put(client, bucket, "a", body, content_type=content_type)
    assert client.get(url(bucket, "a")).data == body


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("key1=value1&key2=value2", {"key1": "value1", "key2": "value2"}),
        ("a=%26%3D+%C3%A9", {"a": "&= é"}),
        ("é=ž%C5%BE".encode().decode("latin-1"), {"é": "žž"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=1&A=2", {"a": "1", "A": "2"}),
        (f"{'k' * 255}={'v' * 255}", {"k" * 255: "v" * 255}),
    ],
)
def test_tags_are_set(client: Any, bucket: Any, header: str, tags: dict[str, str]) -> None:
    assert put(client, bucket, "a", headers={"X-Invenio-File-Tags": header})["tags"] == tags
    assert client.get(url(bucket)).json["contents"][0]["tags"] == tags


def test_the_header_of_tags_has_the_name_that_is_set(client: Any, bucket: Any, app: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_FILE_TAGS_HEADER", "X-Labels")
    assert put(client, bucket, headers={"X-Labels": "a=1", "X-Invenio-File-Tags": "b=2"})["tags"] == {"a": "1"}


def test_ng_file_upload_sends_a_form(client: Any, bucket: Any) -> None:
    response = form(client, bucket, file=(io.BytesIO(CONTENT), "other.txt"), _totalSize=str(len(CONTENT)))
    assert response.status_code == 200
    assert response.json["key"] == "a"
    assert client.get(url(bucket, "a")).data == CONTENT


def test_the_type_of_a_form_has_no_case(client: Any, bucket: Any) -> None:
    body = (
        b'--X\r\nContent-Disposition: form-data; name="_totalSize"\r\n\r\n3\r\n'
        b'--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n--X--\r\n'
    )
    assert put(client, bucket, "a", body, content_type="Multipart/Form-Data; boundary=X")["size"] == 3


def test_a_form_sets_tags_too(client: Any, bucket: Any) -> None:
    response = client.put(
        url(bucket, "a"),
        data={"file": (io.BytesIO(CONTENT), "a"), "_totalSize": str(len(CONTENT))},
        headers={"X-Invenio-File-Tags": "a=1"},
    )
    assert response.json["tags"] == {"a": "1"}


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
def test_a_digest_of_a_form_is_not_taken_for_one_of_its_file(client: Any, bucket: Any, header: str) -> None:
    response = client.put(
        url(bucket, "a"),
        data={"file": (io.BytesIO(CONTENT), "a"), "_totalSize": str(len(CONTENT))},
        headers={header: f"sha-256=:{base64.b64encode(hashlib.sha256(b'the form').digest()).decode()}:"},
    )
    assert response.status_code == 200


@pytest.mark.parametrize("total", [len(CONTENT) - 1, len(CONTENT) + 1, 0, -1])
def test_a_form_whose_file_is_of_another_size_is_refused(client: Any, bucket: Any, location: Any, total: int) -> None:
    with nothing_stays(location):
        error(form(client, bucket, file=(io.BytesIO(CONTENT), "a"), _totalSize=str(total)), 400)


def test_a_form_without_its_fields_is_refused(client: Any, bucket: Any, location: Any) -> None:
    with nothing_stays(location):
        error(form(client, bucket, _totalSize="3"), 400)
        error(form(client, bucket, other=(io.BytesIO(CONTENT), "a"), _totalSize="3"), 400)
        error(form(client, bucket, file=(io.BytesIO(CONTENT), "a")), 400)
        answer = error(form(client, bucket, file=(io.BytesIO(CONTENT), "a"), _totalSize="many"), 422)
        assert answer["errors"][0]["field"] == "_totalSize"
        error(client.put(url(bucket, "a"), data=CONTENT, content_type="multipart/form-data"), 400)


@pytest.mark.parametrize("request_class", [flask.Request, Request])
def test_the_fields_of_a_form_over_the_limit_are_refused_and_a_file_never(
    client: Any, bucket: Any, location: Any, app: Any, monkeypatch: Any, request_class: Any
) -> None:
    monkeypatch.setattr(app, "request_class", request_class)
    monkeypatch.setitem(app.config, "MAX_CONTENT_LENGTH", 1000)
    with nothing_stays(location):
        error(form(client, bucket, title="x" * 1000, file=(io.BytesIO(CONTENT), "a"), _totalSize="1000"), 413)
    put(client, bucket, "a", b"x" * 5000)
    assert form(client, bucket, file=(io.BytesIO(b"x" * 5000), "a"), _totalSize="5000").status_code == 200


@pytest.mark.parametrize(
    "accept", ["application/json", "*/*", "text/html, */*;q=0.1", "text/html, application/json;q=0.5", ""]
)
def test_what_the_client_accepts_is_answered(client: Any, bucket: Any, accept: str) -> None:
    put(client, bucket, headers={"Accept": accept})


def test_a_post_that_is_no_part_of_a_multipart_upload_is_refused(client: Any, bucket: Any, location: Any) -> None:
    with nothing_stays(location):
        error(client.post(url(bucket, "a"), data=CONTENT), 403)


def test_no_folder_is_left_of_an_upload_but_those_of_its_file(client: Any, bucket: Any, location: Any) -> None:
    from pathlib import Path

    put(client, bucket)
    assert len(tree(Path(location.uri))) == 4


@pytest.mark.parametrize("value", ["bytes 4-6/7", "bytes 0-2/7", "bytes 0-2/*"])
def test_a_part_of_a_file_does_not_take_the_place_of_the_file(client: Any, bucket: Any, value: str) -> None:
    put(client, bucket)
    response = client.put(url(bucket, "a.txt"), data=b"abc", headers={"Content-Range": value})
    assert error(response, 400)
    assert client.get(url(bucket, "a.txt")).data == CONTENT


def test_the_range_of_a_whole_file_is_the_file(client: Any, bucket: Any) -> None:
    assert client.put(url(bucket, "a.txt"), data=b"abc", headers={"Content-Range": "bytes 0-2/3"}).status_code == 200


def test_bytes_whose_uri_cannot_be_kept_do_not_stay(client: Any, bucket: Any, location: Any, app: Any) -> None:
    app.config["FILES_REST_FILE_URI_MAX_LEN"] = 10
    try:
        with pytest.raises(ValueError, match="URI too long"):
            client.put(url(bucket, "a.txt"), data=b"abc")
    finally:
        app.config["FILES_REST_FILE_URI_MAX_LEN"] = 255
    assert not [name for _, _, names in os.walk(location.uri) for name in names]
