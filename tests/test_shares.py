"""Links for others: what they give to people without an account, and on whose behalf."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from conftest import application
from flask import Flask, session
from flask.testing import FlaskClient
from flask_principal import RoleNeed, identity_loaded
from helpers.rest import Watched, error, put, statements, stored, url
from invenio_access.models import ActionRoles, ActionSystemRoles, ActionUsers
from invenio_access.permissions import any_user
from invenio_accounts.models import Role, User
from invenio_accounts.testutils import create_test_user, login_user_via_session
from sqlalchemy import update

from invenio_files_rest.http import scopes
from invenio_files_rest.http.links import SHARES
from invenio_files_rest.models import Bucket, Location, ObjectVersion, Share
from invenio_files_rest.models.base import utcnow
from invenio_files_rest.models.share import hash_of
from invenio_files_rest.permissions import (
    BucketRead,
    BucketUpdate,
    ObjectDelete,
    ObjectDeleteVersion,
    ObjectRead,
    ObjectReadVersion,
)
from invenio_files_rest.permissions.acting import acting_as
from invenio_files_rest.shares import create_blueprint
from invenio_files_rest.shares.answers import NO_LINK

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
OWNER = (BucketRead, BucketUpdate, ObjectRead, ObjectReadVersion, ObjectDelete, ObjectDeleteVersion)


@pytest.fixture(scope="module")
def base_app(app_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Make the API of an application that has links."""
    with application(app_config | {"FILES_REST_SHARES_ENABLED": True}, tmp_path_factory.mktemp("instance")) as app:
        app.register_blueprint(create_blueprint(app))
        yield app


class Person:
    """Somebody with an account."""

    def __init__(self, app: Flask, bucket: Bucket, *actions: Any) -> None:
        self.user = create_test_user(f"{uuid4()}@example.org")
        self.id = self.user.id
        self.client = app.test_client()
        login_user_via_session(self.client, self.user)
        self.bucket_id = bucket.id
        self.allow(*actions)

    def allow(self, *actions: Any) -> None:
        from invenio_db import db

        for action in actions:
            db.session.add(ActionUsers.allow(action(str(self.bucket_id)), user_id=self.id))
        db.session.commit()

    def make(self, **body: Any) -> dict[str, Any]:
        response = self.client.post(url(self.bucket_id, links=True), json=body)
        assert response.status_code == 201, response.text
        return dict(response.json)

    def links(self) -> list[dict[str, Any]]:
        response = self.client.get(url(self.bucket_id, links=True))
        assert response.status_code == 200, response.text
        return list(response.json["contents"])


@pytest.fixture
def owner(app: Flask, bucket: Bucket) -> Person:
    """Give somebody who may do everything with the bucket."""
    return Person(app, bucket, *OWNER)


@pytest.fixture
def visitor(app: Flask, db: Any) -> FlaskClient:
    """Return the client of somebody without an account."""
    return app.test_client()


def path(link: dict[str, Any]) -> str:
    return urlsplit(link["url"]).path


def token(link: dict[str, Any]) -> str:
    return path(link).split("/")[3]


def no_link(response: Any) -> bytes:
    """Check that a link gives nothing, and return all of the answer."""
    assert error(response, 404)["message"] == NO_LINK
    headers = [(name, value) for name, value in response.headers if name not in ("Date", "Set-Cookie")]
    return json.dumps([headers, response.text]).encode()


def test_a_link_reads_one_object_and_whatever_becomes_of_it(owner: Person, visitor: Any, bucket: Bucket) -> None:
    put(owner.client, bucket, "folder/a b.txt", b"first")
    put(owner.client, bucket, "folder/other", b"secret")
    link = owner.make(key="folder/a b.txt", note="for Ann")
    assert path(link).endswith("/folder/a%20b.txt")
    for address in (path(link), f"/files/links/{token(link)}"):
        assert visitor.get(address).data == b"first"
    put(owner.client, bucket, "folder/a b.txt", b"second")
    assert visitor.get(path(link)).data == b"second"
    for key in ("folder/other", "folder/a b.txt/", "folder", ""):
        if key:
            no_link(visitor.get(f"/files/links/{token(link)}/{key}"))
    owner.client.delete(url(bucket, "folder/a b.txt"))
    no_link(visitor.get(path(link)))


def test_a_link_reads_one_version_and_no_other(owner: Person, visitor: Any, bucket: Bucket) -> None:
    version = put(owner.client, bucket, "a", b"old")["version_id"]
    link = owner.make(key="a", version_id=version)
    put(owner.client, bucket, "a", b"new")
    assert visitor.get(path(link)).data == b"old"
    assert visitor.get(f"{path(link)}?versionId={uuid4()}").data == b"old"
    assert owner.client.delete(url(bucket, "a", versionId=version)).status_code == 204
    no_link(visitor.get(path(link)))


def test_a_link_lists_and_reads_what_is_under_a_prefix_and_nothing_else(
    owner: Person, visitor: Any, bucket: Bucket
) -> None:
    for key in ("data/1", "data/2", "data/sub/3", "database", "secret"):
        put(owner.client, bucket, key, key.encode(), headers={"X-Invenio-File-Tags": "who=me"})
    link = owner.make(prefix="data/")
    listed = visitor.get(path(link))
    assert [one["key"] for one in listed.json["contents"]] == ["data/1", "data/2", "data/sub/3"]
    for one in listed.json["contents"]:
        assert visitor.get(urlsplit(one["links"]["self"]).path).data == one["key"].encode()
    for hidden in (str(bucket.id), "who", "version_id", "secret", "database"):
        assert hidden not in listed.text
    for key in ("database", "secret", "data"):
        no_link(visitor.get(f"{path(link)}/{key}"))
    for prefix in ("", "data", "secret", "database"):
        no_link(visitor.get(f"{path(link)}?prefix={prefix}"))
        no_link(visitor.get(f"{path(link)}?archive=zip&prefix={prefix}"))
    under = visitor.get(f"{path(link)}?prefix=data/&delimiter=/").json
    assert ([one["key"] for one in under["contents"]], under["common_prefixes"]) == (
        ["data/1", "data/2"],
        ["data/sub/"],
    )


def test_a_listing_is_in_pages_for_programs_and_people(owner: Person, visitor: Any, fill: Any, bucket: Bucket) -> None:
    keys = [f"d/{number:04}" for number in range(1050)]
    fill([*keys, "e"])
    link = owner.make(prefix="d/")
    found, address = [], path(link)
    while address:
        answer = visitor.get(address)
        found += [one["key"] for one in answer.json["contents"]]
        following = answer.json["links"].get("next", "")
        address = following.removeprefix("http://localhost")
    assert found == keys
    page = visitor.get(path(link), headers=BROWSER)
    assert page.text.count("<tr><td>") == 100
    assert 'rel="next"' in page.text


def test_a_page_of_a_link_whose_prefix_ends_within_a_name_leads_back(
    owner: Person, visitor: Any, bucket: Bucket
) -> None:
    for key in ("data/sub/1", "database", "d"):
        put(owner.client, bucket, key)
    link = owner.make(prefix="da")
    for prefix, above in (("data/sub/", "?prefix=data%2F"), ("data/", "?prefix=da")):
        page = visitor.get(f"{path(link)}?prefix={prefix}", headers=BROWSER)
        assert f'{token(link)}{above}">Folder above' in page.text
    assert "Folder above" not in visitor.get(path(link), headers=BROWSER).text


def test_a_browser_without_script_gets_pages(owner: Person, visitor: Any, bucket: Bucket) -> None:
    put(owner.client, bucket, "d/<b>&.txt", b"1")
    put(owner.client, bucket, "d/sub/2", b"2")
    link = owner.make(prefix="d/")
    page = visitor.get(path(link), headers=BROWSER)
    assert page.mimetype == "text/html"
    assert "&lt;b&gt;&amp;.txt" in page.text
    assert "<b>" not in page.text
    assert "<script" not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Frame-Options"] == "DENY"
    lost = visitor.get("/files/links/nothing", headers=BROWSER)
    assert (lost.status_code, lost.mimetype) == (404, "text/html")


def test_all_under_a_prefix_comes_in_one_archive(owner: Person, visitor: Any, bucket: Bucket) -> None:
    for key in ("d/1", "d/2", "other"):
        put(owner.client, bucket, key, key.encode())
    link = owner.make(prefix="d/")
    sent = visitor.get(f"{path(link)}?archive=zip", follow_redirects=True)
    assert sent.status_code == 200, sent.text
    with zipfile.ZipFile(io.BytesIO(sent.data)) as archive:
        assert archive.namelist() == ["d/1", "d/2"]
    assert str(bucket.id) not in sent.headers["Content-Disposition"]
    assert sent.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("name", ["page.html", "image.svg", "script.js", "doc.xhtml"])
def test_uploaded_pages_and_scripts_run_nowhere(owner: Person, visitor: Any, bucket: Bucket, name: str) -> None:
    put(owner.client, bucket, name, b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    link = owner.make(key=name)
    usual = owner.client.get(url(bucket, name)).headers
    sent = visitor.get(path(link)).headers
    for header in ("Content-Type", "Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options"):
        assert sent[header] == usual[header]
    assert sent["Content-Type"].partition(";")[0] in ("text/plain", "application/octet-stream")
    assert visitor.get(f"{path(link)}?download").headers["Content-Disposition"].startswith("attachment")


def test_a_link_answers_head_ranges_and_conditions(owner: Person, visitor: Any, bucket: Bucket) -> None:
    put(owner.client, bucket, "a", b"0123456789")
    address = path(owner.make(key="a"))
    assert visitor.head(address).content_length == 10
    part = visitor.get(address, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.data) == (206, b"234")
    assert visitor.get(address, headers={"If-None-Match": part.headers["ETag"]}).status_code == 304


def test_a_link_takes_new_keys_under_its_prefix_and_replaces_none(
    owner: Person, visitor: Any, bucket: Bucket, location: Location
) -> None:
    put(owner.client, bucket, "in/there", b"kept")
    link = owner.make(prefix="in/", upload=True)
    assert path(link).endswith("/in/")
    answer = visitor.put(f"{path(link)}new", data=b"12345")
    assert (answer.status_code, answer.json["key"], answer.json["size"]) == (201, "in/new", 5)
    assert owner.client.get(url(bucket, "in/new")).data == b"12345"
    before = stored(location)
    for key, headers in (("there", {}), ("new", {}), ("new", {"If-Match": "*"}), ("other", {"If-Match": "*"})):
        error(visitor.put(f"{path(link)}{key}", data=b"54321", headers=headers), 412)
    for key in ("elsewhere", "in", "in/"):
        no_link(visitor.put(f"/files/links/{token(link)}/{key}", data=b"x"))
    error(visitor.put(f"{path(link)}../out", data=b"x"), 400)
    error(visitor.put(f"{path(link)}x%2F..%2Fy", data=b"x"), 400)
    error(visitor.put(f"{path(link)}tagged", data=b"x", headers={"X-Invenio-File-Tags": "a=b"}), 400)
    error(visitor.put(f"{path(link)}part?uploadId={uuid4()}", data=b"x"), 400)
    assert stored(location) == before
    # It reads nothing, not even what came by it.
    for key in ("in/there", "in/new"):
        no_link(visitor.get(f"/files/links/{token(link)}/{key}"))
    assert set(visitor.get(path(link)).json) == {"prefix", "max_file_size", "expires"}
    assert bucket.size == 9


@pytest.mark.parametrize(
    "headers",
    [
        {"Upload-Complete": "?0", "Upload-Draft-Interop-Version": "6"},
        {"Upload-Incomplete": "?1", "Upload-Draft-Interop-Version": "3"},
        {"Content-Range": "bytes 0-0/5"},
    ],
)
def test_a_part_is_not_stored_as_the_whole(
    owner: Person, visitor: Any, bucket: Bucket, location: Location, headers: dict[str, str]
) -> None:
    link = owner.make(prefix="in/", upload=True)
    error(visitor.put(f"{path(link)}new", data=b"1", headers=headers), 400)
    assert stored(location) == []
    assert visitor.put(f"{path(link)}new", data=b"12345").status_code == 201


def test_a_link_to_upload_tells_how_large_a_file_may_be(owner: Person, visitor: Any, bucket: Bucket, db: Any) -> None:
    address = path(owner.make(prefix="in/", upload=True))
    for quota, words in ((10, "10 Bytes"), (3 << 20, "3.0 MiB"), (None, None)):
        bucket.quota_size = quota
        db.session.commit()
        assert visitor.get(address).json["max_file_size"] == quota
        page = visitor.get(address, headers=BROWSER)
        assert page.status_code == 200
        assert (f"The largest one may have {words}." in page.text) is (quota is not None)


def test_a_browser_uploads_by_a_form(owner: Person, visitor: Any, bucket: Bucket) -> None:
    link = owner.make(prefix="in/", upload=True)
    address = f"/files/links/{token(link)}"
    assert "<form" in visitor.get(address, headers=BROWSER).text
    for status in (201, 412):
        form = {"key": "elsewhere", "file": (io.BytesIO(b"123"), "a.txt")}
        sent = visitor.post(address, data=form, content_type="multipart/form-data", headers=BROWSER)
        assert (sent.status_code, sent.mimetype) == (status, "text/html")
    assert "already" in sent.text
    assert owner.client.get(url(bucket, "in/a.txt")).data == b"123"
    assert ObjectVersion.get(bucket, "elsewhere") is None


def test_a_link_to_read_takes_nothing(owner: Person, visitor: Any, bucket: Bucket) -> None:
    put(owner.client, bucket, "d/a", b"kept")
    for body in ({"key": "d/a"}, {"prefix": "d/"}):
        link = owner.make(**body)
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            refused = visitor.open(f"/files/links/{token(link)}/d/a", method=method, data=b"x")
            assert refused.status_code == 405
            assert refused.headers["Referrer-Policy"] == "no-referrer"
    assert owner.client.get(url(bucket, "d/a")).data == b"kept"


def test_of_two_uploads_of_a_new_key_one_wins(
    app: Flask, owner: Person, bucket: Bucket, location: Location, db: Any
) -> None:
    link = owner.make(prefix="in/", upload=True)
    db.session.commit()

    def send(number: int) -> int:
        return int(app.test_client().put(f"{path(link)}same", data=b"%d" % number).status_code)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert sorted(answers) == [201, 412, 412, 412]
    db.session.expire_all()
    assert len(stored(location)) == 1
    assert ObjectVersion.query.filter_by(key="in/same").count() == 1
    assert db.session.get(Bucket, bucket.id).size == 1


def test_quota_is_exact_and_locks_hold(owner: Person, visitor: Any, bucket: Bucket, db: Any) -> None:
    bucket.quota_size = 10
    db.session.commit()
    link = owner.make(prefix="", upload=True)
    assert visitor.put(f"{path(link)}a", data=b"1" * 10).status_code == 201
    error(visitor.put(f"{path(link)}b", data=b"1"), 400)
    reading = owner.make(key="a")
    bucket.locked = True
    db.session.commit()
    error(visitor.put(f"{path(link)}c", data=b"1"), 403)
    assert visitor.get(path(reading)).data == b"1" * 10
    bucket.deleted = True
    db.session.commit()
    no_link(visitor.get(path(reading)))
    no_link(visitor.put(f"{path(link)}c", data=b"1"))


def test_wrong_expired_and_revoked_links_are_one_404_with_as_many_queries(
    owner: Person, visitor: Any, bucket: Bucket, db: Any
) -> None:
    put(owner.client, bucket, "a")
    expired, revoked, inactive = (owner.make(key="a") for _ in range(3))
    other = Person(visitor.application, bucket, *OWNER)
    inactive = other.make(key="a")
    db.session.execute(update(Share).where(Share.token_hash == hash_of(token(expired))).values(expires=utcnow()))
    other.user.active = False
    db.session.commit()
    assert owner.client.delete(url(bucket, linkId=revoked["id"])).status_code == 204
    wrong = ("x", "ü", "a" * 5000, "0" * 32, token(expired), token(revoked), token(inactive))
    answers, counts = set(), set()
    for one in wrong:
        with statements() as sent:
            answers.add(no_link(visitor.get(f"/files/links/{one}")))
        counts.add(len(sent))
    assert len(answers) == 1
    assert counts == {1}


def test_the_maker_is_asked_anew_each_time(owner: Person, visitor: Any, bucket: Bucket, db: Any) -> None:
    put(owner.client, bucket, "d/a", b"1")
    links = [owner.make(**body) for body in ({"key": "d/a"}, {"prefix": "d/"}, {"prefix": "d/", "upload": True})]

    def all_give(expected: bool) -> None:
        for link in links:
            answer = visitor.get(path(link))
            assert (answer.status_code == 200) is expected, answer.text
        assert (visitor.put(f"{path(links[2])}{uuid4()}", data=b"1").status_code == 201) is expected

    all_give(True)
    user = db.session.get(User, owner.id)
    user.active = False
    db.session.commit()
    all_give(False)
    user.active = True
    db.session.commit()
    all_give(True)
    ActionUsers.query.filter_by(user_id=owner.id, action=BucketUpdate(None).value).delete()
    db.session.commit()
    all_give(False)
    # A role that he has been given since counts.
    role = Role(id="makers", name="makers")
    db.session.add(role)
    db.session.flush()
    db.session.add(ActionRoles.allow(BucketUpdate(str(bucket.id)), role_id=role.id))
    db.session.get(User, owner.id).roles.append(role)
    db.session.commit()
    all_give(True)
    ActionUsers.query.filter_by(user_id=owner.id, action=ObjectRead(None).value).delete()
    db.session.commit()
    no_link(visitor.get(path(links[0])))
    no_link(visitor.get(f"{path(links[1])}/d/a"))
    no_link(visitor.get(f"{path(links[1])}?archive=zip"))


def test_a_link_that_gives_nothing_is_none_for_any_method(owner: Person, visitor: Any, bucket: Bucket, db: Any) -> None:
    put(owner.client, bucket, "d/a", b"1")
    links = [owner.make(**body) for body in ({"key": "d/a"}, {"prefix": "d/"}, {"prefix": "d/", "upload": True})]
    ActionUsers.query.filter_by(user_id=owner.id).delete()
    db.session.commit()
    for link in links:
        for method in ("GET", "PUT", "POST"):
            no_link(visitor.open(f"/files/links/{token(link)}", method=method, data=b"x"))
        assert visitor.head(path(link)).status_code == 404


def test_links_of_a_removed_user_are_not_those_of_the_next_one_with_his_number(
    owner: Person, visitor: Any, bucket: Bucket, db: Any
) -> None:
    put(owner.client, bucket, "a")
    link = owner.make(key="a")
    assert visitor.get(path(link)).status_code == 200
    db.session.execute(update(Share).values(created=utcnow() - timedelta(hours=1)))
    db.session.commit()
    no_link(visitor.get(path(link)))


@pytest.mark.parametrize("wrong", [RuntimeError("of a factory"), KeyError("x")])
def test_an_error_of_the_permission_gives_nothing(
    owner: Person, visitor: Any, bucket: Bucket, app: Flask, monkeypatch: Any, wrong: Exception
) -> None:
    put(owner.client, bucket, "a")
    link = owner.make(key="a")

    def factory(obj: Any, action: str) -> Any:
        raise wrong

    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", factory)
    no_link(visitor.get(path(link)))


def test_what_the_visitor_may_do_does_not_matter(owner: Person, app: Flask, bucket: Bucket, db: Any) -> None:
    put(owner.client, bucket, "a", b"1")
    link = owner.make(key="a")
    stranger, powerful = Person(app, bucket), Person(app, bucket, *OWNER)
    assert stranger.client.get(path(link)).data == b"1"
    ActionUsers.query.filter_by(user_id=owner.id).delete()
    db.session.commit()
    no_link(powerful.client.get(path(link)))
    # And he is himself again.
    assert powerful.client.get(url(bucket, "a")).data == b"1"
    error(stranger.client.get(url(bucket, "a")), 404)


def test_the_session_of_the_visitor_neither_gives_to_the_maker_nor_takes_from_him(
    owner: Person, app: Flask, bucket: Bucket, db: Any
) -> None:
    """Packages keep the groups that a login came with in the session."""
    put(owner.client, bucket, "a", b"1")
    link = owner.make(key="a")
    member = Person(app, bucket)
    role = Role(id="group", name="group")
    db.session.add(role)
    db.session.flush()
    db.session.add_all(
        ActionRoles.allow(action(str(bucket.id)), role_id=role.id) for action in (BucketUpdate, ObjectRead)
    )
    db.session.commit()

    def keep_groups(sender: Any, identity: Any) -> None:
        identity.provides |= {RoleNeed(name) for name in session.get("groups", [])}
        session["seen"] = [*session.get("seen", []), identity.id]

    with identity_loaded.connected_to(keep_groups):
        with member.client.session_transaction() as kept:
            kept["groups"] = ["group"]
        assert member.client.get(url(bucket, "a")).data == b"1"
        assert member.client.get(path(link)).data == b"1"
        with member.client.session_transaction() as kept:
            assert owner.id not in kept["seen"]
        ActionUsers.query.filter_by(user_id=owner.id).delete()
        db.session.commit()
        no_link(member.client.get(path(link)))
        assert member.client.get(url(bucket, "a")).data == b"1"


def test_who_acts_for_somebody_is_himself_again(app: Flask, owner: Person) -> None:
    from flask import g
    from flask_login import current_user

    with app.test_request_context():
        with suppress(RuntimeError), acting_as(owner.user):
            assert current_user.id == owner.id
            raise RuntimeError
        assert "_login_user" not in g
        assert not current_user.is_authenticated


def test_reader_and_stranger_make_no_links(app: Flask, owner: Person, visitor: Any, bucket: Bucket, db: Any) -> None:
    put(owner.client, bucket, "a")
    reader, stranger = Person(app, bucket, BucketRead, ObjectRead), Person(app, bucket)
    for client in (reader.client, stranger.client, visitor):
        error(client.post(url(bucket, links=True), json={"key": "a"}), 404)
        error(client.get(url(bucket, links=True)), 404)
        error(client.delete(url(bucket, linkId=uuid4())), 404)
    # Nobody gives what he has not.
    writer = Person(app, bucket, BucketUpdate)
    for body in ({"key": "a"}, {"prefix": ""}):
        error(writer.client.post(url(bucket, links=True), json=body), 404)
    writer.make(prefix="in/", upload=True)
    db.session.add(ActionSystemRoles.allow(BucketUpdate(str(bucket.id)), role_name=any_user.value))
    db.session.commit()
    error(visitor.post(url(bucket, links=True), json={"prefix": "", "upload": True}), 401)


def test_links_are_listed_and_revoked_by_their_makers_and_who_may_update_the_bucket(
    app: Flask, owner: Person, bucket: Bucket, db: Any
) -> None:
    put(owner.client, bucket, "a")
    maker = Person(app, bucket, *OWNER)
    of_owner, of_maker = owner.make(key="a"), [maker.make(key="a", note=str(n)) for n in range(2)]
    assert {one["id"] for one in owner.links()} == {of_owner["id"], *(one["id"] for one in of_maker)}
    assert all("url" not in one for one in owner.links())
    ActionUsers.query.filter_by(user_id=maker.id).delete()
    db.session.commit()
    # His own, also where he may do nothing else any more.
    assert [one["id"] for one in maker.links()] == [one["id"] for one in reversed(of_maker)]
    error(maker.client.delete(url(bucket, linkId=of_owner["id"])), 404)
    assert maker.client.delete(url(bucket, linkId=of_maker[0]["id"])).status_code == 204
    error(maker.client.delete(url(bucket, linkId=of_maker[0]["id"])), 404)
    assert owner.client.delete(url(bucket, linkId=of_maker[1]["id"])).status_code == 204
    assert [one["id"] for one in owner.links()] == [of_owner["id"]]


def test_a_token_that_may_only_write_makes_no_link_to_read(owner: Person, bucket: Bucket, monkeypatch: Any) -> None:
    put(owner.client, bucket, "a")
    monkeypatch.setattr(scopes, "_scopes_of_token", lambda: [scopes.WRITE])
    for body in ({"key": "a"}, {"prefix": ""}):
        error(owner.client.post(url(bucket, links=True), json=body), 403)
    owner.make(prefix="in/", upload=True)
    monkeypatch.setattr(scopes, "_scopes_of_token", lambda: [scopes.READ])
    error(owner.client.post(url(bucket, links=True), json={"key": "a"}), 403)


def test_links_are_listed_in_pages(owner: Person, bucket: Bucket) -> None:
    made = [owner.make(prefix=str(number))["id"] for number in range(5)]
    found, address = [], url(bucket, links=True) + "&max-links=2"
    while address:
        answer = owner.client.get(address)
        found.append([one["id"] for one in answer.json["contents"]])
        address = answer.json["links"].get("next", "").removeprefix("http://localhost")
    assert found == [made[:2:-1], made[2:0:-1], made[:1]]


def test_the_token_is_shown_once_and_kept_as_a_hash(owner: Person, bucket: Bucket, db: Any) -> None:
    link = owner.make(prefix="")
    # 24 random bytes in base64: 192 bits.
    assert len(token(link)) == 32
    row = Share.query.one()
    assert token(link) not in str(vars(row))
    assert row.token_hash == hash_of(token(link))
    assert token(link) not in owner.client.get(url(bucket, links=True)).text
    assert token(link) != token(owner.make(prefix=""))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"key": "a", "prefix": ""}, 422),
        ({"prefix": "", "version_id": str(uuid4())}, 422),
        ({"key": "a", "upload": True}, 422),
        ({"key": "none"}, 404),
        ({"key": "a", "version_id": str(uuid4())}, 404),
        ({"key": "a", "version_id": "x"}, 422),
        ({"prefix": "x" * 300}, 400),
        ({"prefix": "\0"}, 422),
        ({"prefix": "\ud800"}, 400),
        ({"prefix": 7}, 422),
        ({"prefix": "", "upload": "perhaps"}, 422),
        ({"prefix": "", "note": "x" * 256}, 422),
        ({"prefix": "", "note": "\ud800"}, 422),
        ({"prefix": "", "note": "\0"}, 422),
        ({"prefix": "", "expires": "tomorrow"}, 422),
        ({"prefix": "", "expires": "2020-01-01T00:00:00Z"}, 422),
        ({"prefix": "", "expires": "9999-12-31T23:59:59-23:59"}, 422),
        ([], 422),
    ],
)
def test_bad_input_makes_no_link(owner: Person, bucket: Bucket, body: Any, status: int) -> None:
    put(owner.client, bucket, "a")
    refused = error(owner.client.post(url(bucket, links=True), json=body), status)
    assert refused["message"]
    assert Share.query.count() == 0


def test_expiry_is_as_asked_or_as_the_settings_say(
    owner: Person, visitor: Any, bucket: Bucket, app: Flask, db: Any
) -> None:
    now = datetime.now(timezone.utc)
    asked = (now + timedelta(hours=1)).replace(microsecond=0)
    assert datetime.fromisoformat(owner.make(prefix="", expires=asked.isoformat())["expires"]) == asked
    usual = datetime.fromisoformat(owner.make(prefix="")["expires"]) - now
    assert abs(usual - app.config["FILES_REST_SHARES_EXPIRES"]) < timedelta(minutes=1)
    # Those that have expired are forgotten with the next one that is made.
    db.session.execute(update(Share).values(expires=utcnow()))
    db.session.commit()
    assert owner.links() == []
    owner.make(prefix="")
    assert Share.query.count() == 1


def test_every_answer_keeps_the_address_to_itself(owner: Person, visitor: Any, bucket: Bucket) -> None:
    put(owner.client, bucket, "d/a")
    link = owner.make(prefix="d/")
    for address in ("", "/d/a", "/d/none", "?archive=zip", "?max-keys=x", "?prefix=%FF"):
        for headers in ({}, BROWSER):
            answer = visitor.get(path(link) + address, headers=headers)
            assert answer.headers["Referrer-Policy"] == "no-referrer", address
            assert answer.headers["Cache-Control"] == "private, no-store", address
            assert answer.headers["X-Robots-Tag"] == "noindex", address
    moved = visitor.get(path(link).replace("/links/", "//links/"))
    assert (moved.status_code, token(link) in moved.headers["Location"]) == (308, True)
    assert (moved.headers["Cache-Control"], moved.headers["Referrer-Policy"]) == ("private, no-store", "no-referrer")
    assert visitor.get(url(bucket)).headers.get("X-Robots-Tag") is None


def test_no_line_of_the_log_and_no_metric_has_the_token(
    owner: Person, visitor: Any, bucket: Bucket, app: Flask, caplog: Any, monkeypatch: Any
) -> None:
    put(owner.client, bucket, "d/a")
    link = owner.make(prefix="d/")
    caplog.set_level(logging.DEBUG)
    visitor.get(f"{path(link)}/d/a")
    visitor.get(f"{path(link)}/d/none")
    visitor.put(f"{path(link)}/d/a", data=b"x")

    def fails(*args: Any) -> None:
        raise RuntimeError("as it happens")

    monkeypatch.setattr("invenio_files_rest.shares.views.open_link", fails)
    assert visitor.get(f"{path(link)}/d/a").status_code == 500
    assert "as it happens" in caplog.text
    assert token(link) not in caplog.text
    lines = [record for record in caplog.records if getattr(record, "event", "") == "request"]
    assert {record.route for record in lines} == {"invenio_files_rest_shares.link"}
    assert token(link) not in str([vars(record) for record in caplog.records if "event" in vars(record)])
    metrics = app.test_client().get("/files/metrics", headers={"Authorization": "Bearer for tests of metrics"})
    assert "invenio_files_rest_shares.link" in metrics.text
    assert token(link) not in metrics.text


def test_a_link_that_is_revoked_while_bytes_come_takes_nothing(
    owner: Person, visitor: Any, bucket: Bucket, location: Location
) -> None:
    link = owner.make(prefix="in/", upload=True)

    def revoke() -> None:
        owner.client.delete(url(owner.bucket_id, linkId=link["id"]))

    body = {"wsgi.input": Watched(5, revoke), "CONTENT_LENGTH": "5"}
    no_link(visitor.put(f"{path(link)}a", environ_overrides=body))
    assert stored(location) == []


def test_without_links_no_key_in_the_log_is_a_token(app: Flask, db: Any, caplog: Any, monkeypatch: Any) -> None:
    caplog.set_level(logging.DEBUG)
    app.test_client().delete("/files/links/of-an-application-without/a")
    monkeypatch.setattr(app, "url_map", _without_links(app))
    error(app.test_client().get("/files/links/of-an-application-without/a"), 404)
    assert "of-an-application" not in str([vars(record) for record in caplog.records if "event" in vars(record)])


def _without_links(app: Flask) -> Any:
    rules = [rule.empty() for rule in app.url_map.iter_rules() if not rule.endpoint.startswith(SHARES)]
    return type(app.url_map)(rules, converters=app.url_map.converters)


def test_links_go_with_their_bucket(owner: Person, bucket: Bucket, db: Any) -> None:
    owner.make(prefix="")
    db.session.get(Bucket, bucket.id).remove()
    db.session.commit()
    assert Share.query.count() == 0


def test_without_the_setting_nothing_is_new(owner: Person, visitor: Any, bucket: Bucket, app: Flask) -> None:
    put(owner.client, bucket, "a")
    app.config["FILES_REST_SHARES_ENABLED"] = False
    assert owner.client.post(url(bucket, links=True), json={"key": "a"}).status_code != 201
    assert [one["key"] for one in owner.client.get(url(bucket, links=True)).json["contents"]] == ["a"]
    assert not create_blueprint(app).deferred_functions


def test_the_command_line_lists_and_revokes(
    owner: Person, visitor: Any, bucket: Bucket, run: Callable[..., Any]
) -> None:
    first, second = owner.make(prefix="", note="for Ann\x1b"), owner.make(prefix="in/", upload=True)
    listed = run("files", "links", "list")
    assert listed.exit_code == 0, listed.output
    assert first["id"] in listed.output
    assert "\x1b" not in listed.output
    lines = [json.loads(line) for line in run("files", "links", "list", "--json", str(bucket.id)).output.splitlines()]
    assert [(line["id"], line["kind"], line["key"]) for line in lines] == [
        (first["id"], "prefix", ""),
        (second["id"], "upload", "in/"),
    ]
    assert token(first) not in listed.output
    assert run("files", "links", "list", str(uuid4())).exit_code == 1
    assert run("files", "links", "revoke", "--yes", first["id"]).exit_code == 0
    no_link(visitor.get(path(first)))
    again = run("files", "links", "revoke", "--yes", first["id"], second["id"])
    assert again.exit_code == 1
    assert first["id"] in again.output
    no_link(visitor.get(path(second)))
