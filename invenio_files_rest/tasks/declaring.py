"""How tasks are declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import shared_task
from sqlalchemy.exc import OperationalError

from ..services.dispatch import PREFIX
from .redelivery import at_most_some_runs

RETRIES = 10
"""Number of times that a task is tried again if the database fails; the pauses grow from 1 s to 10 min."""


def task(name: str, **options: Any) -> Any:
    """Declare a task under the name that schedules and queued messages use, whatever module it is in.

    A message is acknowledged when the task has ended, so that another worker runs the task if one is killed, up to a
    limit; see :mod:`~invenio_files_rest.tasks.redelivery`.

    :param name: Name of the function.
    :param options: Options of the task.
    """
    declare = shared_task(
        name=PREFIX + name,
        acks_late=True,
        reject_on_worker_lost=True,
        autoretry_for=(OperationalError,),
        retry_backoff=True,
        max_retries=RETRIES,
        **options,
    )

    def decorator(function: Callable[..., Any]) -> Any:
        return declare(at_most_some_runs(function))

    return decorator
