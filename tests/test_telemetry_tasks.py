"""The log of tasks: a line for each run, with the identifier of the request that sent it."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.rest import put, url
from helpers.waiting import wait_until

from invenio_files_rest.models import Bucket
from invenio_files_rest.services.dispatch import task_named
from invenio_files_rest.telemetry import logs

pytestmark = pytest.mark.usefixtures("allow_all")

Done = Callable[[str], dict[str, Any]]


@pytest.fixture
def done(app: Any) -> Iterator[Done]:
    """Return a function that waits for a line of a task that was done."""
    app.config["FILES_REST_REQUEST_ID_HEADER"] = "X-Request-ID"
    handler: Any = logs.own_handler()
    buffer = io.StringIO()
    before = handler.setStream(buffer)

    def line(task: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            lines = [json.loads(each) for each in buffer.getvalue().splitlines()]
            return [each for each in lines if each["event"] == "task_done" and each["task"] == task]

        wait_until(found)
        return found()[-1]

    yield line
    handler.setStream(before)


def test_a_task_of_a_worker_has_the_identifier_of_the_request_that_sent_it(
    client: Any, bucket: Bucket, worker: None, done: Done
):
    version = put(client, bucket, "a")["version_id"]
    headers = {"X-Request-ID": "sends-a-task"}
    assert client.delete(url(bucket, "a", versionId=version), headers=headers).status_code == 204
    line = done("remove_file_data")
    assert (line["request_id"], line["state"]) == ("sends-a-task", "SUCCESS")
    assert line["logger"] == "invenio_files_rest.tasks"
    assert line["ms"] > 0
    assert uuid.UUID(line["task_id"])
    wait_until(lambda: not [path for path in Path(bucket.location.uri).rglob("*") if path.is_file()])


def test_a_task_that_runs_at_once_has_it_too(client: Any, bucket: Bucket, done: Done):
    version = put(client, bucket, "a")["version_id"]
    client.delete(url(bucket, "a", versionId=version), headers={"X-Request-ID": "at-once"})
    assert done("remove_file_data")["request_id"] == "at-once"


def test_a_task_that_fails_says_why(db: Any, bucket: Bucket, worker: None, done: Done):
    task_named("migrate_file").delay(str(uuid.uuid4()), "access_token=hidden-secret")
    line = done("migrate_file")
    assert (line["state"], line["reason"]) == ("FAILURE", "ValueError")
    assert "hidden-secret" not in json.dumps(line)
    assert "request_id" not in line


def test_a_task_that_expires_before_a_worker_takes_it_is_told(db: Any, worker: None, done: Done):
    task_named("verify_checksum").apply_async((str(uuid.uuid4()),), expires=-10)
    assert done("verify_checksum")["state"] == "REVOKED"
