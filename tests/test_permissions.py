"""Who may do what: every request with every caller, on grants of Invenio-Access."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from helpers.rest import CONTENT, Unreadable, error, put_stream, rows, statements, url
from helpers.tus import metadata
from invenio_access.models import ActionSystemRoles, ActionUsers
from invenio_access.permissions import any_user, authenticated_user
from invenio_accounts.testutils import create_test_user, login_user_via_session

from invenio_files_rest import permissions
from invenio_files_rest.models import Bucket, MultipartObject, ObjectVersion, Part

CALLERS = ("anonymous", "stranger", "reader", "owner", "administrator")

ACTIONS = {
    "location-update": permissions.LocationUpdate,
    "bucket-read": permissions.BucketRead,
    "bucket-read-versions": permissions.BucketReadVersions,
    "bucket-update": permissions.BucketUpdate,
    "bucket-listmultiparts": permissions.BucketListMultiparts,
    "object-read": permissions.ObjectRead,
    "object-read-version": permissions.ObjectReadVersion,
    "object-delete": permissions.ObjectDelete,
    "object-delete-version": permissions.ObjectDeleteVersion,
    "multipart-read": permissions.MultipartRead,
    "multipart-delete": permissions.MultipartDelete,
}


@dataclass
class Request:
    """A request, the actions that it needs in their order, and what it answers to each of the callers.

    A refusal of an action in ``open`` says so, any other is as if the thing did not exist.
    """

    method: str
    query: str
    needs: list[str]
    statuses: tuple[int, int, int, int, int]
    open: tuple[str, ...] = ()
    key: str | None = "a.txt"
    body: bytes | None = None
    json: Any = None


HIDDEN = (404, 404)
READ = (*HIDDEN, 200, 200, 200)
UPDATE = (*HIDDEN, 404, 200, 200)

TAGS = {"tags": {"key": "value"}}

REQUESTS = {
    "head bucket": Request("HEAD", "", ["bucket-read"], READ, key=None),
    "list objects": Request("GET", "", ["bucket-read"], READ, key=None),
    "list a page": Request("GET", "?prefix=a&max-keys=1", ["bucket-read"], READ, key=None),
    "list versions": Request(
        *("GET", "?versions", ["bucket-read", "bucket-read-versions"], (*HIDDEN, 403, 200, 200)),
        open=("bucket-read-versions",),
        key=None,
    ),
    "list uploads": Request("GET", "?uploads", ["bucket-listmultiparts"], UPDATE, key=None),
    "get": Request("GET", "", ["object-read"], READ),
    "get head": Request("HEAD", "", ["object-read"], READ),
    "get attachment": Request("GET", "?download", ["object-read"], READ),
    "get the head by its version": Request("GET", "?versionId={head}", ["object-read"], READ),
    "get a version": Request(
        *("GET", "?versionId={old}", ["object-read", "object-read-version"], (*HIDDEN, 403, 200, 200)),
        open=("object-read-version",),
    ),
    "head of a version": Request(
        *("HEAD", "?versionId={old}", ["object-read", "object-read-version"], (*HIDDEN, 403, 200, 200)),
        open=("object-read-version",),
    ),
    "put": Request("PUT", "", ["bucket-update"], UPDATE, body=CONTENT),
    "put a new key": Request("PUT", "", ["bucket-update"], UPDATE, key="new", body=CONTENT),
    "delete": Request(
        *("DELETE", "", ["object-read", "object-delete"], (*HIDDEN, 403, 204, 204)), open=("object-delete",)
    ),
    "remove the head": Request(
        "DELETE",
        "?versionId={head}",
        ["object-read", "object-delete", "object-delete-version"],
        (*HIDDEN, 403, 204, 204),
        open=("object-delete", "object-delete-version"),
    ),
    "remove a version": Request(
        "DELETE",
        "?versionId={old}",
        ["object-read", "object-read-version", "object-delete", "object-delete-version"],
        (*HIDDEN, 403, 204, 204),
        open=("object-read-version", "object-delete", "object-delete-version"),
    ),
    "begin an upload": Request("POST", "?uploads&size=3&partSize=2", ["bucket-update"], UPDATE),
    "put a part": Request("PUT", "?uploadId={begun}&partNumber=0", ["bucket-update"], UPDATE, key="m", body=b"x"),
    "list parts": Request("GET", "?uploadId={begun}", ["multipart-read"], UPDATE, key="m"),
    "complete an upload": Request("POST", "?uploadId={whole}", ["bucket-update"], UPDATE, key="m"),
    "abort an upload": Request(
        *("DELETE", "?uploadId={begun}", ["multipart-delete"], (*HIDDEN, 404, 204, 204)), key="m"
    ),
}

MORE = {
    "copy a version": Request(
        *("PUT", "?copy=a.txt&versionId={old}", ["bucket-update", "object-read", "object-read-version"], UPDATE),
        open=("object-read-version",),
        key="new",
    ),
    "move": Request(
        *("PUT", "?move=a.txt", ["bucket-update", "object-read", "object-delete"], UPDATE),
        open=("object-delete",),
        key="new",
    ),
    "restore": Request(
        *("POST", "?restore&versionId={old}", ["bucket-update", "object-read", "object-read-version"], UPDATE),
        open=("object-read-version",),
    ),
    "get tags of a version": Request(
        *("GET", "?tags&versionId={old}", ["object-read", "object-read-version"], (*HIDDEN, 403, 200, 200)),
        open=("object-read-version",),
    ),
    "put tags of a version": Request(
        *("PUT", "?tags&versionId={old}", ["bucket-update", "object-read", "object-read-version"], UPDATE),
        open=("object-read-version",),
        json=TAGS,
    ),
    "delete tags": Request("DELETE", "?tags", ["bucket-update", "object-read"], (*HIDDEN, 404, 204, 204)),
    "get tags of the bucket": Request("GET", "?tags", ["bucket-read"], READ, key=None),
    "put tags of the bucket": Request("PUT", "?tags", ["bucket-update"], UPDATE, key=None, json=TAGS),
    "change the limits": Request(
        *("PATCH", "", ["bucket-read", "location-update"], (*HIDDEN, 403, 403, 200)),
        open=("location-update",),
        key=None,
        json={"quota_size": 1000},
    ),
}
"""Requests whose callers are tried one after the other, since they leave a bucket as it was, or can be sent again."""

FROM = {
    "copy": Request("PUT", "?copy=a.txt&from={source}", ["object-read"], UPDATE, key="new"),
    "copy a version": Request(
        *("PUT", "?copy=a.txt&from={source}&versionId={old}", ["object-read", "object-read-version"], UPDATE),
        open=("object-read-version",),
        key="new",
    ),
    "move": Request(
        *("PUT", "?move=a.txt&from={source}", ["object-read", "object-delete"], UPDATE),
        open=("object-delete",),
        key="new",
    ),
    "sync": Request("POST", "?sync&from={source}", ["bucket-read", "object-read"], UPDATE, key=None),
}
"""Requests that change one bucket and read another, with the actions that they need on the latter."""


CONDITIONAL = {
    "put": ("PUT", "", b"x"),
    "begin an upload": ("POST", "?uploads&size=3&partSize=2", None),
    "complete an upload": ("POST", "?uploadId={whole}", None),
}


@dataclass
class Site:
    """A bucket with two versions of an object and two multipart uploads, of which one has all its parts."""

    app: Any
    db: Any
    bucket: Any
    values: dict[str, Any]

    def grant(self, user: Any, actions: Any, argument: Any) -> None:
        for action in actions:
            self.db.session.add(ActionUsers.allow(ACTIONS[action](argument), user_id=user.id))
        self.db.session.commit()

    def user(self, actions: Any = (), argument: Any = None, own: Any = (), without: str = "") -> Any:
        """Return the client of a new user with grants on actions, and on all but one of others on the bucket."""
        user = create_test_user(f"{uuid4()}@example.org")
        self.grant(user, actions, argument)
        self.grant(user, set(own) - {without}, str(self.bucket.id))
        client = self.app.test_client()
        login_user_via_session(client, user)
        # The first request of a session has a cookie in its answer.
        client.get(url(self.bucket))
        return client

    def caller(self, name: str) -> Any:
        """Return the client of a caller."""
        own = str(self.bucket.id)
        return {
            "anonymous": lambda: self.app.test_client(),
            "stranger": lambda: self.user(),
            "reader": lambda: self.user(["bucket-read", "object-read"], own),
            "owner": lambda: self.user(ACTIONS.keys() - {"location-update"}, own),
            "administrator": lambda: self.user(ACTIONS),
        }[name]()

    def send(self, client: Any, request: Request, bucket: Any = None, key: str | None = None) -> Any:
        """Send a request, to another bucket or for another key where one is given."""
        path = url(bucket or self.bucket, request.key and (key or request.key)) + request.query.format(**self.values)
        return client.open(path, method=request.method, data=request.body, json=request.json)


@pytest.fixture
def site(app: Any, db: Any, bucket: Any, monkeypatch: Any) -> Site:
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    old = ObjectVersion.create(bucket, "a.txt", stream=io.BytesIO(b"old"))
    head = ObjectVersion.create(bucket, "a.txt", stream=io.BytesIO(b"head"))
    begun, whole = (MultipartObject.create(bucket, "m", size=1, chunk_size=1) for _ in range(2))
    Part.create(whole, 0, stream=io.BytesIO(b"x"))
    db.session.commit()
    values = {"old": old.version_id, "head": head.version_id, "begun": begun.upload_id, "whole": whole.upload_id}
    return Site(app, db, bucket, values)


def same(one: Any, other: Any) -> bool:
    """Tell whether two answers cannot be told apart."""
    return (one.status, one.data, list(one.headers)) == (other.status, other.data, list(other.headers))


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", REQUESTS)
def test_each_caller_gets_what_is_theirs(site: Site, name: str, caller: str) -> None:
    request, client = REQUESTS[name], site.caller(caller)
    before = rows()
    response = site.send(client, request)
    expected = request.statuses[CALLERS.index(caller)]
    assert response.status_code == expected, response.text
    if expected >= 400:
        assert rows() == before
    if expected == 404:
        assert same(response, site.send(client, request, bucket=uuid4()))
    if expected == 403 and request.method != "HEAD":
        error(response, 403)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_needs_each_of_its_actions_and_no_other(site: Site, name: str) -> None:
    request = REQUESTS[name]
    for missing in request.needs:
        client = site.user(ACTIONS.keys() - {missing}, str(site.bucket.id))
        expected = 403 if missing in request.open else 404
        assert site.send(client, request).status_code == expected, missing
    response = site.send(site.user(request.needs, str(site.bucket.id)), request)
    assert response.status_code in (200, 204), response.text


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", REQUESTS)
def test_all_permissions_of_a_request_take_one_statement(site: Site, name: str, caller: str) -> None:
    client = site.caller(caller)
    with statements() as found:
        site.send(client, REQUESTS[name])
    assert sum("access_actions" in statement for statement in found) == 1


@pytest.mark.parametrize("name", CONDITIONAL)
def test_the_permissions_of_a_conditional_request_take_one_statement(site: Site, name: str) -> None:
    method, query, body = CONDITIONAL[name]
    path = url(site.bucket, "m") + query.format(**site.values)
    client = site.caller("owner")
    with statements() as found:
        assert client.open(path, method=method, data=body, headers={"If-None-Match": "*"}).status_code == 200
    assert sum("access_actions" in statement for statement in found) == 1


def test_the_permissions_of_a_conditional_upload_of_tus_take_one_statement(site: Site) -> None:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1", "If-None-Match": "*"}
    client = site.caller("owner")
    with statements() as found:
        response = client.post(f"{url(site.bucket)}?tus", headers={**headers, "Upload-Metadata": metadata(key="new")})
        assert response.status_code == 201, response.text
    assert sum("access_actions" in statement for statement in found) == 1


@pytest.mark.parametrize("name", REQUESTS)
def test_a_grant_on_one_bucket_covers_no_other(site: Site, name: str) -> None:
    client = site.user(ACTIONS, str(uuid4()))
    response = site.send(client, REQUESTS[name])
    assert response.status_code == 404
    assert same(response, site.send(client, REQUESTS[name], bucket=uuid4()))


@pytest.mark.parametrize("name", MORE)
def test_who_may_copy_tag_and_limit(site: Site, name: str) -> None:
    request, own = MORE[name], str(site.bucket.id)

    def send(client: Any, status: int) -> None:
        if ObjectVersion.get(site.bucket, "a.txt") is None:
            ObjectVersion.create(site.bucket, "a.txt", stream=io.BytesIO(b"again"))
        before = rows()
        with statements() as found:
            response = site.send(client, request)
        assert response.status_code == status, response.text
        assert sum("access_actions" in statement for statement in found) == 1
        if status >= 400:
            assert rows() == before
        if status == 404:
            assert same(response, site.send(client, request, bucket=uuid4()))

    for caller, status in zip(CALLERS, request.statuses, strict=True):
        send(site.caller(caller), status)
    for missing in request.needs:
        send(site.user(ACTIONS.keys() - {missing}, own), 403 if missing in request.open else 404)
    send(site.user(request.needs, own), 204 if request.method == "DELETE" else 200)
    send(site.user(ACTIONS, str(uuid4())), 404)


@pytest.fixture
def target(site: Site) -> Bucket:
    """Make the bucket that requests of FROM change."""
    target = Bucket.create(site.bucket.location)
    site.db.session.commit()
    site.values["source"] = site.bucket.id
    return target


@pytest.mark.parametrize("name", FROM)
def test_what_is_taken_from_another_bucket_needs_its_permissions(site: Site, target: Bucket, name: str) -> None:
    request = FROM[name]
    client = site.user(["bucket-update", "object-delete"], str(target.id))
    before = rows()
    refused = site.send(client, request, bucket=target)
    error(refused, 404)
    absent = {**site.values, "source": uuid4()}
    assert same(refused, client.open(url(target, request.key) + request.query.format(**absent), method=request.method))
    for missing in request.needs:
        client = site.user(["bucket-update", "object-delete"], str(target.id), request.needs, without=missing)
        assert site.send(client, request, bucket=target).status_code == (403 if missing in request.open else 404)
    assert rows() == before
    client = site.user(["bucket-update", "object-delete"], str(target.id), request.needs)
    with statements() as found:
        assert site.send(client, request, bucket=target).status_code == 200
    assert sum("access_actions" in statement for statement in found) == 1


def test_who_may_only_store_in_a_bucket_does_not_sync_it(site: Site, target: Bucket) -> None:
    client = site.user(["bucket-update", "bucket-read"], str(target.id), ["bucket-read", "object-read"])
    assert site.send(client, FROM["sync"], bucket=target).status_code == 403


def test_a_snapshot_is_for_those_who_may_read_it_all_and_make_buckets(site: Site) -> None:
    snapshot = Request("POST", "?snapshot", [], READ, key=None)
    for caller, status in zip(CALLERS, (404, 404, 403, 403, 200), strict=True):
        before, client = rows(), site.caller(caller)
        with statements() as found:
            response = site.send(client, snapshot)
        assert response.status_code == status
        assert sum("access_actions" in statement for statement in found) == 1
        assert (rows() == before) == (status != 200)
        if status == 404:
            assert same(response, site.send(client, snapshot, bucket=uuid4()))
    for missing in ("bucket-read", "object-read"):
        client = site.user(["location-update"], None, ["bucket-read", "object-read"], without=missing)
        assert site.send(client, snapshot).status_code == 404
    assert site.send(site.user(["location-update"], None, ["bucket-read", "object-read"]), snapshot).status_code == 200


def test_each_object_is_asked_for_where_a_factory_of_one_s_own_decides(
    site: Site, target: Bucket, monkeypatch: Any
) -> None:
    ObjectVersion.create(site.bucket, "secret", stream=io.BytesIO(b"secret"))

    def factory(obj: Any, action: str) -> Any:
        return type("Own", (), {"can": lambda self: getattr(obj, "key", "") != "secret"})()

    monkeypatch.setattr(site.app.extensions["invenio-files-rest"], "permission_factory", factory)
    client = site.app.test_client()
    for request, bucket in ((Request("POST", "?snapshot", [], READ, key=None), site.bucket), (FROM["sync"], target)):
        before = rows()
        error(site.send(client, request, bucket=bucket), 404)
        assert rows() == before
    ObjectVersion.delete(site.bucket, "secret")
    assert site.send(client, FROM["sync"], bucket=target).status_code == 200


def test_a_bucket_is_made_by_those_who_may_change_the_location(site: Site) -> None:
    for caller, status in zip(CALLERS, (401, 403, 403, 403, 200), strict=True):
        before = rows()["files_bucket"]
        response = site.caller(caller).post("/files")
        assert response.status_code == status
        assert rows()["files_bucket"] == before + (status == 200)
        if status != 200:
            error(response, status)


@pytest.mark.parametrize("name", [name for name, request in REQUESTS.items() if request.open])
def test_an_open_refusal_asks_an_anonymous_caller_to_log_in(site: Site, name: str) -> None:
    request = REQUESTS[name]
    for action in request.needs:
        if action not in request.open:
            need = ACTIONS[action](str(site.bucket.id))
            site.db.session.add(ActionSystemRoles.allow(need, role=any_user))
    site.db.session.commit()
    assert site.send(site.app.test_client(), request).status_code == 401
    assert site.send(site.user(), request).status_code == 403


def test_a_grant_on_a_system_role_covers_who_has_the_role(site: Site) -> None:
    need = permissions.ObjectRead(str(site.bucket.id))
    site.db.session.add(ActionSystemRoles.allow(need, role=authenticated_user))
    site.db.session.commit()
    assert site.send(site.user(), REQUESTS["get"]).data == b"head"
    assert site.send(site.app.test_client(), REQUESTS["get"]).status_code == 404


@pytest.mark.parametrize("name", ["get", "get head", "get a version", "delete", "remove the head", "list parts"])
def test_what_is_hidden_is_as_what_is_not_there(site: Site, name: str) -> None:
    """Who may read nothing cannot even tell which keys there are."""
    request = REQUESTS[name]
    for client in (site.caller("anonymous"), site.caller("stranger")):
        hidden = site.send(client, request)
        assert same(hidden, site.send(client, request, key="no such key"))
        assert same(hidden, site.send(client, request, bucket=uuid4()))


def test_a_deleted_object_is_as_one_that_never_was(site: Site) -> None:
    ObjectVersion.delete(site.bucket, "a.txt")
    site.db.session.commit()
    client = site.caller("owner")
    for name in ("get", "get head", "delete"):
        gone = site.send(client, REQUESTS[name])
        assert gone.status_code == 404
        assert same(gone, site.send(client, REQUESTS[name], key="no such key"))


@pytest.mark.parametrize("caller", ["anonymous", "stranger", "reader"])
@pytest.mark.parametrize("query", [{}, {"uploadId": uuid4(), "partNumber": 0}, {"uploadId": "bad"}])
def test_the_body_of_whoever_may_not_write_is_not_read(site: Site, caller: str, query: dict[str, Any]) -> None:
    response = put_stream(site.caller(caller), site.bucket, "a", Unreadable(), 10**12, query=query)
    error(response, 404)


@pytest.mark.parametrize("change", [{"locked": True}, {"deleted": True}])
def test_a_stranger_learns_nothing_of_a_bucket_s_state(site: Site, change: dict[str, bool]) -> None:
    client = site.caller("stranger")
    every = REQUESTS | MORE
    before = {name: site.send(client, request) for name, request in every.items()}
    site.db.session.execute(Bucket.__table__.update().values(**change))
    for name, request in every.items():
        assert same(before[name], site.send(client, request)), name


def test_the_factory_asks_for_the_bucket_of_whatever_is_in_it(site: Site) -> None:
    argument = str(site.bucket.id)
    things: list[Callable[[], Any]] = [
        lambda: site.bucket,
        lambda: ObjectVersion.get(site.bucket, "a.txt"),
        lambda: MultipartObject.query.first(),
    ]
    for action, need in ACTIONS.items():
        assert need(None) in permissions.permission_factory(None, action).explicit_needs
        for thing in things:
            needs = permissions.permission_factory(thing(), action).explicit_needs
            assert need(argument) in needs
            assert need(None) not in needs


def test_the_factory_refuses_what_it_does_not_know(site: Site) -> None:
    with pytest.raises(RuntimeError):
        permissions.permission_factory(site.bucket, "bucket-paint")
    with pytest.raises(RuntimeError):
        permissions.permission_factory("a bucket", "bucket-read")


# Who may not read learns nothing by what they write, nor by how long an answer takes


@pytest.mark.parametrize("name", CONDITIONAL)
@pytest.mark.parametrize(
    ("header", "value"),
    [("If-None-Match", "*"), ("If-Match", "*"), ("If-Unmodified-Since", "Sun, 13 Sep 2020 12:26:40 GMT")],
)
def test_a_condition_tells_a_writer_who_may_not_read_nothing(site: Site, name: str, header: str, value: str) -> None:
    method, query, body = CONDITIONAL[name]
    writer = site.user(["bucket-update"], str(site.bucket.id))
    before = rows()

    def send(client: Any, key: str) -> Any:
        path = url(site.bucket, key) + query.format(**site.values)
        return client.open(path, method=method, data=body, headers={header: value})

    absent = send(writer, "m")
    error(absent, 404)
    assert rows() == before
    ObjectVersion.create(site.bucket, "m", stream=io.BytesIO(b"there"))
    site.db.session.commit()
    before = rows()
    assert same(send(writer, "m"), absent)
    assert rows() == before
    assert send(site.user(["bucket-update", "object-read"], str(site.bucket.id)), "m").status_code in (200, 412)


@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
def test_a_condition_on_tags_of_a_bucket_tells_a_writer_who_may_not_read_nothing(site: Site, header: str) -> None:
    reader, writer = (site.user(["bucket-update", *more], str(site.bucket.id)) for more in (["bucket-read"], []))
    path = url(site.bucket, tags=True)
    etag = reader.get(path).headers["ETag"]
    assert writer.put(path, json={"tags": {}}).status_code == 200
    answers = [writer.put(path, json={"tags": {"k": "v"}}, headers={header: one}) for one in (etag, '"tags:0"')]
    for answer in answers:
        error(answer, 404)
    assert same(*answers)
    assert reader.get(path).json == {"tags": {}}


def test_a_body_is_not_read_where_its_condition_may_not_be_known(site: Site) -> None:
    writer = site.user(["bucket-update"], str(site.bucket.id))
    error(put_stream(writer, site.bucket, "new", Unreadable(), 100, headers={"If-None-Match": "*"}), 404)
    assert writer.put(url(site.bucket, "new"), data=b"x").status_code == 200


@pytest.mark.parametrize("caller", ["anonymous", "stranger"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("query", ["", "?versionId={old}", "?versionId={head}"])
def test_what_is_hidden_takes_the_queries_of_what_is_not_there(
    site: Site, caller: str, method: str, query: str
) -> None:
    client = site.caller(caller)
    sent = []
    for key, values in (("a.txt", site.values), ("none", site.values), ("a.txt", dict.fromkeys(site.values, uuid4()))):
        path = url(site.bucket, key) + query.format(**values)
        client.open(path, method=method)
        with statements() as found:
            assert client.open(path, method=method).status_code == 404
        sent.append(found)
    hidden, *absent = sent
    assert len(hidden) > 1
    for found in absent[: 1 if not query else 2]:
        assert found == hidden


def test_a_factory_is_asked_of_an_object_that_is_not_there_as_of_one_that_is(site: Site, monkeypatch: Any) -> None:
    asked: list[Any] = []

    def factory(obj: Any, action: str) -> Any:
        if isinstance(obj, ObjectVersion):
            asked.append((action, obj.bucket, obj.bucket_id, obj.key, obj.is_head, obj.file, obj.tags, obj.mimetype))
        return type("Allow", (), {"can": lambda self: True})()

    monkeypatch.setattr(site.app.extensions["invenio-files-rest"], "permission_factory", factory)
    client, bucket = site.app.test_client(), site.bucket
    bucket_id = bucket.id
    for method, headers in (("GET", {}), ("HEAD", {}), ("DELETE", {}), ("PUT", {"If-None-Match": "*"})):
        asked.clear()
        client.open(url(bucket_id, "new.pdf"), method=method, data=b"x", headers=headers)
        ((action, found, *facts),) = asked
        assert isinstance(found, Bucket)
        assert (action, facts) == ("object-read", [bucket_id, "new.pdf", True, None, [], "application/pdf"])
    assert ObjectVersion.query.filter_by(key="new.pdf").count() == 1


def test_a_factory_that_takes_a_file_for_granted_does_no_harm_where_there_is_none(
    site: Site, monkeypatch: Any, caplog: Any
) -> None:
    def factory(obj: Any, action: str) -> Any:
        allowed = not isinstance(obj, ObjectVersion) or obj.file.size > 0
        return type("Permission", (), {"can": lambda self: allowed})()

    monkeypatch.setattr(site.app.extensions["invenio-files-rest"], "permission_factory", factory)
    client = site.app.test_client()
    caplog.set_level("WARNING")
    assert client.get(url(site.bucket, "a.txt")).data == b"head"
    error(client.get(url(site.bucket, "none")), 404)
    (record,) = caplog.records
    assert (record.levelname, record.exc_info[0]) == ("WARNING", AttributeError)


@pytest.mark.parametrize("query", ["versions", "versionid=1", "partNumber=1"])
def test_a_stray_argument_tells_nobody_which_buckets_there_are(client: Any, bucket: Any, query: str) -> None:
    hidden = client.delete(f"{url(bucket, 'key')}?{query}")
    absent = client.delete(f"{url(uuid4(), 'key')}?{query}")
    assert (hidden.status_code, hidden.json) == (absent.status_code, absent.json)
