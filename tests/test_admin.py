"""The administration's pages: they list what is there, and change nothing that bytes depend on."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from conftest import own_tables
from flask import Flask, current_app
from flask.testing import FlaskClient
from invenio_db import db

from invenio_files_rest.models import Bucket, FileInstance, Location, MultipartObject, ObjectVersion

pytest.importorskip("invenio_admin")

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


@pytest.mark.parametrize("page", PAGES)
def test_a_page_sorts_and_filters_by_every_column_that_it_offers(app: Flask, client: FlaskClient, page: str) -> None:
    view = next(view for view in app.extensions["admin"][0]._views if view.endpoint == page)
    for number in range(len(view.column_list)):
        assert client.get(f"/admin/{page}/?sort={number}").status_code == 200
    values = {"id": "0b4f1d8e-0000-4000-8000-000000000000", "default": "1"}
    for number, offered in enumerate(view._filters):
        value = "2020-01-01 00:00:00" if "created" in str(offered.column) else values.get(offered.column.name, "1")
        argument = "flt0_" + view.get_filter_arg(number, offered)
        assert client.get(f"/admin/{page}/", query_string={argument: value}).status_code == 200


def test_a_search_finds_an_object_by_its_key(client: FlaskClient) -> None:
    answer = client.get("/admin/objectversion/?search=KEY")
    assert "a/key.txt" in answer.text
    assert "gone.txt" not in answer.text


def test_a_filter_finds_the_versions_of_a_bucket(app: Flask, client: FlaskClient, version: ObjectVersion) -> None:
    view = next(view for view in app.extensions["admin"][0]._views if view.endpoint == "objectversion")
    [number] = [number for number, one in enumerate(view._filters) if one.column.name == "bucket_id"]
    argument = "flt0_" + view.get_filter_arg(number, view._filters[number])
    for value, found in ((version.bucket_id, True), (version.version_id, False)):
        answer = client.get("/admin/objectversion/", query_string={argument: str(value)})
        assert ("a/key.txt" in answer.text) is found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_details(client: FlaskClient, version: ObjectVersion, page: str) -> None:
    row = {
        "location": lambda: Location.query.one().id,
        "bucket": lambda: version.bucket_id,
        "objectversion": lambda: version.version_id,
        "fileinstance": lambda: version.file_id,
        "multipartobject": lambda: MultipartObject.query.one().upload_id,
    }[page]()
    assert client.get(f"/admin/{page}/details/?id={row}").status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_no_row_is_deleted_and_none_but_a_location_is_created(client: FlaskClient, page: str) -> None:
    rows = {model: model.query.count() for model in (Location, Bucket, ObjectVersion, FileInstance, MultipartObject)}
    created = client.post(f"/admin/{page}/new/", data={"name": "second", "uri": "/second"})
    assert created.status_code == 302
    client.post(f"/admin/{page}/delete/", data={"id": "1"})
    rows[Location] += page == "location"
    assert {model: model.query.count() for model in rows} == rows


@pytest.mark.parametrize("page", ["objectversion", "fileinstance", "multipartobject"])
def test_rows_with_bytes_cannot_be_edited(client: FlaskClient, version: ObjectVersion, page: str) -> None:
    row = {"objectversion": version.version_id, "fileinstance": version.file_id}.get(page, version.version_id)
    assert client.post(f"/admin/{page}/edit/?id={row}", data={"key": "other", "checksum": ""}).status_code == 302
    db.session.rollback()
    assert (version.key, version.file.checksum) == ("a/key.txt", "md5:5d41402abc4b2a76b9719d911017c592")


def test_limits_and_lock_of_a_bucket_can_be_changed_and_nothing_else(
    client: FlaskClient, version: ObjectVersion
) -> None:
    size = version.bucket.size
    form = {"quota_size": "100", "max_file_size": "50", "locked": "y", "size": "0", "deleted": "y"}
    assert client.post(f"/admin/bucket/edit/?id={version.bucket_id}", data=form).status_code == 302
    db.session.rollback()
    bucket = Bucket.get(version.bucket_id)
    assert (bucket.quota_size, bucket.max_file_size, bucket.locked, bucket.size) == (100, 50, True, size)


def test_a_location_of_an_invalid_name_is_refused(client: FlaskClient) -> None:
    answer = client.post("/admin/location/new/", data={"name": "NOT VALID", "uri": "/x"})
    assert answer.status_code == 200
    assert "Invalid location name" in answer.text
    db.session.rollback()
    assert Location.query.count() == 1


def test_checksums_are_verified_on_demand(client: FlaskClient, version: ObjectVersion) -> None:
    assert version.file.last_check_at is None
    form = {"action": "verify_checksum", "rowid": str(version.file_id)}
    assert client.post("/admin/fileinstance/action/", data=form).status_code == 302
    db.session.rollback()
    assert version.file.last_check is True
    assert version.file.last_check_at is not None
