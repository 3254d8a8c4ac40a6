"""The pages for people: what they show and to whom, what their forms do, and who else may not send these."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from html import unescape
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from conftest import IsolatedClient, own_tables
from flask import Flask
from flask.testing import FlaskClient
from helpers.rest import statements
from invenio_access.models import ActionRoles, ActionSystemRoles, ActionUsers
from invenio_access.permissions import any_user, authenticated_user
from invenio_accounts.models import User
from invenio_accounts.testutils import create_test_user, login_user_via_session
from invenio_db import db
from sqlalchemy import insert, update
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.pages import create_blueprint
from invenio_files_rest.permissions import BucketRead, BucketUpdate, LocationUpdate, ObjectRead, bucket_read_all

OWN = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form of our own pages."""


@pytest.fixture(scope="module")
def base_app(app_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Make the user interface of an application that has the pages."""
    from invenio_access import InvenioAccess
    from invenio_accounts import InvenioAccountsUI
    from invenio_accounts.views.settings import create_settings_blueprint
    from invenio_celery import InvenioCelery
    from invenio_db import InvenioDB
    from invenio_i18n import InvenioI18N

    from invenio_files_rest import InvenioFilesREST
    from invenio_files_rest.app import Flask

    app = Flask("testapp", instance_path=str(tmp_path_factory.mktemp("instance")))
    app.test_client_class = IsolatedClient
    app.config.update(app_config, FILES_REST_PAGES_ENABLED=True)
    for extension in (InvenioCelery, InvenioDB, InvenioI18N, InvenioAccountsUI, InvenioAccess, InvenioFilesREST):
        extension(app)
    app.register_blueprint(create_settings_blueprint(app))
    # As the theme does; what pages refuse is said by pages.
    app.register_error_handler(403, lambda error: ("of the application", 403))
    app.register_blueprint(create_blueprint(app))
    with app.app_context():
        db.metadata.create_all(db.engine, tables=own_tables(db))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def user(db: Any) -> User:
    return create_test_user("user@example.org", "a password")


@pytest.fixture
def client(app: Flask, user: User) -> FlaskClient:
    """Return the client of somebody who is logged in, and has been allowed nothing."""
    client = app.test_client()
    login_user_via_session(client, user)
    return client


@pytest.fixture
def allow(user: User) -> Callable[..., None]:
    """Return a function that allows the user an action on a bucket, or on all."""

    def allow(*actions: Any) -> None:
        for action in actions:
            db.session.add(ActionUsers.allow(action, user_id=user.id))
        db.session.commit()

    return allow


@pytest.fixture
def allowed(allow: Callable[..., None], bucket: Bucket) -> Bucket:
    """Give a bucket in which the user may do everything that pages do."""
    allow(*(action(str(bucket.id)) for action in (BucketRead, BucketUpdate, ObjectRead)))
    return bucket


def send(client: FlaskClient, url: str, content: bytes, name: str = "a.txt", key: str = "", **headers: str) -> Any:
    form = {"key": key, "file": (BytesIO(content), name)}
    return client.post(url, data=form, headers=headers or OWN, content_type="multipart/form-data")


def links(answer: TestResponse) -> list[str]:
    """Return where the rows of a page's table lead."""
    return [unescape(link) for link in re.findall(r'<th scope="row"><a href="([^"]+)"', answer.text)]


def names(answer: TestResponse) -> list[str]:
    return [unescape(name) for name in re.findall(r'<th scope="row"><a [^>]+><bdi>([^<]*)</bdi>', answer.text)]


def own_scripts(page: TestResponse) -> list[str]:
    """Return the elements of scripts that a page of a bucket has: the strings of ours, and the one that it may run."""
    nonce = re.search("script-src 'nonce-([^']+)'", page.headers["Content-Security-Policy"])
    assert nonce
    return [
        '<script type="application/json" id="messages">',
        f'<script type="module" src="/files-pages/page.js" nonce="{nonce[1]}">',
    ]


def page_of(bucket: Bucket) -> str:
    return f"/buckets/{bucket.id}"


def test_there_are_no_pages_unless_a_setting_turns_them_on() -> None:
    app = Flask("another")
    app.register_blueprint(create_blueprint(app))
    assert [rule.rule for rule in app.url_map.iter_rules()] == ["/static/<path:filename>"]


def test_the_start_page_lists_the_buckets_that_one_may_use_and_no_others(
    app: Flask, client: FlaskClient, location: Location, user: User, allow: Callable[..., None]
) -> None:
    buckets = {name: Bucket.create(location) for name in ("read", "write", "group", "all", "denied", "other", "gone")}
    role = app.extensions["security"].datastore.create_role(name="readers")
    db.session.flush()
    app.extensions["security"].datastore.add_role_to_user(user, role)
    ids = {name: str(bucket.id) for name, bucket in buckets.items()}
    buckets["gone"].deleted = True
    db.session.add(ActionRoles.allow(BucketRead(ids["group"]), role_id=role.id))
    db.session.add(ActionSystemRoles.allow(BucketRead(ids["all"]), role_name=any_user.value))
    db.session.add(ActionSystemRoles.allow(BucketRead(ids["denied"]), role_name=authenticated_user.value))
    db.session.add(ActionUsers.deny(BucketRead(ids["denied"]), user_id=user.id))
    allow(BucketRead(ids["read"]), BucketUpdate(ids["write"]), BucketRead(ids["gone"]), BucketRead("no bucket"))
    shown = {url.rpartition("/")[2] for url in links(client.get("/"))}
    assert shown == {ids[name] for name in ("read", "write", "group", "all")}
    assert links(app.test_client().get("/")) == [f"/buckets/{ids['all']}"]
    allow(bucket_read_all)
    assert {url.rpartition("/")[2] for url in links(client.get("/"))} == set(ids.values()) - {
        ids["gone"],
        ids["denied"],
    }


def test_all_buckets_are_on_some_page_once_from_the_newest_to_the_oldest(
    client: FlaskClient, location: Location, allow: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invenio_files_rest.pages.usable.PAGE_SIZE", 3)
    moments = [datetime(2026, 1, day, tzinfo=timezone.utc) for day in (1, 2, 2, 2, 3, 4, 5)]
    made = [{"id": uuid4(), "created": moment, "updated": moment} for moment in moments]
    rest = {"default_location": location.id, "default_storage_class": "S", "size": 0, "locked": False, "deleted": False}
    db.session.execute(insert(Bucket), [{**row, **rest} for row in made])
    allow(bucket_read_all)
    seen, url = [], "/"
    while url:
        answer = client.get(url)
        seen.append(links(answer))
        following = re.search(r'rel="next" href="([^"]+)"', answer.text)
        url = following and unescape(following[1])
    assert [len(page) for page in seen] == [3, 3, 1]
    created = {f"/buckets/{row['id']}": row["created"] for row in made}
    listed = [link for page in seen for link in page]
    assert sorted(listed) == sorted(created)
    assert [created[link] for link in listed] == sorted(created.values(), reverse=True)


def test_of_many_buckets_that_one_may_not_use_a_page_asks_no_more_than_its_share(
    app: Flask, client: FlaskClient, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invenio_files_rest.pages.usable.MOST_ASKED", 4)
    asked = []

    def factory(obj: Any, action: str) -> Any:
        asked.append(obj)
        return type("Nobody", (), {"can": lambda self: False})()

    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", factory)
    for _ in range(9):
        Bucket.create(location)
    db.session.commit()
    answer = client.get("/")
    assert links(answer) == []
    assert len({bucket.id for bucket in asked if bucket is not None}) == 4
    assert 'rel="next"' in answer.text


def test_many_buckets_are_asked_for_with_the_same_statements_as_a_few(
    client: FlaskClient, location: Location, allow: Callable[..., None]
) -> None:
    allow(bucket_read_all)
    counts = []
    for number in (2, 15):
        for _ in range(number):
            Bucket.create(location)
        db.session.commit()
        with statements() as found:
            shown = links(client.get("/"))
        counts.append((len(shown), len(found)))
    assert counts == [(2, counts[0][1]), (17, counts[0][1])]


def test_whoever_creates_a_bucket_may_use_it_where_the_setting_says_so(
    app: Flask, client: FlaskClient, location: Location, allow: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_GRANT_CREATOR", True)
    allow(LocationUpdate(None))
    answer = client.post("/", headers=OWN, follow_redirects=True)
    assert answer.request.path == f"/buckets/{Bucket.query.one().id}"
    assert "Nobody has allowed you" not in answer.text


def test_a_bucket_is_created_by_whoever_may_and_shown(
    app: Flask, client: FlaskClient, location: Location, allow: Callable[..., None]
) -> None:
    assert "Create a bucket" not in client.get("/").text
    refused = client.post("/", headers=OWN)
    assert (refused.status_code, "You do not have the permission for this." in refused.text) == (403, True)
    assert app.test_client().post("/", headers=OWN).status_code == 401
    assert Bucket.query.count() == 0
    allow(LocationUpdate(None))
    assert "Create a bucket" in client.get("/").text
    answer = client.post("/", headers=OWN, follow_redirects=True)
    # As over REST, who creates a bucket may not use it by that alone.
    bucket = Bucket.query.one()
    assert f"The bucket {bucket.id} was created." in answer.text
    allow(bucket_read_all)
    assert client.post("/", headers=OWN).location.startswith("/buckets/")


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "https://localhost"}, True),
        ({}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://localhost:8000"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://localhost.evil.example"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
    ],
    ids=str,
)
def test_a_form_is_taken_from_a_page_of_this_origin_alone(
    client: FlaskClient, allowed: Bucket, allow: Callable[..., None], headers: dict[str, str], taken: bool
) -> None:
    allow(LocationUpdate(None))
    assert client.post("/", headers=headers).status_code == (303 if taken else 403)
    answer = client.post(page_of(allowed), data={"file": (BytesIO(b"x"), "a")}, headers=headers)
    assert answer.status_code == (303 if taken else 403)
    assert Bucket.query.count() == 1 + taken
    assert ObjectVersion.query.count() == taken


def test_an_upload_is_stored_under_its_name_or_another_and_downloaded_again(
    client: FlaskClient, allowed: Bucket
) -> None:
    assert send(client, page_of(allowed), b"hello", "a & b.txt").location == page_of(allowed)
    answer = send(client, page_of(allowed), b"there", "a.txt", "papers/2026/c.txt")
    assert answer.location == f"{page_of(allowed)}?prefix=papers/2026/"
    send(client, f"{page_of(allowed)}?prefix=papers/", b"of a folder", "d.txt")
    contents = {}
    for version in ObjectVersion.query:
        with version.file.storage().open() as file:
            contents[version.key] = file.read()
    assert contents == {"a & b.txt": b"hello", "papers/2026/c.txt": b"there", "papers/d.txt": b"of a folder"}
    shown = client.get(page_of(allowed))
    assert (names(shown), "papers/2026/c.txt is stored." in shown.text) == (["papers", "a & b.txt"], True)
    assert names(client.get(f"{page_of(allowed)}?prefix=papers/")) == ["2026", "d.txt"]
    download = client.get(links(shown)[1])
    assert download.data == b"hello"
    assert download.headers["Content-Disposition"].startswith("attachment")
    assert client.get(links(shown)[1], headers={"Range": "bytes=1-2"}).data == b"el"


@pytest.mark.parametrize(
    ("content", "key", "status", "message"),
    [
        (b"", "", 400, "smaller than the minimum"),
        (b"too long", "", 400, "Maximum file size exceeded"),
        (b"x", "a/../b", 400, "has a segment"),
        (b"x", "k" * 256, 400, "Filename"),
        (b"x", "a\0b", 400, "cannot be stored"),
    ],
)
def test_an_upload_that_is_refused_says_why_in_a_page_and_changes_nothing(
    client: FlaskClient, allowed: Bucket, content: bytes, key: str, status: int, message: str
) -> None:
    allowed.max_file_size = 5
    answer = send(client, page_of(allowed), content, key=key)
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert message in answer.text
    db.session.rollback()
    assert (ObjectVersion.query.count(), FileInstance.query.count(), allowed.size) == (0, 0, 0)


def test_a_form_without_a_file_is_refused(client: FlaskClient, allowed: Bucket) -> None:
    for data in ({}, {"key": "a"}, {"file": (BytesIO(b""), "")}):
        answer = client.post(page_of(allowed), data=data, headers=OWN, content_type="multipart/form-data")
        assert (answer.status_code, "No file was chosen." in answer.text) == (400, True)
    assert client.post(page_of(allowed), data=b"x", headers=OWN, content_type="text/plain").status_code == 400
    parts = ('name="file"; filename="a"\r\n\r\nx', 'name="key"\r\n\r\nb')
    late = "".join(f"--BOUNDARY\r\nContent-Disposition: form-data; {part}\r\n" for part in parts) + "--BOUNDARY--\r\n"
    content_type = "multipart/form-data; boundary=BOUNDARY"
    answer = client.post(page_of(allowed), data=late, headers=OWN, content_type=content_type)
    assert (answer.status_code, ObjectVersion.query.count()) == (400, 0)


def test_a_form_of_more_than_the_limit_of_forms_is_stored_as_it_comes(
    app: Flask, client: FlaskClient, allowed: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "MAX_CONTENT_LENGTH", 100_000)
    assert send(client, page_of(allowed), b"x" * 400_000).status_code == 303
    assert ObjectVersion.query.one().file.size == 400_000


def test_a_locked_bucket_takes_no_upload_and_has_no_form(client: FlaskClient, allowed: Bucket) -> None:
    assert "Upload a file" in client.get(page_of(allowed)).text
    allowed.locked = True
    page = client.get(page_of(allowed)).text
    assert ("Upload a file" in page, "It is locked" in page) == (False, True)
    assert send(client, page_of(allowed), b"x").status_code == 403
    assert ObjectVersion.query.count() == 0


def test_what_one_may_not_use_is_as_if_it_were_not_there(
    app: Flask, client: FlaskClient, bucket: Bucket, allow: Callable[..., None]
) -> None:
    ObjectVersion.create(bucket, "a.txt", stream=BytesIO(b"hello"))
    db.session.commit()
    urls = [page_of(bucket), f"{page_of(bucket)}/a.txt"]
    nothing = [f"/buckets/{uuid4()}", f"/buckets/{uuid4()}/a.txt", "/buckets/x", f"{page_of(bucket)}/b.txt"]
    for caller in (client, app.test_client()):
        shown = {re.sub('next=[^"]+', "", caller.get(url).text) for url in urls + nothing}
        assert len(shown) == 1
        assert {caller.get(url).status_code for url in urls + nothing} == {404}
        assert {send(caller, url, b"x").status_code for url in (urls[0], *nothing[:1])} == {404}
    allow(BucketRead(str(bucket.id)))
    assert names(client.get(urls[0])) == ["a.txt"]
    assert client.get(urls[1]).status_code == 404
    assert send(client, urls[0], b"x").status_code == 404
    allow(ObjectRead(str(bucket.id)))
    assert client.get(urls[1]).data == b"hello"
    assert ObjectVersion.query.count() == 1


def test_whoever_may_only_write_sees_the_form_and_no_files(
    client: FlaskClient, bucket: Bucket, allow: Callable[..., None]
) -> None:
    allow(BucketUpdate(str(bucket.id)))
    send(client, page_of(bucket), b"x", "secret.txt")
    page = client.get(page_of(bucket) + "?prefix=")
    assert "Upload a file" in page.text
    assert names(page) == []
    assert names(client.get(page_of(bucket))) == []


ODD = (
    "a b",
    "a%20b",
    "a?b#c",
    "a//b",
    "/a",
    "//",
    "a/",
    "…/žluť.txt",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>.txt',
    "javascript:alert(1)",
    "a\\b",
    "a\nb",
    "{{ 7*7 }}",
    "&amp;",
    "..",
    ".",
    "a/../b",
    "../x",
    "%2E%2E/x",
)
"""Keys that a page might lose, or take for something else. Those with segments of dots are from earlier versions."""


def test_every_odd_key_is_found_and_leads_to_its_own_file(client: FlaskClient, allowed: Bucket) -> None:
    for key in ODD:
        version = ObjectVersion.create(allowed, "x", stream=BytesIO(key.encode()))
        # Not by the attribute, which takes none with segments of dots any more.
        db.session.execute(update(ObjectVersion).where(ObjectVersion.version_id == version.version_id).values(key=key))
    db.session.commit()
    found, waiting = {}, [page_of(allowed)]
    while waiting:
        page = client.get(waiting.pop())
        assert page.status_code == 200
        assert re.findall("<(?:script|img)[^>]*>", page.text) == own_scripts(page)
        for link in links(page):
            if "?prefix=" in link:
                waiting.append(link)
            else:
                found[link] = client.get(link).data.decode()
    assert sorted(found.values()) == sorted(ODD)


def test_a_file_that_is_a_page_is_never_shown_as_one(client: FlaskClient, allowed: Bucket) -> None:
    send(client, page_of(allowed), b"<script>alert(1)</script>", "page.html")
    answer = client.get(f"{page_of(allowed)}/page.html")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.mimetype == "text/plain"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_many_files_are_paged_with_the_same_statements_as_a_few(
    client: FlaskClient, allowed: Bucket, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(["a", "b"])
    client.get(page_of(allowed))
    with statements() as few:
        client.get(page_of(allowed))
    fill(f"key-{number:05}" for number in range(3000))
    with statements() as many:
        page = client.get(page_of(allowed))
    assert len(many) == len(few)
    assert len(links(page)) == 100
    seen = names(page)
    while following := re.search(r'rel="next" href="([^"]+)"', page.text):
        page = client.get(unescape(following[1]))
        seen += names(page)
    assert seen == ["a", "b", *(f"key-{number:05}" for number in range(3000))]


def test_a_page_has_a_policy_without_scripts_of_others_and_stays_in_no_cache(
    client: FlaskClient, allowed: Bucket
) -> None:
    send(client, page_of(allowed), b"hello", "a.txt")
    scripted = (page_of(allowed), f"/details/{allowed.id}/a.txt")
    for url in ("/", "/buckets/x", *scripted):
        page = client.get(url)
        policy = page.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'")
        assert page.headers["Cache-Control"] == "private, no-store"
        assert "Cookie" in page.headers["Vary"]
        assert page.headers["X-Frame-Options"] == "DENY"
        assert not re.search(r"\son\w+=|style=", page.text)
        assert re.findall("<script[^>]*>", page.text) == (own_scripts(page) if url in scripted else [])
        # What is uploaded is of the same origin.
        assert ("script" in policy, "script-src 'self'" in policy) == (url in scripted, False)
    nonces = {client.get(page_of(allowed)).headers["Content-Security-Policy"] for _ in range(3)}
    assert len(nonces) == 3


@pytest.mark.parametrize("query", ["?prefix=%00", "?start-after=%00", "?prefix=%ff"])
def test_a_wrong_argument_is_refused_in_a_page(client: FlaskClient, allowed: Bucket, query: str) -> None:
    answer = client.get(page_of(allowed) + query)
    assert 400 <= answer.status_code < 500
    assert answer.mimetype == "text/html"


def test_a_page_is_made_while_the_database_does_not_tell_who_asks(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(view: Any) -> bool:
        raise OperationalError("SELECT", {}, Exception("away"))

    assert "user@example.org" in client.get("/buckets/x").text
    administration = SimpleNamespace(admin=SimpleNamespace(index_view=None), permission_factory=away)
    monkeypatch.setitem(app.extensions, "invenio-admin", administration)
    refused = client.get("/buckets/x")
    assert refused.status_code == 404
    assert "user@example.org" not in refused.text


def test_a_wrong_place_to_go_on_is_refused(client: FlaskClient, location: Location) -> None:
    assert client.get("/?before=x").status_code in (400, 422)
    assert client.get(f"/?before={10**15}-{uuid4()}").status_code == 200
