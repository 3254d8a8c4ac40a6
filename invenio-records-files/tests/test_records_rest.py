"""The REST API of a record's files, under the record's URL."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests
from files_rest_tests.helpers.rest import error
from files_rest_tests.helpers.tus import TusClient, metadata
from flask import Flask
from flask.testing import FlaskClient
from invenio_access.models import ActionUsers
from invenio_accounts.testutils import create_test_user, login_user_via_session
from invenio_db import db
from invenio_files_rest.errors import InvalidKeyError
from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.views import blueprint as files_rest_blueprint
from invenio_pidstore.models import PersistentIdentifier, PIDStatus
from invenio_records.api import Record as PlainRecord

from invenio_records_files.api import Record
from invenio_records_files.links import default_bucket_link_factory, default_record_files_links_factory
from invenio_records_files.models import RecordsBuckets
from invenio_records_files.views import create_blueprint_from_app

HOST = "http://localhost"


@pytest.fixture
def files(record_with_files: Record, register: Callable[..., str], allow_all: None) -> str:
    """Give the path of the files of a record, which everybody may read and change."""
    return register(record_with_files)


@pytest.mark.parametrize("end", ["", "/"])
def test_files_are_listed_with_links_under_the_record(
    client: FlaskClient, files: str, record_with_files: Record, end: str
):
    answer = client.get(files + end)
    assert answer.status_code == 200
    listed = answer.json
    assert listed["id"] == record_with_files.bucket_id
    assert listed["links"] == {
        "self": f"{HOST}/records/1/files",
        "versions": f"{HOST}/records/1/files?versions",
        "uploads": f"{HOST}/records/1/files?uploads",
    }
    assert [entry["key"] for entry in listed["contents"]] == ["a.txt", "b.txt"]
    entry = listed["contents"][0]
    assert entry["links"] == {
        "self": f"{HOST}/records/1/files/a.txt",
        "version": f"{HOST}/records/1/files/a.txt?versionId={entry['version_id']}",
        "uploads": f"{HOST}/records/1/files/a.txt?uploads",
    }
    for link in [*listed["links"].values(), entry["links"]["self"], entry["links"]["version"]]:
        assert client.get(link).status_code == 200


def test_a_file_is_uploaded_downloaded_and_deleted(client: FlaskClient, files: str, record_with_files: Record):
    stored = client.put(f"{files}/folder/c.txt", data=b"third", headers={"X-Invenio-File-Tags": "a=b"})
    assert stored.status_code == 200
    assert stored.json["links"]["self"] == f"{HOST}/records/1/files/folder/c.txt"
    assert stored.json["tags"] == {"a": "b"}
    assert ObjectVersion.get(record_with_files.bucket, "folder/c.txt").file.size == 5
    answer = client.get(f"{files}/folder/c.txt", headers={"Range": "bytes=1-2"})
    assert (answer.status_code, answer.data) == (206, b"hi")
    assert client.get(f"{files}/folder/c.txt?download").headers["Content-Disposition"].startswith("attachment")
    assert client.delete(f"{files}/folder/c.txt").status_code == 204
    error(client.get(f"{files}/folder/c.txt"), 404)
    old = client.get(f"{files}/folder/c.txt?versionId={stored.json['version_id']}")
    assert old.data == b"third"


@pytest.mark.parametrize("key", ["..", "../x", "a/./b"])
def test_links_to_an_old_key_with_segments_of_dots_stay_under_the_record(
    client: FlaskClient, files: str, record_with_files: Record, key: str
):
    record_with_files.files["new"] = BytesIO(b"old")
    ObjectVersion.record(record_with_files.bucket.id, key, record_with_files.files["new"].obj.file)
    db.session.commit()
    links = next(entry["links"] for entry in client.get(files).json["contents"] if entry["key"] == key)
    for link in (links["self"], links["version"]):
        assert requests.Request("GET", link).prepare().url == link
        assert link.startswith(f"{HOST}{files}/")
        assert client.get(link).data == b"old"
    assert client.delete(links["version"]).status_code == 204
    assert ObjectVersion.get(record_with_files.bucket, key) is None


def test_a_record_takes_no_new_key_with_segments_of_dots(client: FlaskClient, files: str, record_with_files: Record):
    assert "segment" in error(client.put(f"{files}/a%2F..%2Fx", data=b"x"), 400)["message"]
    with pytest.raises(InvalidKeyError):
        record_with_files.files["../x"] = BytesIO(b"x")
    with pytest.raises(InvalidKeyError):
        record_with_files.files.rename("a.txt", "../x")
    assert record_with_files.files.keys == ["b.txt", "a.txt"]


@pytest.mark.parametrize("query", ["partNumber=1", "uploadid=1", "uploads", "versionId="])
def test_a_stray_part_is_no_file_of_a_record(client: FlaskClient, files: str, query: str):
    error(client.put(f"{files}/a.txt?{query}", data=b"x"), 400)
    assert client.get(f"{files}/a.txt").data == b"first"


@pytest.mark.parametrize("key", ["a//b", "/a", "a/", "ä ö/&?#%", "a\nb"])
def test_keys_are_taken_as_they_are(client: FlaskClient, files: str, record_with_files: Record, key: str):
    stored = client.put(f"{files}/{quote(key)}", data=b"x")
    assert stored.json["key"] == key
    assert client.get(stored.json["links"]["self"]).data == b"x"


def test_a_form_is_a_body_like_any_other(client: FlaskClient, files: str):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.put(f"{files}/form", data=b"a=b", headers=form).status_code == 200
    assert client.get(f"{files}/form").data == b"a=b"


def test_a_body_is_taken_as_it_comes(client: FlaskClient, files: str, record_with_files: Record):
    response = client.put(
        f"{files}/chunked", environ_overrides={"wsgi.input": BytesIO(b"chunks"), "wsgi.input_terminated": True}
    )
    assert response.status_code == 200
    assert client.get(f"{files}/chunked").data == b"chunks"
    short = {"wsgi.input": BytesIO(b"x"), "CONTENT_LENGTH": "100"}
    error(client.put(f"{files}/short", environ_overrides=short), 400)
    error(client.get(f"{files}/short"), 404)


def test_versions_are_listed(client: FlaskClient, files: str):
    client.put(f"{files}/a.txt", data=b"new")
    client.delete(f"{files}/b.txt")
    listed = client.get(f"{files}?versions").json["contents"]
    assert [(entry["key"], entry["is_head"], entry["delete_marker"]) for entry in listed] == [
        ("a.txt", True, False),
        ("a.txt", False, False),
        ("b.txt", True, True),
        ("b.txt", False, False),
    ]
    assert all(link.startswith(f"{HOST}/records/1/files/") for entry in listed for link in entry["links"].values())
    version = listed[1]["links"]["self"]
    assert client.get(version).data == b"first"
    assert client.delete(version).status_code == 204


def test_pages_are_linked_under_the_record(client: FlaskClient, files: str):
    answer = client.get(f"{files}/?max-keys=1")
    assert answer.json["links"]["next"] == f"{HOST}/records/1/files?max-keys=1&start-after=a.txt"
    assert answer.headers["Link"] == f'<{HOST}/records/1/files?max-keys=1&start-after=a.txt>; rel="next"'
    assert [entry["key"] for entry in client.get(answer.json["links"]["next"]).json["contents"]] == ["b.txt"]


def test_a_file_arrives_in_parts(client: FlaskClient, files: str, record_with_files: Record, small_parts: None):
    begun = client.post(f"{files}/parts?uploads&size=6&partSize=4").json
    upload = f"{HOST}/records/1/files/parts?uploadId={begun['id']}"
    assert begun["links"] == {
        "self": upload,
        "object": f"{HOST}/records/1/files/parts",
        "bucket": f"{HOST}/records/1/files",
    }
    for number, part in enumerate([b"abcd", b"ef"]):
        assert client.put(f"{upload}&partNumber={number}", data=part).status_code == 200
    assert [part["part_number"] for part in client.get(upload).json["parts"]] == [0, 1]
    assert [entry["id"] for entry in client.get(f"{files}?uploads").json] == [begun["id"]]
    done = client.post(upload).json
    assert done["links"]["object_version"].startswith(f"{HOST}/records/1/files/parts?versionId=")
    assert client.get(done["links"]["object_version"]).data == b"abcdef"
    other = client.post(f"{files}/parts?uploads&size=6&partSize=4").json
    assert client.delete(other["links"]["self"]).status_code == 204


def test_conditions_hold(client: FlaskClient, files: str):
    etag = client.get(f"{files}/a.txt").headers["ETag"]
    assert client.get(f"{files}/a.txt", headers={"If-None-Match": etag}).status_code == 304
    error(client.put(f"{files}/a.txt", data=b"x", headers={"If-None-Match": "*"}), 412)
    assert client.put(f"{files}/a.txt", data=b"x", headers={"If-Match": etag}).status_code == 200


def test_heads_tell_what_is_there(client: FlaskClient, files: str):
    assert client.head(files).status_code == 200
    answer = client.head(f"{files}/a.txt")
    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", "5")
    assert client.head(f"{files}/none").status_code == 404


def test_what_a_bucket_does_not_take_is_refused(client: FlaskClient, files: str, record_with_files: Record):
    error(client.put(f"{files}/empty", data=b""), 400)
    error(client.post(f"{files}/a.txt"), 403)
    error(client.get(f"{files}/a.txt?versionId=x"), 422)
    assert client.post(files).status_code == 405
    assert client.get(f"{files}/a.txt?uploads").status_code == 405
    record_with_files.bucket.locked = True
    error(client.put(f"{files}/a.txt", data=b"x"), 403)


def test_each_endpoint_has_its_path(client: FlaskClient, location: Any, register: Callable[..., str], allow_all: None):
    for pid_type in ("recid", "docid", "depid"):
        files = register(Record.create({}), "7", pid_type)
        stored = client.put(f"{files}/key", data=pid_type.encode()).json
        assert stored["links"]["self"] == f"{HOST}{files}/key"
        assert client.get(files).json["links"]["self"] == f"{HOST}{files}"
        assert client.get(f"{files}/key").data == pid_type.encode()
    error(client.get("/records/7/doc-files"), 404)


def test_files_of_a_record_that_is_only_linked_to_its_bucket_are_served(
    client: FlaskClient, location: Any, register: Callable[..., str], allow_all: None
):
    record = PlainRecord.create({})
    files = register(record, "1", "linkid")
    check_hidden(client, files)
    RecordsBuckets.create(record.model, Bucket.create())
    assert client.put(f"{files}/key", data=b"linked").json["links"]["self"] == f"{HOST}{files}/key"
    assert client.get(f"{files}/key").data == b"linked"


def test_files_rest_keeps_its_own_links(client: FlaskClient, files: str, record_with_files: Record):
    bucket = f"/files/{record_with_files.bucket_id}"
    client.get(files)
    assert client.get(bucket).json["links"]["self"] == HOST + bucket


def test_links_are_those_of_the_url_that_was_asked(app: Flask, files: str, record_with_files: Record):
    bucket = f"/files/{record_with_files.bucket_id}"
    # One application context, as a test or a batch of requests has it.
    app.test_client_class, client_class = FlaskClient, app.test_client_class
    try:
        client = app.test_client()
        for path in (bucket, files, bucket):
            assert client.get(path, buffered=True).json["links"]["self"] == HOST + path
    finally:
        app.test_client_class = client_class


def requests_to(files: str) -> list[tuple[str, str]]:
    return [
        ("GET", files),
        ("GET", f"{files}/"),
        ("HEAD", files),
        ("GET", f"{files}/a.txt"),
        ("PUT", f"{files}/a.txt"),
        ("DELETE", f"{files}/a.txt"),
        ("POST", f"{files}/a.txt?uploads&size=6&partSize=4"),
    ]


def check_hidden(client: FlaskClient, files: str) -> None:
    for method, url in requests_to(files):
        answer = client.open(url, method=method, data=b"x" if method == "PUT" else None)
        if method == "HEAD":
            assert answer.status_code == 404
        else:
            error(answer, 404)


def test_an_unknown_record_is_404(client: FlaskClient, files: str):
    for path in ("/records/2/files", "/documents/1/doc-files", "/physics/deposits/1/deposit-files"):
        check_hidden(client, path)


def test_a_record_without_a_bucket_is_404(
    client: FlaskClient, location: Any, register: Callable[..., str], allow_all: None
):
    check_hidden(client, register(Record.create({}, with_bucket=False), "2"))
    check_hidden(client, register(PlainRecord.create({}), "3"))
    check_hidden(client, register(PlainRecord.create({"_bucket": "no identifier"}), "4"))
    check_hidden(client, register(PlainRecord.create({"_bucket": str(uuid4())}), "5"))


def test_a_deleted_bucket_is_404(client: FlaskClient, files: str, record_with_files: Record):
    Bucket.delete(record_with_files.bucket_id)
    check_hidden(client, files)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("pid_type", ["recid", "depid"])
def test_a_deleted_record_is_404(
    client: FlaskClient, record: Record, register: Callable[..., str], allow_all: None, force: bool, pid_type: str
):
    files = register(record, "1", pid_type)
    assert client.get(files).status_code == 200
    record.delete(force=force)
    check_hidden(client, files)


@pytest.mark.parametrize("status", ["deleted", "reserved", "without object", "redirected"])
def test_an_identifier_that_leads_to_no_record_is_404(
    client: FlaskClient, files: str, record_with_files: Record, status: str
):
    pid = PersistentIdentifier.create(
        "recid", "2", status=PIDStatus.RESERVED if status == "reserved" else PIDStatus.REGISTERED
    )
    if status != "without object":
        pid.assign("rec", record_with_files.id)
    if status == "deleted":
        pid.delete()
    elif status == "redirected":
        pid.redirect(PersistentIdentifier.get("recid", "1"))
    check_hidden(client, "/records/2/files")


def test_without_permission_nothing_is_there(
    client: FlaskClient, record_with_files: Record, register: Callable[..., str]
):
    files = register(record_with_files)
    check_hidden(client, files)
    assert client.get(files).json == client.get("/records/2/files").json


def test_permission_is_asked_for_the_bucket(
    app: Flask, client: FlaskClient, record_with_files: Record, register: Callable[..., str]
):
    files = register(record_with_files)
    other = register(Record.create({}), "2")
    user = create_test_user("reader@example.org")
    for action in ("bucket-read", "object-read", "object-delete"):
        db.session.add(ActionUsers(action=f"files-rest-{action}", argument=record_with_files.bucket_id, user=user))
    db.session.commit()
    with client.session_transaction() as session:
        session["_user_id"] = user.get_id()
        session["_fresh"] = True
    assert client.get(files).status_code == 200
    assert client.get(f"{files}/a.txt").data == b"first"
    assert client.delete(f"{files}/a.txt").status_code == 204
    error(client.get(f"{files}?versions"), 403)
    error(client.put(f"{files}/a.txt", data=b"x"), 404)
    error(client.get(other), 404)


def test_a_record_shows_where_its_files_are(client: FlaskClient, files: str):
    shown = client.get("/records/1").json
    assert shown["links"] == {"self": f"{HOST}/records/1", "files": f"{HOST}/records/1/files"}
    assert client.get(shown["links"]["files"]).status_code == 200


def test_links_of_records(app: Flask, record: Record, register: Callable[..., str]):
    register(record)
    pid = PersistentIdentifier.get("recid", "1")
    without = Record.create({}, with_bucket=False)
    register(without, "2")
    with app.test_request_context():
        assert default_bucket_link_factory(pid) == f"{HOST}/files/{record.bucket_id}"
        assert default_bucket_link_factory(PersistentIdentifier.get("recid", "2")) is None
        links = {"self": f"{HOST}/records/1", "files": f"{HOST}/records/1/files"}
        assert default_record_files_links_factory(pid) == links
        assert default_record_files_links_factory(pid, record=record) == links
        assert default_record_files_links_factory(pid, record=without) == {"self": links["self"]}


def test_an_endpoint_that_is_not_defined_is_an_error():
    app = Flask("misconfigured")
    app.config["RECORDS_FILES_REST_ENDPOINTS"] = {"RECORDS_REST_ENDPOINTS": {"recid": "/files"}}
    for endpoints in ({}, {"RECORDS_REST_ENDPOINTS": {}}, {"RECORDS_REST_ENDPOINTS": None}):
        app.config.update(endpoints)
        with pytest.raises(ValueError, match="'recid', which RECORDS_REST_ENDPOINTS does not have"):
            create_blueprint_from_app(app)


def test_without_settings_nothing_is_served():
    app = Flask("empty")
    app.register_blueprint(create_blueprint_from_app(app))
    assert [rule.endpoint for rule in app.url_map.iter_rules()] == ["static"]


@pytest.mark.parametrize(
    "path",
    ["", "?versions", "?uploads", "/a.txt", "/none", "/a.txt?versionId=none"],
)
@pytest.mark.parametrize("refused", [False, True])
def test_no_shared_cache_keeps_an_answer(
    client: FlaskClient, app: Flask, files: str, monkeypatch: pytest.MonkeyPatch, path: str, refused: bool
):
    if refused:
        permission = type("Nobody", (), {"can": lambda self: False})()
        monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", lambda obj, action: permission)
    for answer in (client.get(files + path), client.get(files.replace("1", "99") + path)):
        assert answer.cache_control.private
        assert answer.cache_control.no_store or answer.status_code == 200
        assert "Authorization" in answer.vary


def test_a_handler_of_the_blueprint_is_its_own(app: Flask):
    def handle(error: Exception) -> str:
        return str(error)

    create_blueprint_from_app(app).register_error_handler(KeyError, handle)
    for blueprint in (create_blueprint_from_app(app), files_rest_blueprint):
        assert KeyError not in blueprint.error_handler_spec[None][None]


# Resumable uploads


@pytest.mark.parametrize("end", ["", "/"])
def test_uploads_of_tus_stay_under_the_record(client: FlaskClient, files: str, end: str):
    tus = TusClient(client, None, files)
    created = tus.send("POST", f"{files}{end}?tus", {"Upload-Length": 6, "Upload-Metadata": metadata(filename="t/ü")})
    upload = created.headers["Location"]
    assert upload.startswith(f"{HOST}/records/1/files?uploadId=")
    assert tus.head(upload).headers["Upload-Offset"] == "0"
    last = tus.patch(upload, 0, b"abcdef")
    assert last.headers["Location"].startswith(f"{HOST}/records/1/files/t/%C3%BC?versionId=")
    for link in (last.headers["Location"], f"{files}/t/ü"):
        assert client.get(link).data == b"abcdef"
    assert client.options(files).headers["Tus-Version"] == "1.0.0"


def test_uploads_of_the_draft_stay_under_the_record(client: FlaskClient, files: str):
    created = client.put(f"{files}/draft", data=b"abc", headers={"Upload-Complete": "?0"})
    upload = created.headers["Location"]
    assert upload.startswith(f"{HOST}/records/1/files?uploadId=")
    headers = {"Upload-Complete": "?1", "Upload-Offset": "3", "Content-Type": "application/partial-upload"}
    last = client.patch(upload, data=b"def", headers=headers)
    assert last.json["links"]["self"] == f"{HOST}/records/1/files/draft"
    assert client.get(last.json["links"]["self"]).data == b"abcdef"


def test_a_link_for_others_gives_a_file_of_the_record(app: Flask, client: FlaskClient, files: str):
    login_user_via_session(client, create_test_user("maker@example.org"))
    made = client.post(f"{files}?links", json={"key": "a.txt"})
    assert made.status_code == 201, made.text
    visitor = app.test_client()
    assert visitor.get(made.json["url"]).data == b"first"
    assert [link["id"] for link in client.get(f"{files}?links").json["contents"]] == [made.json["id"]]
    assert client.delete(f"{files}?linkId={made.json['id']}").status_code == 204
    error(visitor.get(made.json["url"]), 404)


def test_a_link_for_others_puts_a_file_into_the_record(
    app: Flask, client: FlaskClient, files: str, record_with_files: Record
):
    login_user_via_session(client, create_test_user("maker@example.org"))
    link = client.post(f"{files}?links", json={"prefix": "", "upload": True}).json["url"]
    visitor = app.test_client()
    assert visitor.put(f"{link}new.txt", data=b"new").status_code == 201
    error(visitor.put(f"{link}a.txt", data=b"other"), 412)
    assert record_with_files.files["new.txt"].file.size == 3
