"""What `files location` does, says and exits with."""

from __future__ import annotations

import contextvars
import errno
import gc
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from helpers.faults import refusing
from helpers.stored import store
from invenio_db import db

from invenio_files_rest.models import Bucket, FileInstance, Location
from invenio_files_rest.services.locations import create_location
from invenio_files_rest.storage import PyFSFileStorage, pyfs_storage_factory
from invenio_files_rest.storage.marks import MARK_NAME, read_mark

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder that relative paths are in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def locations(run: Run) -> None:
    """Make two locations, the second of them the default one."""
    for arguments in (["first", "data/first"], ["second", "data/second", "--default"]):
        assert run("files", "location", "create", *arguments).exit_code == 0


def defaults() -> list[str]:
    return [location.name for location in Location.all() if location.default]


def test_create_stores_a_location_and_says_so(run: Run):
    result = run("files", "location", "create", "archive", "data/archive")
    assert result.exit_code == 0
    assert result.stdout == "Location archive data/archive as default False stored in database\n"
    location = Location.get_by_name("archive")
    assert (location.uri, location.default) == ("data/archive", False)


def test_create_with_default_leaves_one_default(run: Run, locations: None):
    result = run("files", "location", "create", "third", "data/third", "--default")
    assert result.stdout == "Location third data/third as default True stored in database\n"
    assert defaults() == ["third"]


@pytest.mark.parametrize(
    "arguments", [["old", "data/old", "--default"], ["--default", "old", "data/old"]], ids=["after", "before"]
)
def test_location_without_a_command_creates_as_it_did_before_1_1(run: Run, db: SQLAlchemy, arguments: list[str]):
    assert run("files", "location", *arguments).exit_code == 0
    location = Location.get_by_name("old")
    assert (location.uri, location.default) == ("data/old", True)


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
    assert result.stdout == "first data/first as default False\nsecond data/second as default True\n"


def test_set_default_unsets_the_other(run: Run, locations: None):
    result = run("files", "location", "set-default", "first")
    assert result.exit_code == 0
    assert result.stdout == "Location first data/first set as default (True)\n"
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
    result = run("files", "location", "create", "second", "data/second", "--default")
    assert result.exit_code == 0
    assert "already exists" in result.stdout
    assert len(Location.all()) == 2


@pytest.mark.parametrize(
    "arguments", [["first", "/elsewhere"], ["first", "data/first", "--default"]], ids=["uri", "default"]
)
def test_create_does_not_change_a_location(run: Run, locations: None, arguments: list[str]):
    result = run("files", "location", "create", *arguments)
    assert result.exit_code == 1
    assert result.stderr == "Error: Location first data/first as default False already exists.\n"
    location = Location.get_by_name("first")
    assert (location.uri, location.default) == ("data/first", False)


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
    assert run("files", "location", "create", "short", "srv/file").exit_code == 0
    assert "at most 8 characters, not 9:" in run("files", "location", "create", "long", "srv/files").stderr


def test_without_an_application_the_column_tells_how_long_a_uri_can_be():
    assert len(Location(name="long", uri="/" + 254 * "a").uri) == 255
    with pytest.raises(ValueError, match="at most 255 characters, not 256"):
        Location(name="long", uri="/" + 255 * "a")


@pytest.mark.parametrize(
    "arguments", [["create"], ["create", "name"], ["set-default"], ["list", "more"], ["name"], ["mark"]]
)
def test_wrong_arguments_exit_with_2(run: Run, arguments: list[str]):
    result = run("files", "location", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")


def test_create_makes_the_folder_and_marks_it(run: Run, folder: Path):
    assert run("files", "location", "create", "archive", str(folder / "deep" / "archive")).exit_code == 0
    location = Location.get_by_name("archive")
    assert location.mark is not None
    assert read_mark(str(folder / "deep" / "archive")) == ("archive", location.mark)
    assert [path.name for path in (folder / "deep" / "archive").iterdir()] == [MARK_NAME]


@pytest.mark.parametrize("uri", ["data/a", "file://@/data/a", "osfs://@/data/a"])
def test_a_folder_is_made_and_marked_whatever_its_spelling(run: Run, folder: Path, uri: str):
    assert run("files", "location", "create", "archive", uri.replace("@", str(folder))).exit_code == 0
    assert read_mark(str(folder / "data" / "a")) == ("archive", Location.get_by_name("archive").mark)


def test_create_takes_a_folder_that_is_there_with_what_is_in_it(run: Run, folder: Path):
    (folder / "data").mkdir()
    (folder / "data" / "note.txt").write_text("kept")
    (folder / "linked").symlink_to("data")
    assert run("files", "location", "create", "archive", "linked").exit_code == 0
    assert sorted(path.name for path in (folder / "data").iterdir()) == [MARK_NAME, "note.txt"]


def test_a_folder_of_another_location_is_refused(run: Run, locations: None, folder: Path):
    result = run("files", "location", "create", "third", "data/first")
    assert (result.exit_code, Location.query.count()) == (1, 2)
    assert result.stderr == f"Error: The folder {folder}/data/first has the mark of the location first.\n"
    assert read_mark("data/first") == ("first", Location.get_by_name("first").mark)


def test_a_database_that_was_made_anew_finds_its_folder_again(run: Run, locations: None, db: SQLAlchemy):
    mark = Location.get_by_name("first").mark
    db.session.delete(Location.get_by_name("first"))
    db.session.commit()
    assert run("files", "location", "create", "first", "data/first").exit_code == 0
    assert Location.get_by_name("first").mark == mark


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("a-file", "Not a directory"),
        ("a-file/below", "Not a directory"),
        ("/proc/none/such", "No such file or directory"),
        ("none://anywhere", "none"),
        ("ftp://localhost:1/", "unable to connect"),
        ("a/../../b", "not allowed"),
        ("zip://@/new.zip", "zip:// is an archive"),
        ("zip://@/new.zip!", "zip:// is an archive"),
        ("zip://@/old.zip", "zip:// is an archive"),
        ("zip://@/old.zip!", "Read-only file system"),
        ("tar://@/new.tar", "tar:// is an archive"),
    ],
)
def test_a_location_that_keeps_no_files_is_refused_and_nothing_is_left_of_it(
    run: Run, folder: Path, uri: str, reason: str
):
    (folder / "a-file").write_bytes(b"kept")
    with zipfile.ZipFile(folder / "old.zip", "w") as archive:
        archive.writestr("kept.txt", "kept")
    before = {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}
    result = run("files", "location", "create", "archive", uri.replace("@", str(folder)), "--default")
    gc.collect()
    assert (result.exit_code, Location.query.count()) == (1, 0)
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")} == before


class Forgetful(PyFSFileStorage):
    """Storage that has lost a file when it is opened again."""

    def open(self, mode: str | None = "rb") -> Any:
        raise FileNotFoundError(self.fileurl)


def test_a_storage_that_acknowledges_what_it_has_not_stored_is_refused(
    run: Run, app: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    factory = partial(pyfs_storage_factory, filestorage_class=Forgetful)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    result = run("files", "location", "create", "archive", "data")
    assert (result.exit_code, Location.query.count()) == (1, 0)
    assert result.stderr == (
        "Error: No file can be kept in data: a file that was stored there is not there when it is opened again.\n"
    )
    assert list(folder.iterdir()) == []


def test_a_database_that_fails_is_told_without_its_statement(run: Run, folder: Path):
    with refusing("INSERT INTO files_location"):
        result = run("files", "location", "create", "archive", "data")
    assert (result.exit_code, result.stderr) == (1, "Error: The database failed: The server is away.\n")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("uri", ["mem://", "temp://files"])
def test_a_location_as_long_as_the_process_is_one(run: Run, uri: str):
    assert run("files", "location", "create", "short", uri).exit_code == 0
    assert Location.get_by_name("short").mark is None


def at_once(app: Flask, *names: str) -> list[str]:
    """Create locations at the same moment, and return what is said of those that are not."""
    barrier, refused = Barrier(len(names)), []

    def create(name: str) -> None:
        with app.app_context():
            barrier.wait()
            try:
                create_location(name, f"data/{name}", default=True)
            except ValueError as error:
                refused.append(str(error))
            finally:
                db.session.remove()

    threads = [Thread(target=contextvars.Context().run, args=[create, name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def test_of_those_that_create_the_same_location_one_does(app: Flask, run: Run):
    assert at_once(app, *["a"] * 4) == ["Location a already exists."] * 3
    location = Location.query.one()
    assert read_mark("data/a") == ("a", location.mark)
    assert location.default


def test_of_those_that_create_defaults_one_is_the_default(app: Flask, run: Run):
    assert at_once(app, "a", "b", "c", "d") == []
    assert Location.query.count() == 4
    assert len(defaults()) == 1


@pytest.fixture
def unmarked(run: Run, folder: Path) -> Location:
    """Make a location as 6.1 has it, with a file in it."""
    location = Location(name="old", uri=str(folder / "old"), default=True)
    db.session.add(location)
    store(Bucket.create(location))
    return location


def test_mark_marks_a_location_that_is_older(run: Run, unmarked: Location):
    assert unmarked.mark is None
    result = run("files", "location", "mark", "old")
    assert (result.exit_code, result.stdout) == (0, f"Location old {unmarked.uri} marked\n")
    assert read_mark(unmarked.uri) == ("old", unmarked.mark)
    again = run("files", "location", "mark", "old")
    assert again.exit_code == 0
    assert read_mark(unmarked.uri) == ("old", unmarked.mark)


def test_mark_refuses_a_folder_that_has_none_of_the_files(run: Run, unmarked: Location):
    Path(unmarked.uri).rename("away")
    for _ in range(2):
        result = run("files", "location", "mark", "old")
        assert result.exit_code == 1
        assert "has none of the files of location old. Its disk may not be mounted." in result.stderr
        assert not (Path(unmarked.uri) / MARK_NAME).exists()
        Path(unmarked.uri).mkdir(exist_ok=True)
    assert run("files", "location", "mark", "old", "--force").exit_code == 0
    assert read_mark(unmarked.uri) == ("old", unmarked.mark)


def test_mark_gives_a_location_its_mark_again_also_after_it_was_renamed(run: Run, locations: None, db: SQLAlchemy):
    location = Location.get_by_name("first")
    location.name = "renamed"
    db.session.commit()
    assert run("files", "location", "mark", "renamed").exit_code == 0
    assert read_mark("data/first") == ("first", location.mark)
    (Path("data/first") / MARK_NAME).unlink()
    assert run("files", "location", "mark", "renamed").exit_code == 0
    assert read_mark("data/first") == ("renamed", location.mark)


@pytest.mark.parametrize("name", ["first", "none", "memory"])
def test_mark_refuses_what_cannot_have_one(run: Run, locations: None, db: SQLAlchemy, name: str):
    (Path("data/first") / MARK_NAME).write_text("second 0b4f1d8e-0000-4000-8000-000000000000\n")
    db.session.add(Location(name="memory", uri="mem://"))
    result = run("files", "location", "mark", name)
    assert result.exit_code == 1
    reasons = {
        "first": "has the mark of the location second",
        "none": "Location none not found.",
        "memory": "Location memory is no folder of this machine",
    }
    assert reasons[name] in result.stderr


def test_mark_takes_over_a_mark_of_the_same_name_only_where_the_folder_is_known_or_by_force(
    run: Run, folder: Path, db: SQLAlchemy
):
    """It may be that of another installation, which takes the files of this one for leftovers."""
    (folder / "data").mkdir()
    (folder / "data" / MARK_NAME).write_text("first 0b4f1d8e-0000-4000-8000-000000000000\n")
    location = Location(name="first", uri=str(folder / "data"), default=True)
    db.session.add(location)
    result = run("files", "location", "mark", "first")
    assert (result.exit_code, location.mark) == (1, None)
    assert result.stderr == f"Error: The folder {folder}/data has the mark of another location first.\n"
    assert run("files", "location", "mark", "first", "--force").exit_code == 0
    assert read_mark("data") == ("first", location.mark)
    db.session.delete(location.marking)
    store(Bucket.create(location))
    assert run("files", "location", "mark", "first").exit_code == 0
    assert read_mark("data") == ("first", location.mark)


STOPPED = """
import os, sys
from invenio_files_rest.storage.marks import leave_mark
setattr(os, sys.argv[1], lambda *args, **kwargs: os._exit(1))
leave_mark("data", "first")
"""


@pytest.mark.parametrize("call", ["write", "fsync", "link"])
def test_a_process_that_ends_while_it_marks_a_folder_leaves_it_without_a_mark(run: Run, folder: Path, call: str):
    (folder / "data").mkdir()
    subprocess.run([sys.executable, "-c", STOPPED, call], check=False)
    result = run("files", "location", "create", "first", "data")
    assert (result.exit_code, result.stderr) == (0, "")
    assert read_mark("data") == ("first", Location.get_by_name("first").mark)


def test_a_folder_whose_files_have_one_name_each_is_marked(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch):
    def link(*args: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert run("files", "location", "create", "first", "data").exit_code == 0
    assert read_mark("data") == ("first", Location.get_by_name("first").mark)
    assert [path.name for path in (folder / "data").iterdir()] == [MARK_NAME]


@pytest.mark.parametrize("content", [b"", b"first", b"\xff\xfe", b"first not-a-uuid\n"])
def test_a_mark_that_is_none_is_told_and_left(run: Run, folder: Path, content: bytes):
    (folder / "data").mkdir()
    (folder / "data" / MARK_NAME).write_bytes(content)
    result = run("files", "location", "create", "first", "data")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {folder}/data/{MARK_NAME} is not the mark of a location.\n"
    assert (folder / "data" / MARK_NAME).read_bytes() == content
