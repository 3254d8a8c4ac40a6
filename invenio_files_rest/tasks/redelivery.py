"""How often a task is begun whose message comes back, since the worker that had it was lost.

Brokers give such a message to the next worker for ever, and it may be what workers die of. All that Redis and RabbitMQ
both say is that it comes back, which those do too that waited behind it, and from Redis those that take longer than its
``visibility_timeout``. So a task whose message comes back leaves a
mark when it is begun, in a queue of its own in the broker, and takes the marks away when it ends.
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
"""How often a task is begun at most that no worker brings to its end."""

FORGOTTEN_SECONDS = 24 * 3600
"""Time after which RabbitMQ forgets the marks of a task that was given up, or whose message never came back."""


class GivenUpError(Exception):
    """A task is not run again, since its message came back each time that it was begun."""


def at_most_some_runs(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have the function of a task begun :data:`RUNS` times at most where no worker comes to its end.

    :param function: The function.
    """

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        request = current_task.request if current_task else None
        if request is None or not (request.delivery_info or {}).get("redelivered"):
            return function(*args, **kwargs)
        if _begin_again(request.id) > RUNS:
            # Its marks stay, for the worker may be lost before it tells the broker.
            raise GivenUpError(
                f"The task was begun {RUNS} times, and its message came back each time: it is given up. Either its "
                "workers were lost, or it takes longer than the broker's visibility_timeout, and may still be running."
            )
        try:
            return function(*args, **kwargs)
        finally:
            _end(request.id)

    # Celery checks the arguments of a task against it when they are sent.
    run.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return run


def _begin_again(task_id: str) -> int:
    """Leave a mark, and return how often the task was begun, this time included; 1 where nothing can be counted."""
    begun = 1
    with _uncounted(task_id), _marks(task_id) as marks:
        # That it came back says that it was begun before the first mark.
        begun = marks.queue_declare().message_count + 2
        Producer(marks.channel).publish("", routing_key=marks.name)
    return begun


def _end(task_id: str) -> None:
    """Take the marks of a task away."""
    with _uncounted(task_id), _marks(task_id) as marks:
        # With Redis a queue is its messages; deleting it leaves those that no exchange has sent.
        marks.purge()
        marks.delete()


@contextmanager
def _marks(task_id: str) -> Iterator[Any]:
    """Open the queue that has a mark for each time that a task was begun again."""
    with current_task.app.pool.acquire(block=True) as connection, connection.channel() as channel:
        yield Queue(f"files_rest.begun.{task_id}", expires=FORGOTTEN_SECONDS)(channel)


@contextmanager
def _uncounted(task_id: str) -> Iterator[None]:
    """Let a task run also where the broker does not keep its marks."""
    try:
        yield
    except Exception:
        current_app.logger.warning("How often the task %s was begun cannot be counted.", task_id, exc_info=True)
