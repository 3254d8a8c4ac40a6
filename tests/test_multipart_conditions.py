"""Conditions of uploads in parts: judged when one begins, and in the transaction that makes the version at its end."""

from __future__ import annotations

import contextvars
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from celery.result import AsyncResult
from helpers.parts import CONTENT, PARTS, Upload, begin, bucket_size, checksum, part_count, storage_class
from helpers.rest import error, nothing_stays, put, rows, stored, url
from sqlalchemy import update

from invenio_files_rest.errors import MultipartNotCompleted
from invenio_files_rest.http.preconditions import PreconditionFailed
from invenio_files_rest.models import FileInstance, MultipartObject, ObjectVersion
from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.tasks import merge_multipartobject

pytestmark = pytest.mark.usefixtures("allow_all", "small_parts")

BEFORE, AFTER = "Sun, 13 Sep 2020 12:26:40 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"
NEW = {"If-None-Match": "*"}
ONE = {"If-Match": f'"{checksum(b"one")}"'}

# Conditions, and whether they hold where there is no object, and where there is one with the bytes "one".
CONDITIONS = [
    (NEW, True, False),
    (ONE, False, True),
    ({"If-Match": "*"}, False, True),
    ({"If-Match": '"other"'}, False, False),
    ({"If-None-Match": f'"{checksum(b"one")}"'}, True, False),
    ({"If-Unmodified-Since": BEFORE}, True, False),
    ({"If-Unmodified-Since": AFTER}, True, True),
    ({"If-Unmodified-Since": "never"}, True, True),
    ({"If-Unmodified-Since": BEFORE, **ONE}, False, True),
]


def complete(upload: Upload, headers: dict[str, str] | None = None) -> Any:
    return upload.client.post(upload.url(), headers=headers)


def check_open(upload: Upload) -> None:
    """Check that an upload takes parts, and has those that it had."""
    row = upload.row()
    assert (row.completed, row.file.writable, row.file.readable, row.file.checksum) == (False, True, False, None)
    assert list(upload.parts()) == [0, 1, 2]
    assert upload.put(1, PARTS[1]).status_code == 200


@pytest.mark.parametrize(("headers", "absent", "there"), CONDITIONS)
@pytest.mark.parametrize("exists", [False, True])
def test_an_upload_begins_where_its_conditions_hold(
    client: Any, bucket: Any, location: Any, headers: dict[str, str], absent: bool, there: bool, exists: bool
) -> None:
    if exists:
        put(client, bucket, "a.txt", b"one")
    path = url(bucket, "a.txt", uploads=True, size=10, partSize=4)
    if there if exists else absent:
        assert client.post(path, headers=headers).status_code == 200
    else:
        with nothing_stays(location):
            error(client.post(path, headers=headers), 412)
            error(client.post(path.replace("size=10", "size=0"), headers=headers), 400)


@pytest.mark.parametrize(("headers", "absent", "there"), CONDITIONS)
@pytest.mark.parametrize("exists", [False, True])
def test_an_upload_is_completed_where_its_conditions_hold(
    client: Any, bucket: Any, location: Any, headers: dict[str, str], absent: bool, there: bool, exists: bool
) -> None:
    if exists:
        put(client, bucket, "a.txt", b"one")
    upload = begin(client, bucket)
    upload.put_all()
    if there if exists else absent:
        assert complete(upload, headers).json["completed"]
        assert client.get(url(bucket, "a.txt")).data == CONTENT
        return
    with nothing_stays(location):
        answer = complete(upload, headers)
        assert error(answer, 412)["message"] == "A precondition of the request does not hold."
        assert answer.data.startswith(b"{")
    check_open(upload)
    assert complete(upload).json["completed"]
    assert client.get(url(bucket, "a.txt")).data == CONTENT


def test_missing_parts_are_told_before_a_condition(client: Any, bucket: Any) -> None:
    """RFC 9110, section 13.2.1."""
    upload = begin(client, bucket)
    assert "missing" in error(complete(upload, {"If-Match": "*"}), 400)["message"]


@contextmanager
def overtaken(app: Any, monkeypatch: Any, bucket: Any) -> Iterator[None]:
    """Let somebody be faster: while the parts are read for their checksum, another version becomes the head."""
    bucket_id = bucket.id

    def be_faster() -> None:
        with app.app_context():
            ObjectVersion.create(bucket_id, "a.txt", stream=io.BytesIO(b"faster"))
            ObjectVersion.query.session.commit()

    class Overtaken(PyFSFileStorage):
        def checksum(self, *args: Any, **kwargs: Any) -> Any:
            contextvars.Context().run(be_faster)
            return super().checksum(*args, **kwargs)

    with storage_class(app, monkeypatch, Overtaken):
        yield


@pytest.mark.parametrize("headers", [NEW, ONE])
def test_a_condition_is_decided_when_the_version_is_recorded(
    client: Any, bucket: Any, app: Any, location: Any, monkeypatch: Any, headers: dict[str, str]
) -> None:
    if headers is ONE:
        put(client, bucket, "a.txt", b"one")
    upload = begin(client, bucket)
    upload.put_all()
    with overtaken(app, monkeypatch, bucket):
        error(complete(upload, headers), 412)
    assert client.get(url(bucket, "a.txt")).data == b"faster"
    size = bucket_size(bucket)
    check_open(upload)
    assert upload.abort().status_code == 204
    assert bucket_size(bucket) == size - len(CONTENT)
    assert CONTENT not in stored(location)


@pytest.mark.usefixtures("worker")
def test_an_answer_that_has_begun_tells_in_its_json(client: Any, bucket: Any, app: Any, monkeypatch: Any) -> None:
    upload = begin(client, bucket)
    upload.put_all()
    with overtaken(app, monkeypatch, bucket):
        answer = complete(upload, NEW)
    assert answer.status_code == 200
    expected = "A precondition of the request does not hold. The upload is open again."
    assert answer.json == {"status": 412, "message": expected}
    assert client.get(url(bucket, "a.txt")).data == b"faster"
    check_open(upload)
    faster = {"If-Match": client.get(url(bucket, "a.txt")).headers["ETag"]}
    assert complete(upload, faster).json["completed"]
    assert client.get(url(bucket, "a.txt")).data == CONTENT
    assert (rows()["files_multipartobject"], part_count()) == (0, 0)


@pytest.mark.usefixtures("worker")
def test_it_tells_so_where_there_is_no_result_backend(client: Any, bucket: Any, app: Any, monkeypatch: Any) -> None:
    def has_none(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(AsyncResult, "get", has_none)
    monkeypatch.setitem(app.config, "FILES_REST_TASK_WAIT_INTERVAL", 0.05)
    upload = begin(client, bucket)
    upload.put_all()
    with overtaken(app, monkeypatch, bucket):
        assert complete(upload, NEW).json["status"] == 412
    check_open(upload)
    assert complete(upload).json["completed"]


def test_of_uploads_that_make_the_same_object_one_does(client: Any, bucket: Any, app: Any, db: Any) -> None:
    uploads = [begin(client, bucket) for _ in range(4)]
    for upload in uploads:
        upload.put_all()
    db.session.commit()
    addresses = [upload.url() for upload in uploads]

    def send(address: str) -> int:
        return int(app.test_client().post(address, headers=NEW).status_code)

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(contextvars.Context().run, send, address) for address in addresses]
        statuses = sorted(future.result() for future in sent)
    assert statuses == [200, 412, 412, 412]
    db.session.rollback()
    assert ObjectVersion.query.count() == 1
    assert MultipartObject.query.filter_by(completed=False).count() == 3
    assert bucket_size(bucket) == 4 * len(CONTENT)


def test_completing_again_with_the_same_condition_finds_the_same_version(client: Any, bucket: Any, db: Any) -> None:
    """The first answer was lost, and the merge is still to come."""
    upload = begin(client, bucket)
    upload.put_all()
    db.session.execute(update(MultipartObject).values(completed=True))
    db.session.commit()
    assert complete(upload, NEW).json["completed"]
    # A message that is delivered twice does no harm.
    version = ObjectVersion.query.one().version_id
    assert merge_multipartobject(upload.id, str(version), conditions=NEW) == str(version)
    assert ObjectVersion.query.one().version_id == version


def test_a_condition_that_fails_when_completing_again_leaves_a_merge_that_may_come(
    client: Any, bucket: Any, app: Any, monkeypatch: Any
) -> None:
    """The broker was away, for all that is known, and somebody else has stored the object since."""
    upload = begin(client, bucket)
    upload.put_all()
    with monkeypatch.context() as away:
        away.setattr(merge_multipartobject, "delay", None)
        error(complete(upload, NEW), 503)
    put(client, bucket, "a.txt", b"one")
    error(complete(upload, NEW), 412)
    assert list(upload.parts()) == [0, 1, 2]
    error(upload.put(1, PARTS[1]), 403)
    assert complete(upload, ONE).json["completed"]
    assert client.get(url(bucket, "a.txt")).data == CONTENT


def test_a_merge_whose_parts_are_sent_again_meanwhile_makes_no_version(
    client: Any, bucket: Any, app: Any, db: Any, monkeypatch: Any
) -> None:
    """Two complete an upload. The condition of one fails, and opens it again: the other may have read old bytes."""
    upload = begin(client, bucket)
    upload.put_all()
    again: list[int] = []

    def send_again() -> None:
        MultipartObject.reopen(upload.row().upload_id)
        db.session.commit()
        assert upload.put(0, b"abcd").status_code == 200
        db.session.execute(update(MultipartObject).values(completed=True))
        db.session.commit()

    class Reopened(PyFSFileStorage):
        def checksum(self, *args: Any, **kwargs: Any) -> Any:
            found = super().checksum(*args, **kwargs)
            if not again:
                again.append(1)
                contextvars.Context().run(self.run)
            return found

        def run(self) -> None:
            with app.app_context():
                send_again()

    db.session.execute(update(MultipartObject).values(completed=True))
    db.session.commit()
    with storage_class(app, monkeypatch, Reopened), pytest.raises(MultipartNotCompleted):
        merge_multipartobject(upload.id)
    db.session.rollback()
    assert complete(upload).json["completed"]
    new = b"abcd" + CONTENT[4:]
    answer = client.get(url(bucket, "a.txt"))
    assert (answer.data, answer.headers["ETag"]) == (new, f'"{checksum(new)}"')


def test_the_task_takes_the_messages_of_6_1(client: Any, bucket: Any, db: Any) -> None:
    upload = begin(client, bucket)
    upload.put_all()
    db.session.execute(update(MultipartObject).values(completed=True))
    db.session.commit()
    version = merge_multipartobject.apply(args=(upload.id,)).result
    assert str(ObjectVersion.get(bucket, "a.txt").version_id) == version


def test_the_task_says_that_a_condition_does_not_hold(client: Any, bucket: Any, db: Any) -> None:
    put(client, bucket, "a.txt", b"one")
    upload = begin(client, bucket)
    upload.put_all()
    db.session.execute(update(MultipartObject).values(completed=True))
    db.session.commit()
    with pytest.raises(PreconditionFailed):
        merge_multipartobject(upload.id, conditions=NEW)
    assert ObjectVersion.query.count() == 1
    assert FileInstance.query.count() == 2
    check_open(upload)
