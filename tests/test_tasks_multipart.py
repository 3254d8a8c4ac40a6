"""``merge_multipartobject`` and ``remove_expired_multipartobjects``: run twice, killed, and beside what is in use."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import Task
from helpers.parts import CONTENT, age, begin, bucket_size, checksum, part_count, storage_class
from helpers.rest import Watched, put_stream, rows, stored, tree, url
from servers import environment
from sqlalchemy import URL

from invenio_files_rest.errors import InvalidOperationError, MultipartNotCompleted
from invenio_files_rest.models import FileInstance, MultipartObject, ObjectVersion
from invenio_files_rest.services.uploads import sources
from invenio_files_rest.signals import file_uploaded
from invenio_files_rest.storage import FileStorage, PyFSFileStorage
from invenio_files_rest.tasks import merge_multipartobject, remove_expired_multipartobjects

pytestmark = pytest.mark.usefixtures("allow_all", "small_parts")


@pytest.fixture
def completed(client: Any, bucket: Any, db: Any) -> UUID:
    """Make an upload that is completed, and not merged."""
    upload = begin(client, bucket)
    upload.put_all()
    upload.row().complete()
    db.session.commit()
    return UUID(upload.id)


def versions(db: Any) -> list[ObjectVersion]:
    db.session.rollback()
    return list(ObjectVersion.query.all())


# Merging


def test_the_identifier_of_the_version_may_be_given(completed: UUID, db: Any) -> None:
    version_id = str(uuid4())
    assert merge_multipartobject(str(completed), version_id) == version_id
    assert [str(version.version_id) for version in versions(db)] == [version_id]


def test_a_merge_that_runs_twice_makes_one_version(completed: UUID, bucket: Any, db: Any) -> None:
    seen: list[Any] = []
    with file_uploaded.connected_to(lambda sender, obj: seen.append(obj)):
        first = merge_multipartobject(str(completed))
        assert merge_multipartobject(str(completed)) == first
        assert merge_multipartobject(completed, first) == first
    (version,) = versions(db)
    assert str(version.version_id) == first
    assert version.file.checksum == checksum(CONTENT)
    assert bucket_size(bucket) == len(CONTENT)
    assert len(seen) == 1


def test_an_upload_that_is_not_completed_is_not_merged(client: Any, bucket: Any, db: Any) -> None:
    upload = begin(client, bucket)
    upload.put_all()
    with pytest.raises(MultipartNotCompleted):
        merge_multipartobject(upload.id)
    assert versions(db) == []
    assert part_count() == 3


def test_an_upload_that_is_not_there_is_not_merged(db: Any) -> None:
    with pytest.raises(InvalidOperationError):
        merge_multipartobject(str(uuid4()))


class Counting(PyFSFileStorage):
    """A storage that counts what is read."""

    reads: list[tuple[int, int]]
    opened = 0

    def open(self, *args: Any, **kwargs: Any) -> Any:
        type(self).opened += 1
        file = super().open(*args, **kwargs)

        class Counted(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:
                position = file.tell()
                data: bytes = file.read(size)
                Counting.reads.append((position, len(data)))
                return data

            def close(self) -> None:
                file.close()
                super().close()

        return Counted()


def test_the_file_is_read_once_from_its_beginning_to_its_end(
    client: Any, bucket: Any, app: Any, db: Any, monkeypatch: Any
) -> None:
    size = 5 * 1024**2 + 3
    content = bytes(range(256)) * (size // 256 + 1)
    upload = begin(client, bucket, "a", size, 1024**2)
    upload.put_all([content[start : min(start + 1024**2, size)] for start in range(0, size, 1024**2)])
    Counting.reads, Counting.opened = [], 0
    with storage_class(app, monkeypatch, Counting):
        assert upload.complete().json["completed"]
    assert Counting.opened == 1
    position = 0
    for start, length in Counting.reads:
        assert start == position
        position += length
    assert position == size
    assert max(length for _, length in Counting.reads) <= 4 * 1024**2
    assert versions(db)[0].file.checksum == checksum(content[:size])


class Halting(PyFSFileStorage):
    """A storage that stops in the middle of a file until it is told to go on."""

    halfway = Event()
    go_on = Event()

    def checksum(self, chunk_size: Any = None, progress_callback: Any = None, **kwargs: Any) -> Any:
        def progress(size: int | None, total: int) -> None:
            progress_callback(size, total)
            if total < (size or 0):
                self.halfway.set()
                assert self.go_on.wait(60)

        return super().checksum(chunk_size=5, progress_callback=progress, **kwargs)


@pytest.mark.usefixtures("worker")
def test_progress_is_in_the_state_of_the_task(completed: UUID, app: Any, db: Any, monkeypatch: Any) -> None:
    Halting.halfway, Halting.go_on = Event(), Event()
    with storage_class(app, monkeypatch, Halting):
        result = merge_multipartobject.delay(str(completed))
        assert Halting.halfway.wait(30)
        assert (result.state, result.info) == ("PROGRESS", {"size": 10, "total": 5})
        Halting.go_on.set()
        assert result.get(timeout=30) == str(MultipartObject.version_id_of(completed))
    assert len(versions(db)) == 1


@pytest.mark.usefixtures("worker")
def test_what_a_task_does_goes_on_where_its_progress_cannot_be_told(
    completed: UUID, app: Any, db: Any, monkeypatch: Any
) -> None:
    tries: list[Any] = []

    def fail(*args: Any, **kwargs: Any) -> None:
        tries.append(kwargs)
        raise ConnectionError("The result backend is away.")

    monkeypatch.setattr(Task, "update_state", fail)
    Halting.halfway, Halting.go_on = Event(), Event()
    Halting.go_on.set()
    with storage_class(app, monkeypatch, Halting):
        version = merge_multipartobject.delay(str(completed)).get(timeout=30)
    assert version == str(MultipartObject.version_id_of(completed))
    # Each try may take long.
    assert len(tries) == 1


KILLED = """
import sys, time
from application import application
from invenio_files_rest.storage import PyFSFileStorage, pyfs_storage_factory
from invenio_files_rest.tasks import merge_multipartobject

class Endless(PyFSFileStorage):
    def checksum(self, **kwargs):
        with self.open() as file:
            file.read(4)
        print("reading", flush=True)
        time.sleep(600)

with application.app_context():
    application.config["FILES_REST_STORAGE_FACTORY"] = (
        lambda **kwargs: pyfs_storage_factory(**kwargs, filestorage_class=Endless)
    )
    merge_multipartobject(sys.argv[1])
"""


def test_a_merge_that_is_killed_half_way_is_done_by_the_next(
    completed: UUID, client: Any, bucket: Any, db: Any, database_url: URL, tmp_path: Path
) -> None:
    env = environment(tmp_path, SQLALCHEMY_DATABASE_URI=database_url.render_as_string(hide_password=False))
    arguments = [sys.executable, "-c", KILLED, str(completed)]
    with subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "reading\n"
        worker.kill()
    assert versions(db) == []
    assert part_count() == 3
    merge_multipartobject(str(completed))
    assert len(versions(db)) == 1
    assert client.get(url(bucket, "a.txt")).data == CONTENT
    assert bucket_size(bucket) == len(CONTENT)


# Expiry


def expire() -> int:
    """Run the task as a worker does, which is not in the test's transaction."""
    removed: int = remove_expired_multipartobjects()
    return removed


@pytest.mark.parametrize("state", ["begun", "some parts", "all parts", "completed"])
def test_an_upload_that_was_given_up_is_removed_with_all_it_has(
    client: Any, bucket: Any, db: Any, location: Any, state: str
) -> None:
    before = rows(), tree(Path(location.uri))
    upload = begin(client, bucket)
    if state == "some parts":
        upload.put(1, b"4567")
    elif state != "begun":
        upload.put_all()
    if state == "completed":
        upload.row().complete()
    age(upload.id, 4.1)
    assert bucket_size(bucket) == len(CONTENT)
    assert expire() == 1
    assert (rows(), tree(Path(location.uri))) == before
    assert bucket_size(bucket) == 0
    assert client.get(upload.url()).status_code == 404
    assert expire() == 0


def test_an_upload_that_is_expired_takes_no_parts(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket)
    upload.put(0, b"0123")
    age(upload.id, 4.1)
    response = upload.put(1, b"4567")
    assert (response.status_code, "expired" in response.json["message"]) == (404, True)
    assert [part["part_number"] for part in client.get(upload.url()).json["parts"]] == [0]
    assert expire() == 1


def test_the_time_is_a_setting(client: Any, bucket: Any, app: Any, monkeypatch: Any) -> None:
    upload = begin(client, bucket)
    age(upload.id, 3.9)
    assert expire() == 0
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_EXPIRES", timedelta(days=3))
    assert expire() == 1


def test_an_upload_that_gets_parts_is_in_use(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket)
    upload.put(0, b"0123")
    age(upload.id, 5, parts=False)
    assert upload.put(1, b"4567").status_code == 200
    assert expire() == 0
    assert list(upload.parts()) == [0, 1]


def test_an_upload_that_has_just_been_completed_is_in_use(client: Any, bucket: Any, db: Any) -> None:
    upload = begin(client, bucket)
    upload.put_all()
    age(upload.id, 5)
    upload.row().complete()
    db.session.commit()
    assert expire() == 0
    assert upload.complete().json["completed"]


def test_an_upload_to_which_a_part_is_being_sent_is_in_use(client: Any, bucket: Any, db: Any) -> None:
    size = 4 * 1024**2
    upload = begin(client, bucket, "a", 2 * size, size)
    assert (
        put_stream(
            client, bucket, "a", Watched(size, lambda: None), size, query={"uploadId": upload.id, "partNumber": 0}
        ).status_code
        == 200
    )
    removed: list[int] = []

    def run() -> None:
        if not removed:
            age(upload.id, 5)
            removed.append(expire())
            db.session.remove()

    query = {"uploadId": upload.id, "partNumber": 0}
    assert put_stream(client, bucket, "a", Watched(size, run), size, query=query).status_code == 200
    assert removed == [0]
    assert list(upload.parts()) == [0]


def test_an_upload_whose_only_part_is_being_sent_for_days_is_in_use_where_there_are_no_locks(
    client: Any, bucket: Any, app: Any, db: Any, monkeypatch: Any
) -> None:
    class Lockless(PyFSFileStorage):
        locked_region = FileStorage.locked_region

    monkeypatch.setattr(sources, "TOUCH_SECONDS", 0)
    size = 4 * 1024**2
    removed: list[int] = []

    def run() -> None:
        # What is read after that shows that it is in use.
        if not removed:
            age(upload.id, 5)
        if len(removed) < 3:
            removed.append(expire() if removed else 0)
            db.session.remove()

    with storage_class(app, monkeypatch, Lockless):
        upload = begin(client, bucket, "a", 2 * size, size)
        query = {"uploadId": upload.id, "partNumber": 0}
        assert put_stream(client, bucket, "a", Watched(size, run), size, query=query).status_code == 200
    assert removed == [0, 0, 0]
    assert list(upload.parts()) == [0]


def test_an_upload_that_is_being_merged_again_is_in_use(
    client: Any, bucket: Any, app: Any, db: Any, completed: UUID, monkeypatch: Any
) -> None:
    removed: list[int] = []

    class Expiring(PyFSFileStorage):
        def checksum(self, *args: Any, **kwargs: Any) -> Any:
            removed.append(expire())
            return super().checksum(*args, **kwargs)

    age(completed, 5)
    with storage_class(app, monkeypatch, Expiring):
        assert client.post(url(bucket, "a.txt", uploadId=completed)).json["completed"]
    assert removed == [0]
    assert len(versions(db)) == 1


def test_locked_and_deleted_buckets_keep_no_upload_and_no_other_from_going(
    client: Any, bucket: Any, db: Any, location: Any
) -> None:
    from invenio_files_rest.models import Bucket

    locked, deleted = Bucket.create(location), Bucket.create(location)
    db.session.commit()
    for each in (locked, deleted, bucket):
        age(begin(client, each).id, 5)
    locked.locked, deleted.deleted = True, True
    db.session.commit()
    assert expire() == 3
    assert [bucket_size(each) for each in (locked, deleted, bucket)] == [0, 0, 0]
    assert stored(location) == []
    assert FileInstance.query.count() == 0


def test_an_upload_that_cannot_be_removed_keeps_no_other_from_going(
    client: Any, bucket: Any, app: Any, location: Any, monkeypatch: Any
) -> None:
    uploads = [begin(client, bucket, key) for key in "abc"]
    for upload in uploads:
        age(upload.id, 5)
    broken = uploads[1].row().file.uri

    class Away(PyFSFileStorage):
        def locked_region(self, *args: Any, **kwargs: Any) -> Any:
            if self.fileurl == broken:
                raise OSError("Input/output error")
            return super().locked_region(*args, **kwargs)

    with storage_class(app, monkeypatch, Away):
        assert expire() == 2
    assert bucket_size(bucket) == len(CONTENT)
    assert expire() == 1


def test_an_upload_whose_bytes_are_gone_is_removed(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket)
    Path(upload.row().file.uri).unlink()
    age(upload.id, 5)
    assert expire() == 1
    assert bucket_size(bucket) == 0


def test_uploads_are_removed_in_batches(client: Any, bucket: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("invenio_files_rest.services.batches.BATCH", 2)
    kept = begin(client, bucket, "kept")
    for number in range(5):
        age(begin(client, bucket, str(number)).id, 5)
    assert expire() == 5
    assert [item["id"] for item in client.get(url(bucket, uploads=True)).json] == [kept.id]
    assert bucket_size(bucket) == len(CONTENT)


def test_the_query_tells_what_is_expired(client: Any, bucket: Any, db: Any, location: Any) -> None:
    from invenio_files_rest.models import Bucket

    old, new, touched = (begin(client, bucket, key) for key in "abc")
    other = begin(client, Bucket.create(location))
    touched.put(0, b"0123")
    for upload in (old, other):
        age(upload.id, 5)
    age(touched.id, 5, parts=False)

    def found(*args: Any) -> set[str]:
        return {str(upload.upload_id) for upload in MultipartObject.query_expired(*args)}

    assert found(timedelta(days=4)) == {old.id, other.id}
    assert found(timedelta(days=4), bucket) == {old.id}
    assert found(timedelta(days=4), bucket.id) == {old.id}
    assert found(timedelta(days=6)) == set()
    assert found(timedelta(0)) == {old.id, new.id, touched.id, other.id}
