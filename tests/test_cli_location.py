"""What `files location` does, says and exits with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import Result
from flask_sqlalchemy import SQLAlchemy

from invenio_files_rest.models import Location

Run = Callable[..., Result]


@pytest.fixture
def locations(run: Run) -> None:
    """Make two locations, the second of them the default one."""
    for arguments in (["first", "/data/first"], ["second", "/data/second", "--default"]):
        assert run("files", "location", "create", *arguments).exit_code == 0


def defaults() -> list[str]:
    return [location.name for location in Location.all().filter_by(default=True)]


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
    assert Location.all().count() == 2


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
    assert Location.all().count() == 0


@pytest.mark.parametrize("uri", ["", "/" + 255 * "a"], ids=["empty", "long"])
def test_create_refuses_a_uri_that_no_database_keeps(run: Run, uri: str):
    result = run("files", "location", "create", "name", uri)
    assert result.exit_code == 1
    assert result.stderr == "Error: The URI of a location has 1 to 255 characters.\n"
    assert Location.all().count() == 0


@pytest.mark.parametrize("arguments", [["create"], ["create", "name"], ["set-default"], ["list", "more"], ["name"]])
def test_wrong_arguments_exit_with_2(run: Run, arguments: list[str]):
    result = run("files", "location", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
