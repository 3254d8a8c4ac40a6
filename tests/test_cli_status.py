"""What `files status` and `files location show`, `list` and `remove` tell, and exit with."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab
from click.testing import Result
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from helpers.stored import ago, orphan, store

from invenio_files_rest.models import Bucket, Location
from invenio_files_rest.services.dispatch import PREFIX
from invenio_files_rest.services.locations import create_location

Run = Callable[..., Result]


@pytest.fixture
def schedule(app: Flask, db: SQLAlchemy) -> Any:
    """Schedule two of the tasks."""
    conf = app.extensions["flask-celeryext"].celery.conf
    before = conf.beat_schedule
    conf.beat_schedule = {
        "a": {"task": PREFIX + "schedule_checksum_verification", "schedule": timedelta(hours=1)},
        "b": {"task": PREFIX + "clear_orphaned_files", "schedule": crontab(minute="0", hour="3")},
        "c": {"task": PREFIX + "remove_file_data", "schedule": 90.0},
    }
    yield
    conf.beat_schedule = before


def status(run: Run) -> tuple[int, dict[str, Any]]:
    result = run("files", "status", "--json")
    assert result.stdout.count("\n") == 1
    return result.exit_code, json.loads(result.stdout)


def test_status_sums_up_what_there_is(
    run: Run, bucket: Bucket, db: SQLAlchemy, begin_uploads: Callable[..., None], schedule: None
):
    bucket.quota_size = 1000
    checked, _, other = (store(bucket, key).file for key in "abc")
    checked.last_check_at, other.last_check_at = ago(days=3), ago(hours=1)
    orphan(bucket)
    begin_uploads(bucket, ["x", "y"])
    code, found = status(run)
    assert (code, found["fine"]) == (0, True)
    (place,) = found["locations"]
    assert (place["name"], place["default"], place["away"]) == ("testloc", True, None)
    assert place["buckets"] == {"buckets": 1, "size": 21, "quota": 1000}
    assert place["free"] > 0
    files = found["files"]
    assert (files["files"], files["size"], files["unchecked"], files["failed"]) == (4, 28, 2, 0)
    assert files["oldest_check"] == checked.last_check_at.isoformat()
    assert found["orphans"] == {"files": 1, "size": 7}
    assert (found["uploads"]["uploads"], found["uploads"]["size"]) == (2, 20)
    assert found["schedule"] == {
        "schedule_checksum_verification": "every 1:00:00",
        "clear_orphaned_files": "crontab: 0 3 * * * (m/h/dM/MY/d)",
        "remove_expired_multipartobjects": None,
        "remove_file_data": "every 90 s",
    }


@pytest.mark.parametrize(("result", "name"), [(False, "failed"), (None, "unreadable")])
def test_status_exits_with_1_if_a_file_is_damaged(run: Run, bucket: Bucket, db: SQLAlchemy, result: Any, name: str):
    file = store(bucket).file
    file.last_check, file.last_check_at = result, ago(hours=1)
    code, found = status(run)
    assert (code, found["fine"], found["files"][name]) == (1, False, 1)


def test_status_exits_with_1_and_says_why_if_a_location_is_away(run: Run, db: SQLAlchemy, tmp_path: Path):
    create_location("local", str(tmp_path / "disk"), default=True)
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    result = run("files", "status")
    assert result.exit_code == 1
    assert "\nAway: The folder " in result.stdout
    code, found = status(run)
    assert (code, found["locations"][0]["free"]) == (1, None)
    assert "Its disk may not be mounted" in found["locations"][0]["away"]


def test_status_fits_a_screen_and_has_neither_colours_nor_the_default_of_another(
    run: Run, bucket: Bucket, db: SQLAlchemy, schedule: None
):
    db.session.add(Location(name="archive", uri="s3://archive"))
    lines = run("files", "status").stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 160
    assert "\x1b" not in "".join(lines)
    header, first, second = lines[:3]
    assert first.startswith("testloc *")
    assert second.startswith("archive  ")
    assert header.index("URI") == second.index("s3://archive")
    assert "remove_expired_multipartobjects  NOT SCHEDULED" in lines


def test_status_of_an_installation_without_locations_says_how_to_make_one(run: Run, db: SQLAlchemy):
    result = run("files", "status")
    assert result.exit_code == 0
    assert result.stdout.startswith("There is no location: files location create makes one.\n")


def test_location_show_tells_of_its_buckets_and_its_disk(run: Run, bucket: Bucket):
    store(bucket)
    text = run("files", "location", "show", "testloc").stdout
    assert "Buckets:      1\n" in text
    assert "Size:         7 B\n" in text
    assert "There:        yes\n" in text
    shown = json.loads(run("files", "location", "show", "testloc", "--json").stdout)
    assert shown["buckets"] == {"buckets": 1, "size": 7, "quota": None}


def test_location_list_as_json_has_one_object_for_each(run: Run, location: Location):
    result = run("files", "location", "list", "--json")
    assert json.loads(result.stdout) == {"name": "testloc", "uri": location.uri, "default": True}


def test_location_remove_takes_an_unused_one_and_its_mark_and_leaves_its_folder(
    run: Run, db: SQLAlchemy, tmp_path: Path
):
    create_location("local", str(tmp_path / "disk"))
    refused = run("files", "location", "remove", "local")
    assert (refused.exit_code, len(Location.all())) == (1, 1)
    assert run("files", "location", "remove", "local", "--yes").stdout == "Location local is removed.\n"
    assert Location.all() == []
    assert list((tmp_path / "disk").iterdir()) == []


def test_location_remove_refuses_one_that_is_used_or_unknown(run: Run, bucket: Bucket):
    used = run("files", "location", "remove", "testloc", "--yes")
    assert (used.exit_code, used.stderr) == (1, "Error: Location testloc is in use: it has buckets or files.\n")
    unknown = run("files", "location", "remove", "nowhere", "--yes")
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: Location nowhere not found.\n")
