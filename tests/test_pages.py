"""The pages for people: what they show and to whom, what their forms do, and who else may not send these."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from html import unescape
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

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

from invenio_files_rest import pages
from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.models.folder import MOST_KEYS
from invenio_files_rest.pages import create_blueprint, static_files
from invenio_files_rest.pages.messages import messages
from invenio_files_rest.permissions import (
    BucketRead,
    BucketReadVersions,
    BucketUpdate,
    LocationUpdate,
    ObjectDelete,
    ObjectDeleteVersion,
    ObjectRead,
    ObjectReadVersion,
    bucket_read_all,
)
from invenio_files_rest.storage import PyFSFileStorage, pyfs_storage_factory

STATIC = Path(pages.__file__).parent / "static"

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
        f'<script type="module" src="{static_files.current_path()}/page.js" nonce="{nonce[1]}">',
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


def test_the_form_composes_the_letters_of_a_name_as_scripts_do(client: FlaskClient, allowed: Bucket) -> None:
    send(client, page_of(allowed), b"hello", "z\u030clut\u030c.txt")
    assert ObjectVersion.query.one().key == "žluť.txt"


def test_whoever_logs_in_comes_back_below_the_root_that_a_proxy_gives_the_application(app: Flask) -> None:
    page = app.test_client().get("/?before=x", environ_overrides={"SCRIPT_NAME": "/files"})
    assert re.findall(r'href="(/files/login/[^"]+)"', page.text) == ["/files/login/?next=/files/?before%3Dx"]


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


def test_a_refusal_leads_back_to_the_folder_of_the_form(client: FlaskClient, allowed: Bucket) -> None:
    page = send(client, page_of(allowed) + "?prefix=a%26b/", b"")
    assert page.status_code == 400
    assert f'<a href="{page_of(allowed)}?prefix=a%26b/">Back to the files</a>' in page.text
    assert "Back to the files" not in client.get("/buckets/x").text
    assert "Back to the files" not in send(client, "/buckets/x", b"1").text


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


def test_how_large_a_file_may_be_is_told_with_scripts_as_without(client: FlaskClient, allowed: Bucket) -> None:
    def told() -> str:
        # Before the form, which scripts take the place of.
        before = client.get(page_of(allowed)).text.partition("<form")[0]
        return re.sub("<.*?>", "", re.search('<p id="room".*?>(.*?)</p>', before)[1])  # type: ignore[index]

    assert told() == ""
    allowed.max_file_size = 1536
    assert told() == "The largest one may have 1.5 KiB."
    allowed.quota_size = allowed.size
    assert told() == "There is no room left for this."


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
    bucket.quota_size = 4096
    db.session.commit()
    send(client, page_of(bucket), bytes(1234), "secret.txt")
    page = client.get(page_of(bucket) + "?prefix=")
    # The REST API tells sizes to whoever may list the bucket.
    assert [text for text in (page.text, client.get("/").text) if 'value="1234"' in text] == []
    assert "<meter" not in page.text
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


def test_a_folder_is_sorted_by_what_one_asks_for_and_paged(
    client: FlaskClient, allowed: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invenio_files_rest.pages.bucket.KEYS", 2)
    for name, size in (("b.txt", 30), ("a.csv", 20), ("c", 10), ("d/e.txt", 50)):
        send(client, page_of(allowed), bytes(size), key=name)

    def seen(query: str) -> list[str]:
        found, url = [], page_of(allowed) + query
        while url:
            page = client.get(url)
            found += names(page)
            following = re.search(r'rel="next" href="([^"]+)"', page.text)
            url = following and unescape(following[1])
        return found

    # A page of names has what follows in the order of keys, its folders first.
    assert seen("") == seen("?sort=name") == ["a.csv", "b.txt", "d", "c"]
    assert seen("?sort=-name") == ["d", "c", "b.txt", "a.csv"]
    assert seen("?sort=size") == ["d", "c", "a.csv", "b.txt"]
    assert seen("?sort=-size") == ["d", "b.txt", "a.csv", "c"]
    assert seen("?sort=-time") == ["d", "c", "a.csv", "b.txt"]
    assert seen("?sort=type") == ["d", "c", "a.csv", "b.txt"]
    for query in ("?sort=colour", "?page=0", "?page=x", "?sort=size&page=100001"):
        assert client.get(page_of(allowed) + query).status_code == 422


def test_a_folder_that_is_too_large_to_sort_is_shown_by_name_and_says_so(
    client: FlaskClient, allowed: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invenio_files_rest.models.folder.MOST_KEYS", 1)
    for name in ("b", "a"):
        send(client, page_of(allowed), b"x", key=name)
    page = client.get(page_of(allowed) + "?sort=-time")
    assert names(page) == ["a", "b"]
    assert f"More than {MOST_KEYS:,} files are in this folder, so that it is shown by name" in page.text
    assert 'class="name" aria-sort="ascending"' in page.text


def test_sorting_and_pages_of_files_take_the_same_statements_however_many_there_are(
    client: FlaskClient, allowed: Bucket, allow: Callable[..., None], fill: Callable[..., None]
) -> None:
    allow(BucketReadVersions(str(allowed.id)))
    send(client, page_of(allowed), b"x", key="a")
    counts = []
    for added in (2, 300):
        fill([f"{added}/{number}.txt" for number in range(added)])
        for query in ("?sort=-size", f"?sort=time&prefix={added}/", "?deleted="):
            with statements() as found:
                assert client.get(page_of(allowed) + query).status_code == 200
            counts.append(len(found))
    assert counts[:3] == counts[3:]


def test_deleted_files_are_shown_to_whoever_may_see_versions(
    client: FlaskClient, allowed: Bucket, allow: Callable[..., None]
) -> None:
    for key in ("a.txt", "data/b.txt"):
        send(client, page_of(allowed), b"x", key=key)
        ObjectVersion.delete(allowed, key)
    db.session.commit()
    assert "Deleted files" not in client.get(page_of(allowed)).text
    assert client.get(page_of(allowed) + "?deleted=").status_code == 403
    allow(BucketReadVersions(str(allowed.id)))
    page = client.get(page_of(allowed) + "?deleted=")
    assert re.findall(r'<th scope="row"><bdi>([^<]*)', page.text) == ["a.txt", "data/b.txt"]
    # To restore takes to read versions.
    assert 'data-do="restore"' not in page.text
    allow(ObjectReadVersion(str(allowed.id)))
    assert 'data-do="restore"' in client.get(page_of(allowed) + "?deleted=&prefix=data/").text


def details(client: FlaskClient, bucket: Bucket, key: str, query: str = "") -> TestResponse:
    return client.get(f"/details/{bucket.id}/{key}{query}")


PICTURES = {
    "png": b"\x89PNG\r\n\x1a\n rest",
    "jpeg": b"\xff\xd8\xff\xe0 rest of it",
    "gif": b"GIF89a rest of it",
    "webp": b"RIFF\1\0\0\0WEBPVP8 ",
    "avif": b"\0\0\0\x20ftypavif\0\0",
}


def test_raster_images_are_shown_as_what_their_bytes_say_and_nothing_else_is(
    client: FlaskClient, allowed: Bucket
) -> None:
    for kind, content in PICTURES.items():
        # Whatever the name says.
        send(client, page_of(allowed), content, key=f"{kind}.html")
        assert f'src="/buckets/{allowed.id}/{kind}.html?preview"' in details(client, allowed, f"{kind}.html").text
        answer = client.get(f"{page_of(allowed)}/{kind}.html?preview")
        assert (answer.data, answer.mimetype) == (content, f"image/{kind}")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Cache-Control"] == "private, no-cache"
    for name, content in (
        ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("b.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("c.pdf", b"%PDF-1.7\n\0"),
        ("d.png", b"%PDF-1.7\n\0"),
    ):
        send(client, page_of(allowed), content, key=name)
        page = details(client, allowed, name).text
        assert "<img" not in page
        assert "<svg" not in page
        assert ("There is no preview" in page) == content.startswith(b"%PDF")
        assert client.get(f"{page_of(allowed)}/{name}?preview").status_code == 404


def test_an_image_that_is_too_large_is_not_shown(
    client: FlaskClient, allowed: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("preview", "file"):
        monkeypatch.setattr(f"invenio_files_rest.pages.{module}.IMAGE_BYTES", 15)
    send(client, page_of(allowed), PICTURES["gif"], key="a.gif")
    assert "<img" not in details(client, allowed, "a.gif").text
    assert client.get(f"{page_of(allowed)}/a.gif?preview").status_code == 404


def test_the_first_64_kib_of_a_text_are_shown_as_text(client: FlaskClient, allowed: Bucket) -> None:
    def shown(content: bytes) -> str | None:
        send(client, page_of(allowed), content, key="a")
        page = details(client, allowed, "a").text
        found = re.search('<pre tabindex="0" aria-labelledby="preview">(.*)</pre>', page, re.DOTALL)
        assert ("This is the beginning" in page) == (found is not None and len(content) > 64 * 1024)
        return found and unescape(found[1])

    assert shown("<script>žluť & 漢字</script>".encode()) == "<script>žluť & 漢字</script>"
    assert shown(b"\xef\xbb\xbfwith a mark") == "with a mark"
    assert shown(b"x" * 70_000) == "x" * 65_536
    # A character is cut in two.
    assert shown(b"x" + "ž".encode() * 40_000) == "x" + "ž" * 32_767
    for content in (b"a\0b", b"caf\xe9 in Latin-1", b"\xc5", b"\x1f\x8b\x08"):
        assert shown(content) is None


def test_a_file_whose_bytes_are_gone_still_has_a_page(client: FlaskClient, allowed: Bucket) -> None:
    send(client, page_of(allowed), b"hello", key="a.txt")
    FileInstance.query.one().storage().delete()
    page = details(client, allowed, "a.txt")
    assert (page.status_code, "cannot be read at the moment" in page.text) == (200, True)


def test_a_file_of_a_storage_that_fails_in_its_own_way_still_has_a_page(
    app: Flask, client: FlaskClient, allowed: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere(PyFSFileStorage):
        def open(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("away")

    send(client, page_of(allowed), b"hello", key="a.txt")
    factory = partial(pyfs_storage_factory, filestorage_class=Elsewhere)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    page = details(client, allowed, "a.txt")
    assert (page.status_code, "cannot be read at the moment" in page.text) == (200, True)
    image = client.get(f"{page_of(allowed)}/a.txt?preview")
    assert (image.status_code, image.mimetype, "away" in image.text) == (500, "text/html", False)


def test_the_page_of_a_file_offers_what_one_may_do(
    app: Flask, client: FlaskClient, bucket: Bucket, allow: Callable[..., None]
) -> None:
    for content in (b"one", b"the second"):
        ObjectVersion.create(bucket, "a.txt", stream=BytesIO(content))
    db.session.commit()
    first = ObjectVersion.get_versions(bucket, "a.txt", desc=False).first().version_id
    query = f"?versionId={first}"

    def offered(query: str = "") -> set[str]:
        return set(re.findall('data-do="([^"]+)"', details(client, bucket, "a.txt", query).text))

    assert details(client, bucket, "a.txt").status_code == 404
    allow(BucketRead(str(bucket.id)))
    assert details(client, bucket, "a.txt").status_code == 404
    allow(ObjectRead(str(bucket.id)))
    page = details(client, bucket, "a.txt")
    assert ("the second" in page.text, page.text.count("<tr data-version")) == (True, 1)
    assert offered() == set()
    assert details(client, bucket, "a.txt", query).status_code == 403
    allow(BucketReadVersions(str(bucket.id)), ObjectReadVersion(str(bucket.id)))
    assert details(client, bucket, "a.txt").text.count("<tr data-version") == 2
    assert ">one</pre>" in details(client, bucket, "a.txt", query).text
    allow(BucketUpdate(str(bucket.id)))
    assert offered() == {"edit-tags", "restore-version"}
    allow(ObjectDelete(str(bucket.id)))
    assert offered() == {"edit-tags", "restore-version", "rename", "delete-file"}
    allow(ObjectDeleteVersion(str(bucket.id)))
    assert offered() == {"edit-tags", "restore-version", "rename", "delete-file", "remove-version"}
    assert offered(query) == {"edit-tags", "restore-version", "remove-version"}
    bucket.locked = True
    assert offered() == set()
    for nothing in ("b.txt", "a.txt/x"):
        assert details(client, bucket, nothing).status_code == 404


@pytest.mark.parametrize(
    ("longest", "field"),
    [(timedelta(days=2), "date"), (timedelta(hours=47), "datetime-local"), (timedelta(hours=1), "datetime-local")],
)
def test_where_links_last_for_less_than_two_days_a_time_is_chosen_and_not_a_day(
    client: FlaskClient, allowed: Bucket, app: Flask, monkeypatch: pytest.MonkeyPatch, longest: timedelta, field: str
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_SHARES_ENABLED", True)
    monkeypatch.setitem(app.config, "FILES_REST_SHARES_EXPIRES_MAX", longest)
    page = client.get(f"/buckets/{allowed.id}").text
    assert f'data-most-seconds="{longest.total_seconds()}"' in page
    assert re.findall(r'>(Until[^<]*)</label> <input type="([^"]+)"', page) == [
        ("Until the end of" if field == "date" else "Until", field)
    ]


def test_the_form_of_links_waits_for_its_script(
    client: FlaskClient, allowed: Bucket, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser would send it to the page, and forget the folder."""
    monkeypatch.setitem(app.config, "FILES_REST_SHARES_ENABLED", True)
    assert "<button disabled>Make a link</button>" in client.get(page_of(allowed)).text


def test_a_link_for_uploads_is_not_offered_where_the_bucket_takes_none(
    client: FlaskClient, bucket: Bucket, allow: Callable[..., None], app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_SHARES_ENABLED", True)
    upload, why = '<input type="radio" name="kind" value="upload"', "The bucket is locked: nothing can be uploaded."

    def form() -> str:
        page = client.get(page_of(bucket)).text
        return page[page.index('<section id="links"') :]

    allow(BucketUpdate(str(bucket.id)))
    assert f"{upload} checked>" in form()
    bucket.locked = True
    # There is nothing else to choose.
    assert ("<form" in form(), why in form()) == (False, True)
    allow(BucketRead(str(bucket.id)), ObjectRead(str(bucket.id)))
    assert re.search(f"<label>{upload} disabled>[^<]*<small>{re.escape(why)}</small></label>", form())
    assert '<input type="radio" name="kind" value="read" checked>' in form()
    bucket.locked = False
    assert (f"{upload}>" in form(), why in form()) == (True, False)


def test_versions_are_listed_to_whoever_may_list_the_bucket_as_by_the_rest_api(
    client: FlaskClient, bucket: Bucket, allow: Callable[..., None]
) -> None:
    for content in (b"one", b"the second"):
        ObjectVersion.create(bucket, "a.txt", stream=BytesIO(content))
    db.session.commit()
    allow(*(action(str(bucket.id)) for action in (BucketUpdate, BucketReadVersions, ObjectRead)))
    assert details(client, bucket, "a.txt").text.count("<tr data-version") == 1
    allow(BucketRead(str(bucket.id)))
    assert details(client, bucket, "a.txt").text.count("<tr data-version") == 2


def test_what_is_chosen_is_sent_as_a_zip_to_forms_of_this_origin(
    client: FlaskClient, bucket: Bucket, allow: Callable[..., None]
) -> None:
    for key in ("a.txt", "b.txt", "data/1.csv", "data/2.csv"):
        ObjectVersion.create(bucket, key, stream=BytesIO(key.encode()))
    db.session.commit()
    url = f"/archives/{bucket.id}"

    def chosen(**fields: Any) -> set[str]:
        answer = client.post(url, data=fields, headers=OWN)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Disposition"].startswith("attachment")
        with ZipFile(BytesIO(answer.data)) as archive:
            assert all(archive.read(name) == name.encode() for name in archive.namelist())
            return set(archive.namelist())

    assert client.post(url, headers=OWN).status_code == 404
    allow(BucketRead(str(bucket.id)))
    assert client.post(url, headers=OWN).status_code == 403
    allow(ObjectRead(str(bucket.id)))
    assert chosen() == {"a.txt", "b.txt", "data/1.csv", "data/2.csv"}
    assert chosen(prefix="data/") == {"data/1.csv", "data/2.csv"}
    assert chosen(prefix="data/", key="data/1.csv") == {"data/1.csv"}
    assert chosen(key=["b.txt", "data/"]) == {"b.txt", "data/1.csv", "data/2.csv"}
    assert client.post(url, data={"key": "a.txt"}).status_code == 403
    missing = client.post(url, data={"key": ["a.txt", "gone"]}, headers=OWN)
    assert (missing.status_code, missing.mimetype) == (404, "text/html")
    assert "There is nothing of the key &#39;gone&#39;." in missing.text


def test_scripts_have_all_their_strings_and_no_others_are_sent(client: FlaskClient, allowed: Bucket) -> None:
    page = client.get(page_of(allowed)).text
    sent = json.loads(re.search('id="messages">(.*?)</script>', page)[1])  # type: ignore[index]
    assert sent == messages()
    scripts = "".join(path.read_text() for path in STATIC.rglob("*.js"))
    assert set(re.findall(r'\bsay\(\s*"(\w+)"', scripts)) <= set(sent)
    assert [name for name in sent if not re.search(rf'"{name}"|`{name.partition("_")[0]}_\$', scripts)] == []


def test_scripts_are_sent_as_such_from_the_pages_alone(client: FlaskClient) -> None:
    for path in STATIC.rglob("*.js"):
        answer = client.get(f"{static_files.current_path()}/{path.relative_to(STATIC).as_posix()}")
        assert (answer.status_code, answer.mimetype) == (200, "text/javascript")
        assert not re.search(r"\b(alert|confirm|prompt|eval)\(|innerHTML|https?://", path.read_text())


def test_styles_and_scripts_are_kept_for_a_year_and_nothing_else(client: FlaskClient, allowed: Bucket) -> None:
    def caching(url: str, status: int = 200, **headers: str) -> str:
        answer = client.get(url, headers=headers)
        assert answer.status_code == status, url
        return answer.headers["Cache-Control"]

    named = set(re.findall(r'(?:href|src)="([^"]+\.(?:css|js|svg))"', client.get(page_of(allowed)).text))
    assert len(named) == 6
    for path in STATIC.rglob("*.*"):
        named.add(f"{static_files.current_path()}/{path.relative_to(STATIC).as_posix()}")
    assert {caching(url) for url in named} == {"private, max-age=31536000, immutable"}
    script = f"{static_files.current_path()}/page.js"
    assert caching(script, 206, Range="bytes=0-1") == caching(script, 304, **{"If-None-Match": "*"}) == caching(script)
    # Of a page that another release has made: found, and asked for again.
    assert client.get("/files-pages/0123/page.js").data == client.get(script).data
    assert caching("/files-pages/0123/uploads/panel.js") == "no-cache, max-age=0"
    for nothing in ("no.js", "uploads", "uploads/", "../views.py", "%2e%2e/views.py", "uploads/../../views.py"):
        for path in (static_files.current_path(), "/files-pages/0123"):
            assert caching(f"{path}/{nothing}", 404) == "private, no-store"
    assert client.get("/files-pages/page.js").status_code == 404
    assert {caching(url) for url in ("/", page_of(allowed))} == {"private, no-store"}


def test_urls_of_styles_and_scripts_change_with_any_of_them_and_with_nothing_else(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def path_of(folder: Path) -> str:
        monkeypatch.setattr(static_files, "FOLDER", folder)
        static_files._installed.cache_clear()
        return static_files.current_path()

    folder = tmp_path / "static"
    shutil.copytree(STATIC, folder, copy_function=shutil.copyfile)
    try:
        before = path_of(STATIC)
        assert path_of(folder) == before
        (folder / "uploads" / "panel.js").write_text("another")
        changed = path_of(folder)
        (folder / "dom.js").rename(folder / "uploads" / "dom2.js")
        assert len({before, changed, path_of(folder)}) == 3
    finally:
        monkeypatch.undo()
        static_files._installed.cache_clear()


def test_what_an_upgrade_has_put_in_the_place_of_a_script_is_not_kept_under_its_url(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server that runs knows the old one, and names its URL until it is started again."""
    digest, states = static_files._installed()
    monkeypatch.setattr(static_files, "_installed", lambda: (digest, states | {"page.js": (0, 1)}))
    script, style = (client.get(f"{static_files.current_path()}/{name}") for name in ("page.js", "pages.css"))
    assert script.headers["Cache-Control"] == "no-cache"
    assert "immutable" in style.headers["Cache-Control"]
