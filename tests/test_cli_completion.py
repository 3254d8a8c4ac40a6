"""What a shell completes the commands with."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from uuid import uuid4

import pytest
from click.shell_completion import BashComplete, ZshComplete
from flask import Flask
from flask.cli import ScriptInfo
from flask_sqlalchemy import SQLAlchemy
from helpers.faults import refusing

from invenio_files_rest.models import Bucket, Location

Complete = Callable[..., list[str]]


@pytest.fixture(params=[BashComplete, ZshComplete], ids=["bash", "zsh"])
def complete(request: pytest.FixtureRequest, base_app: Flask, db: SQLAlchemy) -> Complete:
    """Return a function that completes the last of its arguments."""

    def complete(*arguments: str) -> list[str]:
        db.session.commit()
        obj = {"obj": ScriptInfo(create_app=lambda: base_app)}
        shell = request.param(base_app.cli, obj, "invenio", "_INVENIO_COMPLETE")
        found = contextvars.Context().run(shell.get_completions, ["files", *arguments[:-1]], arguments[-1])
        return [item.value for item in found]

    return complete


def test_commands_and_options_are_completed(complete: Complete):
    assert complete("b") == ["bucket"]
    assert complete("bucket", "un") == ["unlock"]
    assert {"--json", "--prefix"} <= set(complete("object", "list", "--"))


def test_buckets_are_completed_but_deleted_ones(complete: Complete, bucket: Bucket, db: SQLAlchemy):
    gone = Bucket.create()
    gone.deleted = True
    assert complete("bucket", "show", "") == [str(bucket.id)]
    assert complete("migrate", "--bucket", str(bucket.id)[:6]) == [str(bucket.id)]
    assert complete("object", "list", "z") == []


def test_locations_are_completed(complete: Complete, location: Location, db: SQLAlchemy):
    db.session.add(Location(name="archive", uri="/archive"))
    assert complete("location", "show", "") == ["testloc", "archive"]
    assert complete("bucket", "list", "--location", "a") == ["archive"]
    assert complete("migrate", "--location", "testloc", "a") == ["archive"]


def test_keys_of_the_bucket_are_completed_up_to_the_next_slash(
    complete: Complete, bucket: Bucket, fill: Callable[..., None]
):
    fill(["a", "data/1", "data/2", "data/sub/3", "é"])
    assert complete("object", "show", str(bucket.id), "") == ["a", "data/", "é"]
    assert complete("object", "get", str(bucket.id), "data/") == ["data/1", "data/2", "data/sub/"]
    assert complete("object", "show", str(uuid4()), "") == []


def test_a_database_that_is_away_completes_nothing_and_says_nothing(
    complete: Complete, location: Location, capfd: pytest.CaptureFixture[str]
):
    with refusing():
        assert complete("location", "show", "") == []
    assert capfd.readouterr() == ("", "")
