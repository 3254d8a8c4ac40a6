"""An answer that waits for a task: white space while it runs, so that the connection stays open, and then its JSON."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from celery.exceptions import TimeoutError as TaskTimeoutError
from flask import Response, current_app, stream_with_context

from ..errors import LocationAwayError, PreconditionFailed
from ..models import MultipartObject, as_object_version
from ..services.transactions import release_connection

NOT_MERGED = "The parts could not be merged. Completing again may succeed."

_MESSAGES = {
    412: f"{PreconditionFailed.description} The upload is open again.",
    500: NOT_MERGED,
    503: f"{LocationAwayError.description} {NOT_MERGED}",
    504: "The parts are still being merged. The object will appear.",
}
"""What a client learns of a merge that did not end well while it waited, by the status."""

_POLL_SECONDS = 0.1
"""Seconds between two looks at a result, where the result backend cannot tell by itself that there is one."""


def once_done(
    response: Response,
    result: Any,
    version_id: uuid.UUID | str | None = None,
    upload_id: uuid.UUID | None = None,
) -> Response:
    """Let a response wait for the merge of an upload's parts.

    It is sent at once, with white space (RFC 8259, section 2) every ``FILES_REST_TASK_WAIT_INTERVAL`` seconds. Its body
    follows when the task has succeeded. Where it failed, or took more than ``FILES_REST_TASK_WAIT_MAX_SECONDS``, an
    object with ``status`` and ``message`` follows instead.

    :param response: The response, in JSON.
    :param result: The ``AsyncResult`` of the task.
    :param version_id: Identifier of the version that the task makes, which tells where the result backend does not.
    :param upload_id: Identifier of the upload, which is open again where the conditions of the request did not hold.
    :returns: The response.
    """
    body = response.get_data(as_text=True)
    response.response = stream_with_context(_wait(result, body, version_id, upload_id))
    del response.headers["Content-Length"]
    # nginx would keep it back until it is whole.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _wait(result: Any, body: str, version_id: uuid.UUID | str | None, upload_id: uuid.UUID | None) -> Iterator[str]:
    interval = current_app.config["FILES_REST_TASK_WAIT_INTERVAL"]
    give_up = time.monotonic() + current_app.config["FILES_REST_TASK_WAIT_MAX_SECONDS"]
    ask: Callable[[float], int | None] = partial(_result_tells, result)
    while True:
        try:
            status = ask(interval)
        except Exception as error:
            if not isinstance(error, NotImplementedError):
                current_app.logger.warning("The result backend does not answer: %s", error)
            # Without a result backend the database tells, once the merge has ended well or the upload is open again.
            ask = partial(_database_tells, version_id, upload_id) if version_id else partial(_state_tells, result)
            status = None
        if status is None and time.monotonic() > give_up:
            status = 504
        if status is not None:
            break
        yield " "
    yield json.dumps({"status": status, "message": _MESSAGES[status]}) if status in _MESSAGES else body


def _result_tells(result: Any, seconds: float) -> int | None:
    """Wait for a task, and tell its status as of HTTP; ``None`` where it is still running."""
    try:
        # Celery takes us for a task where one runs at once, without a worker, in another thread of this process.
        pause = min(_POLL_SECONDS, seconds)
        result.get(timeout=seconds, interval=pause, propagate=False, disable_sync_subtasks=False)
    except TaskTimeoutError:
        return None
    return _status(result)


def _state_tells(result: Any, seconds: float) -> int | None:
    """Wait, and tell the status of a task as of HTTP; ``None`` where it is still running."""
    time.sleep(seconds)
    return _status(result) if result.ready() else None


def _status(result: Any) -> int:
    if result.successful():
        return 200
    # 412, 503; the cause of whatever else went wrong is for the log.
    kinds = (PreconditionFailed, LocationAwayError)
    return result.result.code if isinstance(result.result, kinds) else 500


def _database_tells(version_id: uuid.UUID | str, upload_id: uuid.UUID | None, seconds: float) -> int | None:
    """Wait, and tell the status of a merge as of HTTP; ``None`` where it has not ended, or has failed."""
    time.sleep(seconds)
    merged = as_object_version(version_id) is not None
    refused = not merged and upload_id is not None and MultipartObject.is_open(upload_id)
    release_connection()
    return 200 if merged else 412 if refused else None
