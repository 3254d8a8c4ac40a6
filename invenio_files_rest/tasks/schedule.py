"""Reading the interval of a task from Celery beat's schedule."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import current_app as current_celery_app
from celery.schedules import crontab

_RUNS = 1000
"""Largest number of runs of a ``crontab`` from which the mean interval is computed."""


def scheduled_interval(period: timedelta) -> timedelta | None:
    """Return the time between two runs of ``schedule_checksum_verification`` in Celery beat's schedule.

    :param period: If the schedule is a ``crontab``, the mean is taken over this time.
    :returns: The time; ``None`` if the task is not scheduled.
    """
    for entry in (current_celery_app.conf.beat_schedule or {}).values():
        if entry["task"] == "invenio_files_rest.tasks.schedule_checksum_verification":
            return _interval(entry["schedule"], period)
    return None


def _interval(schedule: Any, period: timedelta) -> timedelta:
    if isinstance(schedule, crontab):
        return _mean_interval(schedule, period)
    schedule = getattr(schedule, "run_every", schedule)
    return schedule if isinstance(schedule, timedelta) else timedelta(seconds=schedule)


def _mean_interval(schedule: crontab, period: timedelta) -> timedelta:
    """Return the mean time between two runs, which may differ, for instance if they are only at night."""
    start = run = schedule.now()
    for runs in range(_RUNS):
        last_run, until_next, _ = schedule.remaining_delta(run)
        following = last_run + until_next
        if following - start > period:
            return period / runs if runs else following - start
        run = following
    return (run - start) / _RUNS
