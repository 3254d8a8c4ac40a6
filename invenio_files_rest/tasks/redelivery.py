"""Limiting how often a task is begun whose message is redelivered because its worker was lost.

Brokers redeliver such a message forever, although it may be what kills the workers. Redis and RabbitMQ only tell that a
message is redelivered, and that is also true of messages that were waiting behind it and, with Redis, of tasks that
take longer than the ``visibility_timeout``. Therefore a task whose message is redelivered leaves a mark when it begins,
in a queue of its own in the broker, and removes the marks when it ends.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from celery import current_task
from flask import current_app
from kombu.entity import Queue
from kombu.messaging import Producer

RUNS = 5
"""Largest number of times that a task is begun if no worker finishes it."""

FORGOTTEN_SECONDS = 24 * 3600
"""Time in seconds after which RabbitMQ deletes the marks of a task that was given up or never redelivered."""


class GivenUpError(Exception):
    """A task is not run again, since its message was redelivered each time."""


def at_most_some_runs(function: Callable[..., Any]) -> Callable[..., Any]:
    """Limit the runs of a task's function to :data:`RUNS` if no worker finishes it.

    :param function: The function.
    """

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        request = current_task.request if current_task else None
        if request is None or not (request.delivery_info or {}).get("redelivered"):
            return function(*args, **kwargs)
        if _begin_again(request.id) > RUNS:
            # The marks stay, since the worker may be lost before it acknowledges the message.
            raise GivenUpError(
                f"The task was begun {RUNS} times, and its message came back each time: it is given up. Either its "
                "workers were lost, or it takes longer than the broker's visibility_timeout, and may still be running."
            )
        try:
            return function(*args, **kwargs)
        finally:
            _end(request.id)

    # Celery checks the arguments against the signature when the task is sent.
    run.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return run


def _begin_again(task_id: str) -> int:
    """Leave a mark, and return how often the task has been begun, including this time; 1 if that is unknown."""
    begun = 1
    with _uncounted(task_id), _marks(task_id) as marks:
        # It was begun once before the first mark, since it was redelivered.
        begun = marks.queue_declare().message_count + 2
        Producer(marks.channel).publish("", routing_key=marks.name)
    return begun


def _end(task_id: str) -> None:
    """Remove the marks of a task."""
    with _uncounted(task_id), _marks(task_id) as marks:
        # With Redis, deleting the queue leaves messages that were not sent through an exchange.
        marks.purge()
        marks.delete()


@contextmanager
def _marks(task_id: str) -> Iterator[Any]:
    """Open the queue with a mark for each time that a task was begun again."""
    with current_task.app.pool.acquire(block=True) as connection, connection.channel() as channel:
        yield Queue(f"files_rest.begun.{task_id}", expires=FORGOTTEN_SECONDS)(channel)


@contextmanager
def _uncounted(task_id: str) -> Iterator[None]:
    """Let a task run even if the broker does not store its marks."""
    try:
        yield
    except Exception:
        current_app.logger.warning("How often the task %s was begun cannot be counted.", task_id, exc_info=True)
