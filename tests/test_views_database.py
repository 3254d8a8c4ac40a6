"""What the REST API asks of the database: few statements, and no connection while bytes move."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.rest import Watched, put, put_stream, run_on_server, statements, url

pytestmark = pytest.mark.usefixtures("allow_all")

LARGE = 4 * 1024**2


@pytest.mark.parametrize("headers", [{}, {"X-Invenio-File-Tags": "a=1&b=2&c=3"}, {"If-None-Match": "*"}])
def test_storing_takes_at_most_seven_statements(client: Any, bucket: Any, headers: dict[str, str]) -> None:
    path = url(bucket, "a")
    with statements() as sent:
        assert client.put(path, data=b"x" * 10, headers=headers).status_code == 200
    extra = ("X-Invenio-File-Tags" in headers) + 2 * ("If-None-Match" in headers)
    assert len(sent) <= 7 + extra, "\n".join(sent)


def test_serving_takes_at_most_two_statements(client: Any, bucket: Any) -> None:
    version = put(client, bucket, "a")["version_id"]
    for path in (url(bucket, "a"), url(bucket, "a", versionId=version)):
        with statements() as sent:
            assert client.get(path).status_code == 200
        assert len(sent) <= 2, "\n".join(sent)


def test_deleting_takes_at_most_six_statements(client: Any, bucket: Any) -> None:
    put(client, bucket, "a")
    path = url(bucket, "a")
    with statements() as sent:
        assert client.delete(path).status_code == 204
    assert len(sent) <= 6, "\n".join(sent)


@pytest.mark.parametrize("number", [0, 3, 30])
@pytest.mark.parametrize("query", [{}, {"versions": True}, {"max-keys": 2}, {"delimiter": "/"}])
def test_listing_takes_at_most_three_statements_whatever_its_length(
    client: Any, bucket: Any, number: int, query: dict[str, Any]
) -> None:
    for key in range(number):
        put(client, bucket, f"{key}", headers={"X-Invenio-File-Tags": "a=1"})
    path = url(bucket, **query)
    with statements() as sent:
        assert client.get(path).status_code == 200
    assert len(sent) <= 3, "\n".join(sent)


@pytest.mark.parametrize("length", [LARGE, None])
def test_no_connection_is_held_while_a_body_comes(client: Any, bucket: Any, db: Any, length: int | None) -> None:
    held: list[int] = []
    stream = Watched(LARGE, lambda: held.append(db.engine.pool.checkedout()))
    bucket_id = bucket.id
    db.session.commit()
    assert db.engine.pool.checkedout() == 0
    headers = {"If-None-Match": "*", "X-Invenio-File-Tags": "a=1"}
    assert put_stream(client, bucket_id, "a", stream, length, headers=headers).status_code == 200
    assert len(held) > 10
    assert set(held) == {0}


@pytest.mark.parametrize("query", [{}, {"versionId": None}])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=1-"}])
def test_no_connection_is_held_while_a_file_is_sent(
    app: Any, client: Any, bucket: Any, db: Any, query: dict[str, Any], headers: dict[str, str]
) -> None:
    version = put(client, bucket, "a", b"x" * LARGE)["version_id"]
    path = url(bucket, "a", **dict.fromkeys(query, version))
    db.session.commit()
    pool = db.engine.pool
    held: list[int] = []
    status, size = run_on_server(app, path, lambda chunk: held.append(pool.checkedout()), headers=headers)
    assert status.startswith("20")
    assert size >= LARGE - 1
    assert len(held) > 2
    assert set(held) == {0}


def test_no_connection_is_held_while_a_listing_is_sent(app: Any, client: Any, bucket: Any, db: Any) -> None:
    for number in range(3):
        put(client, bucket, str(number))
    path = url(bucket)
    db.session.commit()
    pool = db.engine.pool
    held: list[int] = []
    run_on_server(app, path, lambda chunk: held.append(pool.checkedout()))
    assert set(held) == {0}
