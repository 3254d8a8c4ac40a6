"""Functions as arguments of tasks.

Messages name them by import path, and everyone who can write to the broker could name any function. Therefore only
those are loaded that the configuration registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from celery import current_app as current_celery_app
from celery import current_task
from flask import current_app

from ..utils import obj_or_import_string


def named_function(value: Callable[..., Any] | str) -> Any:
    """Return a function that an argument of a task contains or names.

    A call in Python may pass any function; a message may name only registered ones.

    :param value: The function, or its import path.
    :raises ValueError: If the path came in a message and is not registered.
    :raises ImportError: If it cannot be imported.
    """
    if isinstance(value, str) and _sent() and _spelled_alike(value) not in map(_spelled_alike, _registered()):
        raise ValueError(
            f"The function {value!r} is not registered: neither CELERY_BEAT_SCHEDULE nor FILES_REST_TASK_FUNCTIONS "
            "names it."
        )
    return obj_or_import_string(value)


def _sent() -> bool:
    """Return whether the arguments of the current task came in a message."""
    return bool(current_task) and not current_task.request.called_directly


def _spelled_alike(path: str) -> str:
    return path.replace(":", ".")


def _registered() -> Iterator[str]:
    """Return the import paths that messages may contain."""
    yield from current_app.config["FILES_REST_TASK_FUNCTIONS"]
    for entry in (current_celery_app.conf.beat_schedule or {}).values():
        if entry["task"].startswith("invenio_files_rest.tasks."):
            for value in (*(entry.get("args") or ()), *(entry.get("kwargs") or {}).values()):
                if isinstance(value, str):
                    yield value
