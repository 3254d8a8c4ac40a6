"""Fixity: whether stored bytes are still the ones that were stored."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from math import ceil
from typing import Any

from celery import current_app as current_celery_app
from celery import current_task
from flask import current_app
from invenio_db import db
from sqlalchemy import func

from ..models import FileInstance
from ..models.base import utcnow
from ..transactions import in_transaction, release_connection
from ..utils import obj_or_import_string
from .sending import task


def progress_updater(size: int | None, total: int) -> None:
    """Tell how much of a file the current task has read, in its state ``PROGRESS``, once a second.

    Where the task runs without a worker there is nobody to tell.

    :param size: Size of the file, in bytes; ``None`` where it is not known.
    :param total: Bytes that have been read.
    """
    request = current_task.request if current_task else None
    if request is None or request.called_directly or request.is_eager:
        return
    now = time.monotonic()
    if total != size and now - getattr(request, "progress_told_at", 0) < 1:
        return
    request.progress_told_at = now
    current_task.update_state(state="PROGRESS", meta={"size": size, "total": total})


@task("verify_checksum", ignore_result=True)
def verify_checksum(
    file_id: str | uuid.UUID,
    pessimistic: bool = False,
    chunk_size: int | None = None,
    throws: bool = True,
    checksum_kwargs: dict[str, Any] | None = None,
) -> bool | None:
    """Compare the checksum of a file with its bytes, and note the result in the file's row.

    :param file_id: Identifier of the file.
    :param pessimistic: Whether to forget the last result before, so that a check that never ends does not count as
        good.
    :param chunk_size: Bytes to read at a time.
    :param throws: Whether to raise the error that kept the bytes from being read; otherwise it is logged alone.
    :param checksum_kwargs: Passed to the storage's ``checksum()``.
    :returns: Whether they agree; ``None`` where that could not be told, or the file is gone.
    """
    file = FileInstance.get(file_id)
    if file is None or not file.readable:
        return None
    if pessimistic:
        file.clear_last_check()
    storage, expected = file.storage(), file.checksum
    release_connection()

    result: bool | None = None
    error: Exception | None = None
    try:
        computed = storage.checksum(
            chunk_size=chunk_size, progress_callback=progress_updater, **(checksum_kwargs or {})
        )
        result = computed == expected
    except Exception as caught:
        current_app.logger.exception("The checksum of file %s could not be computed.", file_id)
        error = caught
    if result is False:
        current_app.logger.error("The file %s has the checksum %s, not %s.", file_id, computed, expected)
    in_transaction(lambda: FileInstance.note_check(file_id, result))
    if error is not None and throws:
        raise error
    return result


def default_checksum_verification_files_query() -> Any:
    """Return a query of the files that can be verified: those that are readable."""
    return FileInstance.query.filter(FileInstance.readable)


@task("schedule_checksum_verification", ignore_result=True)
def schedule_checksum_verification(
    frequency: dict[str, float] | None = None,
    batch_interval: dict[str, float] | None = None,
    max_count: int | None = None,
    max_size: int | None = None,
    files_query: str | None = None,
    checksum_kwargs: dict[str, Any] | None = None,
) -> int:
    """Send :func:`verify_checksum` for the files whose last check is longest ago.

    Run from Celery beat, it verifies every file once per period, a batch at a time. With neither ``max_count`` nor
    ``max_size`` the number of files is spread over the batches of a period.

    :param frequency: The period, as arguments of :class:`datetime.timedelta`; 30 days by default.
    :param batch_interval: Time between two batches, likewise; by default what Celery beat's schedule has for this task.
    :param max_count: Largest number of files in a batch; 0 to spread them evenly over the period.
    :param max_size: Largest size of a batch, in bytes; 0 to spread them evenly over the period.
    :param files_query: Import path of a function that returns the query of files to choose from.
    :param checksum_kwargs: Passed to :func:`verify_checksum`.
    :returns: How many files are being verified.
    :raises ValueError: Where the batches cannot be told, for lack of an interval.
    """
    period = timedelta(**(frequency or {"days": 30}))
    query = obj_or_import_string(files_query, default=default_checksum_verification_files_query)()
    if max_count is None and max_size is None:
        max_count = 0
    if max_count == 0 or max_size == 0:
        batches = max(period / _batch_interval(batch_interval), 1)
        count, size = query.with_entities(func.count(), func.coalesce(func.sum(FileInstance.size), 0)).one()
        max_count = ceil(count / batches) if max_count == 0 else max_count
        max_size = ceil(size / batches) if max_size == 0 else max_size

    due = (
        query.filter(FileInstance.last_check_at.is_(None) | (FileInstance.last_check_at < utcnow() - period))
        .order_by(FileInstance.last_check_at.isnot(None), FileInstance.last_check_at)
        .with_entities(FileInstance.id, FileInstance.size)
    )
    if max_count is not None:
        due = due.limit(max_count)
    batch: list[str] = []
    batch_size = 0
    for file_id, size in due.yield_per(1000):
        batch_size += size or 0
        # A file that is larger than a whole batch is a batch of its own.
        if max_size is not None and batch and batch_size > max_size:
            break
        batch.append(str(file_id))
    db.session.commit()
    for file_id in batch:
        verify_checksum.delay(file_id, pessimistic=True, throws=False, checksum_kwargs=checksum_kwargs)
    return len(batch)


def _batch_interval(batch_interval: dict[str, float] | None) -> timedelta:
    if batch_interval:
        return timedelta(**batch_interval)
    for entry in (current_celery_app.conf.beat_schedule or {}).values():
        if entry["task"] == schedule_checksum_verification.name:
            interval = entry["schedule"]
            interval = getattr(interval, "run_every", interval)
            return interval if isinstance(interval, timedelta) else timedelta(seconds=interval)
    raise ValueError("No batch_interval is given, and Celery beat's schedule has none for this task.")
