"""Events, the currency of telemetry: a name and fields, which :data:`EVENTS` and :data:`FIELDS` list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

EVENTS = {
    "request": "A request has been answered, to its last byte.",
    "stored": "A version was added: by an upload, a restoration, or the end of an upload in parts.",
    "read": "The bytes of a version were sent, or as many as the client took.",
    "deleted": "An object was deleted, or a version removed.",
    "refused": "A request was answered with 4xx.",
    "storage_failed": "Storage failed. The line is an error, with its traceback.",
    "upload_taken_over": "A request was stopped, since another one goes on with its upload.",
    "swept": "A sweep has come to its end.",
    "task_done": "A run of a task has ended.",
}
"""Events that have a line in the log, and when they happen."""

FIELDS = {
    "request_id": "Identifier of the request; of a task, that of the request that sent it.",
    "user": "Identifier of the user; missing where nobody is known.",
    "client": "Address of the client.",
    "method": "Method of the request.",
    "route": "Name of the view that was asked.",
    "status": "Status of the answer.",
    "bucket": "Identifier of the bucket.",
    "key": "Key of the object.",
    "version": "Identifier of the version.",
    "size": "Size of the file, in bytes.",
    "checksum": "Checksum of the file, as ``algorithm:hexdigest``.",
    "received": "Bytes of the body that have come.",
    "bytes": "Bytes of the file that were sent; missing where the server does not tell.",
    "by": "``nginx`` where the web server in front sends the file (``X-Accel-Redirect``).",
    "ms": "Milliseconds since the request, or the run of the task, began.",
    "reason": "Name of the error.",
    "cause": "Why, in words.",
    "upload": "Identifier of the upload in progress.",
    "task": "Name of the task.",
    "task_id": "Identifier of the task.",
    "state": "State of the task: ``SUCCESS``, ``FAILURE``, ``RETRY``, ``REVOKED``, ``REJECTED``.",
    "found": "What the sweep has found, by kind.",
    "left": "What the sweep has left, by kind.",
}
"""Fields of the lines that have an event, and what they say. Those that are not known are missing."""


class Event(NamedTuple):
    """Something that happened."""

    name: str
    fields: dict[str, Any]


Sink = Callable[[Event], None]
"""What takes every event."""
