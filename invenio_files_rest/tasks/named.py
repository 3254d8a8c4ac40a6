"""Functions that are arguments of tasks.

A message names one by its import path, and whoever can write to the broker may name any. So only those that the
configuration registers are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from celery import current_app as current_celery_app
from celery import current_task
from flask import current_app

from ..utils import obj_or_import_string


def named_function(value: Callable[..., Any] | str) -> Any:
    """Return the function that an argument of a task is, or names.

    What calls the task in Python may give any; what sends it as a message, one that is registered.

    :param value: The function, or its import path.
    :raises ValueError: If the path came in a message, and is not registered.
    :raises ImportError: If it leads nowhere.
    """
    if isinstance(value, str) and _sent() and _spelled_alike(value) not in map(_spelled_alike, _registered()):
        raise ValueError(
            f"The function {value!r} is not registered: neither CELERY_BEAT_SCHEDULE nor FILES_REST_TASK_FUNCTIONS "
            "names it."
        )
    return obj_or_import_string(value)


def _sent() -> bool:
    """Whether a message has the arguments of the current task."""
    return bool(current_task) and not current_task.request.called_directly


def _spelled_alike(path: str) -> str:
    return path.replace(":", ".")


def _registered() -> Iterator[str]:
    """Find the import paths that messages may have."""
    yield from current_app.config["FILES_REST_TASK_FUNCTIONS"]
    for entry in (current_celery_app.conf.beat_schedule or {}).values():
        if entry["task"].startswith("invenio_files_rest.tasks."):
            for value in (*(entry.get("args") or ()), *(entry.get("kwargs") or {}).values()):
                if isinstance(value, str):
                    yield value
