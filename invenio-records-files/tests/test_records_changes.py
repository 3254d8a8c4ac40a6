"""Copies, tags, snapshots, syncs and limits of a record's files, under the record's URL."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from files_rest_tests.helpers.rest import error
from flask import Flask
from flask.testing import FlaskClient
from invenio_access.models import ActionUsers
from invenio_accounts.testutils import create_test_user, login_user_via_session
from invenio_db import db
from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.permissions import BucketUpdate, ObjectDelete, ObjectRead

from invenio_records_files.api import Record

HOST = "http://localhost"


@pytest.fixture
def files(record_with_files: Record, register: Callable[..., str]) -> str:
    """Give the path of the files of a record."""
    return register(record_with_files)


@pytest.fixture
def other(location: Any, register: Callable[..., str]) -> str:
    """Make a second record with a file, and give the identifier of its bucket."""
    record = Record.create({"title": "Other"})
    record.files["c.txt"] = BytesIO(b"third")
    record.commit()
    db.session.commit()
    register(record, "2")
    return str(record.bucket_id)


@pytest.mark.usefixtures("allow_all")
def test_files_are_copied_moved_and_restored_with_links_under_the_record(client: FlaskClient, files: str):
    old = client.get(f"{files}?versions").json["contents"][0]["version_id"]
    copied = client.put(f"{files}/new/b.txt?copy=b.txt").json
    assert copied["links"]["self"] == f"{HOST}{files}/new/b.txt"
    assert client.get(copied["links"]["version"]).data == b"second"
    assert client.put(f"{files}/moved.txt?move=a.txt").status_code == 200
    restored = client.post(f"{files}/a.txt?restore&versionId={old}").json
    assert restored["links"]["self"] == f"{HOST}{files}/a.txt"
    listed = client.get(files).json["contents"]
    assert [entry["key"] for entry in listed] == ["a.txt", "b.txt", "moved.txt", "new/b.txt"]


@pytest.mark.usefixtures("allow_all")
def test_files_of_another_record_are_taken_by_its_bucket(client: FlaskClient, files: str, other: str):
    assert client.put(f"{files}/c.txt?copy=c.txt&from={other}").json["links"]["self"] == f"{HOST}{files}/c.txt"
    assert client.get(f"{files}/c.txt").data == b"third"
    assert client.put(f"{files}/d.txt?move=c.txt&from={other}").status_code == 200
    error(client.get("/records/2/files/c.txt"), 404)
    shown = client.post(f"/records/2/files?sync&from={client.get(files).json['id']}").json
    assert shown["links"]["self"] == f"{HOST}/records/2/files"
    assert [entry["links"]["self"] for entry in shown["contents"]] == [
        f"{HOST}/records/2/files/{key}" for key in ("a.txt", "b.txt", "c.txt", "d.txt")
    ]


def test_files_of_another_record_need_the_permissions_of_its_bucket(
    app: Flask, files: str, record_with_files: Record, other: str
):
    user = create_test_user(f"{uuid4()}@example.org")
    needs = [BucketUpdate(record_with_files.bucket_id)]
    client = app.test_client()
    login_user_via_session(client, user)

    def grant(*needs: Any) -> None:
        db.session.add_all(ActionUsers.allow(need, user_id=user.id) for need in needs)
        db.session.commit()

    grant(*needs)
    hidden = error(client.put(f"{files}/c.txt?copy=c.txt&from={other}"), 404)
    assert hidden == error(client.put(f"{files}/c.txt?copy=c.txt&from={uuid4()}"), 404)
    grant(ObjectRead(other))
    assert client.put(f"{files}/c.txt?copy=c.txt&from={other}").status_code == 200
    error(client.put(f"{files}/d.txt?move=c.txt&from={other}"), 403)
    grant(ObjectDelete(other))
    assert client.put(f"{files}/d.txt?move=c.txt&from={other}").status_code == 200
    assert ObjectVersion.get(UUID(other), "c.txt") is None


@pytest.mark.usefixtures("allow_all")
@pytest.mark.parametrize("key", ["", "/a.txt"])
def test_tags_are_replaced_shown_and_deleted(client: FlaskClient, files: str, key: str):
    path = f"{files}{key}?tags"
    assert client.put(path, json={"tags": {"lang": "en"}}).json == {"tags": {"lang": "en"}}
    assert client.get(path).json == {"tags": {"lang": "en"}}
    assert client.delete(path).status_code == 204
    assert client.get(path).json == {"tags": {}}


@pytest.mark.usefixtures("allow_all")
def test_a_snapshot_is_a_bucket_of_its_own(client: FlaskClient, files: str):
    copy = client.post(f"{files}?snapshot").json
    assert copy["links"]["self"] == f"{HOST}/files/{copy['id']}"
    assert [entry["key"] for entry in client.get(copy["links"]["self"]).json["contents"]] == ["a.txt", "b.txt"]


@pytest.mark.usefixtures("allow_all")
def test_limits_and_lock_are_changed(client: FlaskClient, files: str, record_with_files: Record):
    shown = client.patch(files, json={"quota_size": 100, "locked": True}).json
    assert (shown["quota_size"], shown["locked"], shown["links"]["self"]) == (100, True, f"{HOST}{files}")
    error(client.put(f"{files}/new", data=b"x"), 403)
    assert client.patch(files, json={"locked": False}).status_code == 200
    assert not Bucket.get(record_with_files.bucket_id).locked
    error(client.patch("/records/3/files", json={"locked": True}), 404)
