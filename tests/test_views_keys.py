"""Keys of objects: any path, as it is."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from helpers.rest import CONTENT, error, exact_path, nothing_stays, put, url

from invenio_files_rest.models import ObjectVersion

pytestmark = pytest.mark.usefixtures("allow_all")

KEYS = [
    "a b",
    "a+b",
    "a%2Fb",
    "a%20b",
    "%",
    "a//b",
    "a///b//",
    "/a",
    "//a",
    "a/",
    "...",
    "..a/.b/c..",
    "%2e%2E/%2e",
    "a\\..\\b",
    " ",
    " a ",
    "a\nb",
    "a\tb",
    "a\\b",
    "a?b=c&d#e",
    "a;b:c@d",
    "'\"<script>",
    "ftp://a[b.pdf",
    "//[.png",
    "data:image/png,evil.html",
    "note: my file #2.pdf",
    "é",
    "e\u0301",
    "日本語/ファイル.txt",
    "😀",
    "a\u202eb",
    "\ufeff",
    "\x7f",
    "a" * 255,
    "é" * 255,
    "😀" * 255,
    "x/" * 127,
]


def test_every_key_is_stored_listed_served_and_deleted_as_it_is(client: Any, bucket: Any, db: Any) -> None:
    for number, key in enumerate(KEYS):
        answer = put(client, bucket, key, str(number).encode() * 2)
        assert answer["key"] == key
        assert client.get(answer["links"]["self"]).data == str(number).encode() * 2
    for query in ({}, {"versions": True}):
        shown = {item["key"] for item in client.get(url(bucket, **query)).json["contents"]}
        assert shown == set(KEYS)
    for number, key in enumerate(KEYS):
        assert client.get(url(bucket, key)).data == str(number).encode() * 2, key
        response = client.head(url(bucket, key))
        assert (response.status_code, response.content_length) == (200, len(str(number)) * 2)
    for key in KEYS:
        assert client.delete(url(bucket, key)).status_code == 204
    assert client.get(url(bucket)).json["contents"] == []


def test_keys_that_differ_are_different_objects(client: Any, bucket: Any) -> None:
    keys = ["a", "A", "á", "a ", " a", "a/", "a//", "/a", "ß", "ss", "é", "e\u0301", "\uff41"]
    for key in keys:
        put(client, bucket, key, key.encode())
    for key in keys:
        assert client.get(url(bucket, key)).data == key.encode()
    assert ObjectVersion.query.filter_by(is_head=True).count() == len(keys)


def test_an_encoded_slash_is_a_slash(client: Any, bucket: Any) -> None:
    put(client, bucket, "a/b")
    assert client.get(url(bucket) + "/a%2Fb").data == CONTENT
    assert client.get(url(bucket) + "/" + quote("a/b", safe="")).data == CONTENT


@pytest.mark.parametrize("key", ["a" * 256, "é" * 256, "a\0b"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_key_that_cannot_be_is_not_found(client: Any, bucket: Any, location: Any, key: str, method: str) -> None:
    put(client, bucket, "a")
    with nothing_stays(location):
        for query in ({}, {"versionId": uuid4()}, {"uploadId": uuid4()}):
            assert client.open(url(bucket, key, **query), method=method).status_code == 404


def test_a_key_that_is_not_in_utf_8_is_refused(client: Any, bucket: Any, location: Any) -> None:
    """Such keys would all be one, of characters that stand for what cannot be read."""
    put(client, bucket, "\ufffd")
    with nothing_stays(location):
        for method in ("GET", "PUT", "POST", "DELETE"):
            for key in ("%ff", "a/%fe", "%ed%a0%80"):
                path = exact_path(f"{url(bucket)}/{key}")
                error(client.open(method=method, data=CONTENT, environ_overrides=path), 400)
    assert client.get(url(bucket, "\ufffd")).data == CONTENT


@pytest.mark.parametrize("name", ["prefix", "delimiter", "start-after"])
def test_a_text_of_the_query_that_is_not_in_utf_8_is_refused(client: Any, bucket: Any, name: str) -> None:
    put(client, bucket, "%FF")
    answer = error(client.get(f"{url(bucket)}?{name}=%FF"), 422)
    assert answer["errors"] == [{"field": name, "message": "Not in UTF-8."}]
    # What means nothing to us may be what it likes.
    assert client.get(f"{url(bucket)}?other=%FF").status_code == 200


def test_a_query_that_is_not_in_utf_8_is_refused(client: Any, bucket: Any) -> None:
    put(client, bucket, "a")
    for path in (url(bucket), url(bucket, "a")):
        error(client.get(path, environ_overrides={"QUERY_STRING": "other=\xff"}), 400)


def test_the_longest_key_is_a_setting(client: Any, bucket: Any, app: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_OBJECT_KEY_MAX_LEN", 5)
    put(client, bucket, "a" * 5)
    assert error(client.put(url(bucket, "a" * 6), data=CONTENT), 400)["message"] == "Filename is too long."


@pytest.mark.parametrize("key", ["data:image/png,evil.html", "data:image/png;base64,a.svg", "image/png:.xhtml"])
def test_what_a_browser_would_run_is_sent_as_text_whatever_its_name_looks_like(
    client: Any, bucket: Any, key: str
) -> None:
    put(client, bucket, key, b"<script>alert(1)</script>")
    assert client.get(url(bucket, key)).mimetype in ("text/plain", "application/octet-stream")


def test_a_wave_file_is_played_in_the_page(client: Any, bucket: Any) -> None:
    assert put(client, bucket, "a.wav")["mimetype"] in ("audio/x-wav", "audio/vnd.wave")
    response = client.get(url(bucket, "a.wav"))
    assert (response.mimetype, response.headers["Content-Disposition"]) == ("audio/wav", "inline")


def test_a_name_in_a_download_is_the_last_part_of_the_key(client: Any, bucket: Any) -> None:
    put(client, bucket, 'folder/é "x".pdf')
    disposition = client.get(url(bucket, 'folder/é "x".pdf', download=True)).headers["Content-Disposition"]
    assert disposition.startswith("attachment")
    assert "filename*=UTF-8''%C3%A9%20%22x%22.pdf" in disposition
    assert "folder" not in disposition
