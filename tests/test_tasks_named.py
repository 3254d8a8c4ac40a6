"""Functions that messages to workers name, and tasks whose messages come back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import current_app as current_celery_app
from celery.app.trace import build_tracer
from flask import Flask
from helpers.stored import orphan, store
from kombu import Producer

from invenio_files_rest.models import Bucket, FileInstance
from invenio_files_rest.tasks import clear_orphaned_files, schedule_checksum_verification, verify_checksum
from invenio_files_rest.tasks.redelivery import RUNS, GivenUpError

TASKS = {
    "schedule_checksum_verification": (schedule_checksum_verification, "files_query", {"max_count": 1}),
    "clear_orphaned_files": (clear_orphaned_files, "force_delete_check", {}),
}
CALLED: list[Any] = []


def no_files() -> Any:
    """Be a query that an import path can name."""
    CALLED.append("query")
    return FileInstance.query.filter(FileInstance.id.is_(None))


def check(file: FileInstance) -> bool:
    """Be a check that an import path can name."""
    CALLED.append("check")
    return False


PATHS = {
    "schedule_checksum_verification": "test_tasks_named:no_files",
    "clear_orphaned_files": "test_tasks_named:check",
}


@pytest.fixture(params=TASKS)
def send(request: pytest.FixtureRequest, bucket: Bucket) -> Callable[[str], Any]:
    """Return a function that sends a task with an import path, and returns its result."""
    orphan(bucket)
    CALLED.clear()
    task, argument, others = TASKS[request.param]
    return lambda path=PATHS[request.param]: task.apply(kwargs={argument: path, **others}, throw=False)


@pytest.fixture
def beat() -> Iterator[dict[str, Any]]:
    """Return the schedule of Celery beat, to be filled."""
    schedule = current_celery_app.conf["beat_schedule"] = {}
    yield schedule
    current_celery_app.conf["beat_schedule"] = {}


@pytest.mark.parametrize("path", ["os:abort", "os.abort", "test_tasks_named:check", "invenio_files_rest.models:db", ""])
def test_a_function_that_nobody_registered_is_not_called(send: Any, path: str):
    result = send(path)
    assert CALLED == []
    if path:
        assert isinstance(result.result, ValueError)
        assert str(result.result).startswith(f"The function {path!r} is not registered")


@pytest.mark.parametrize("spelling", [":", "."])
def test_a_function_of_the_setting_is_called(send: Any, app: Flask, monkeypatch: pytest.MonkeyPatch, spelling: str):
    paths = [path.replace(":", spelling) for path in PATHS.values()]
    monkeypatch.setitem(app.config, "FILES_REST_TASK_FUNCTIONS", paths)
    assert send().successful()
    assert len(CALLED) == 1


@pytest.mark.parametrize("place", ["args", "kwargs"])
def test_a_function_of_the_beat_schedule_is_called(send: Any, beat: dict[str, Any], place: str):
    for name, (task, argument, _) in TASKS.items():
        arguments = (PATHS[name],) if place == "args" else {argument: PATHS[name]}
        beat[name] = {"task": task.name, "schedule": 3600, place: arguments}
    assert send().successful()
    assert len(CALLED) == 1


def test_a_function_that_the_schedule_has_for_other_tasks_is_not_called(send: Any, beat: dict[str, Any]):
    for name, path in PATHS.items():
        beat[name] = {"task": "others.task", "schedule": 3600, "kwargs": {"path": path}}
    assert isinstance(send().result, ValueError)
    assert CALLED == []


def test_a_caller_in_python_may_give_any_function(bucket: Bucket):
    orphan(bucket)
    CALLED.clear()
    assert clear_orphaned_files(check) == 0
    assert clear_orphaned_files("test_tasks_named:check") == 0
    assert schedule_checksum_verification(files_query=no_files, max_count=1) == 0
    assert schedule_checksum_verification(files_query="test_tasks_named:no_files", max_count=1) == 0
    assert CALLED == ["check", "check", "query", "query"]


def come_back(task: Any, task_id: str, *args: Any) -> Any:
    """Run a task as a worker does whose broker says that it has given the message to another worker before."""
    run = build_tracer(task.name, task, app=task.app)
    return run(task_id, args, {}, {"id": task_id, "delivery_info": {"redelivered": True}})


def marks(task_id: str) -> int:
    with current_celery_app.pool.acquire(block=True) as connection, connection.channel() as channel:
        return int(channel.queue_declare(f"files_rest.begun.{task_id}").message_count)


def test_a_task_that_ends_may_come_back_any_number_of_times(bucket: Bucket, celery_app: Any):
    file_id, task_id = str(store(bucket).file.id), str(uuid.uuid4())
    for _ in range(2 * RUNS):
        assert come_back(verify_checksum, task_id, file_id).retval is True
    assert marks(task_id) == 0


def test_a_task_that_fails_may_come_back_any_number_of_times(bucket: Bucket, celery_app: Any):
    file, task_id = store(bucket).file, str(uuid.uuid4())
    file.storage().delete()
    for _ in range(2 * RUNS):
        assert isinstance(come_back(verify_checksum, task_id, str(file.id)).retval.exception, FileNotFoundError)
    assert marks(task_id) == 0


def test_a_task_that_is_given_up_stays_so(bucket: Bucket, celery_app: Any):
    file_id, task_id = str(store(bucket).file.id), str(uuid.uuid4())
    with current_celery_app.pool.acquire(block=True) as connection, connection.channel() as channel:
        channel.queue_declare(f"files_rest.begun.{task_id}")
        for _ in range(RUNS - 1):
            Producer(channel).publish("", routing_key=f"files_rest.begun.{task_id}")
    # The worker may be lost once more before the broker knows.
    for _ in range(2):
        assert isinstance(come_back(verify_checksum, task_id, file_id).retval.exception, GivenUpError)


def test_a_task_runs_also_where_the_broker_keeps_no_marks(
    bucket: Bucket, celery_app: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ConnectionRefusedError

    monkeypatch.setattr(current_celery_app.pool, "acquire", refuse)
    file_id = str(store(bucket).file.id)
    assert come_back(verify_checksum, str(uuid.uuid4()), file_id).retval is True
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_the_arguments_of_a_task_are_checked_when_it_is_sent():
    with pytest.raises(TypeError, match="file_id"):
        verify_checksum.apply_async()
    with pytest.raises(TypeError, match="other"):
        verify_checksum.delay("id", other=1)
