"""Several writers of one extent, in several processes: one of them is heard, and the bytes are of that one."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers.faults import factory_of
from helpers.uploaders import uploader
from helpers.uploading import bucket_size
from helpers.waiting import allowed
from invenio_db import db
from sqlalchemy import URL

from invenio_files_rest.errors import FileSizeError
from invenio_files_rest.models import Bucket, ObjectVersion, UploadExtent
from invenio_files_rest.services.uploads.errors import UploadBusy, UploadClosed, UploadLost, UploadOffsetMismatch
from invenio_files_rest.services.uploads.plans import APPENDED, PARTS
from invenio_files_rest.storage.uploads import Uploads

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MIB = 1024**2


@pytest.fixture(params=["locks", "no locks"])
def locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell whether the file system has locks."""
    if request.param == "no locks":
        # The state says so, to all processes.
        monkeypatch.setattr("invenio_files_rest.storage.in_place.has_locks", lambda path: False)
    return bool(request.param == "locks")


def content(version: Any) -> bytes:
    return Path(db.session.get(ObjectVersion, version).file.uri).read_bytes()


def test_a_part_is_of_one_of_two_writers_and_the_older_is_stopped_within_two_seconds(
    bucket: Bucket, database_url: URL, locks: bool
) -> None:
    upload = PARTS.begin(bucket, "key", None, protocol="test")
    what = {"plan": "parts", "upload": str(upload), "place": 1, "size": MIB}
    with uploader(database_url, **what) as older:
        older.go()
        older.send(b"a" * 1000)
        assert older.line() == "reading"
        begun = time.monotonic()
        newer = PARTS.write(upload, 1, BytesIO(b"b" * MIB), size=MIB)
        told = older.line()
        assert told["error"] == "UploadLost"
        assert time.monotonic() - begun < allowed(2)
    assert [part.digests for part in PARTS.extents(upload)] == [newer.digests]
    assert bucket_size(bucket) == MIB
    assert content(PARTS.complete(upload)) == b"b" * MIB


def test_a_run_is_taken_over_from_a_connection_that_nobody_knows_to_be_dead(
    bucket: Bucket, database_url: URL, locks: bool
) -> None:
    upload = APPENDED.begin(bucket, "key", None, protocol="test")
    APPENDED.write(upload, 0, BytesIO(b"0123"))
    with uploader(database_url, plan="appended", upload=str(upload), place=4, size=MIB) as older:
        older.go()
        older.send(b"4567")
        assert older.line() == "reading"
        begun = time.monotonic()
        progress = APPENDED.offset(upload, take_over=True)
        told = older.line()
        assert told["error"] == "UploadLost"
        assert time.monotonic() - begun < allowed(2)
        # What it had got is kept where it had stopped before the question was answered.
        assert progress.offset == 8 if locks else progress.offset in (4, 8)
        rest = b"0123456789"[progress.offset :]
        assert APPENDED.write(upload, progress.offset, BytesIO(rest)).offset == 10
    assert content(APPENDED.complete(upload)) == b"0123456789"
    assert bucket_size(bucket) == 10


def test_who_goes_on_at_the_right_offset_takes_over_at_once(bucket: Bucket, database_url: URL, locks: bool) -> None:
    upload = APPENDED.begin(bucket, "key", None, protocol="test")
    APPENDED.write(upload, 0, BytesIO(b"0123"))
    with uploader(database_url, plan="appended", upload=str(upload), place=4) as older:
        older.go()
        assert older.line() == "reading"
        assert APPENDED.write(upload, 4, BytesIO(b"456789")).offset == 10
        assert older.line()["error"] == "UploadLost"
    assert content(APPENDED.complete(upload)) == b"0123456789"


def test_a_wrong_offset_does_not_disturb_who_is_writing(bucket: Bucket, database_url: URL) -> None:
    upload = APPENDED.begin(bucket, "key", None, protocol="test")
    APPENDED.write(upload, 0, BytesIO(b"0123"))
    with uploader(database_url, plan="appended", upload=str(upload), place=4) as writer:
        writer.go()
        assert writer.line() == "reading"
        with pytest.raises(UploadOffsetMismatch):
            APPENDED.write(upload, 0, BytesIO(b"0123"))
        assert APPENDED.offset(upload).offset == 4
        time.sleep(1.5)
        writer.send(b"456789")
        writer.end()
        assert writer.line()["offset"] == 10


def test_who_completes_stops_who_is_writing(bucket: Bucket, database_url: URL, locks: bool) -> None:
    upload = PARTS.begin(bucket, "key", None, protocol="test")
    PARTS.write(upload, 1, BytesIO(b"0123"), size=4)
    with uploader(database_url, plan="parts", upload=str(upload), place=2, size=4) as writer:
        writer.go()
        writer.send(b"45")
        assert writer.line() == "reading"
        begun = time.monotonic()
        version = PARTS.complete(upload)
        assert writer.line()["error"] in ("UploadLost", "UploadClosed")
        assert time.monotonic() - begun < allowed(2)
    assert content(version) == b"0123"
    assert bucket_size(bucket) == 4


def test_who_aborts_stops_who_is_writing(bucket: Bucket, database_url: URL, locks: bool) -> None:
    upload = APPENDED.begin(bucket, "key", None, protocol="test")
    with uploader(database_url, plan="appended", upload=str(upload), place=0) as writer:
        writer.go()
        writer.send(b"0123")
        assert writer.line() == "reading"
        begun = time.monotonic()
        APPENDED.abort(upload)
        assert writer.line()["error"] in ("UploadLost", "UploadGone")
        assert time.monotonic() - begun < allowed(2)
    assert bucket_size(bucket) == 0
    assert list(Path(bucket.location.uri).iterdir()) == []


@pytest.mark.parametrize("whole", [False, True])
def test_what_a_killed_process_had_written_is_kept_unless_it_had_to_be_whole(
    bucket: Bucket, database_url: URL, locks: bool, whole: bool
) -> None:
    upload = APPENDED.begin(bucket, "key", None, protocol="test")
    APPENDED.write(upload, 0, BytesIO(b"0123"))
    sent = bytes(range(256)) * 8 * 1024
    what = {"plan": "appended", "upload": str(upload), "place": 4, "whole": whole, "size": 2 * len(sent)}
    with uploader(database_url, **what) as writer:
        writer.go()
        assert writer.line() == "reading"
        writer.send(sent)
        time.sleep(0.5)
        writer.kill()
    assert bucket_size(bucket) == 4 + 2 * len(sent)
    offset = APPENDED.offset(upload).offset
    if whole:
        assert offset == 4
    else:
        # It lacks what had not been written yet.
        assert 4 + len(sent) - 2 * MIB <= offset <= 4 + len(sent)
        assert offset > 4
    rest = sent[offset - 4 :]
    assert APPENDED.write(upload, offset, BytesIO(rest)).offset == 4 + len(sent)
    assert bucket_size(bucket) == 4 + len(sent)
    assert content(APPENDED.complete(upload)) == b"0123" + sent


def test_what_was_written_before_the_machine_was_started_again_counts_as_far_as_it_was_recorded(
    bucket: Bucket, database_url: URL, locks: bool
) -> None:
    upload = APPENDED.begin(bucket, "key", None, protocol="test")
    APPENDED.write(upload, 0, BytesIO(b"0123"))
    with uploader(database_url, plan="appended", upload=str(upload), place=4) as writer:
        writer.go()
        assert writer.line() == "reading"
        writer.send(b"x" * MIB)
        time.sleep(0.5)
        writer.kill()
    # After a power failure the file may have its size, and holes for bytes.
    UploadExtent.query.update({"writer": "another-start/2"})
    db.session.commit()
    assert APPENDED.offset(upload).offset == 4
    assert APPENDED.write(upload, 4, BytesIO(b"456789")).offset == 10
    assert content(APPENDED.complete(upload)) == b"0123456789"


def test_a_writer_that_was_stopped_and_goes_on_harms_nobody(bucket: Bucket, database_url: URL, locks: bool) -> None:
    """As on a machine that was asleep."""
    upload = APPENDED.begin(bucket, "key", None, protocol="test")
    with uploader(database_url, plan="appended", upload=str(upload), place=0) as older:
        older.go()
        older.send(b"0123")
        assert older.line() == "reading"
        time.sleep(0.3)
        os.kill(older.process.pid, signal.SIGSTOP)
        if locks:
            # Its lock cannot be taken from it.
            with pytest.raises(UploadBusy):
                APPENDED.offset(upload, take_over=True)
        else:
            offset = APPENDED.offset(upload, take_over=True).offset
            APPENDED.write(upload, offset, BytesIO(b"0123456789"[offset:]))
        os.kill(older.process.pid, signal.SIGCONT)
        # It may have been told before, and have shut the connection.
        with suppress(OSError):
            older.send(b"late" * 1000)
            older.end()
        assert older.line()["error"] == "UploadLost"
    offset = APPENDED.offset(upload, take_over=True).offset
    kept = (b"0123" + b"late" * 1000)[:offset] if locks else b"0123456789"
    APPENDED.write(upload, offset, BytesIO(b"end"))
    assert content(APPENDED.complete(upload)) == kept + b"end"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("plan", [PARTS, APPENDED], ids=["parts", "appended"])
def test_who_was_overtaken_records_nothing_and_writes_over_nothing(
    app: Flask, bucket: Bucket, locks: bool, plan: Any, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it gets to the place, or before it records what it wrote there."""
    upload, place = plan.begin(bucket, "key", None, protocol="test"), 1 if plan is PARTS else 0
    overtaken = threading.Event()

    def overtake() -> None:
        if not overtaken.is_set():
            overtaken.set()
            offset = APPENDED.offset(upload, take_over=True).offset if plan is APPENDED else place
            assert offset in (0, 1, 4)
            plan.write(upload, offset, BytesIO(b"next"), size=4)

    def slow(write: Any, *args: Any, **kwargs: Any) -> Any:
        if overtaken.is_set() or when == "before":
            overtake()
            return write(*args, **kwargs)
        receipt = write(*args, **kwargs)
        overtake()
        return receipt

    factory = factory_of(Uploads, "write", slow)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    with pytest.raises(UploadLost):
        plan.write(upload, place, BytesIO(b"late"), size=4)
    kept = b"late" if plan is APPENDED and when == "after" else b""
    assert bucket_size(bucket) == len(kept + b"next")
    assert content(plan.complete(upload)) == kept + b"next"
    assert bucket_size(bucket) == len(kept + b"next")


def test_many_threads_write_parts_of_one_upload(app: Flask, bucket: Bucket, database: str) -> None:
    upload = PARTS.begin(bucket, "key", None, protocol="test")
    failures: list[BaseException] = []

    def write(worker: int) -> None:
        with app.app_context():
            try:
                for number in range(1, 9):
                    PARTS.write(upload, number, BytesIO(bytes([worker]) * 10_000), size=10_000)
            except (UploadLost, UploadBusy):
                pass
            except BaseException as error:
                failures.append(error)
            finally:
                db.session.remove()

    db.session.commit()
    threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = PARTS.extents(upload)
    assert bucket_size(bucket) == sum(part.size for part in found)
    whole = content(PARTS.complete(upload))
    assert {len(set(whole[start : start + 10_000])) for start in range(0, len(whole), 10_000)} == {1}
    assert bucket_size(bucket) == len(whole)


def test_many_writers_of_bytes_of_unknown_number_never_exceed_a_quota(app: Flask, bucket: Bucket) -> None:
    bucket.quota_size = 303
    uploads = [APPENDED.begin(bucket, f"key{number}", None, protocol="test") for number in range(6)]
    failures: list[BaseException] = []

    def write(upload: Any) -> None:
        with app.app_context():
            try:
                for _ in range(15):
                    with suppress(FileSizeError):
                        APPENDED.write(upload, APPENDED.offset(upload).offset, BytesIO(b"hello"))
                    assert Bucket.query.one().size <= 303
            except BaseException as error:
                failures.append(error)
            finally:
                db.session.remove()

    db.session.commit()
    threads = [threading.Thread(target=write, args=[upload]) for upload in uploads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    there = sum(APPENDED.offset(upload).offset for upload in uploads)
    assert 0 < there == bucket_size(bucket) <= 303


def test_an_upload_completed_by_two_at_once_is_one_version(app: Flask, bucket: Bucket) -> None:
    upload = PARTS.begin(bucket, "key", None, protocol="test")
    for number in range(1, 6):
        PARTS.write(upload, number, BytesIO(b"x" * number * 1000), size=number * 1000)
    found: list[Any] = []

    def complete() -> None:
        with app.app_context():
            try:
                found.append(PARTS.complete(upload))
            finally:
                db.session.remove()

    db.session.commit()
    threads = [threading.Thread(target=complete) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert ObjectVersion.query.count() == 1
    assert bucket_size(bucket) == 15_000
    assert content(found[0]) == b"x" * 15_000
    with pytest.raises(UploadClosed):
        PARTS.write(upload, 9, BytesIO(b"x"), size=1)
