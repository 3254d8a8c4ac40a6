"""Fixity: what is verified when, and what happens where bytes are not the ones that were stored."""

from __future__ import annotations

import logging
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app as current_celery_app
from celery.schedules import crontab, schedule
from flask import Flask
from helpers.rest import statements
from helpers.stored import ago, damage, received, store
from sqlalchemy import delete, event, insert, update

from invenio_files_rest import tasks
from invenio_files_rest.models import Bucket, FileInstance, ObjectVersion
from invenio_files_rest.signals import file_integrity_failed
from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.tasks import schedule_checksum_verification, verify_checksum

NAME = "invenio_files_rest.tasks.schedule_checksum_verification"


@pytest.fixture
def files(bucket: Bucket, db: Any) -> list[FileInstance]:
    """Store files of 1 to 6 bytes, of which the later were checked longer ago, and the last never."""
    stored = [store(bucket, str(size), size * b"x").file for size in range(1, 7)]
    for days, file in enumerate(stored[:-1]):
        file.last_check_at = ago(days=40 + days)
    db.session.commit()
    return stored


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect the verifications that are sent instead of running them."""
    found: list[dict[str, Any]] = []

    def apply_async(args: Any, kwargs: Any, **options: Any) -> None:
        found.append({"file": args[0], "kwargs": kwargs, "options": options})

    monkeypatch.setattr(verify_checksum, "apply_async", apply_async)
    return found


@pytest.fixture
def beat(app: Flask) -> Iterator[Callable[[Any], None]]:
    """Return a function that sets the schedule of Celery beat."""
    conf = current_celery_app.conf

    def beat(entry: Any) -> None:
        conf["beat_schedule"] = {"other": {"task": "other", "schedule": 1}}
        if entry is not None:
            conf["beat_schedule"]["checks"] = {"task": NAME, "schedule": entry}

    yield beat
    conf["beat_schedule"] = {}


def positions(sent: list[dict[str, Any]], files: list[FileInstance]) -> list[int]:
    order = [str(file.id) for file in files]
    return [order.index(item["file"]) for item in sent]


def test_a_good_file_is_noted_as_such(bucket: Bucket, db: Any):
    file = store(bucket).file
    file.last_check = None
    db.session.commit()
    with received(file_integrity_failed) as failed:
        assert verify_checksum(str(file.id)) is True
    assert file.last_check is True
    assert file.last_check_at > ago(minutes=1)
    assert failed == []


def test_changed_bytes_are_noted_logged_and_signalled(bucket: Bucket, caplog: pytest.LogCaptureFixture):
    file = store(bucket).file
    damage(file)
    with received(file_integrity_failed) as failed:
        assert verify_checksum(str(file.id)) is False
    assert file.last_check is False
    assert failed == [file]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert str(file.id) in record.message


def test_vanished_bytes_are_noted_logged_and_signalled(bucket: Bucket, caplog: pytest.LogCaptureFixture):
    file = store(bucket).file
    damage(file, None)
    with received(file_integrity_failed) as failed:
        assert verify_checksum(str(file.id), throws=False) is None
    assert file.last_check is None
    assert file.last_check_at is not None
    assert failed == [file]
    (record,) = caplog.records
    assert str(file.id) in record.message
    assert record.exc_info[0] is FileNotFoundError


def test_the_error_is_raised_after_it_is_noted(bucket: Bucket):
    file = store(bucket).file
    damage(file, None)
    with pytest.raises(FileNotFoundError):
        verify_checksum(str(file.id))
    assert file.last_check is None


@pytest.mark.parametrize("checksum", [None, "elsewhere:abc"])
def test_a_checksum_that_cannot_be_compared_is_no_failure(bucket: Bucket, db: Any, checksum: str | None):
    file = store(bucket).file
    file.checksum = checksum
    db.session.commit()
    with received(file_integrity_failed) as failed:
        assert verify_checksum(str(file.id)) is None
    assert file.last_check is None
    assert failed == []


def test_a_text_that_is_no_checksum_is_a_failure(bucket: Bucket, db: Any):
    file = store(bucket).file
    # Past the model, as a row that others have written.
    db.session.execute(update(FileInstance).values(checksum="no checksum"))
    db.session.commit()
    with received(file_integrity_failed) as failed:
        assert verify_checksum(str(file.id)) is False
    assert file.last_check is False
    assert failed == [file]


def test_a_file_that_is_gone_is_no_error(db: Any):
    assert verify_checksum(str(uuid4())) is None


@pytest.mark.parametrize("begun", [False, True])
def test_a_file_that_is_removed_while_it_is_verified_is_no_error(
    bucket: Bucket, db: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, begun: bool
):
    version = store(bucket)
    file_id = version.file.id
    original = PyFSFileStorage.checksum

    def checksum(self: Any, **kwargs: Any) -> Any:
        found = original(self, **kwargs) if begun else None
        version.remove()
        db.session.commit()
        assert tasks.remove_file_data(file_id, force=True)
        return found or original(self, **kwargs)

    monkeypatch.setattr(PyFSFileStorage, "checksum", checksum)
    with received(file_integrity_failed) as failed:
        assert verify_checksum(str(file_id)) is None
    assert failed == caplog.records == []


@pytest.fixture
def removed(bucket: Bucket, db: Any) -> Iterator[FileInstance]:
    """Store a file whose row another connection deletes just before the first statement that changes it."""
    file = store(bucket).file
    deletions = iter([True])

    def remove(connection: Any, cursor: Any, statement: str, *args: Any) -> None:
        if statement.startswith("UPDATE files_files") and next(deletions, False):
            with db.engine.begin() as other:
                other.execute(delete(ObjectVersion))
                other.execute(delete(FileInstance))

    event.listen(db.engine, "before_cursor_execute", remove)
    yield file
    event.remove(db.engine, "before_cursor_execute", remove)
    assert next(deletions, None) is None
    assert FileInstance.query.count() == 0


@pytest.mark.parametrize("pessimistic", [False, True])
def test_a_file_that_is_removed_while_its_result_is_noted_is_no_error(
    removed: FileInstance, caplog: pytest.LogCaptureFixture, pessimistic: bool
):
    damage(removed)
    with received(file_integrity_failed) as failed:
        assert verify_checksum(str(removed.id), pessimistic=pessimistic) is None
    assert failed == caplog.records == []


def test_a_file_that_is_removed_while_it_is_touched_is_no_error(removed: FileInstance, db: Any):
    file_id = removed.id
    db.session.commit()
    FileInstance.touch(file_id)
    db.session.commit()


def test_a_pessimistic_check_forgets_the_last_one_first(bucket: Bucket, db: Any, monkeypatch: pytest.MonkeyPatch):
    file = store(bucket).file
    seen = []
    original = PyFSFileStorage.checksum

    def checksum(self: Any, **kwargs: Any) -> Any:
        with db.engine.connect() as connection:
            seen.append(connection.execute(db.select(FileInstance.last_check)).scalar())
        return original(self, **kwargs)

    monkeypatch.setattr(PyFSFileStorage, "checksum", checksum)
    for pessimistic in (False, True):
        verify_checksum(str(file.id), pessimistic=pessimistic)
    assert seen == [True, None]


def test_no_connection_is_taken_while_bytes_are_read(bucket: Bucket, db: Any, monkeypatch: pytest.MonkeyPatch):
    file_id = store(bucket).file.id
    taken = []
    original = PyFSFileStorage.checksum

    def checksum(self: Any, **kwargs: Any) -> Any:
        taken.append(db.session().in_transaction())
        return original(self, **kwargs)

    monkeypatch.setattr(PyFSFileStorage, "checksum", checksum)
    verify_checksum(file_id, pessimistic=True)
    assert taken == [False]


def test_arguments_reach_the_storage(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    file_id = store(bucket).file.id
    seen: list[Any] = []
    monkeypatch.setattr(PyFSFileStorage, "checksum", lambda self, **kwargs: seen.append(kwargs))
    verify_checksum(file_id, chunk_size=3, checksum_kwargs={"extra": 1})
    assert seen == [{"chunk_size": 3, "progress_callback": tasks.progress_updater, "extra": 1}]


def test_the_oldest_check_comes_first_and_never_checked_files_before(
    files: list[FileInstance], sent: list[dict[str, Any]]
):
    assert schedule_checksum_verification(max_count=3) == 3
    assert positions(sent, files) == [5, 4, 3]
    assert sent[0]["kwargs"] == {"pessimistic": True, "throws": False, "checksum_kwargs": None}


def test_files_that_were_checked_within_the_period_wait(files: list[FileInstance], sent: list[dict[str, Any]]):
    assert schedule_checksum_verification(frequency={"days": 42.5}, max_count=100) == 3
    assert positions(sent, files) == [5, 4, 3]


def test_a_batch_is_no_larger_than_max_size(files: list[FileInstance], sent: list[dict[str, Any]]):
    schedule_checksum_verification(max_size=15)
    assert positions(sent, files) == [5, 4, 3]


def test_a_file_larger_than_a_batch_is_a_batch(files: list[FileInstance], sent: list[dict[str, Any]]):
    schedule_checksum_verification(max_size=2)
    assert positions(sent, files) == [5]


def test_both_limits_hold(files: list[FileInstance], sent: list[dict[str, Any]]):
    schedule_checksum_verification(max_count=2, max_size=100)
    assert positions(sent, files) == [5, 4]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({}, [5, 4]), ({"max_count": 0}, [5, 4]), ({"max_size": 0}, [5]), ({"max_size": 0, "max_count": 1}, [5])],
)
def test_limits_of_zero_spread_the_files_over_the_period(
    files: list[FileInstance], sent: list[dict[str, Any]], limits: dict[str, int], expected: list[int]
):
    schedule_checksum_verification(frequency={"days": 30}, batch_interval={"days": 10}, **limits)
    assert positions(sent, files) == expected


@pytest.mark.parametrize(
    "entry",
    [
        timedelta(days=10),
        10 * 24 * 3600,
        schedule(run_every=timedelta(days=10)),
        crontab(minute=0, hour=0, day_of_month="1,11,21"),
    ],
    ids=["timedelta", "seconds", "schedule", "crontab"],
)
def test_the_interval_is_taken_from_the_schedule_of_celery_beat(
    files: list[FileInstance], sent: list[dict[str, Any]], beat: Any, entry: Any
):
    beat(entry)
    assert schedule_checksum_verification() in (2, 3)
    assert positions(sent, files)[:2] == [5, 4]


SETTINGS = f"""
from datetime import timedelta
from flask import Flask
from invenio_celery import InvenioCelery
from invenio_files_rest.tasks.schedule import scheduled_interval

app = Flask("settings")
app.config["CELERY_BEAT_SCHEDULE"] = {{"checks": {{"task": "{NAME}", "schedule": timedelta(hours=2)}}}}
InvenioCelery(app)
assert scheduled_interval(timedelta(days=30)) == timedelta(hours=2)
"""


def test_the_schedule_may_come_from_the_settings_of_flask():
    subprocess.run([sys.executable, "-c", SETTINGS], check=True)


@pytest.mark.parametrize("hour", range(0, 24, 2))
def test_crontab_of_the_night_has_as_many_batches_as_runs(
    files: list[FileInstance], sent: list[dict[str, Any]], beat: Any, hour: int
):
    """Whenever it is asked."""
    now = datetime(2026, 11, 26, hour, 30, tzinfo=timezone.utc)
    beat(crontab(minute=0, hour="1,3", day_of_week="*", nowfun=lambda: now))
    # Two runs a day, so six in three days: one file in each.
    assert schedule_checksum_verification(frequency={"days": 3}) == 1


def test_an_interval_that_nobody_tells_is_an_error(files: list[FileInstance], beat: Any):
    beat(None)
    with pytest.raises(ValueError, match="batch_interval"):
        schedule_checksum_verification()


def test_what_no_worker_has_begun_by_the_next_batch_is_dropped(files: list[FileInstance], sent: list[dict[str, Any]]):
    schedule_checksum_verification(max_count=1, batch_interval={"hours": 1})
    assert sent[0]["options"] == {"expires": 3600}


def small_files() -> Any:
    return FileInstance.query.filter(FileInstance.size < 4)


def test_files_query_chooses_the_files(files: list[FileInstance], sent: list[dict[str, Any]]):
    schedule_checksum_verification(max_count=100, files_query="test_tasks_fixity:small_files")
    assert positions(sent, files) == [2, 1, 0]


def test_files_without_all_their_bytes_are_not_verified(files: list[FileInstance], sent: list[dict[str, Any]], db: Any):
    files[5].readable = False
    db.session.commit()
    schedule_checksum_verification(max_count=1)
    assert positions(sent, files) == [4]


def test_every_file_is_verified_once_per_period(files: list[FileInstance], db: Any):
    begun = ago()
    for _ in range(3):
        schedule_checksum_verification(batch_interval={"days": 10})
    db.session.expire_all()
    assert all(file.last_check and file.last_check_at > begun for file in files)
    checked = [file.last_check_at for file in files]
    assert schedule_checksum_verification(batch_interval={"days": 10}) == 0
    db.session.expire_all()
    assert [file.last_check_at for file in files] == checked


def test_a_batch_of_many_files_takes_fixed_memory_and_few_statements(
    app: Flask, db: Any, monkeypatch: pytest.MonkeyPatch
):
    count = 20_000
    for _ in range(10):
        rows = [{"uri": f"/{uuid4()}", "size": 1, "readable": True, "writable": False} for _ in range(count // 10)]
        db.session.execute(insert(FileInstance), rows)
    db.session.commit()
    verified = [0]
    monkeypatch.setattr(
        verify_checksum, "apply_async", lambda *args, **kwargs: verified.__setitem__(0, verified[0] + 1)
    )
    tracemalloc.start()
    with statements() as sent_statements:
        assert schedule_checksum_verification(max_size=count) == count
    assert verified == [count]
    assert len(sent_statements) <= count // 1000 + 3
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All rows at once take some 10 MB.
    assert peak < 4_000_000
