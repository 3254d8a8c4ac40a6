"""A run that goes on in the process that has written before: in the same epoch, unless somebody has come between."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers.faults import factory_of
from helpers.rest import statements
from helpers.uploaders import uploader
from invenio_db import db
from sqlalchemy import URL, select

from invenio_files_rest.models import Bucket, ObjectVersion, Upload, UploadExtent
from invenio_files_rest.models.base import utcnow
from invenio_files_rest.services.transactions import in_transaction
from invenio_files_rest.services.uploads import appended, leases
from invenio_files_rest.services.uploads.ending import abort_upload
from invenio_files_rest.services.uploads.errors import UploadGone, UploadLost, UploadOffsetMismatch
from invenio_files_rest.services.uploads.plans import APPENDED
from invenio_files_rest.services.uploads.recent import Recent
from invenio_files_rest.services.uploads.runs import RUN
from invenio_files_rest.storage.part_files import GROWING_CHUNK
from invenio_files_rest.storage.uploads import Uploads

CONTENT = b"0123456789ab"

CLOCKS = ["invenio_files_rest.services.uploads.runs.utcnow", "invenio_files_rest.models.upload.utcnow"]


class Killed(BaseException):
    """What ends a process: nothing of it is handled."""


class Killing(BytesIO):
    """A body whose process is killed at its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise Killed
        return data


@pytest.fixture
def upload(bucket: Bucket) -> Any:
    """Begin an upload that has its first bytes."""
    found = APPENDED.begin(bucket, "key", len(CONTENT), protocol="test")
    append(found, 0, 4)
    return found


def append(upload: Any, start: int, end: int, **about: Any) -> int:
    if "epoch" not in about:
        about["epoch"] = epoch()
    return APPENDED.write(upload, start, BytesIO(CONTENT[start:end]), size=end - start, **about).offset


def epoch() -> int | None:
    """Return the epoch of the only upload, as a request finds it."""
    db.session.rollback()
    return db.session.query(UploadExtent.epoch).scalar()


def before_each_write(app: Flask, monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], Any]) -> None:
    """Have steps happen, one before each of the next writes gets to the storage."""
    left = list(steps)

    def slow(write: Any, *args: Any, **kwargs: Any) -> Any:
        if left:
            left.pop(0)()
        return write(*args, **kwargs)

    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory_of(Uploads, "write", slow))


def kill() -> None:
    raise Killed


def ensure_whole(upload: Any) -> None:
    version = db.session.get(ObjectVersion, APPENDED.complete(upload))
    assert Path(version.file.uri).read_bytes() == CONTENT


def test_who_goes_on_in_the_same_process_begins_no_new_epoch_and_needs_one_statement(upload: Any) -> None:
    begun = epoch()
    with statements() as found:
        assert append(upload, 4, 8, epoch=begun) == 8
    assert epoch() == 1
    assert [each.split()[:2] for each in found] == [["UPDATE", "files_upload_extent"]]
    append(upload, 8, 12)
    assert epoch() == 1
    ensure_whole(upload)


def test_who_has_a_checksum_begins_an_epoch(upload: Any) -> None:
    append(upload, 4, 8, whole=True)
    append(upload, 8, 12)
    assert epoch() == 3
    ensure_whole(upload)


def test_who_was_asked_for_the_offset_meanwhile_begins_an_epoch(upload: Any) -> None:
    assert APPENDED.offset(upload, take_over=True).offset == 4
    assert append(upload, 4, 8) == 8
    assert epoch() == 3
    append(upload, 8, 12)
    assert epoch() == 3
    ensure_whole(upload)


def test_who_looks_does_not_disturb(upload: Any) -> None:
    assert APPENDED.offset(upload).offset == 4
    append(upload, 4, 12)
    assert epoch() == 1


def test_what_another_process_wrote_meanwhile_is_kept(upload: Any, database_url: URL) -> None:
    with uploader(database_url, plan="appended", upload=str(upload), place=4, size=4) as other:
        other.go()
        assert other.line() == "reading"
        other.send(CONTENT[4:8])
        other.end()
        assert other.line()["offset"] == 8
    with pytest.raises(UploadOffsetMismatch):
        append(upload, 4, 8)
    append(upload, 8, 12)
    ensure_whole(upload)


def test_what_came_before_a_kill_is_kept_also_of_a_request_that_went_on(bucket: Bucket) -> None:
    upload = APPENDED.begin(bucket, "key", 2 * GROWING_CHUNK, protocol="test")
    APPENDED.write(upload, 0, BytesIO(b"0123"), size=4)
    with pytest.raises(Killed):
        APPENDED.write(upload, 4, Killing(bytes(GROWING_CHUNK)), size=2 * GROWING_CHUNK - 4, epoch=epoch())
    assert epoch() == 1
    assert APPENDED.offset(upload, take_over=True).offset == 4 + GROWING_CHUNK


@pytest.mark.parametrize("goes_on", [False, True])
def test_who_is_overtaken_before_it_gets_to_its_place_writes_over_nothing(
    app: Flask, bucket: Bucket, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = APPENDED.begin(bucket, "key", len(CONTENT), protocol="test")
    if goes_on:
        append(upload, 0, 4)
    at, overtaken = 4 * goes_on, []

    def overtake() -> None:
        overtaken.append(APPENDED.offset(upload, take_over=True).offset)
        append(upload, at, at + 4)

    before_each_write(app, monkeypatch, overtake)
    # Who goes on would begin an epoch of its own, but somebody else has written there.
    with pytest.raises(UploadOffsetMismatch if goes_on else UploadLost):
        APPENDED.write(upload, at, BytesIO(b"late"), size=4, epoch=epoch())
    assert overtaken == [at]
    assert APPENDED.offset(upload).offset == at + 4
    append(upload, at + 4, 12)
    ensure_whole(upload)


@pytest.mark.parametrize("dies", [False, True])
def test_an_overtaken_request_writes_nothing_also_where_nobody_has_written(
    app: Flask, bucket: Bucket, dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else its bytes would be those of the next writer, which is known before it gets to its place."""
    upload = APPENDED.begin(bucket, "key", len(CONTENT), protocol="test")
    told: list[int] = []

    def ask() -> None:
        told.append(APPENDED.offset(upload, take_over=True).offset)

    before_each_write(app, monkeypatch, ask, kill if dies else ask)
    with pytest.raises(UploadLost):
        APPENDED.write(upload, 0, BytesIO(b"late"), size=4)
    with pytest.raises(Killed if dies else UploadLost):
        append(upload, 0, 4)
    ask()
    assert set(told) == {0}
    append(upload, 0, 12)
    ensure_whole(upload)


@pytest.mark.parametrize("dies", [False, True])
def test_who_goes_on_and_is_overtaken_before_it_gets_to_its_place_begins_an_epoch(
    app: Flask, upload: Any, dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def ask() -> None:
        told.append(APPENDED.offset(upload, take_over=True).offset)

    before_each_write(app, monkeypatch, ask, kill if dies else lambda: None)
    if dies:
        with pytest.raises(Killed):
            append(upload, 4, 8)
        ask()
    assert append(upload, 4, 8) == 8
    assert epoch() == (5 if dies else 3)
    assert set(told) == {4}
    append(upload, 8, 12)
    ensure_whole(upload)


def test_who_goes_on_where_somebody_still_writes_has_that_one_stop(upload: Any, database_url: URL) -> None:
    with uploader(database_url, plan="appended", upload=str(upload), place=4, size=4) as other:
        other.go()
        assert other.line() == "reading"
        assert append(upload, 4, 12) == 12
        assert other.line()["error"] == "UploadLost"
    ensure_whole(upload)


def test_who_goes_on_where_another_machine_has_begun_an_epoch_and_written_nothing_begins_one_too(
    app: Flask, upload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else its bytes would lie where everything counts as recorded."""

    def overtake() -> None:
        with monkeypatch.context() as there:
            there.setattr("invenio_files_rest.services.uploads.runs.machine", lambda: "another")
            append(upload, 4, 4)

    before_each_write(app, monkeypatch, overtake)
    assert append(upload, 4, 8) == 8
    assert epoch() == 3
    append(upload, 8, 12)
    ensure_whole(upload)


def test_the_body_of_who_begins_an_epoch_after_all_is_not_shut(
    app: Flask, upload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other epoch has ended, which the watch of this process may see before the request does."""
    shut: list[str] = []

    def overtake_and_look() -> None:
        APPENDED.offset(upload, take_over=True)
        leases._watch._ask(app, list(leases._watch._leases))

    before_each_write(app, monkeypatch, overtake_and_look)
    assert append(upload, 4, 12, shut=lambda: shut.append("shut")) == 12
    assert shut == []
    ensure_whole(upload)


def test_a_digest_goes_on_with_who_begins_an_epoch_after_all(
    app: Flask, upload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_each_write(app, monkeypatch, lambda: APPENDED.offset(upload, take_over=True))
    append(upload, 4, 12)
    db.session.rollback()
    digest = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert db.session.query(UploadExtent.digests).scalar() == {"md5": digest}


def test_what_is_told_to_who_looks_is_never_more_than_what_stays(
    app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = APPENDED.begin(bucket, "key", len(CONTENT), protocol="test")
    before_each_write(app, monkeypatch, lambda: append(upload, 0, 0))
    with pytest.raises(UploadLost):
        APPENDED.write(upload, 0, BytesIO(b"late"), size=4)
    assert APPENDED.offset(upload).offset == 0
    assert append(upload, 0, 6) == 6
    append(upload, 6, 12)
    ensure_whole(upload)


class Meanwhile(BytesIO):
    """A body before whose bytes something happens."""

    def __init__(self, data: bytes, step: Callable[[], Any]) -> None:
        super().__init__(data)
        self._steps = [step]

    def read(self, size: int | None = -1, /) -> bytes:
        if self._steps:
            self._steps.pop()()
        return super().read(size)


def test_who_goes_on_in_an_upload_that_is_aborted_meanwhile_is_told_so(upload: Any) -> None:
    with pytest.raises(UploadGone):
        APPENDED.write(upload, 4, Meanwhile(b"4567", lambda: abort_upload(upload)), size=4, epoch=1)
    assert epoch() is None


def test_who_has_lost_its_epoch_waits_for_no_upload_while_it_holds_an_extent(
    upload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others hold the upload, and wait for the extent."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("there is one lock for all")
    held_open, seen = appended.held_open, []

    def hold(upload_id: Any) -> Any:
        with db.engine.connect() as other:
            wanted = select(UploadExtent.epoch).where(UploadExtent.upload_id == upload_id)
            seen.append(other.scalar(wanted.with_for_update(nowait=True)))
        return held_open(upload_id)

    monkeypatch.setattr(appended, "held_open", hold)
    body = Meanwhile(b"4567", lambda: in_transaction(lambda: UploadExtent.take(upload, RUN)))
    with pytest.raises(UploadLost):
        APPENDED.write(upload, 4, body, size=4, epoch=1)
    assert seen == [2]


def test_who_has_found_another_epoch_begins_one(app: Flask, upload: Any) -> None:
    """Somebody else has begun it, who has not got to the place yet."""
    in_transaction(lambda: UploadExtent.take(upload, RUN))
    append(upload, 4, 12)
    assert epoch() == 3
    ensure_whole(upload)


def test_the_expiry_is_postponed_where_some_time_has_passed_or_all_has_come(
    app: Flask, upload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifetime = app.config["FILES_REST_MULTIPART_EXPIRES"]

    def expires_after(start: int, end: int, passed: float) -> Any:
        """Append, and return when the upload expires, as is told and as is recorded."""
        for clock in CLOCKS:
            monkeypatch.setattr(clock, lambda: utcnow() + passed * lifetime)
        told = APPENDED.write(upload, start, BytesIO(CONTENT[start:end]), size=end - start, epoch=epoch()).expires
        db.session.rollback()
        assert db.session.query(Upload.expires).scalar() == told
        return told

    first = db.session.query(Upload.expires).scalar()
    assert expires_after(4, 5, 0.005) == first
    second = expires_after(5, 6, 0.02)
    assert second - first > 0.015 * lifetime
    assert expires_after(6, 7, 0.025) == second
    assert expires_after(7, 12, 0.025) > second
    assert epoch() == 1


@pytest.mark.parametrize(("passed", "is_late"), [(0.4, False), (0.6, True)])
def test_who_goes_on_late_begins_an_epoch_and_postpones_the_expiry_with_it(
    app: Flask, upload: Any, passed: float, is_late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else the upload may expire while the body comes."""
    for clock in CLOCKS:
        monkeypatch.setattr(clock, lambda: utcnow() + passed * app.config["FILES_REST_MULTIPART_EXPIRES"])
    append(upload, 4, 12)
    assert epoch() == 1 + is_late


def test_two_processes_that_take_turns_lose_nothing(upload: Any, database_url: URL) -> None:
    for at in (4, 8):
        with uploader(database_url, plan="appended", upload=str(upload), place=at, size=2) as other:
            other.go()
            assert other.line() == "reading"
            other.send(CONTENT[at : at + 2])
            other.end()
            assert other.line()["offset"] == at + 2
        append(upload, at + 2, at + 4)
    ensure_whole(upload)


def test_a_forked_process_goes_on_with_nothing() -> None:
    recent: Recent[str, int] = Recent()
    recent.put("key", 1)
    child = os.fork()
    if not child:
        os._exit(recent.take("key") is not None)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert recent.take("key") == 1
    assert recent.take("key") is None
