"""``?tags`` of buckets and objects."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from flask import request
from helpers.rest import error, put, statements, url

from invenio_files_rest.models import Bucket, BucketTag, ObjectVersion, ObjectVersionTag

pytestmark = pytest.mark.usefixtures("allow_all")


@pytest.fixture(params=["bucket", "object"])
def path(request: pytest.FixtureRequest, client: Any, bucket: Bucket) -> str:
    """Give the path of the tags of a bucket, or of an object in it."""
    put(client, bucket, "a/b.txt")
    return url(bucket, "a/b.txt" if request.param == "object" else None, tags=True)


def test_tags_are_replaced_shown_and_deleted(client: Any, path: str) -> None:
    assert client.get(path).json == {"tags": {}}
    for tags in ({"lang": "fr", "ünï": "códe 😀"}, {"lang": "en"}, {}, {"A": "1", "a": "2"}):
        response = client.put(path, json={"tags": tags})
        assert (response.status_code, response.json) == (200, {"tags": tags})
        assert client.get(path).json == {"tags": tags}
    response = client.delete(path)
    assert (response.status_code, response.data) == (204, b"")
    assert client.get(path).json == {"tags": {}}
    assert client.delete(path).status_code == 204


def test_wrong_tags_are_refused_and_nothing_changes(client: Any, path: str) -> None:
    client.put(path, json={"tags": {"kept": "yes"}})
    for tags, status in (
        ({"": "v"}, 400),
        ({"k": ""}, 400),
        ({"k" * 256: "v"}, 400),
        ({"k": "v" * 256}, 400),
        ({"k": "\0"}, 400),
        ({"k": "\ud800"}, 400),
        ({str(number): "v" for number in range(1001)}, 400),
        ({"k": 1}, 422),
        ({"k": None}, 422),
        ([], 422),
        ("k=v", 422),
        (None, 422),
    ):
        error(client.put(path, json={"tags": tags}), status)
    for body in ({}, {"k": "v"}, {"tags": {}, "more": 1}, [], "tags", 1):
        error(client.put(path, json=body), 422)
    json = {"Content-Type": "application/json"}
    for body in (b"", b"null", b"{", b'{"tags": NaN}', b"\xff", b"[" * 100_000):
        assert client.put(path, data=body, headers=json).status_code in (400, 422)
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/octet-stream"):
        answer = error(client.put(path, data=b'{"tags": {}}', headers={"Content-Type": kind}), 415)
        assert "application/json" in answer["message"]
    assert client.get(path).json == {"tags": {"kept": "yes"}}


def test_arguments_that_mean_something_else_are_refused(client: Any, path: str) -> None:
    for query in ("&uploads", "&partNumber=1", "&copy=a", "&restore"):
        for method in ("PUT", "DELETE"):
            response = client.open(path + query, method=method, json={"tags": {"k": "v"}})
            assert response.status_code in (400, 405), (query, method)
    assert client.get(path).json == {"tags": {}}


def test_a_misspelt_subresource_is_not_stored_as_the_object(client: Any, bucket: Bucket) -> None:
    put(client, bucket, "a", b"kept")
    assert "tags" in error(client.put(f"{url(bucket, 'a')}?Tags", json={"tags": {}}), 400)["message"]
    assert client.get(url(bucket, "a")).data == b"kept"


def test_a_body_that_something_has_read_is_taken(client: Any, path: str, app: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(app.before_request_funcs, None, [lambda: request.get_data() and None])
    assert client.put(path, json={"tags": {"k": "v"}}).json == {"tags": {"k": "v"}}


def test_a_locked_bucket_keeps_its_tags(client: Any, bucket: Bucket, path: str) -> None:
    client.put(path, json={"tags": {"kept": "yes"}})
    bucket.locked = True
    error(client.put(path, json={"tags": {}}), 403)
    error(client.delete(path), 403)
    assert client.get(path).json == {"tags": {"kept": "yes"}}
    bucket.deleted = True
    for method in ("GET", "PUT", "DELETE"):
        error(client.open(path, method=method, json={"tags": {}}), 404)


def test_what_the_client_does_not_accept_is_refused(client: Any, path: str) -> None:
    headers = {"Accept": "image/png"}
    error(client.get(path, headers=headers), 406)
    error(client.put(path, json={"tags": {"k": "v"}}, headers=headers), 406)
    assert client.get(path).json == {"tags": {}}


def test_each_version_has_its_tags(client: Any, bucket: Bucket) -> None:
    old = put(client, bucket, "a", b"old", headers={"X-Invenio-File-Tags": "is=old"})["version_id"]
    put(client, bucket, "a", b"new")
    path = url(bucket, "a", tags=True)
    of_old = f"{path}&versionId={old}"
    client.put(path, json={"tags": {"is": "new"}})
    assert client.get(of_old).json == {"tags": {"is": "old"}}
    client.put(of_old, json={"tags": {"is": "older"}})
    assert [one["tags"] for one in client.get(url(bucket, versions=True)).json["contents"]] == [
        {"is": "new"},
        {"is": "older"},
    ]
    assert client.get(url(bucket, "a")).data == b"new"
    error(client.put(f"{path}&versionId={uuid4()}", json={"tags": {}}), 404)
    error(client.put(f"{path}&versionId=x", json={"tags": {}}), 422)


def test_an_object_that_is_not_there_has_no_tags(client: Any, bucket: Bucket) -> None:
    put(client, bucket, "gone")
    client.delete(url(bucket, "gone"))
    marker = ObjectVersion.query.filter_by(is_head=True).one().version_id
    paths = [url(bucket, key, tags=True) for key in ("gone", "never")]
    for path in [*paths, f"{paths[0]}&versionId={marker}"]:
        for method in ("GET", "PUT", "DELETE"):
            error(client.open(path, method=method, json={"tags": {"k": "v"}}), 404)
    assert ObjectVersionTag.query.count() == 0


def test_who_asks_for_tags_may_name_those_that_he_wants(client: Any, bucket: Bucket) -> None:
    put(client, bucket, "a")
    for path in (url(bucket, tags=True), url(bucket, "a", tags=True)):
        answer = client.get(path, headers={"If-Match": "*"})
        assert (answer.status_code, answer.json) == (200, {"tags": {}})
        assert client.get(path, headers={"If-Match": answer.headers["ETag"]}).status_code == 200
        assert client.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
        error(client.get(path, headers={"If-Match": '"md5:0"'}), 412)


def test_conditions_are_held_against_what_has_the_tags(client: Any, bucket: Bucket) -> None:
    etag = f'"{put(client, bucket, "a")["checksum"]}"'
    path = url(bucket, "a", tags=True)
    for headers in ({"If-None-Match": "*"}, {"If-Match": '"md5:0"'}):
        error(client.put(path, json={"tags": {"k": "v"}}, headers=headers), 412)
        error(client.delete(path, headers=headers), 412)
    assert client.put(path, json={"tags": {"k": "v"}}, headers={"If-Match": etag}).status_code == 200
    # A bucket has none but that of its tags.
    path = url(bucket, tags=True)
    for headers in ({"If-None-Match": "*"}, {"If-Match": etag}):
        error(client.put(path, json={"tags": {"k": "v"}}, headers=headers), 412)
    for headers in ({"If-None-Match": etag}, {"If-Match": "*"}):
        assert client.put(path, json={"tags": {"k": "v"}}, headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_who_has_not_seen_the_latest_tags_replaces_none(client: Any, path: str, method: str) -> None:
    assert client.put(path, json={"tags": {"a": "1", "b": "2"}}).status_code == 200
    seen = client.get(path).headers["ETag"]
    # Their order is no matter.
    assert client.put(path, json={"tags": {"b": "2", "a": "1"}}, headers={"If-Match": seen}).headers["ETag"] == seen
    latest = client.put(path, json={"tags": {"a": "of somebody else"}}).headers["ETag"]
    for headers in ({"If-Match": seen}, {"If-None-Match": latest}):
        error(client.open(path, method=method, json={"tags": {"b": "3"}}, headers=headers), 412)
    assert client.get(path).json == {"tags": {"a": "of somebody else"}}
    answer = client.open(path, method=method, json={"tags": {"b": "3"}}, headers={"If-Match": f"{seen}, {latest}"})
    assert answer.status_code == (200 if method == "PUT" else 204)
    assert client.get(path).json == {"tags": {"b": "3"} if method == "PUT" else {}}


def test_tags_that_the_client_has_are_not_sent_again(client: Any, path: str) -> None:
    etag = client.get(path).headers["ETag"]
    answer = client.get(path, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
    client.put(path, json={"tags": {"a": "1"}})
    assert client.get(path, headers={"If-None-Match": etag}).json == {"tags": {"a": "1"}}


def test_many_tags_take_the_same_statements_as_few(client: Any, path: str) -> None:
    counts = []
    for number in (1, 500):
        with statements() as found:
            assert client.put(path, json={"tags": {f"k{n}": "v" for n in range(number)}}).status_code == 200
        counts.append(len(found))
    # Some drivers insert so many rows at a time.
    assert counts[1] - counts[0] <= 1
    assert (BucketTag.query.count() or ObjectVersionTag.query.count()) == 500
