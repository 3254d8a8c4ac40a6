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

from .models import as_object_version
from .transactions import release_connection

NOT_MERGED = "The parts could not be merged. Completing again may succeed."

_POLL_SECONDS = 0.1
"""Seconds between two looks at a result, where the result backend cannot tell by itself that there is one."""


def once_done(response: Response, result: Any, version_id: uuid.UUID | str | None = None) -> Response:
    """Let a response wait for the merge of an upload's parts.

    It is sent at once, with white space (RFC 8259, section 2) every ``FILES_REST_TASK_WAIT_INTERVAL`` seconds. Its body
    follows when the task has succeeded. Where it failed, or took more than ``FILES_REST_TASK_WAIT_MAX_SECONDS``, an
    object with ``status`` and ``message`` follows instead.

    :param response: The response, in JSON.
    :param result: The ``AsyncResult`` of the task.
    :param version_id: Identifier of the version that the task makes, which tells where the result backend does not.
    :returns: The response.
    """
    body = response.get_data(as_text=True)
    response.response = stream_with_context(_wait(result, body, version_id))
    del response.headers["Content-Length"]
    return response


def _wait(result: Any, body: str, version_id: uuid.UUID | str | None) -> Iterator[str]:
    interval = current_app.config["FILES_REST_TASK_WAIT_INTERVAL"]
    give_up = time.monotonic() + current_app.config["FILES_REST_TASK_WAIT_MAX_SECONDS"]
    ask: Callable[[float], bool | None] = partial(_result_tells, result)
    while True:
        try:
            done = ask(interval)
        except Exception as error:
            if not isinstance(error, NotImplementedError):
                current_app.logger.warning("The result backend does not answer: %s", error)
            # Without a result backend the version itself tells, once it is there.
            ask = partial(_version_tells, version_id) if version_id else partial(_state_tells, result)
            done = None
        if done is not None:
            break
        if time.monotonic() > give_up:
            yield json.dumps({"status": 504, "message": "The parts are still being merged. The object will appear."})
            return
        yield " "
    yield body if done else json.dumps({"status": 500, "message": NOT_MERGED})


def _result_tells(result: Any, seconds: float) -> bool | None:
    """Wait for a task, and tell whether it succeeded; ``None`` where it is still running."""
    try:
        # Celery takes us for a task where one runs at once, without a worker, in another thread of this process.
        pause = min(_POLL_SECONDS, seconds)
        result.get(timeout=seconds, interval=pause, propagate=False, disable_sync_subtasks=False)
    except TaskTimeoutError:
        return None
    return bool(result.successful())


def _state_tells(result: Any, seconds: float) -> bool | None:
    """Wait, and tell whether a task succeeded; ``None`` where it is still running."""
    time.sleep(seconds)
    return bool(result.successful()) if result.ready() else None


def _version_tells(version_id: uuid.UUID | str, seconds: float) -> bool | None:
    """Wait, and tell whether a version is there; ``None`` where it is not yet."""
    time.sleep(seconds)
    found = as_object_version(version_id) is not None
    release_connection()
    return found or None
