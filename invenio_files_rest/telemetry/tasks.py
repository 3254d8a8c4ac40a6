"""Listening to tasks: their runs become events, and the identifier of the request goes with those that it sends.

Celery's signals are those of the process, so that they are listened to once, whatever the number of applications.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from celery import current_app as current_celery_app
from celery import current_task
from celery.signals import before_task_publish, task_postrun, task_prerun, task_revoked
from flask import Flask, current_app, has_app_context, has_request_context, request

from ..http.observation import OBSERVER
from ..services.dispatch import PREFIX
from .events import Event
from .identifiers import TASK_HEADER
from .redaction import redact

_BEGUN = "files_rest_begun"
"""Name in a task's request for the time when it began."""

EXTENSION = "invenio-files-rest-telemetry"
"""Name of the application's telemetry among its extensions."""


@cache
def listen() -> None:
    """Begin to listen."""
    before_task_publish.connect(_stamp, weak=False)
    task_prerun.connect(_begin, weak=False)
    task_postrun.connect(_end, weak=False)
    task_revoked.connect(_revoke, weak=False)


def context_of_task() -> dict[str, Any]:
    """Return the fields of the current task; none outside of tasks."""
    running = current_task.request if current_task else None
    if running is None or not running.id:
        return {}
    return {"request_id": getattr(running, TASK_HEADER, None), "task_id": running.id}


def _emit(celery_app: Any, name: str, fields: dict[str, Any]) -> None:
    app: Flask | None = (
        current_app._get_current_object()  # type: ignore[attr-defined]
        if has_app_context()
        else getattr(celery_app, "flask_app", None)
    )
    if app is not None and (telemetry := app.extensions.get(EXTENSION)) is not None:
        telemetry.emit(Event(name, fields))


def _stamp(sender: str, headers: dict[str, Any], **kwargs: Any) -> None:
    if not sender.startswith(PREFIX):
        return
    observed = request.environ.get(OBSERVER) if has_request_context() else None
    identifier = observed.request_id if observed is not None else context_of_task().get("request_id")
    if identifier is not None:
        headers[TASK_HEADER] = identifier
    _emit(current_celery_app, "task_sent", {"task": sender.removeprefix(PREFIX)})


def _begin(task: Any, **kwargs: Any) -> None:
    if task.name.startswith(PREFIX):
        setattr(task.request, _BEGUN, time.perf_counter())


def _end(task: Any, task_id: str, state: str | None = None, retval: Any = None, **kwargs: Any) -> None:
    if not task.name.startswith(PREFIX):
        return
    begun = getattr(task.request, _BEGUN, None)
    failed = isinstance(retval, BaseException)
    _done(
        task,
        task_id,
        state or "UNKNOWN",
        request_id=_id_of_request(task.request),
        ms=None if begun is None else round((time.perf_counter() - begun) * 1000, 2),
        reason=type(retval).__name__ if failed else None,
        cause=redact(str(retval)) if failed else None,
    )


def _revoke(sender: Any, request: Any, **kwargs: Any) -> None:
    if sender.name.startswith(PREFIX):
        _done(sender, request.id, "REVOKED")


def _done(task: Any, task_id: str, state: str, **fields: Any) -> None:
    name = task.name.removeprefix(PREFIX)
    _emit(task.app, "task_done", {"task": name, "task_id": task_id, "state": state, **fields})


def _id_of_request(running: Any) -> str | None:
    if has_request_context() and (observed := request.environ.get(OBSERVER)) is not None:
        # It runs at once, in the process that sends it.
        return str(observed.request_id)
    return getattr(running, TASK_HEADER, None)
