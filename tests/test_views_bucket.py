"""``/files/<bucket>``: whether it is there, and how it and its objects are shown."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import uuid4

import pytest
from helpers.rest import CONTENT, error, put, url

from invenio_files_rest.models import Bucket, ObjectVersion

pytestmark = pytest.mark.usefixtures("allow_all")


def test_a_bucket_that_exists_is_200_without_a_body(client: Any, bucket: Any) -> None:
    response = client.head(url(bucket))
    assert response.status_code == 200
    assert response.data == b""


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("query", ["", "?versions", "?uploads", "?prefix=a&max-keys=1"])
def test_a_bucket_that_does_not_exist_is_404(client: Any, bucket: Any, db: Any, method: str, query: str) -> None:
    deleted = Bucket.create(bucket.location)
    Bucket.delete(deleted.id)
    for name in (uuid4(), deleted.id, "no-uuid", "%00", "é"):
        response = client.open(f"/files/{name}{query}", method=method)
        assert response.status_code == 404
        if method == "GET":
            error(response, 404)


def test_an_empty_bucket_is_shown_key_for_key(client: Any, bucket: Any) -> None:
    base = f"http://localhost/files/{bucket.id}"
    response = client.get(url(bucket))
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.json == {
        "contents": [],
        "created": bucket.created.isoformat(),
        "id": str(bucket.id),
        "links": {"self": base, "uploads": f"{base}?uploads", "versions": f"{base}?versions"},
        "locked": False,
        "max_file_size": None,
        "quota_size": None,
        "size": 0,
        "updated": bucket.updated.isoformat(),
    }


def test_a_live_head_is_shown_key_for_key(client: Any, bucket: Any) -> None:
    answer = put(client, bucket, "é/b c.txt", headers={"X-Invenio-File-Tags": "lang=fr&x=%26"})
    obj = ObjectVersion.query.one()
    base = f"http://localhost/files/{bucket.id}/%C3%A9/b%20c.txt"
    shown = {
        "checksum": "md5:" + hashlib.md5(CONTENT).hexdigest(),
        "created": obj.created.isoformat(),
        "delete_marker": False,
        "is_head": True,
        "key": "é/b c.txt",
        "links": {"self": base, "uploads": f"{base}?uploads", "version": f"{base}?versionId={obj.version_id}"},
        "mimetype": "text/plain",
        "size": len(CONTENT),
        "tags": {"lang": "fr", "x": "&"},
        "updated": obj.updated.isoformat(),
        "version_id": str(obj.version_id),
    }
    assert answer == shown
    assert client.get(url(bucket)).json["contents"] == [shown]
    assert client.get(url(bucket, versions=True)).json["contents"] == [shown]


def test_every_version_is_shown_from_newest_to_oldest_with_its_links(client: Any, bucket: Any) -> None:
    first = put(client, bucket, "a", b"one")
    second = put(client, bucket, "a", b"two!")
    assert client.delete(url(bucket, "a")).status_code == 204
    put(client, bucket, "b", b"three")
    assert [item["key"] for item in client.get(url(bucket)).json["contents"]] == ["b"]

    marker, newer, older, other = client.get(url(bucket, versions=True)).json["contents"]
    base = f"http://localhost/files/{bucket.id}/a"
    assert (marker["delete_marker"], marker["is_head"], marker["key"]) == (True, True, "a")
    assert (marker["size"], marker["checksum"], marker["tags"]) == (None, None, {})
    assert marker["links"] == {"self": base, "version": f"{base}?versionId={marker['version_id']}"}
    for shown, stored in ((newer, second), (older, first)):
        link = f"{base}?versionId={stored['version_id']}"
        assert shown["links"] == {"self": link, "version": link}
        assert (shown["is_head"], shown["delete_marker"]) == (False, False)
        assert (shown["version_id"], shown["checksum"]) == (stored["version_id"], stored["checksum"])
    assert (other["key"], other["is_head"]) == ("b", True)
    assert client.get(url(bucket)).json["size"] == len(b"one" + b"two!" + b"three")


def test_links_lead_to_what_they_say(client: Any, bucket: Any) -> None:
    for content in (b"old", b"new"):
        put(client, bucket, "a?b#c%20//d;e=é.txt", content)
    new, old = client.get(url(bucket, versions=True)).json["contents"]
    for item, content in ((new, b"new"), (old, b"old")):
        assert client.get(item["links"]["self"]).data == content
        assert client.get(item["links"]["version"]).data == content
    links = client.get(url(bucket)).json["links"]
    assert client.get(links["self"]).json["id"] == str(bucket.id)
    assert len(client.get(links["versions"]).json["contents"]) == 2
    assert client.get(links["uploads"]).json == []


def test_a_locked_bucket_is_shown_and_says_so(client: Any, bucket: Any, db: Any) -> None:
    put(client, bucket)
    bucket.locked = True
    db.session.commit()
    assert client.get(url(bucket)).json["locked"] is True
    assert client.get(url(bucket, "a.txt")).data == CONTENT


@pytest.mark.parametrize("query", [{}, {"versions": True}])
def test_prettyprint_indents_and_changes_nothing_else(client: Any, bucket: Any, query: dict[str, Any]) -> None:
    for key in ("a", "b"):
        put(client, bucket, key)
    plain = client.get(url(bucket, **query))
    pretty = client.get(url(bucket, **query, prettyprint=1))
    assert "\n" not in plain.text.rstrip()
    assert pretty.json == plain.json
    lines = pretty.text.splitlines()
    assert len(lines) > 20
    assert '  "size": 44' in [line.rstrip(",") for line in lines]
    assert pretty.text.strip() == json.dumps(pretty.json, indent=2)


def test_prettyprint_indents_an_empty_bucket_and_an_object(client: Any, bucket: Any) -> None:
    assert '\n  "size": 0' in client.get(url(bucket, prettyprint=1)).text
    response = client.put(url(bucket, "a", prettyprint=1), data=CONTENT)
    assert '\n  "key": "a"' in response.text


def test_uploads_are_an_array(client: Any, bucket: Any) -> None:
    response = client.get(url(bucket, uploads=True))
    assert (response.status_code, response.json) == (200, [])


def test_other_methods_are_not_allowed(client: Any, bucket: Any) -> None:
    for method in ("PUT", "POST", "DELETE"):
        response = client.open(url(bucket), method=method)
        error(response, 405)
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, PATCH"


def test_what_the_client_does_not_accept_is_refused(client: Any, bucket: Any) -> None:
    error(client.get(url(bucket), headers={"Accept": "image/png"}), 406)
