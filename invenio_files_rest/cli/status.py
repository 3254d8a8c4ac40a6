"""``files status``: the state of the installation on one screen."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime

import click
from flask.cli import with_appcontext

from ..models.base import utcnow
from ..services.status import Status, current_status
from .failures import told_in_one_line
from .output import Column, details, json_option, say, say_json, size, table


@click.command()
@json_option
@with_appcontext
def status(as_json: bool) -> None:
    """Show locations, files and their checks, uploads in progress, what is left over, and scheduled tasks.

    Exits with 1 if a location is away, or if a file is known to be damaged or could not be read.
    """
    with told_in_one_line():
        found = current_status()
        if as_json:
            say_json(_for_scripts(found))
        else:
            _show(found)
    if not found.is_fine:
        sys.exit(1)


def _for_scripts(found: Status) -> dict[str, object]:
    locations = [asdict(place) | {"buckets": place.buckets._asdict()} for place in found.locations]
    return {
        "fine": found.is_fine,
        "locations": locations,
        "files": found.files._asdict(),
        "orphans": {"files": found.orphans[0], "size": found.orphans[1]},
        "uploads": found.uploads._asdict(),
        "schedule": found.schedule,
    }


def _show(found: Status) -> None:
    columns = [
        Column("LOCATION"),
        Column("STATE"),
        Column("BUCKETS", right=True),
        Column("SIZE", right=True),
        Column("QUOTAS", right=True),
        Column("FREE", right=True),
        Column("URI"),
    ]
    table(
        columns,
        [
            (
                place.name + (" *" if place.default else ""),
                "AWAY" if place.away else "there",
                place.buckets.buckets,
                size(place.buckets.size),
                size(place.buckets.quota),
                size(place.free),
                place.uri,
            )
            for place in found.locations
        ],
    )
    for place in found.locations:
        if place.away:
            say(f"Away: {place.away}")
    if not found.locations:
        say("There is no location: files location create makes one.")
    files, uploads, (orphans, orphaned) = found.files, found.uploads, found.orphans
    say("")
    details(
        {
            "Files": f"{files.files}, {size(files.size)}",
            "Never checked": files.unchecked,
            "Damaged": files.failed,
            "Not comparable": files.unreadable,
            "Oldest check": _ago(files.oldest_check, "none"),
            "Orphans": f"{orphans}, {size(orphaned)}",
            "Uploads": f"{uploads.uploads}, {size(uploads.size)}",
            "Oldest upload": _ago(uploads.oldest, "none"),
        }
    )
    say("")
    table(
        [Column("TASK"), Column("SCHEDULE")],
        [(name, when or "NOT SCHEDULED") for name, when in found.schedule.items()],
    )


def _ago(time: datetime | None, absent: str) -> str:
    if time is None:
        return absent
    age = utcnow() - time
    days, hours, minutes = age.days, age.seconds // 3600, age.seconds // 60 % 60
    return f"{days} days {hours} h ago" if days else f"{hours} h {minutes} min ago"
