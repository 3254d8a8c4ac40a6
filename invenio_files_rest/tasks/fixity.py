"""Tasks that verify files."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from math import ceil
from typing import Any

from celery import current_task
from celery.exceptions import SoftTimeLimitExceeded
from flask import current_app

from ..models.base import utcnow
from ..models.inventory import count_and_size, verifiable_files
from ..services import fixity
from ..services.presence import AwayLocations
from .declaring import task
from .named import named_function
from .schedule import scheduled_interval


def progress_updater(size: int | None, total: int) -> None:
    """Report how much of a file the current task has read, as its state ``PROGRESS``, once a second.

    Nothing is reported if the task runs without a worker. If reporting fails, the task goes on without it.

    :param size: Size of the file, in bytes; ``None`` if it is not known.
    :param total: Number of bytes that have been read.
    """
    request = current_task.request if current_task else None
    if request is None or request.called_directly or request.is_eager:
        return
    now, told_at = time.monotonic(), getattr(request, "progress_told_at", 0)
    if told_at is None or (total != size and now - told_at < 1):
        return
    request.progress_told_at = now
    try:
        current_task.update_state(state="PROGRESS", meta={"size": size, "total": total})
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        request.progress_told_at = None
        current_app.logger.warning("The progress of the task %s cannot be told.", request.id, exc_info=True)


@task("verify_checksum", ignore_result=True)
def verify_checksum(
    file_id: str | uuid.UUID,
    pessimistic: bool = False,
    chunk_size: int | None = None,
    throws: bool = True,
    checksum_kwargs: dict[str, Any] | None = None,
) -> bool | None:
    """Compare the checksum of a file with its bytes, and note the result in the file's row.

    If they do not match, or the bytes cannot be read, an error is logged and
    :data:`~invenio_files_rest.signals.file_integrity_failed` is sent. If the bytes cannot be read because their
    location is away, nothing is noted and no signal is sent.

    :param file_id: Identifier of the file.
    :param pessimistic: Whether to clear the last result first, so that a check that never finishes does not count as
        successful.
    :param chunk_size: Bytes to read at a time.
    :param throws: Whether to raise an error that occurs while reading; otherwise it is only logged.
    :param checksum_kwargs: Passed to the storage's ``checksum()``.
    :returns: Whether they match; ``None`` if that is unknown, because the bytes could not be read, there is no checksum
        to compare, or the file does not exist.
    :raises LocationAwayError: If the file's location is away, and ``throws`` is set.
    """
    return fixity.verify_checksum(
        file_id,
        pessimistic=pessimistic,
        throws=throws,
        reading={"chunk_size": chunk_size, "progress_callback": progress_updater, **(checksum_kwargs or {})},
    )


def default_checksum_verification_files_query() -> Any:
    """Return a query of the files that can be verified: those that are readable."""
    return verifiable_files()


@task("schedule_checksum_verification", ignore_result=True, store_errors_even_if_ignored=True)
def schedule_checksum_verification(
    frequency: dict[str, float] | None = None,
    batch_interval: dict[str, float] | None = None,
    max_count: int | None = None,
    max_size: int | None = None,
    files_query: Callable[[], Any] | str | None = None,
    checksum_kwargs: dict[str, Any] | None = None,
) -> int:
    """Send :func:`verify_checksum` for the files whose last check is oldest.

    Run by Celery beat, it verifies every file once per period, in batches. With neither ``max_count`` nor ``max_size``,
    the files are spread evenly over the batches of a period. Files that no worker has begun to verify when the next
    batch is due become part of that batch. Files in locations that are away are skipped.

    :param frequency: The period, as arguments of :class:`datetime.timedelta`; 30 days by default.
    :param batch_interval: Time between two batches, likewise; by default the one in Celery beat's schedule.
    :param max_count: Largest number of files in a batch; 0 to spread the files evenly over the period.
    :param max_size: Largest size of a batch, in bytes; 0 to spread the bytes evenly over the period. A larger file is a
        batch of its own.
    :param files_query: Function that returns the query of files to choose from, or its import path. A path in a message
        has to be registered; see :data:`~invenio_files_rest.config.FILES_REST_TASK_FUNCTIONS`.
    :param checksum_kwargs: Passed to :func:`verify_checksum`.
    :returns: The number of files that are being verified.
    :raises ValueError: If there is no interval to compute batches from, or ``files_query`` is not registered.
    """
    period = timedelta(**(frequency or {"days": 30}))
    interval = timedelta(**batch_interval) if batch_interval else scheduled_interval(period)
    query = named_function(files_query or default_checksum_verification_files_query)()
    if max_count is None and max_size is None:
        max_count = 0
    if max_count == 0 or max_size == 0:
        if not interval:
            raise ValueError("No batch_interval is given, and Celery beat's schedule has none for this task.")
        batches = max(period / interval, 1)
        count, total = count_and_size(query)
        max_count = ceil(count / batches) if max_count == 0 else max_count
        max_size = ceil(total / batches) if max_size == 0 else max_size

    away = AwayLocations()
    sent = sent_size = 0
    for file_id, size in fixity.due_files(query, utcnow() - period, max_count, away):
        sent_size += size or 0
        if max_size is not None and sent and sent_size > max_size:
            break
        verify_checksum.apply_async(
            (str(file_id),),
            {"pessimistic": True, "throws": False, "checksum_kwargs": checksum_kwargs},
            expires=interval.total_seconds() if interval else None,
        )
        sent += 1
    for location in away.passed_over:
        current_app.logger.error("Files were not verified. %s", away.reasons[location])
    return sent
