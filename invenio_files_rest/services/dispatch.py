"""Sending tasks to workers by name, since services cannot import :mod:`invenio_files_rest.tasks`."""

from __future__ import annotations

from typing import Any

from celery import current_app as current_celery_app
from flask import current_app

PREFIX = "invenio_files_rest.tasks."
"""Prefix of the names of all tasks, in schedules and in messages, whatever module a task is in."""


def task_named(name: str) -> Any:
    """Return a task.

    :param name: Name of its function in :mod:`invenio_files_rest.tasks`.
    :raises celery.exceptions.NotRegistered: If there is none.
    """
    return current_celery_app.tasks[PREFIX + name]


def send_task(name: str, *args: Any, **kwargs: Any) -> None:
    """Send a task that the sweep makes up for: if it cannot be sent, that is only logged.

    :param name: See :func:`task_named`.
    :param args: Its arguments.
    :param kwargs: Its keyword arguments.
    """
    try:
        task_named(name).delay(*args, **kwargs)
    except Exception:
        current_app.logger.exception("The task %s%r could not be sent; the sweep does its work.", name, args)
