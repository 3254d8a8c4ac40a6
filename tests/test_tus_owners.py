"""A resumable upload belongs to who began it: others do not even learn that it is there."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from helpers.rest import error
from helpers.tus import TYPE, TusClient
from invenio_access.models import ActionSystemRoles, ActionUsers
from invenio_access.permissions import any_user
from invenio_accounts.testutils import create_test_user, login_user_via_session
from invenio_db import db

from invenio_files_rest.models import Bucket
from invenio_files_rest.permissions import BucketUpdate, MultipartRead, ObjectRead

CONTENT = b"0123456789"


class Caller(TusClient):
    """Somebody who is logged in, and what that is allowed to do."""

    def __init__(self, app: Flask, bucket: Bucket, *actions: Any) -> None:
        super().__init__(app.test_client(), bucket)
        self.user = create_test_user(f"{uuid4()}@example.org")
        self.bucket_id = str(bucket.id)
        self.allow(*actions)
        login_user_via_session(self.client, self.user)

    def allow(self, *actions: Any) -> None:
        for action in actions:
            db.session.add(ActionUsers.allow(action(self.bucket_id), user_id=self.user.id))
        db.session.commit()


def send_all(caller: TusClient, upload: str) -> list[int]:
    headers = {"Content-Type": TYPE, "Upload-Offset": 4}
    return [caller.send(method, upload, headers).status_code for method in ("HEAD", "GET", "PATCH", "DELETE")]


def test_an_upload_is_hidden_from_others(app: Flask, bucket: Bucket) -> None:
    owner, other = Caller(app, bucket, BucketUpdate, ObjectRead), Caller(app, bucket, BucketUpdate)
    reader, stranger = Caller(app, bucket, MultipartRead), TusClient(app.test_client(), bucket)
    upload, part = owner.begin(), owner.begin(10, None, data=CONTENT, Upload_Concat="partial")
    assert owner.patch(upload, 0, b"0123").status_code == 204
    for caller in (other, reader, stranger):
        assert send_all(caller, upload) == [404] * 4
        error(caller.create(None, Upload_Concat=f"final;{part}"), 404)
    assert "Upload-Length" in owner.head(upload).headers
    assert owner.patch(upload, 4, b"456789").status_code == 204
    assert owner.client.get(f"{owner.url}/key").data == CONTENT


def test_who_may_read_uploads_in_progress_may_go_on_with_all(app: Flask, bucket: Bucket) -> None:
    owner, curator = Caller(app, bucket, BucketUpdate), Caller(app, bucket, BucketUpdate, MultipartRead)
    upload, part = owner.begin(), owner.begin(10, None, data=CONTENT, Upload_Concat="partial")
    assert curator.head(upload).headers["Upload-Offset"] == "0"
    assert curator.patch(upload, 0, CONTENT).status_code == 204
    curator.begin(None, Upload_Concat=f"final;{part}")


def test_who_may_store_nothing_any_more_can_go_on_with_nothing(app: Flask, bucket: Bucket) -> None:
    owner = Caller(app, bucket, BucketUpdate)
    upload = owner.begin()
    ActionUsers.query.delete()
    db.session.commit()
    assert send_all(owner, upload) == [404] * 4
    error(owner.create(), 404)


@pytest.mark.parametrize("logged_in", [True, False])
def test_where_everybody_may_upload_nobody_owns_what_anonymous_callers_began(
    app: Flask, bucket: Bucket, logged_in: bool
) -> None:
    db.session.add(ActionSystemRoles.allow(BucketUpdate(str(bucket.id)), role=any_user))
    db.session.commit()
    anonymous = TusClient(app.test_client(), bucket)
    upload = anonymous.begin()
    caller = Caller(app, bucket) if logged_in else TusClient(app.test_client(), bucket)
    assert caller.head(upload).status_code == (404 if logged_in else 200)
