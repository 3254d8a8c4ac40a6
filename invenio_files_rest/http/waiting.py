"""Responses that wait for a task: white space while it runs, to keep the connection open, then the JSON."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from celery.exceptions import TimeoutError as TaskTimeoutError
from flask import Response, current_app, stream_with_context

from ..errors import LocationAwayError, MultipartPartsDiffer, PreconditionFailed
from ..messages import lazy_gettext as _
from ..messages import translated
from ..models import MultipartObject, as_object_version
from ..services.transactions import release_connection

NOT_MERGED = _("The parts could not be merged. Completing again may succeed.")

_MESSAGES = {
    400: MultipartPartsDiffer.description,
    412: _("A precondition of the request does not hold. The upload is open again."),
    500: NOT_MERGED,
    503: _("File storage is offline. The parts could not be merged. Completing again may succeed."),
    504: _("The parts are still being merged. The object will appear."),
}
"""Message for a merge that failed or took too long, by status."""

_POLL_SECONDS = 0.1
"""Interval in seconds at which to look for a result, if the result backend does not notify."""


def once_done(
    response: Response,
    result: Any,
    version_id: uuid.UUID | str | None = None,
    upload_id: uuid.UUID | None = None,
) -> Response:
    """Make a response wait for the merge of an upload's parts.

    It begins immediately, with white space (RFC 8259, section 2) every ``FILES_REST_TASK_WAIT_INTERVAL`` seconds. The
    body follows when the task has succeeded. If it failed, or took more than ``FILES_REST_TASK_WAIT_MAX_SECONDS``, an
    object with ``status`` and ``message`` follows instead.

    :param response: The response, in JSON.
    :param result: The ``AsyncResult`` of the task.
    :param version_id: Identifier of the resulting version, which is looked up if there is no result backend.
    :param upload_id: Identifier of the upload, which is open again if the conditions of the request did not hold.
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
            # Without a result backend, the database shows whether the merge has succeeded or the upload is open again.
            ask = partial(_database_tells, version_id, upload_id) if version_id else partial(_state_tells, result)
            status = None
        if status is None and time.monotonic() > give_up:
            status = 504
        if status is not None:
            break
        yield " "
    yield json.dumps({"status": status, "message": translated(_MESSAGES[status])}) if status in _MESSAGES else body


def _result_tells(result: Any, seconds: float) -> int | None:
    """Wait for the result of a task, and return its HTTP status; ``None`` if it is still running."""
    try:
        # Celery believes that it is in a task while another thread of this process runs one eagerly.
        pause = min(_POLL_SECONDS, seconds)
        result.get(timeout=seconds, interval=pause, propagate=False, disable_sync_subtasks=False)
    except TaskTimeoutError:
        return None
    return _status(result)


def _state_tells(result: Any, seconds: float) -> int | None:
    """Wait, and return the HTTP status of a task by its state; ``None`` if it is still running."""
    time.sleep(seconds)
    return _status(result) if result.ready() else None


def _status(result: Any) -> int:
    if result.successful():
        return 200
    # 400, 412 or 503; the cause of any other error is only logged.
    kinds = (MultipartPartsDiffer, PreconditionFailed, LocationAwayError)
    return result.result.code if isinstance(result.result, kinds) else 500


def _database_tells(version_id: uuid.UUID | str, upload_id: uuid.UUID | None, seconds: float) -> int | None:
    """Wait, and return the HTTP status of a merge by the database; ``None`` if it is still running, or has failed."""
    time.sleep(seconds)
    merged = as_object_version(version_id) is not None
    refused = not merged and upload_id is not None and MultipartObject.is_open(upload_id)
    release_connection()
    return 200 if merged else 412 if refused else None
