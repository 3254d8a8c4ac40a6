"""The state of an installation, as an operator asks for it: locations, files, uploads, scheduled tasks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from celery import current_app as current_celery_app

from ..models import Location
from ..models.overview import (
    BucketTotals,
    FileTotals,
    UploadTotals,
    bucket_totals,
    file_totals,
    orphan_totals,
    upload_totals,
)
from .dispatch import PREFIX
from .presence import kept_folder, why_away
from .transactions import release_connection

EXPECTED = ("schedule_checksum_verification", "remove_expired_multipartobjects")
"""Names of the tasks that Celery beat is expected to run. The sweep does the work of the others."""


@dataclass
class LocationStatus:
    """A location, and whether it is there."""

    name: str
    uri: str
    default: bool
    buckets: BucketTotals
    free: int | None
    """Bytes that are free on its disk; ``None`` if it is not a folder on this machine, or is away."""
    away: str | None
    """Why it is away; ``None`` if it is there."""


@dataclass
class Status:
    """The state of an installation."""

    locations: list[LocationStatus]
    files: FileTotals
    orphans: tuple[int, int]
    """Number of files that nothing refers to, and the sum of their sizes in bytes."""
    uploads: UploadTotals
    schedule: dict[str, str | None]
    """When each task of :data:`EXPECTED` runs, and any other one of ours; ``None`` if it is not scheduled."""

    @property
    def is_fine(self) -> bool:
        """Whether no location is away, and no file is known to be damaged."""
        return not (self.files.failed or self.files.unreadable or any(place.away for place in self.locations))


def location_status(location: Location, totals: dict[int, BucketTotals] | None = None) -> LocationStatus:
    """Return the state of a location.

    :param location: The location.
    :param totals: The sums of buckets by location; by default they are computed.
    """
    buckets = (bucket_totals() if totals is None else totals).get(location.id, BucketTotals())
    away = why_away(location)
    free = None if away else _free(location.uri)
    return LocationStatus(location.name, location.uri, location.default, buckets, free, away)


def current_status() -> Status:
    """Return the state of the installation. The sums read the whole table of files once."""
    totals = bucket_totals()
    locations = [location_status(location, totals) for location in Location.all()]
    status = Status(locations, file_totals(), orphan_totals(), upload_totals(), scheduled_tasks())
    release_connection()
    return status


def scheduled_tasks() -> dict[str, str | None]:
    """Return when Celery beat runs our tasks, in words; see :attr:`Status.schedule`."""
    found: dict[str, list[str]] = {name: [] for name in EXPECTED}
    for entry in (current_celery_app.conf.beat_schedule or {}).values():
        if entry["task"].startswith(PREFIX):
            found.setdefault(entry["task"].removeprefix(PREFIX), []).append(_in_words(entry["schedule"]))
    return {name: ", ".join(times) or None for name, times in found.items()}


def _in_words(schedule: Any) -> str:
    schedule = getattr(schedule, "run_every", schedule)
    if isinstance(schedule, (int, float)):
        return f"every {schedule:g} s"
    # A timedelta or a crontab.
    text = str(schedule)
    return f"every {text}" if text[:1].isdigit() else text.strip("<>")


def _free(uri: str) -> int | None:
    folder = kept_folder(uri)
    try:
        return None if folder is None else shutil.disk_usage(folder).free
    except OSError:
        return None
