"""What `files location` does, says and exits with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from invenio_files_rest.models import FileInstance, Location

Run = Callable[..., Result]


@pytest.fixture
def locations(run: Run) -> None:
    """Make two locations, the second of them the default one."""
    for arguments in (["first", "/data/first"], ["second", "/data/second", "--default"]):
        assert run("files", "location", "create", *arguments).exit_code == 0


def defaults() -> list[str]:
    return [location.name for location in Location.all() if location.default]


def test_create_stores_a_location_and_says_so(run: Run):
    result = run("files", "location", "create", "archive", "/data/archive")
    assert result.exit_code == 0
    assert result.stdout == "Location archive /data/archive as default False stored in database\n"
    location = Location.get_by_name("archive")
    assert (location.uri, location.default) == ("/data/archive", False)


def test_create_with_default_leaves_one_default(run: Run, locations: None):
    result = run("files", "location", "create", "third", "/data/third", "--default")
    assert result.stdout == "Location third /data/third as default True stored in database\n"
    assert defaults() == ["third"]


@pytest.mark.parametrize(
    "arguments", [["old", "/data/old", "--default"], ["--default", "old", "/data/old"]], ids=["after", "before"]
)
def test_location_without_a_command_creates_as_it_did_before_1_1(run: Run, db: SQLAlchemy, arguments: list[str]):
    assert run("files", "location", *arguments).exit_code == 0
    location = Location.get_by_name("old")
    assert (location.uri, location.default) == ("/data/old", True)


def test_location_without_arguments_explains_itself(run: Run):
    result = run("files", "location")
    assert result.exit_code == 2
    assert {"create", "list", "set-default"} <= set(result.output.split())


def test_help_of_the_group_is_not_taken_for_a_location(run: Run):
    result = run("files", "location", "--help")
    assert result.exit_code == 0
    assert "set-default" in result.output


def test_list_tells_name_uri_and_default_of_each(run: Run, locations: None):
    result = run("files", "location", "list")
    assert result.exit_code == 0
    assert result.stdout == "first /data/first as default False\nsecond /data/second as default True\n"


def test_set_default_unsets_the_other(run: Run, locations: None):
    result = run("files", "location", "set-default", "first")
    assert result.exit_code == 0
    assert result.stdout == "Location first /data/first set as default (True)\n"
    assert defaults() == ["first"]


def test_set_default_of_the_default_keeps_it(run: Run, locations: None):
    assert run("files", "location", "set-default", "second").exit_code == 0
    assert defaults() == ["second"]


def test_set_default_of_an_unknown_location_fails_and_changes_nothing(run: Run, locations: None):
    result = run("files", "location", "set-default", "third")
    assert result.exit_code == 1
    assert result.stderr == "Error: Location third not found.\n"
    assert defaults() == ["second"]


def test_create_again_is_no_error_where_nothing_would_change(run: Run, locations: None):
    result = run("files", "location", "create", "second", "/data/second", "--default")
    assert result.exit_code == 0
    assert "already exists" in result.stdout
    assert len(Location.all()) == 2


@pytest.mark.parametrize(
    "arguments", [["first", "/elsewhere"], ["first", "/data/first", "--default"]], ids=["uri", "default"]
)
def test_create_does_not_change_a_location(run: Run, locations: None, arguments: list[str]):
    result = run("files", "location", "create", *arguments)
    assert result.exit_code == 1
    assert result.stderr == "Error: Location first /data/first as default False already exists.\n"
    location = Location.get_by_name("first")
    assert (location.uri, location.default) == ("/data/first", False)


@pytest.mark.parametrize("name", ["Upper", "with space", "1st", "a" * 21, "ünder", ""])
def test_create_refuses_a_name_that_is_none(run: Run, name: str):
    result = run("files", "location", "create", name, "/data")
    assert result.exit_code == 1
    assert result.stderr == "Error: Invalid location name (lower-case alphanumeric + dashes).\n"
    assert len(Location.all()) == 0


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", "The URI of a location is empty."),
        (
            "/" + 211 * "a",
            "The URI of a location has at most 211 characters, not 212: those of its files are longer, and have to be "
            "kept, too.",
        ),
    ],
    ids=["empty", "long"],
)
def test_create_refuses_a_uri_that_no_database_keeps(run: Run, uri: str, reason: str):
    result = run("files", "location", "create", "name", uri)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {reason}\n"
    assert len(Location.all()) == 0


def test_a_uri_as_long_as_can_be_has_room_for_those_of_its_files(run: Run, tmp_path: Path):
    folder = tmp_path
    while (left := 211 - len(str(folder))) > 0:
        folder = folder / (min(left - 1, 20) * "f") if left > 1 else Path(f"{folder}f")
    assert len(str(folder)) == 211
    assert run("files", "location", "create", "name", str(folder), "--default").exit_code == 0
    bucket = run("files", "bucket", "touch").stdout.strip()
    (tmp_path / "file").write_bytes(b"x")
    assert run("files", "bucket", "cp", str(tmp_path / "file"), bucket).exit_code == 0
    assert len(FileInstance.query.one().uri) == 255


def test_the_settings_tell_how_long_a_uri_can_be(run: Run, base_app: Flask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(base_app.config, "FILES_REST_FILE_URI_MAX_LEN", 50)
    monkeypatch.setitem(base_app.config, "FILES_REST_STORAGE_PATH_DIMENSIONS", 0)
    assert run("files", "location", "create", "short", "/srv/fil").exit_code == 0
    assert "at most 8 characters, not 9:" in run("files", "location", "create", "long", "/srv/file").stderr


def test_without_an_application_the_column_tells_how_long_a_uri_can_be():
    assert len(Location(name="long", uri="/" + 254 * "a").uri) == 255
    with pytest.raises(ValueError, match="at most 255 characters, not 256"):
        Location(name="long", uri="/" + 255 * "a")


@pytest.mark.parametrize("arguments", [["create"], ["create", "name"], ["set-default"], ["list", "more"], ["name"]])
def test_wrong_arguments_exit_with_2(run: Run, arguments: list[str]):
    result = run("files", "location", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
