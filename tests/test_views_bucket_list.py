"""``GET /files``, and the grants of whoever creates a bucket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from helpers.rest import error, put, statements, url
from invenio_access.models import ActionSystemRoles, ActionUsers
from invenio_access.permissions import any_user
from invenio_accounts.testutils import create_test_user, login_user_via_session
from sqlalchemy import insert

from invenio_files_rest.models import Bucket, Location
from invenio_files_rest.permissions import (
    BucketRead,
    BucketUpdate,
    LocationUpdate,
    bucket_read_all,
    location_update_all,
)

Client = Callable[..., Any]


@pytest.fixture
def user(app: Flask, db: Any) -> Client:
    """Return a function that makes the client of a new user with grants on actions."""

    def make(*needs: Any) -> Any:
        user = create_test_user(f"{uuid4()}@example.org")
        db.session.add_all(ActionUsers.allow(need, user_id=user.id) for need in needs)
        db.session.commit()
        client = app.test_client()
        login_user_via_session(client, user)
        # The first request of a session takes further statements.
        client.get(url(uuid4()))
        return client

    return make


@pytest.fixture
def buckets(db: Any, location: Location) -> list[UUID]:
    """Make buckets, of which some are of the same moment, and return them from the newest to the oldest."""
    moments = [datetime(2026, 1, day, microsecond=day, tzinfo=timezone.utc) for day in (1, 2, 2, 2, 3, 4, 5)]
    made = [{"id": uuid4(), "created": moment, "updated": moment} for moment in moments]
    rest = {"default_location": location.id, "default_storage_class": "S", "size": 0, "locked": False, "deleted": False}
    db.session.execute(insert(Bucket), [{**row, **rest} for row in made])
    db.session.commit()
    return [row["id"] for row in sorted(made, key=lambda row: (row["created"], row["id"]), reverse=True)]


def ids(response: Any) -> list[UUID]:
    """Return the identifiers of the buckets that are listed."""
    assert response.status_code == 200, response.text
    return [UUID(bucket["id"]) for bucket in response.json["contents"]]


def test_the_buckets_that_one_may_read_are_listed_as_each_shows_itself(user: Client, buckets: list[UUID]) -> None:
    client = user(BucketRead(str(buckets[2])), BucketUpdate(str(buckets[3])), BucketRead("no bucket"))
    response = client.get("/files")
    assert ids(response) == [buckets[2]]
    assert response.json["links"] == {"self": "http://localhost/files"}
    assert "Link" not in response.headers
    alone = client.get(url(buckets[2])).json
    del alone["contents"]
    assert response.json["contents"] == [alone]
    assert client.head("/files").status_code == 200


def test_a_locked_bucket_is_listed_and_a_deleted_one_is_not(user: Client, buckets: list[UUID], db: Any) -> None:
    db.session.get(Bucket, buckets[0]).locked = True
    db.session.get(Bucket, buckets[1]).deleted = True
    assert ids(user(bucket_read_all).get("/files/")) == [buckets[0], *buckets[2:]]


def test_pages_have_every_bucket_once_and_link_to_the_next(user: Client, buckets: list[UUID]) -> None:
    client, path, pages = user(bucket_read_all), "/files?max-buckets=3", []
    while path:
        response = client.get(path)
        pages.append(ids(response))
        path = response.json["links"].get("next")
        assert response.headers.get("Link") == (f'<{path}>; rel="next"' if path else None)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [one for page in pages for one in page] == buckets


def test_the_next_page_is_found_when_the_last_bucket_of_this_one_is_gone(
    user: Client, buckets: list[UUID], db: Any
) -> None:
    client = user(bucket_read_all)
    following = client.get("/files?max-buckets=3").json["links"]["next"]
    db.session.get(Bucket, buckets[2]).remove()
    assert ids(client.get(following)) == buckets[3:6]


def test_a_place_in_the_list_tells_nothing_of_buckets_that_are_hidden(user: Client, buckets: list[UUID]) -> None:
    client = user(BucketRead(str(buckets[4])))
    answers = [client.get(f"/files?start-after={5 * 10**15}-{bucket}") for bucket in (buckets[0], uuid4())]
    assert ids(answers[0]) == ids(answers[1]) == [buckets[4]]


def test_wrong_arguments_are_refused(user: Client, buckets: list[UUID]) -> None:
    client = user(bucket_read_all)
    for query in (
        *("max-buckets=0", "max-buckets=1001", "max-buckets=x", "max-buckets=", "start-after=x", "start-after="),
        *(f"start-after={buckets[0]}", f"start-after=-1-{buckets[0]}", f"start-after={'9' * 18}-{buckets[0]}"),
        f"start-after=%D9%A1-{buckets[0]}",
    ):
        [wrong] = error(client.get(f"/files?{query}"), 422)["errors"]
        assert wrong["field"] == query.partition("=")[0]
    assert ids(client.get(f"/files?start-after={'9' * 17}-{buckets[0]}")) == buckets


def test_who_is_unknown_gets_what_is_public_or_is_asked_to_log_in(app: Flask, buckets: list[UUID], db: Any) -> None:
    client = app.test_client()
    error(client.get("/files"), 401)
    db.session.add(ActionSystemRoles.allow(BucketRead(str(buckets[1])), role=any_user))
    assert ids(client.get("/files")) == [buckets[1]]


def test_who_is_known_and_may_read_nothing_gets_an_empty_list(user: Client, buckets: list[UUID]) -> None:
    assert ids(user().get("/files")) == []


def test_what_the_client_does_not_accept_is_refused(user: Client, buckets: list[UUID]) -> None:
    error(user(bucket_read_all).get("/files", headers={"Accept": "image/png"}), 406)


def test_many_buckets_take_the_same_statements_as_few(user: Client, location: Location, db: Any) -> None:
    some, every, counts = user(), user(bucket_read_all), []
    account = ActionUsers.query.order_by(ActionUsers.id.desc()).first().user_id - 1
    for number in (2, 300):
        made = [Bucket.create(location).id for _ in range(number)]
        db.session.add_all(ActionUsers.allow(BucketRead(str(one)), user_id=account) for one in made)
        db.session.commit()
        for client in (some, every):
            with statements() as found:
                assert len(ids(client.get("/files?max-buckets=250"))) == min(250, Bucket.query.count())
            assert sum("access_action" in statement for statement in found) == 2
            counts.append(len(found))
    assert len(set(counts)) == 1


@pytest.mark.parametrize("kind", ["some", "none"])
def test_a_factory_of_one_s_own_decides(
    app: Flask, user: Client, buckets: list[UUID], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    asked = []

    def factory(obj: Any, action: str) -> Any:
        asked.append(action)
        return type("Own", (), {"can": lambda self: kind == "some" and obj.id in buckets[::3]})()

    client = user()
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", factory)
    assert ids(client.get("/files?max-buckets=50")) == (buckets[::3] if kind == "some" else [])
    assert set(asked) == {"bucket-read"}


# Grants of the creator

READS = ("", "?versions", "?uploads", "?tags")


@pytest.fixture
def granting(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who creates a bucket use it."""
    monkeypatch.setitem(app.config, "FILES_REST_GRANT_CREATOR", True)


def test_who_creates_a_bucket_may_not_use_it_unless_the_setting_says_so(user: Client, location: Location) -> None:
    client = user(location_update_all)
    bucket = client.post("/files").json["id"]
    error(client.get(url(bucket)), 404)
    assert ids(client.get("/files")) == []


@pytest.mark.usefixtures("granting")
def test_who_creates_a_bucket_may_use_it(user: Client, location: Location) -> None:
    client, stranger = user(location_update_all), user(location_update_all)
    bucket = client.post("/files").json["id"]
    for query in READS:
        assert client.get(url(bucket) + query).status_code == 200
        error(stranger.get(url(bucket) + query), 404)
    old = put(client, bucket, "a")["version_id"]
    put(client, bucket, "a")
    assert client.get(url(bucket, "a", versionId=old)).status_code == 200
    assert client.delete(url(bucket, "a", versionId=old)).status_code == 204
    upload = client.post(url(bucket, "b", uploads=True, size=6 * 1024**2, partSize=5 * 1024**2)).json["links"]["self"]
    assert client.get(upload).status_code == 200
    assert client.delete(upload).status_code == 204
    assert client.delete(url(bucket, "a")).status_code == 204
    assert ids(client.get("/files")) == [UUID(bucket)]
    assert ids(stranger.get("/files")) == []


@pytest.mark.usefixtures("granting")
def test_who_creates_a_bucket_is_not_granted_to_lift_its_limits(user: Client, location: Location, db: Any) -> None:
    client = user(location_update_all)
    bucket = client.post("/files").json["id"]
    granted = {grant.action for grant in ActionUsers.query.filter_by(argument=bucket)}
    assert len(granted) == 10
    assert LocationUpdate(None).value not in granted
    ActionUsers.query.filter_by(argument=None).delete()
    db.session.commit()
    for change in ({"quota_size": None}, {"locked": False}):
        error(client.patch(url(bucket), json=change), 403)


@pytest.mark.usefixtures("granting")
def test_who_takes_a_snapshot_may_use_it(user: Client, location: Location) -> None:
    client = user(location_update_all)
    bucket = client.post("/files").json["id"]
    put(client, bucket, "a")
    copy = client.post(url(bucket, snapshot=True)).json["id"]
    assert client.get(url(copy, "a")).status_code == 200
    assert set(ids(client.get("/files"))) == {UUID(bucket), UUID(copy)}


@pytest.mark.usefixtures("granting", "allow_all")
def test_who_is_unknown_is_granted_nothing(client: Any, location: Location) -> None:
    assert client.post("/files").status_code == 200
    assert ActionUsers.query.count() == 0


@pytest.mark.usefixtures("granting")
def test_a_bucket_and_its_grants_are_there_or_neither(
    user: Client, location: Location, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OSError("no grants")

    client = user(location_update_all)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    monkeypatch.setattr("invenio_files_rest.permissions.allow_user", fail)
    assert client.post("/files").status_code == 500
    assert Bucket.query.count() == 0


@pytest.mark.usefixtures("granting")
def test_the_grants_take_a_statement_each_at_most(user: Client, location: Location, app: Flask) -> None:
    client, counts = user(location_update_all), []
    for setting in (False, True):
        app.config["FILES_REST_GRANT_CREATOR"] = setting
        with statements() as found:
            assert client.post("/files").status_code == 200
        counts.append(len(found))
    assert counts[1] - counts[0] <= 10
