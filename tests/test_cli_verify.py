"""What `files verify` reads, notes and exits with."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from helpers.faults import refusing
from helpers.stored import ago, damage, store

from invenio_files_rest.models import Bucket

Run = Callable[..., Result]


@pytest.fixture
def files(bucket: Bucket, db: Any) -> Any:
    """Store a file that was checked a day ago, one that was checked three days ago, and one that never was."""
    files = [store(bucket, key).file for key in "abc"]
    for file, days in zip(files, (1, 3), strict=False):
        file.last_check_at = ago(days=days)
    db.session.commit()
    return files


def checked(files: Any) -> list[bool]:
    return [file.last_check_at is not None and file.last_check_at > ago(hours=1) for file in files]


def test_every_file_is_verified(run: Run, files: Any):
    result = run("files", "verify")
    assert result.exit_code == 0
    assert result.stdout == f"3 files verified, {sum(file.size for file in files)} bytes; none is damaged.\n"
    assert checked(files) == [True, True, True]


def test_changed_and_missing_files_are_told_and_noted(run: Run, files: Any, caplog: pytest.LogCaptureFixture):
    damage(files[0])
    damage(files[1], None)
    result = run("files", "verify", "--json")
    assert result.exit_code == 1
    *found, summary = [json.loads(line) for line in result.stdout.splitlines()]
    assert {(line["kind"], line["name"]) for line in found} == {
        ("checksum", str(files[0].id)),
        ("missing", str(files[1].id)),
    }
    assert (summary["fine"], summary["fine_bytes"]) == (1, files[2].size)
    assert [file.last_check for file in files] == [False, None, True]


def test_the_sums_say_what_was_read_and_what_is_damaged(run: Run, files: Any, caplog: pytest.LogCaptureFixture):
    damage(files[0])
    damage(files[1], None)
    last_line = run("files", "verify").stdout.splitlines()[-1]
    size = sum(file.size for file in files)
    assert last_line == f"3 files verified, {size} bytes; damaged: 1 checksum, 1 missing."


def test_a_database_that_fails_is_told_and_no_file_is_called_unreadable(run: Run, files: Any):
    with refusing("UPDATE files_files"):
        result = run("files", "verify", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: The database failed: The server is away.\n"


def test_the_oldest_check_comes_first(run: Run, files: Any):
    run("files", "verify", "--limit", "2")
    assert checked(files) == [False, True, True]


def test_what_was_checked_lately_is_passed_over(run: Run, files: Any):
    run("files", "verify", "--older-than", "2")
    assert checked(files) == [False, True, True]


def test_a_bucket_is_verified_alone(run: Run, files: Any, bucket: Bucket, db: Any):
    other = store(Bucket.create(bucket.location)).file
    run("files", "verify", "--bucket", str(bucket.id))
    assert checked([*files, other]) == [True, True, True, False]


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--older-than", "-1"], ["--bucket", "x"]])
def test_wrong_arguments_exit_with_2(run: Run, arguments: list[str]):
    assert run("files", "verify", *arguments).exit_code == 2
