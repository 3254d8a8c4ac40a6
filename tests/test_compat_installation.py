"""An installation of 6.1, database and files, is opened, served and changed by this version."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers.schema import release
from invenio_db import db

from invenio_files_rest.models import Bucket, BucketTag, FileInstance, Location, MultipartObject, ObjectVersion, Part

INSTALLATION = Path(__file__).parent / "data" / "published-6.1"
MERGED, PICTURE = "merged.bin", "folder/été 日本.bin"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Load the database of 6.1, which knows the files by the paths that they have now."""
    path = tmp_path / "database.db"
    shutil.copytree(INSTALLATION / "files", tmp_path / "files")
    with sqlite3.connect(path) as connection:
        connection.executescript(
            (INSTALLATION / "database.sql").read_text().replace("@FOLDER@", str(tmp_path / "files"))
        )
        # It was left half-way a moment ago: it would have expired otherwise.
        connection.execute("UPDATE files_multipartobject SET updated = strftime('%Y-%m-%d %H:%M:%f', 'now')")
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Give an application over the installation, its database upgraded, its context pushed."""
    from invenio_access import InvenioAccess
    from invenio_accounts import InvenioAccountsREST
    from invenio_celery import InvenioCelery
    from invenio_db import InvenioDB
    from invenio_i18n import InvenioI18N
    from invenio_rest import InvenioREST

    from invenio_files_rest import InvenioFilesREST
    from invenio_files_rest.app import Flask
    from invenio_files_rest.views import blueprint

    app = Flask("testapp", instance_path=str(tmp_path))
    app.config.update(
        ACCOUNTS_SESSION_REDIS_URL="",
        ACCOUNTS_USE_CELERY=False,
        CACHE_TYPE="SimpleCache",
        CELERY_TASK_ALWAYS_EAGER=True,
        FILES_REST_MULTIPART_CHUNKSIZE_MIN=2,
        FILES_REST_PERMISSION_FACTORY=lambda obj, action: type("Allow", (), {"can": lambda self: True})(),
        SECRET_KEY="for tests alone",
        SQLALCHEMY_DATABASE_URI=database_url,
        TESTING=True,
    )
    for extension in (
        InvenioCelery,
        InvenioDB,
        InvenioI18N,
        InvenioREST,
        InvenioAccountsREST,
        InvenioAccess,
        InvenioFilesREST,
    ):
        extension(app)
    app.register_blueprint(blueprint)
    with app.app_context():
        alembic = app.extensions["invenio-db"].alembic
        alembic.stamp("08e4a71525b6")
        alembic.upgrade("invenio_files_rest@head")
        release(app)
        db.create_all()
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def bucket(app: Flask) -> Bucket:
    """Return the bucket that has everything."""
    return Bucket.query.join(BucketTag).one()


def read(version: ObjectVersion) -> bytes:
    with version.file.storage().open() as file:
        return file.read()


def test_every_file_has_the_bytes_that_the_database_says(app: Flask) -> None:
    readable = FileInstance.query.filter_by(readable=True).all()
    assert len(readable) == 7
    for file in readable:
        assert file.verify_checksum() is True


def test_buckets_are_as_they_were_and_their_sizes_rebuilt(app: Flask, bucket: Bucket) -> None:
    assert bucket.get_tags() == {"owner": "Zoë"}
    assert (bucket.quota_size, bucket.max_file_size, bucket.locked) == (10**6, 1000, False)
    assert (bucket.location.name, Location.get_default().name) == ("main", "main")
    assert sorted(one.size for one in Bucket.all()) == [9, 273, 3 + 6 + 256 + 4 + 6 + 5 + 5]
    assert Bucket.query.filter_by(deleted=True).count() == 1
    [archive] = Bucket.query.filter_by(default_storage_class="A")
    assert archive.location.name == "archive"


def test_versions_tags_and_delete_markers_are_as_they_were(bucket: Bucket) -> None:
    head, first = ObjectVersion.get_versions(bucket, "text.txt")
    assert (read(head), head.is_head, head.mimetype, head.get_tags()) == (
        b"second",
        True,
        "text/x-special",
        {"state": "final"},
    )
    assert (read(first), first.is_head) == (b"one", False)
    assert read(ObjectVersion.get(bucket, PICTURE)) == bytes(range(256))
    assert ObjectVersion.get(bucket, "gone.txt") is None
    marker, gone = ObjectVersion.get_versions(bucket, "gone.txt")
    assert (marker.deleted, read(gone)) == (True, b"gone")
    assert read(ObjectVersion.get(bucket, "linked.txt")) == b"linked"
    assert read(ObjectVersion.get(bucket, MERGED)) == b"abcde"


def test_the_snapshot_is_locked_and_the_copy_is_there(app: Flask) -> None:
    [snapshot] = Bucket.query.filter_by(locked=True)
    assert {version.key: len(read(version)) for version in ObjectVersion.get_by_bucket(snapshot)} == {
        PICTURE: 256,
        "linked.txt": 6,
        MERGED: 5,
        "text.txt": 6,
    }
    [archive] = Bucket.query.filter_by(default_storage_class="A")
    assert {version.key: read(version) for version in ObjectVersion.get_by_bucket(archive)} == {
        "old.txt": b"old",
        "text.txt": b"second",
    }


def test_a_multipart_upload_half_way_goes_on(bucket: Bucket) -> None:
    [upload] = MultipartObject.query_by_bucket(bucket)
    assert [(part.part_number, part.part_size) for part in Part.query_by_multipart(upload)] == [(1, 2)]
    for number, data in ((0, b"AB"), (2, b"E")):
        Part.create(upload, number, stream=BytesIO(data))
    version = upload.complete().merge_parts()
    db.session.commit()
    assert read(version) == b"ABcdE"
    assert version.file.checksum == f"md5:{hashlib.md5(b'ABcdE').hexdigest()}"
    assert bucket.size == 285


def test_a_multipart_upload_half_way_goes_on_over_rest(app: Flask, bucket: Bucket) -> None:
    client: FlaskClient = app.test_client()
    [upload] = client.get(f"/files/{bucket.id}?uploads").get_json()
    query = {"uploadId": upload["id"]}
    url = f"/files/{bucket.id}/half.bin"
    db.session.remove()
    assert [part["part_number"] for part in client.get(url, query_string=query).get_json()["parts"]] == [1]
    for number, data in ((0, b"AB"), (2, b"E")):
        answer = client.put(url, query_string={**query, "partNumber": number}, data=data)
        assert answer.status_code == 200, answer.text
    assert client.post(url, query_string=query).get_json()["completed"]
    assert client.get(url).data == b"ABcdE"
    assert client.get(f"/files/{bucket.id}?uploads").get_json() == []


def test_objects_are_added_restored_and_removed(bucket: Bucket) -> None:
    first = ObjectVersion.get_versions(bucket, "text.txt", desc=False).first()
    restored = first.restore()
    ObjectVersion.create(bucket, "new.txt", stream=BytesIO(b"new"))
    db.session.commit()
    assert (read(restored), bucket.size) == (b"one", 285 + 3 + 3)
    for version in ObjectVersion.get_versions(bucket, "gone.txt").all():
        version.remove()
    db.session.commit()
    assert bucket.size == 291 - 4


def test_everything_is_served_over_rest(app: Flask, bucket: Bucket) -> None:
    client: FlaskClient = app.test_client()
    url = f"/files/{bucket.id}"
    expected = {
        version.key: read(version) for version in ObjectVersion.get_by_bucket(bucket) if version.key != "half.bin"
    }
    db.session.remove()
    listing = client.get(url).get_json()
    assert listing["size"] == 285
    assert {item["key"]: item["size"] for item in listing["contents"]} == {
        key: len(data) for key, data in expected.items()
    }
    assert listing["contents"][-1]["tags"] == {"state": "final"}
    assert len(client.get(f"{url}?versions").get_json()["contents"]) == 7
    [upload] = client.get(f"{url}?uploads").get_json()
    assert (upload["key"], upload["size"]) == ("half.bin", 5)
    for key, data in expected.items():
        assert client.get(f"{url}/{key}").data == data
    assert client.get(f"{url}/gone.txt").status_code == 404
    assert client.put(f"{url}/text.txt", data=b"third").status_code == 200
    assert client.get(f"{url}/text.txt").data == b"third"
    assert client.delete(f"{url}/text.txt").status_code == 204
    assert client.get(f"{url}/text.txt").status_code == 404
    assert client.get(url).get_json()["size"] == 290


def test_a_deleted_or_locked_bucket_stays_so_over_rest(app: Flask) -> None:
    client: FlaskClient = app.test_client()
    [deleted] = Bucket.query.filter_by(deleted=True)
    [locked] = Bucket.query.filter_by(locked=True)
    urls = [f"/files/{bucket.id}" for bucket in (deleted, locked)]
    db.session.remove()
    assert client.head(urls[0]).status_code == 404
    assert client.get(f"{urls[1]}/text.txt").data == b"second"
    assert client.put(f"{urls[1]}/text.txt", data=b"x").status_code == 403


def test_a_file_linked_from_elsewhere_is_never_deleted(app: Flask, bucket: Bucket, tmp_path: Path) -> None:
    version = ObjectVersion.get(bucket, "linked.txt")
    url = f"/files/{bucket.id}/linked.txt?versionId={version.version_id}"
    db.session.remove()
    assert app.test_client().delete(url).status_code == 204
    assert (tmp_path / "files" / "elsewhere.txt").read_bytes() == b"linked"
