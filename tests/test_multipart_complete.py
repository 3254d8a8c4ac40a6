"""``POST …?uploadId=``: the parts become one version, once, and whoever waits for it learns what came of it."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from threading import Barrier, Event
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery.result import EagerResult
from helpers.parts import CONTENT, begin, bucket_size, checksum, part_count, storage_class
from helpers.rest import error, nothing_stays, put, rows, stored, url

from invenio_files_rest.errors import StorageError
from invenio_files_rest.models import Bucket, MultipartObject, ObjectVersion
from invenio_files_rest.signals import file_uploaded
from invenio_files_rest.storage import PyFSFileStorage

pytestmark = pytest.mark.usefixtures("allow_all", "small_parts")


@pytest.fixture
def upload(client: Any, bucket: Any) -> Any:
    """Give an upload whose parts are all there."""
    upload = begin(client, bucket)
    upload.put_all()
    return upload


def versions(db: Any) -> list[ObjectVersion]:
    db.session.rollback()
    return list(ObjectVersion.query.all())


def test_the_parts_become_the_head(client: Any, bucket: Any, upload: Any, db: Any, location: Any) -> None:
    old = put(client, bucket, "a.txt", b"old")
    response = upload.complete()
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    answer = response.json
    assert answer["completed"] is True
    assert {key: answer[key] for key in ("id", "key", "size", "part_size")} == {
        key: upload.answer[key] for key in ("id", "key", "size", "part_size")
    }
    head = client.get(url(bucket, "a.txt"))
    assert head.data == CONTENT
    assert head.headers["ETag"] == f'"{checksum(CONTENT)}"'
    assert client.get(answer["links"]["object_version"].removeprefix("http://localhost")).data == CONTENT
    assert client.get(url(bucket, "a.txt", versionId=old["version_id"])).data == b"old"
    assert bucket_size(bucket) == len(CONTENT) + len(b"old")
    assert (rows()["files_multipartobject"], part_count()) == (0, 0)
    file = ObjectVersion.get(bucket, "a.txt").file
    assert (file.checksum, file.size, file.readable, file.writable) == (checksum(CONTENT), 10, True, False)
    assert stored(location) == [CONTENT, b"old"]
    error(client.get(upload.url()), 404)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8])
def test_every_number_of_bytes_is_put_together(client: Any, bucket: Any, size: int) -> None:
    upload = begin(client, bucket, "a", size, 4)
    content = CONTENT[:size]
    upload.put_all([content[start : start + 4] for start in range(0, size, 4)])
    assert upload.complete().json["completed"]
    assert client.get(url(bucket, "a")).data == content
    assert bucket_size(bucket) == size


def test_missing_parts_are_named(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket)
    assert error(upload.complete(), 400)["message"] == "Not all parts have been uploaded: 3 missing: 0, 1, 2"
    upload.put(1, b"4567")
    assert error(upload.complete(), 400)["message"] == "Not all parts have been uploaded: 2 missing: 0, 2"
    assert upload.row().completed is False
    large = begin(client, bucket, "b", 4 * 1000, 4)
    message = error(large.complete(), 400)["message"]
    assert message.startswith("Not all parts have been uploaded: 1000 missing: 0, 1, 2, ")
    assert message.endswith(" 99, …")


def test_the_signal_is_sent_once(upload: Any) -> None:
    seen: list[tuple[str, str]] = []

    def note(sender: Any, obj: ObjectVersion) -> None:
        seen.append((obj.key, obj.file.checksum))

    with file_uploaded.connected_to(note):
        assert upload.complete().json["completed"]
    assert seen == [("a.txt", checksum(CONTENT))]


def test_completing_twice_at_once_makes_one_version(
    client: Any, bucket: Any, app: Any, db: Any, upload: Any, monkeypatch: Any
) -> None:
    """Both are in the middle of the merge at the same time."""
    bucket_id, barrier = bucket.id, Barrier(2)

    class Both(PyFSFileStorage):
        def checksum(self, *args: Any, **kwargs: Any) -> Any:
            barrier.wait(30)
            return super().checksum(*args, **kwargs)

    db.session.commit()
    with storage_class(app, monkeypatch, Both), ThreadPoolExecutor(2) as pool:
        address = upload.url()
        sent = [pool.submit(contextvars.Context().run, app.test_client().post, address) for _ in range(2)]
        answers = [future.result() for future in sent]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len({answer.json["links"]["object_version"] for answer in answers}) == 1
    assert [answer.json["completed"] for answer in answers] == [True, True]
    (version,) = versions(db)
    assert answers[0].json["links"]["object_version"].endswith(str(version.version_id))
    assert bucket_size(db.session.get(Bucket, bucket_id)) == len(CONTENT)


def test_many_that_complete_at_once_get_no_error_of_the_server(
    client: Any, bucket: Any, app: Any, db: Any, upload: Any
) -> None:
    bucket_id = bucket.id
    db.session.commit()
    barrier = Barrier(6)
    address = upload.url()

    def complete() -> Any:
        barrier.wait(30)
        return app.test_client().post(address)

    with ThreadPoolExecutor(6) as pool:
        answers = [future.result() for future in [pool.submit(contextvars.Context().run, complete) for _ in range(6)]]
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 404}
    assert {answer.json["completed"] for answer in answers if answer.status_code == 200} == {True}
    assert len(versions(db)) == 1
    assert bucket_size(db.session.get(Bucket, bucket_id)) == len(CONTENT)


def test_of_completing_and_aborting_at_once_one_wins(client: Any, bucket: Any, app: Any, db: Any) -> None:
    bucket_id = bucket.id
    for number in range(5):
        upload = begin(client, db.session.get(Bucket, bucket_id), f"key {number}")
        upload.put_all()
        address, barrier = upload.url(), Barrier(2)
        db.session.commit()

        def request(method: str, address: str = address, barrier: Any = barrier) -> Any:
            barrier.wait(30)
            return app.test_client().open(address, method=method)

        with ThreadPoolExecutor(2) as pool:
            sent = [pool.submit(contextvars.Context().run, request, method) for method in ("POST", "DELETE")]
            completed, aborted = (future.result() for future in sent)
        assert (aborted.status_code, completed.status_code) in [(204, 404), (404, 200), (204, 200), (204, 403)]
        count = ObjectVersion.query.filter_by(key=f"key {number}").count()
        # Where both were answered well, the merge found that it was aborted, and said so.
        assert count == (1 if aborted.status_code == 404 else 0)
    assert bucket_size(db.session.get(Bucket, bucket_id)) == len(CONTENT) * len(versions(db))
    assert rows()["files_multipartobject"] == 0


def test_aborting_twice_at_once_gives_the_size_back_once(client: Any, bucket: Any, app: Any, db: Any) -> None:
    bucket_id = bucket.id
    put(client, bucket, "kept", b"k" * 100)
    for _ in range(5):
        upload = begin(client, db.session.get(Bucket, bucket_id))
        address, barrier = upload.url(), Barrier(3)
        db.session.commit()

        def abort(address: str = address, barrier: Any = barrier) -> int:
            barrier.wait(30)
            return int(app.test_client().delete(address).status_code)

        with ThreadPoolExecutor(3) as pool:
            sent = [pool.submit(contextvars.Context().run, abort) for _ in range(3)]
            assert sorted(future.result() for future in sent) == [204, 404, 404]
    assert bucket_size(db.session.get(Bucket, bucket_id)) == 100


# With a worker


@pytest.fixture
def waiting(app: Any, monkeypatch: Any) -> None:
    """Let a client wait a moment, in short steps."""
    monkeypatch.setitem(app.config, "FILES_REST_TASK_WAIT_INTERVAL", 0.05)
    monkeypatch.setitem(app.config, "FILES_REST_TASK_WAIT_MAX_SECONDS", 0.5)


class Slow(PyFSFileStorage):
    """A storage that reads when it is told to."""

    go_on = Event()

    def checksum(self, *args: Any, **kwargs: Any) -> Any:
        assert self.go_on.wait(60)
        return super().checksum(*args, **kwargs)


@pytest.fixture
def slow(app: Any, monkeypatch: Any) -> Iterator[Event]:
    """Let merges wait for an event."""
    Slow.go_on = Event()
    with storage_class(app, monkeypatch, Slow):
        yield Slow.go_on
        Slow.go_on.set()


@pytest.mark.usefixtures("worker")
def test_white_space_comes_while_the_merge_runs(
    client: Any, bucket: Any, app: Any, db: Any, upload: Any, slow: Event, monkeypatch: Any
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_TASK_WAIT_INTERVAL", 0.05)
    db.session.commit()

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(contextvars.Context().run, app.test_client().post, upload.url())
        with pytest.raises(FutureTimeoutError):
            sent.result(0.5)
        slow.set()
        answer = sent.result(30)
    body = answer.data
    # Nor does nginx keep it back.
    assert answer.headers["X-Accel-Buffering"] == "no"
    spaces = len(body) - len(body.lstrip(b" "))
    assert spaces >= 5
    assert json.loads(body)["completed"] is True
    assert client.get(url(bucket, "a.txt")).data == CONTENT


@pytest.mark.usefixtures("worker", "waiting")
def test_a_merge_that_takes_too_long_is_told_and_may_be_waited_for_again(
    client: Any, bucket: Any, app: Any, db: Any, upload: Any, slow: Event
) -> None:
    response = upload.complete()
    assert response.status_code == 200
    assert response.data.startswith(b" ")
    answer = response.json
    assert set(answer) == {"status", "message"}
    assert answer["status"] == 504
    assert upload.row().completed is True
    assert error(upload.put(0, b"abcd"), 403)["message"] == "Multipart upload is already completed."
    assert len(upload.parts()) == 3
    slow.set()
    app.config["FILES_REST_TASK_WAIT_MAX_SECONDS"] = 60
    assert "status" not in upload.complete().json
    assert client.get(url(bucket, "a.txt")).data == CONTENT
    assert len(versions(db)) == 1
    assert bucket_size(bucket) == len(CONTENT)


class Unreadable(PyFSFileStorage):
    """A storage that cannot be read."""

    def checksum(self, *args: Any, **kwargs: Any) -> Any:
        raise StorageError("/secret/path: Input/output error")


@pytest.mark.usefixtures("worker")
def test_a_merge_that_fails_is_told_and_may_be_tried_again(
    client: Any, bucket: Any, app: Any, db: Any, upload: Any, monkeypatch: Any
) -> None:
    with storage_class(app, monkeypatch, Unreadable):
        response = upload.complete()
    assert response.status_code == 200
    answer = response.json
    assert set(answer) == {"status", "message"}
    assert answer["status"] == 500
    assert b"secret" not in response.data
    assert versions(db) == []
    assert bucket_size(bucket) == len(CONTENT)
    assert upload.complete().json["completed"] is True
    assert client.get(url(bucket, "a.txt")).data == CONTENT
    assert bucket_size(bucket) == len(CONTENT)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("change", [{"locked": True}, {"deleted": True}])
def test_a_bucket_that_is_locked_or_deleted_meanwhile_gets_no_version(
    client: Any, bucket: Any, app: Any, db: Any, upload: Any, monkeypatch: Any, change: dict[str, bool]
) -> None:
    bucket_id = bucket.id

    def set_bucket(**values: bool) -> None:
        with db.engine.begin() as connection:
            connection.execute(Bucket.__table__.update().where(Bucket.id == bucket_id).values(**values))

    class Changing(PyFSFileStorage):
        def checksum(self, *args: Any, **kwargs: Any) -> Any:
            set_bucket(**change)
            return super().checksum(*args, **kwargs)

    with storage_class(app, monkeypatch, Changing):
        assert upload.complete().json["status"] == 500
    assert versions(db) == []
    set_bucket(locked=False, deleted=False)
    assert upload.complete().json["completed"] is True
    assert client.get(url(bucket, "a.txt")).data == CONTENT


@pytest.mark.usefixtures("waiting")
def test_without_a_worker_the_wait_ends_and_nothing_is_lost(
    client: Any, bucket: Any, celery_app: Any, upload: Any
) -> None:
    response = upload.complete()
    assert response.json["status"] == 504
    assert upload.row().completed is True
    celery_app.conf.task_always_eager = True
    assert upload.complete().json["completed"] is True
    assert client.get(url(bucket, "a.txt")).data == CONTENT


def test_the_answer_of_a_merge_at_once_has_no_white_space(upload: Any) -> None:
    assert upload.complete().data.startswith(b"{")


def test_the_answer_is_pretty_where_asked(upload: Any) -> None:
    body = upload.client.post(upload.url() + "&prettyprint=1").data
    assert body.startswith(b"{\n  ")
    assert json.loads(body)["completed"] is True


def test_the_version_has_one_identifier_from_the_beginning(upload: Any, db: Any) -> None:
    expected = MultipartObject.version_id_of(UUID(upload.id))
    assert upload.row().version_id == expected
    upload.complete()
    assert versions(db)[0].version_id == expected
    assert MultipartObject.version_id_of(uuid4()) != expected


def test_the_quota_is_exact_after_the_merge(client: Any, bucket: Any, db: Any, upload: Any, location: Any) -> None:
    bucket.quota_size = 15
    db.session.commit()
    upload.complete()
    assert bucket_size(bucket) == 10
    with nothing_stays(location):
        error(client.put(url(bucket, "b"), data=b"123456"), 400)
    put(client, bucket, "b", b"12345")


def test_a_quota_that_was_lowered_meanwhile_keeps_what_was_reserved(
    client: Any, bucket: Any, db: Any, upload: Any
) -> None:
    bucket.quota_size = 5
    db.session.commit()
    assert upload.complete().json["completed"] is True
    assert client.get(url(bucket, "a.txt")).data == CONTENT


def test_a_result_backend_that_fails_does_not_cut_the_answer_off(client: Any, bucket: Any, monkeypatch: Any) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("The backend is away.")

    monkeypatch.setattr(EagerResult, "get", fail)
    upload = begin(client, bucket)
    upload.put_all()
    response = upload.complete()
    assert response.json["completed"]
    assert client.get(response.json["links"]["object_version"]).data == CONTENT
