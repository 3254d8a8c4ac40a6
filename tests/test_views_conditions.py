"""Conditions on ``PUT`` and ``DELETE``: nobody overwrites what they have not seen (RFC 9110, section 13)."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from helpers.rest import CONTENT, Unreadable, error, nothing_stays, put, put_stream, url
from sqlalchemy import update
from werkzeug.http import http_date

from invenio_files_rest.models import ObjectVersion

pytestmark = pytest.mark.usefixtures("allow_all")


def etag(content: bytes) -> str:
    return f'"md5:{hashlib.md5(content).hexdigest()}"'


BEFORE, AFTER = "Sun, 13 Sep 2020 12:26:40 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"
NEW = {"If-None-Match": "*"}
SEEN = {"If-Match": etag(b"one")}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": etag(b"one")}, 200),
        ({"If-Match": f'"other", {etag(b"one")}'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": etag(b"two")}, 412),
        ({"If-Match": f"W/{etag(b'one')}"}, 412),
        ({"If-Match": ""}, 412),
        ({"If-None-Match": "*"}, 412),
        ({"If-None-Match": etag(b"one")}, 412),
        ({"If-None-Match": etag(b"two")}, 200),
        ({"If-Match": etag(b"one"), "If-None-Match": "*"}, 412),
        ({"If-Unmodified-Since": BEFORE}, 412),
        ({"If-Unmodified-Since": AFTER}, 200),
        ({"If-Unmodified-Since": "{last_modified}"}, 200),
        ({"If-Unmodified-Since": "yesterday"}, 200),
        ({"If-Unmodified-Since": "2020-09-13T12:26:40Z"}, 200),
        ({"If-Unmodified-Since": BEFORE, "If-Match": etag(b"one")}, 200),
        ({"If-Unmodified-Since": AFTER, "If-Match": etag(b"two")}, 412),
        ({"If-Unmodified-Since": AFTER, "If-None-Match": "*"}, 412),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_object_that_is_there_is_changed_where_the_condition_holds(
    client: Any, bucket: Any, location: Any, headers: dict[str, str], status: int, method: str
) -> None:
    put(client, bucket, "a", b"one")
    last_modified = client.head(url(bucket, "a")).headers["Last-Modified"]
    headers = {name: value.format(last_modified=last_modified) for name, value in headers.items()}
    if status == 412:
        with nothing_stays(location):
            error(client.open(url(bucket, "a"), method=method, data=b"new", headers=headers), 412)
        assert client.get(url(bucket, "a")).data == b"one"
        return
    response = client.open(url(bucket, "a"), method=method, data=b"new", headers=headers)
    assert response.status_code == (200 if method == "PUT" else 204)
    assert client.get(url(bucket, "a")).status_code == (200 if method == "PUT" else 404)


@pytest.mark.parametrize(
    ("headers", "status"), [({"If-Match": "*"}, 200), (NEW, 412), (SEEN, 412), ({"If-None-Match": etag(b"one")}, 200)]
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_object_without_a_checksum_is_there(
    client: Any, bucket: Any, db: Any, headers: dict[str, str], status: int, method: str
) -> None:
    ObjectVersion.create(bucket, "a", stream=io.BytesIO(b"one")).file.checksum = None
    db.session.commit()
    response = client.open(url(bucket, "a"), method=method, data=b"new", headers=headers)
    assert response.status_code == (204 if status == 200 and method == "DELETE" else status)


@pytest.mark.parametrize("deleted", [False, True])
def test_an_object_that_is_not_there_is_made_where_the_condition_holds(
    client: Any, bucket: Any, location: Any, deleted: bool
) -> None:
    if deleted:
        put(client, bucket, "a", b"one")
        client.delete(url(bucket, "a"))
    with nothing_stays(location):
        for headers in ({"If-Match": "*"}, {"If-Match": etag(b"one")}, {"If-Match": '"a"', **NEW}):
            error(put_stream(client, bucket, "a", Unreadable(), 100, headers=headers), 412)
            error(client.delete(url(bucket, "a"), headers=headers), 404)
    put(client, bucket, "a", headers=NEW)


def test_an_object_that_is_not_there_has_no_date(client: Any, bucket: Any) -> None:
    put(client, bucket, "a", headers={"If-Unmodified-Since": BEFORE})


def test_a_version_is_removed_where_the_condition_holds(client: Any, bucket: Any, location: Any) -> None:
    version = put(client, bucket, "a", b"one")["version_id"]
    put(client, bucket, "a", b"two")
    path = url(bucket, "a", versionId=version)
    with nothing_stays(location):
        error(client.delete(path, headers={"If-Match": etag(b"two")}), 412)
        error(client.delete(path, headers={"If-None-Match": etag(b"one")}), 412)
        error(client.delete(path, headers={"If-Unmodified-Since": BEFORE}), 412)
    known = client.head(path).headers["Last-Modified"]
    assert client.delete(path, headers={"If-Match": etag(b"one"), "If-Unmodified-Since": known}).status_code == 204


def test_a_delete_marker_has_no_entity_tag(client: Any, bucket: Any, location: Any) -> None:
    put(client, bucket, "a", b"one")
    client.delete(url(bucket, "a"))
    marker = ObjectVersion.query.filter_by(is_head=True).one().version_id
    path = url(bucket, "a", versionId=marker)
    error(client.delete(path, headers={"If-Match": "*"}), 412)
    assert client.delete(path, headers={"If-None-Match": "*", "If-Unmodified-Since": BEFORE}).status_code == 204
    assert client.get(url(bucket, "a")).data == b"one"


@pytest.mark.parametrize(
    ("headers", "change"), [(NEW, "PUT"), (SEEN, "PUT"), (SEEN, "DELETE"), ({"If-Unmodified-Since": "now"}, "PUT")]
)
def test_a_condition_is_decided_when_the_version_is_recorded(
    app: Any, client: Any, bucket: Any, db: Any, headers: dict[str, str], change: str
) -> None:
    """What holds before the body comes may not hold any more when it has come."""
    if headers is not NEW:
        put(client, bucket, "a", b"one")
    if "If-Unmodified-Since" in headers:
        # Dates tell seconds apart, and no less.
        then = ObjectVersion.query.one().updated - timedelta(seconds=2)
        db.session.execute(update(ObjectVersion).values(created=then, updated=then))
        headers = {"If-Unmodified-Since": http_date(then)}

    path = url(bucket, "a")

    class Overtaken(io.BytesIO):
        done = False

        def readinto(self, buffer: Any, /) -> int:
            if not self.done:
                self.done = True
                response = app.test_client().open(path, method=change, data=b"faster")
                assert response.status_code in (200, 204)
            return super().readinto(buffer)

    response = put_stream(client, bucket, "a", Overtaken(CONTENT), len(CONTENT), headers=headers)
    error(response, 412)
    heads = ObjectVersion.query.filter_by(is_head=True).all()
    assert [(head.file and head.file.size) for head in heads] == [6 if change == "PUT" else None]


@pytest.mark.parametrize("headers", [NEW, SEEN])
def test_of_clients_that_have_seen_the_same_one_wins(
    app: Any, client: Any, bucket: Any, location: Any, db: Any, headers: dict[str, str]
) -> None:
    if headers is SEEN:
        put(client, bucket, "a", b"one")
    path = url(bucket, "a")
    clients = 4
    barrier = Barrier(clients)

    class Together(io.BytesIO):
        waited = False

        def readinto(self, buffer: Any, /) -> int:
            if not self.waited:
                self.waited = True
                barrier.wait(30)
            return super().readinto(buffer)

    def write(number: int) -> int:
        body = str(number).encode() * 10
        environ = {"wsgi.input": Together(body), "CONTENT_LENGTH": str(len(body))}
        return app.test_client().put(path, headers=headers, environ_overrides=environ).status_code

    db.session.commit()
    with ThreadPoolExecutor(clients) as threads:
        statuses = sorted(threads.map(write, range(clients)))
    assert statuses == [200] + [412] * (clients - 1)
    db.session.rollback()
    assert ObjectVersion.query.filter_by(is_head=True).count() == 1
    stored = {version.file.size for version in ObjectVersion.query}
    assert stored == ({3, 10} if headers is SEEN else {10})


def test_of_clients_that_delete_what_they_have_seen_one_wins(app: Any, client: Any, bucket: Any, db: Any) -> None:
    put(client, bucket, "a", b"one")
    path = url(bucket, "a")
    barrier = Barrier(3)

    def delete(number: int) -> int:
        barrier.wait(30)
        return app.test_client().delete(path, headers=SEEN).status_code

    db.session.commit()
    with ThreadPoolExecutor(3) as threads:
        statuses = sorted(threads.map(delete, range(3)))
    assert statuses[0] == 204
    assert set(statuses[1:]) <= {404, 412}
    db.session.rollback()
    assert ObjectVersion.query.count() == 2
