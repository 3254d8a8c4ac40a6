"""The administration's pages: they list what is there, and change nothing that bytes depend on."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from html import unescape
from io import BytesIO
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app as current_celery_app
from conftest import own_tables
from flask import Flask, Response, current_app, get_flashed_messages
from flask.testing import FlaskClient
from helpers.faults import refusing
from helpers.waiting import wait_until
from invenio_db import db
from kombu.exceptions import OperationalError as BrokerError
from werkzeug.test import TestResponse

from invenio_files_rest.models import Bucket, FileInstance, Location, LocationMark, MultipartObject, ObjectVersion
from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.storage.marks import read_mark

pytest.importorskip("invenio_admin")

from invenio_files_rest.admin.verification import verification

PAGES = ("location", "bucket", "objectversion", "fileinstance", "multipartobject")


@pytest.fixture(scope="module")
def base_app(app_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Make the user interface of an application with the administration."""
    from invenio_access import InvenioAccess
    from invenio_accounts import InvenioAccountsUI
    from invenio_accounts.views.settings import create_settings_blueprint
    from invenio_admin import InvenioAdmin
    from invenio_admin.ext import finalize_app
    from invenio_admin.views import blueprint as admin_blueprint
    from invenio_assets import InvenioAssets
    from invenio_celery import InvenioCelery
    from invenio_db import InvenioDB
    from invenio_i18n import InvenioI18N
    from invenio_theme import InvenioTheme

    from invenio_files_rest import InvenioFilesREST

    app = Flask("testapp", instance_path=str(tmp_path_factory.mktemp("instance")))
    # The theme wants assets that are built; Flask-Admin has a page of its own.
    app.config.update(app_config, ADMIN_BASE_TEMPLATE="admin/base.html", APP_THEME=["semantic-ui"])
    for extension in (
        InvenioCelery,
        InvenioDB,
        InvenioI18N,
        InvenioAssets,
        InvenioTheme,
        InvenioAccountsUI,
        InvenioAccess,
        InvenioFilesREST,
        InvenioAdmin,
    ):
        extension(app)
    # The theme's wants templates that are found by its name.
    app.register_error_handler(404, lambda error: ("Not found.", 404))
    app.register_blueprint(admin_blueprint)
    app.register_blueprint(create_settings_blueprint(app))
    with app.app_context():
        finalize_app(app)
        db.metadata.create_all(db.engine, tables=own_tables(db))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def version(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> ObjectVersion:
    """Make a row of every kind."""
    monkeypatch.setitem(current_app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    version = ObjectVersion.create(bucket, "a/key.txt", stream=BytesIO(b"hello"))
    MultipartObject.create(bucket, "an-upload", 5, 3)
    ObjectVersion.create(bucket, "gone.txt")
    db.session.commit()
    return version


@pytest.fixture
def client(app: Flask, version: ObjectVersion) -> FlaskClient:
    """Return a client that is logged in as an administrator."""
    from invenio_access.models import ActionUsers
    from invenio_access.permissions import superuser_access
    from invenio_accounts.testutils import create_test_user, login_user_via_session

    user = create_test_user("admin@example.org", "a password")
    db.session.add(ActionUsers.allow(superuser_access, user_id=user.id))
    db.session.commit()
    client = app.test_client()
    login_user_via_session(client, user)
    return client


@pytest.fixture
def all_administer(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everyone administer: a page asks that for each entry of its menu, which takes half of the time."""
    everyone = SimpleNamespace(can=lambda: True)
    monkeypatch.setattr(app.extensions["invenio-admin"], "permission_factory", lambda view: everyone)


Submit = Callable[..., TestResponse]


@pytest.fixture
def submit(client: FlaskClient) -> Submit:
    """Return a function that submits a form as a browser does: with a page's token, and to the page that follows."""

    def submit(path: str, **data: Any) -> TestResponse:
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/admin/location/").text)[1]
        return client.post(path, data={**data, "csrf_token": token}, follow_redirects=True)

    return submit


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_for_administrators_alone(app: Flask, version: ObjectVersion, page: str) -> None:
    assert app.test_client().get(f"/admin/{page}/").status_code in (302, 403, 404)


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("location", ["testloc"]),
        ("bucket", ["testloc"]),
        ("objectversion", ["a/key.txt", "gone.txt", "md5:5d41402abc4b2a76b9719d911017c592"]),
        ("fileinstance", ["md5:5d41402abc4b2a76b9719d911017c592", "/data"]),
        ("multipartobject", ["an-upload"]),
    ],
)
def test_a_page_lists_rows(client: FlaskClient, page: str, shown: list[str]) -> None:
    answer = client.get(f"/admin/{page}/")
    assert answer.status_code == 200
    for words in shown:
        assert words in answer.text


@pytest.mark.usefixtures("all_administer")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_sorts_and_filters_by_every_column_that_it_offers(client: FlaskClient, page: str) -> None:
    sorts = set(re.findall(r"[?&;]sort=(\d+)", client.get(f"/admin/{page}/").text))
    assert sorts
    for number in sorts:
        assert client.get(f"/admin/{page}/?sort={number}").status_code == 200
    for name, offered in offered_filters(client, page).items():
        for argument in offered:
            value = {"created": "2020-01-01 00:00:00", "id": UNKNOWN}.get(name.lower(), "1")
            assert client.get(f"/admin/{page}/", query_string={argument: value}).status_code == 200


def offered_filters(client: FlaskClient, page: str) -> dict[str, list[str]]:
    """Return the arguments of a list for the filters that a page offers, by the names of the columns."""
    found = re.search(r'id="filter-groups-data"[^>]*>(.*?)</div>', client.get(f"/admin/{page}/").text)
    assert found
    return {name: [f"flt0_{each['arg']}" for each in offered] for name, offered in json.loads(found[1]).items()}


def test_a_search_finds_an_object_by_its_key(client: FlaskClient) -> None:
    answer = client.get("/admin/objectversion/?search=KEY")
    assert "a/key.txt" in answer.text
    assert "gone.txt" not in answer.text


def test_a_filter_finds_the_versions_of_a_bucket(client: FlaskClient, version: ObjectVersion) -> None:
    [argument] = offered_filters(client, "objectversion")["Bucket"]
    for value, found in ((version.bucket_id, True), (version.version_id, False)):
        answer = client.get("/admin/objectversion/", query_string={argument: str(value)})
        assert ("a/key.txt" in answer.text) is found


def row_of(page: str, version: ObjectVersion) -> Any:
    """Return the identifier of a row that a page has."""
    rows = {"location": version.bucket.location.id, "bucket": version.bucket_id, "fileinstance": version.file_id}
    return rows.get(page) or (version.version_id if page == "objectversion" else MultipartObject.query.one().upload_id)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_details(client: FlaskClient, version: ObjectVersion, page: str) -> None:
    assert client.get(f"/admin/{page}/details/?id={row_of(page, version)}").status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_no_row_in_use_is_deleted_and_none_but_a_location_is_created(
    client: FlaskClient, submit: Submit, version: ObjectVersion, tmp_path: Path, page: str
) -> None:
    rows = {model: model.query.count() for model in (Location, Bucket, ObjectVersion, FileInstance, MultipartObject)}
    assert submit(f"/admin/{page}/new/", name="second", uri=str(tmp_path / "second")).status_code == 200
    submit(f"/admin/{page}/delete/", id=str(row_of(page, version)))
    rows[Location] += page == "location"
    assert {model: model.query.count() for model in rows} == rows


@pytest.mark.parametrize("page", ["objectversion", "fileinstance", "multipartobject"])
def test_rows_with_bytes_cannot_be_edited(client: FlaskClient, version: ObjectVersion, page: str) -> None:
    row = {"objectversion": version.version_id, "fileinstance": version.file_id}.get(page, version.version_id)
    assert client.post(f"/admin/{page}/edit/?id={row}", data={"key": "other", "checksum": ""}).status_code == 302
    db.session.rollback()
    assert (version.key, version.file.checksum) == ("a/key.txt", "md5:5d41402abc4b2a76b9719d911017c592")


def test_limits_and_lock_of_a_bucket_can_be_changed_and_nothing_else(submit: Submit, version: ObjectVersion) -> None:
    size = version.bucket.size
    form = {"quota_size": "100", "max_file_size": "50", "locked": "y", "size": "0", "deleted": "y"}
    assert submit(f"/admin/bucket/edit/?id={version.bucket_id}", **form).status_code == 200
    db.session.rollback()
    bucket = Bucket.get(version.bucket_id)
    assert (bucket.quota_size, bucket.max_file_size, bucket.locked, bucket.size) == (100, 50, True, size)


def test_a_location_of_an_invalid_name_is_refused(submit: Submit) -> None:
    answer = submit("/admin/location/new/", name="NOT VALID", uri="/x")
    assert answer.status_code == 200
    assert "Invalid location name" in answer.text
    db.session.rollback()
    assert Location.query.count() == 1


def verify(submit: Submit, *rows: Any) -> str:
    form = {"action": "verify_checksum", "rowid": [str(row) for row in rows]}
    return str(submit("/admin/fileinstance/action/", **form).text)


def finish() -> None:
    """Wait until this process has verified all that it was asked to."""
    wait_until(lambda: verification.done == verification.total)
    db.session.rollback()


def test_checksums_are_verified_on_demand(client: FlaskClient, submit: Submit, version: ObjectVersion) -> None:
    assert version.file.last_check_at is None
    assert "not verified yet" in client.get("/admin/fileinstance/").text
    assert "The verification of 1 file is on its way" in verify(submit, "xyz", uuid4(), version.file_id)
    finish()
    assert version.file.last_check is True
    assert version.file.last_check_at is not None
    page = client.get("/admin/fileinstance/").text
    assert ("Verified 1 file. Nothing is wrong." in page, ">good<" in page) == (True, True)


@pytest.mark.parametrize("broker", ["none", "away"])
def test_a_verification_that_takes_long_is_not_waited_for_without_a_broker(
    client: FlaskClient, submit: Submit, version: ObjectVersion, monkeypatch: pytest.MonkeyPatch, broker: str
) -> None:
    go_on = threading.Event()
    checksum = PyFSFileStorage.checksum

    def slowly(*args: Any, **kwargs: Any) -> Any:
        assert go_on.wait(60)
        return checksum(*args, **kwargs)

    def not_sent(file_id: str) -> None:
        raise BrokerError("There is no broker.")

    monkeypatch.setattr(PyFSFileStorage, "checksum", slowly)
    if broker == "away":
        monkeypatch.setitem(current_celery_app.conf, "task_always_eager", False)
        monkeypatch.setattr("invenio_files_rest.tasks.verify_checksum.delay", not_sent)
    try:
        assert "is on its way" in verify(submit, version.file_id)
        assert "Verified 0 of 1 file so far." in client.get("/admin/fileinstance/").text
    finally:
        go_on.set()
        finish()
    assert ">good<" in client.get("/admin/fileinstance/").text


def test_a_verification_is_sent_to_workers_where_there_is_a_broker(
    submit: Submit, version: ObjectVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setitem(current_celery_app.conf, "task_always_eager", False)
    monkeypatch.setattr("invenio_files_rest.tasks.verify_checksum.delay", sent.append)
    verify(submit, version.file_id)
    assert sent == [str(version.file_id)]


@pytest.mark.parametrize(("damage", "shown"), [("changed", "damaged"), ("gone", "could not be read")])
def test_what_a_verification_finds_is_shown(
    client: FlaskClient, submit: Submit, version: ObjectVersion, damage: str, shown: str
) -> None:
    path = Path(version.file.uri)
    path.chmod(0o600)
    path.unlink() if damage == "gone" else path.write_bytes(b"other")
    verify(submit, version.file_id)
    finish()
    page = client.get("/admin/fileinstance/").text
    assert f">{shown}<" in page
    assert f"{version.file_id}</a>: The " in page


def test_a_bucket_leads_to_its_objects_and_a_file_to_the_versions_that_have_it(
    client: FlaskClient, version: ObjectVersion
) -> None:
    other = ObjectVersion.create(Bucket.create(), "other.txt", stream=BytesIO(b"other"))
    db.session.commit()
    for page, row in (("bucket", other.bucket_id), ("fileinstance", other.file_id)):
        details = client.get(f"/admin/{page}/details/?id={row}").text
        listed = client.get(unescape(re.search(r'href="([^"]*/objectversion/\?flt[^"]*)"', details)[1])).text
        assert ("other.txt" in listed, "a/key.txt" in listed) == (True, False), page


def test_a_download_takes_the_permission_that_it_takes_over_rest(
    app: Flask, client: FlaskClient, version: ObjectVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/admin/objectversion/download/?id={version.version_id}"
    answer = client.get(url)
    assert (answer.data, answer.headers["Content-Disposition"]) == (b"hello", "attachment; filename=key.txt")
    nobody = type("Nobody", (), {"can": lambda self: False})()
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", lambda obj, action: nobody)
    assert client.get(url).status_code == 404
    marker = ObjectVersion.query.filter_by(key="gone.txt").one()
    for row in (marker.version_id, "xyz", "", UNKNOWN):
        assert client.get(f"/admin/objectversion/download/?id={row}").status_code == 404


def test_no_script_in_a_page_runs_unless_the_base_template_is_of_others(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "script-src 'self';" in client.get("/admin/bucket/").headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=", client.get("/admin/location/").text)
    monkeypatch.setattr(app.extensions["admin"][0], "base_template", "of_others/admin.html")
    with client.get("/admin/bucket/static/admin.css") as style:
        assert "script-src 'self' 'unsafe-inline';" in style.headers["Content-Security-Policy"]


@pytest.mark.parametrize("token", [None, "wrong"])
def test_without_the_token_of_a_page_nothing_is_changed(
    client: FlaskClient, version: ObjectVersion, tmp_path: Path, token: str | None
) -> None:
    """Another site can have the browser of an administrator send a form, but cannot read a page."""
    second = Location(name="unused", uri=str(tmp_path / "unused"))
    db.session.add(second)
    db.session.commit()
    rows = {page: row_of(page, version) for page in PAGES} | {"location": second.id}
    forms: list[tuple[str, dict[str, str]]] = [
        ("location/new", {"name": "second", "uri": str(tmp_path / "second")}),
        ("location/edit", {"name": "renamed"}),
        ("location/delete", {}),
        ("location/action", {"action": "delete"}),
        ("location/action", {"action": "make_default"}),
        ("bucket/edit", {"quota_size": "1"}),
        ("fileinstance/action", {"action": "verify_checksum"}),
    ]
    for path, form in forms:
        row = str(rows[path.partition("/")[0]])
        data = {"id": row, "rowid": row, **form, **({"csrf_token": token} if token else {})}
        assert client.post(f"/admin/{path}/?id={row}", data=data).status_code in (200, 302)
        db.session.rollback()
        locations = [(location.name, location.default) for location in Location.query.order_by(Location.id)]
        assert locations == [("testloc", True), ("unused", False)]
        assert version.bucket.quota_size is None
        assert version.file.last_check_at is None
        assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("page", [*PAGES, "location/new", "bucket/edit"])
def test_a_page_has_a_policy(client: FlaskClient, version: ObjectVersion, page: str) -> None:
    answer = client.get(f"/admin/{page}/?id={row_of(page.partition('/')[0], version)}")
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    for rule in ("default-src 'self'", "object-src 'none'", "form-action 'self'", "frame-ancestors 'self'"):
        assert rule in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "sameorigin"


def test_the_policy_of_the_application_goes_before(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def policy(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "default-src 'none'"
        return response

    monkeypatch.setitem(app.after_request_funcs, None, [*app.after_request_funcs.get(None, []), policy])
    assert client.get("/admin/bucket/").headers.getlist("Content-Security-Policy") == ["default-src 'none'"]


def test_a_new_location_is_made_and_marked(submit: Submit, tmp_path: Path) -> None:
    assert "successfully created" in submit("/admin/location/new/", name="second", uri=str(tmp_path / "second")).text
    db.session.rollback()
    location = Location.get_by_name("second")
    assert (location.uri, location.default) == (str(tmp_path / "second"), False)
    assert read_mark(location.uri) == ("second", location.mark)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("file:///etc", "is not in one of FILES_REST_LOCATION_URIS"),
        ("/etc", "is not in one of FILES_REST_LOCATION_URIS"),
        ("~", "is not in one of FILES_REST_LOCATION_URIS"),
        ("ftp://localhost/", "is not in one of FILES_REST_LOCATION_URIS"),
        ("@FOLDER@/a-file", "Not a directory"),
        ("", "required"),
    ],
)
def test_a_location_is_refused_whose_uri_is_not_allowed_or_keeps_nothing(
    app: Flask, submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, reason: str
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_LOCATION_URIS", [str(tmp_path)])
    (tmp_path / "a-file").write_bytes(b"")
    answer = submit("/admin/location/new/", name="second", uri=uri.replace("@FOLDER@", str(tmp_path)))
    assert answer.status_code == 200
    assert reason in answer.text
    db.session.rollback()
    assert Location.query.count() == 1


def test_a_database_that_fails_is_told_without_its_statement(submit: Submit, tmp_path: Path) -> None:
    with refusing("INSERT INTO files_location"):
        answer = submit("/admin/location/new/", name="second", uri=str(tmp_path / "second"))
    assert "The database refused the change." in answer.text
    assert "INSERT" not in answer.text


def test_a_second_default_is_refused_and_the_default_changed_by_its_action(submit: Submit, tmp_path: Path) -> None:
    uri = str(tmp_path / "second")
    answer = submit("/admin/location/new/", name="second", uri=uri, default="y")
    assert "The location testloc is the default" in answer.text
    db.session.rollback()
    assert Location.query.count() == 1
    assert not (tmp_path / "second").exists()
    submit("/admin/location/new/", name="second", uri=uri)
    second = Location.get_by_name("second").id
    answer = submit(f"/admin/location/edit/?id={second}", name="second", default="y")
    assert "The location testloc is the default" in answer.text
    assert "from now on" in submit("/admin/location/action/", action="make_default", rowid=str(second)).text
    db.session.rollback()
    assert [location.name for location in Location.query.filter_by(default=True)] == ["second"]


def test_the_only_default_stays_one(submit: Submit) -> None:
    """Without one nobody could make a bucket."""
    row = Location.query.one().id
    answer = submit(f"/admin/location/edit/?id={row}", name="renamed")
    assert "There has to be a default location" in answer.text
    db.session.rollback()
    assert (Location.query.one().name, Location.query.one().default) == ("testloc", True)


def test_of_several_defaults_that_are_there_each_can_be_changed(submit: Submit, tmp_path: Path) -> None:
    db.session.add(Location(name="second", uri=str(tmp_path / "second"), default=True))
    db.session.commit()
    first = Location.get_by_name("testloc").id
    assert "successfully saved" in submit(f"/admin/location/edit/?id={first}", name="renamed", default="y").text
    assert "successfully saved" in submit(f"/admin/location/edit/?id={first}", name="renamed").text
    db.session.rollback()
    assert [(one.name, one.default) for one in Location.query.order_by(Location.id)] == [
        ("renamed", False),
        ("second", True),
    ]


def test_the_uri_of_a_location_is_not_edited(submit: Submit, tmp_path: Path) -> None:
    location = Location.query.one()
    row, uri = location.id, location.uri
    submit(f"/admin/location/edit/?id={row}", name="renamed", uri=str(tmp_path / "other"), default="y")
    db.session.rollback()
    location = Location.query.one()
    assert (location.name, location.uri) == ("renamed", uri)


def test_a_location_whose_uri_is_not_allowed_any_more_can_be_renamed(
    app: Flask, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_LOCATION_URIS", ["/elsewhere"])
    submit(f"/admin/location/edit/?id={Location.query.one().id}", name="renamed", default="y")
    db.session.rollback()
    assert Location.query.one().name == "renamed"


@pytest.mark.parametrize("how", ["delete", "action"])
def test_an_unused_location_is_deleted_and_one_in_use_stays(submit: Submit, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "second"
    submit("/admin/location/new/", name="second", uri=str(folder))
    used, unused = (Location.get_by_name(name).id for name in ("testloc", "second"))
    answers = [
        submit(f"/admin/location/{how}/", id=str(row), action="delete", rowid=str(row)).text for row in (used, unused)
    ]
    assert "Location testloc is in use" in answers[0]
    assert "successfully deleted" in answers[1]
    db.session.rollback()
    assert [location.name for location in Location.query] == ["testloc"]
    assert LocationMark.query.count() == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("field", ["quota_size", "max_file_size"])
def test_a_limit_that_is_no_number_of_bytes_is_refused(submit: Submit, version: ObjectVersion, field: str) -> None:
    for value in ("-1", str(2**63), "1" + 20 * "0", "many", "1.5", "1_000", "+5", "\u0661", "\uff11\uff12"):
        answer = submit(f"/admin/bucket/edit/?id={version.bucket_id}", **{field: value})
        assert answer.status_code == 200
        assert "UPDATE" not in answer.text
        db.session.rollback()
        assert (version.bucket.quota_size, version.bucket.max_file_size) == (None, None), value


LARGE = "1" + 20 * "0"
UNKNOWN = "0b4f1d8e-0000-4000-8000-000000000000"


@pytest.mark.usefixtures("all_administer")
@pytest.mark.parametrize("page", PAGES)
def test_an_identifier_of_no_row_is_no_error_of_the_server(client: FlaskClient, submit: Submit, page: str) -> None:
    for row in ("xyz", "", "-1", "0", LARGE, "a,b", UNKNOWN, "\0", "é"):
        for path in ("details", "edit"):
            answer = client.get(f"/admin/{page}/{path}/", query_string={"id": row}, follow_redirects=True)
            assert answer.status_code == 200, row
        form = {"id": row, "rowid": row}
        assert submit(f"/admin/{page}/delete/", **form).status_code == 200, row
        for action in ("delete", "verify_checksum", "make_default", "none"):
            assert submit(f"/admin/{page}/action/", action=action, **form).status_code == 200, row


@pytest.mark.usefixtures("all_administer")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_there_is_not_is_no_error_of_the_server(client: FlaskClient, page: str) -> None:
    queries = [("page", value) for value in (LARGE, "-1", "x", str(2**63))]
    queries += [("page_size", value) for value in (LARGE, "-1")]
    queries += [("sort", "99"), ("sort", "-1"), ("sort", LARGE), ("desc", "9"), ("search", "\0")]
    for query in queries:
        assert client.get(f"/admin/{page}/", query_string=dict([query])).status_code == 200, query


@pytest.mark.usefixtures("all_administer")
@pytest.mark.parametrize("page", PAGES)
def test_a_filter_of_a_value_that_is_none_is_no_error_of_the_server(client: FlaskClient, page: str) -> None:
    for argument in chain.from_iterable(offered_filters(client, page).values()):
        for value in ("", "xyz", "-1", LARGE, "0000-00-00", "1 to 2", "\0", "1,2,x", UNKNOWN):
            answer = client.get(f"/admin/{page}/", query_string={argument: value})
            assert answer.status_code == 200, (argument, value)


def test_a_view_of_others_changes_a_new_location_in_its_transaction(
    app: Flask, version: ObjectVersion, tmp_path: Path
) -> None:
    from wtforms import Form, StringField

    from invenio_files_rest.admin import LocationModelView

    class Short(Form):
        name, uri = StringField(default="second"), StringField(default=str(tmp_path / "second"))

    class View(LocationModelView):
        form_columns = ("name",)

        def on_model_change(self, form: Any, model: Location, is_created: bool) -> None:
            assert is_created
            if (tmp_path / "refused").exists():
                raise ValueError("Not now.")
            model.name = f"{model.name}-one"

    with app.test_request_context():
        view = View(Location, db.session)
        assert not hasattr(view.get_edit_form(), "uri")
        assert view.create_model(Short()).name == "second-one"
        assert read_mark(str(tmp_path / "second")).name == "second-one"
        (tmp_path / "refused").touch()
        assert view.create_model(Short(data={"name": "third", "uri": str(tmp_path / "third")})) is False
        assert view.handle_view_exception(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "not a character"))
        said = [text for _, text in get_flashed_messages(with_categories=True)]
        assert said[-2] == "Not now."
        assert said[-1].endswith("not a character")
    assert not (tmp_path / "third").exists()
    assert Location.query.count() == 2


def test_an_export_has_all_rows_and_a_page_a_thousand(
    app: Flask, client: FlaskClient, version: ObjectVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    from invenio_files_rest.admin import ObjectModelView

    assert ObjectModelView.max_page_size == 1000
    monkeypatch.setattr(ObjectModelView, "max_page_size", 2)
    db.session.add_all(ObjectVersion(bucket_id=version.bucket_id, key=str(number)) for number in range(30))
    db.session.commit()
    for asked in (1, 99):
        page = client.get(f"/admin/objectversion/?page_size={asked}").text
        assert len(set(re.findall(r"/admin/objectversion/details/\?id=([\w-]+)", page))) == min(asked, 2)
    with app.test_request_context():
        view = ObjectModelView(ObjectVersion, db.session)
        for page_size, rows in ((0, 32), (30, 30), (None, 25)):
            assert len(view.get_list(0, None, None, None, None, page_size=page_size)[1]) == rows


def test_the_published_views_and_the_check_of_a_name_are_there() -> None:
    from wtforms import ValidationError

    from invenio_files_rest.admin import LocationModelView, require_slug

    assert LocationModelView.can_delete
    assert {"default", "created", "updated"} <= set(LocationModelView.column_filters)
    for name in ("abc", "a-1", "a-", "a" * 20):
        assert require_slug(None, SimpleNamespace(data=name)) is None
    for name in ("", None, "Abc", "1a", "a b", "é", "a_b", "-a", "abc\n", "a" * 21):
        with pytest.raises(ValidationError, match="Invalid location name"):
            require_slug(None, SimpleNamespace(data=name))
