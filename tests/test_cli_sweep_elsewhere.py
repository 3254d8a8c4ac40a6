"""What `files sweep` finds and removes in locations that are no folders of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from posixpath import dirname
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from helpers.stored import CONTENT, ago, findings, kinds, orphan, store
from sqlalchemy.exc import OperationalError

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.paths import make_path
from invenio_files_rest.services import sweep as sweeping
from invenio_files_rest.services.sweep import sweep
from invenio_files_rest.storage import FileStorage, PyFSFileStorage, pyfs_storage_factory
from invenio_files_rest.storage._pyfilesystem import MemoryFS
from invenio_files_rest.storage.filesystems import filesystem_of

Run = Callable[..., Result]


@pytest.fixture(params=["mem://", "mem://some/where", "temp://here"])
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URI of a location with nothing in it."""
    filesystem, path = filesystem_of(f"{request.param}/data", create_dir=False)
    filesystem.removetree("/")
    filesystem.makedirs(dirname(path), recreate=True)
    yield request.param
    filesystem.removetree("/")


@pytest.fixture
def elsewhere(bucket: Bucket, db: Any, uri: str) -> Bucket:
    """Give a bucket whose location is none of this machine."""
    bucket.location.uri = uri
    db.session.commit()
    return bucket


def files(uri: str) -> list[str]:
    return sorted(filesystem_of(f"{uri}/data", create_dir=False)[0].walk.files("/"))


def folders(uri: str) -> list[str]:
    return sorted(filesystem_of(f"{uri}/data", create_dir=False)[0].walk.dirs("/"))


def age(url: str, days: float) -> None:
    """Make a file or a folder look old."""
    filesystem, path = filesystem_of(url, create_dir=False)
    filesystem.settimes(path, modified=ago(days=days))


def place(uri: str, name: str = "data", days: float = 2, folder: str | None = None) -> str:
    """Put a file into a location without a row, where storage would put it or in another folder."""
    url = f"{uri.rstrip('/') if not uri.endswith('//') else uri}/{folder}/{name}"
    if folder is None:
        url = make_path(uri, str(uuid4()), name, 2, 2)
    filesystem, path = filesystem_of(url, create_dir=True)
    filesystem.writebytes(path, CONTENT)
    age(url, days)
    return url


def test_what_no_row_names_is_found_and_removed_and_nothing_else(run: Run, elsewhere: Bucket, uri: str):
    kept = store(elsewhere)
    before = files(uri), folders(uri)
    for name in ("data", ".incoming-0"):
        place(uri, name)
    orphan(elsewhere, updated=ago(days=2))
    found = run("files", "sweep", "--json")
    assert (found.exit_code, sorted(kinds(found))) == (1, ["file", "orphan", "summary", "temporary"])
    assert len(files(uri)) == 4
    removed = run("files", "sweep", "--delete", "--json")
    assert (removed.exit_code, sorted(kinds(removed))) == (0, ["file", "orphan", "summary", "temporary"])
    assert (files(uri), folders(uri)) == before
    assert FileInstance.query.one() == kept.file
    assert run("files", "sweep", "--delete", "--grace", "0").stdout == "nothing, 0 bytes; left: nothing.\n"


def test_what_is_young_is_left_alone(run: Run, elsewhere: Bucket, uri: str):
    place(uri, days=0.9)
    place(uri, ".incoming-0", days=0.9)
    assert run("files", "sweep", "--delete").exit_code == 0
    assert len(files(uri)) == 2
    found = run("files", "sweep", "--grace", "20", "--json")
    assert sorted(kinds(found)) == ["file", "summary", "temporary"]


def test_what_storage_did_not_put_there_is_never_touched(run: Run, elsewhere: Bucket, uri: str):
    place(uri, folder="photos")
    place(uri, name="other", folder=str(uuid4()))
    place(uri, folder=str(uuid4()).upper())
    before = files(uri)
    assert run("files", "sweep", "--delete", "--grace", "0").exit_code == 0
    assert files(uri) == before


def test_a_file_whose_uri_is_known_stays(run: Run, elsewhere: Bucket, uri: str, db: Any):
    ObjectVersion.create(elsewhere, "key").set_location(place(uri), len(CONTENT), "md5:x")
    db.session.commit()
    assert run("files", "sweep", "--delete").exit_code == 0
    assert len(files(uri)) == 1


def test_empty_folders_go(run: Run, elsewhere: Bucket, uri: str):
    filesystem, path = filesystem_of(f"{uri}/{uuid4().hex[:2]}/ab/data", create_dir=True)
    for folder in (path.rpartition("/")[0], path.rpartition("/ab/")[0]):
        filesystem.settimes(folder, modified=ago(days=2))
    assert sorted(kinds(run("files", "sweep", "--json"))) == ["folder", "folder", "summary"]
    assert run("files", "sweep", "--delete").exit_code == 0
    assert len(folders(uri)) == (2 if uri == "mem://some/where" else uri == "temp://here")


def test_a_folder_that_is_not_there_is_a_problem(run: Run, bucket: Bucket, db: Any):
    bucket.location.uri = "mem://nowhere"
    db.session.commit()
    result = run("files", "sweep", "--json")
    assert (result.exit_code, sorted(kinds(result))) == (1, ["location", "summary"])


class Unlisted(FileStorage):
    """A storage that nobody can list."""

    def __init__(self, fileurl: str) -> None:
        super().__init__()
        self.fileurl = fileurl


class Objects:
    """A storage of objects, with what the sweep needs of fsspec's interface."""

    def __init__(self, tells_age: bool) -> None:
        self.kept: dict[str, tuple[bytes, datetime]] = {}
        self.tells_age = tells_age

    @staticmethod
    def _strip(path: str) -> str:
        """Take a URL for a path, as fsspec does everywhere."""
        return path.partition("://")[2] or path

    def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
        folder = self._strip(path)
        below = [name.removeprefix(f"{folder}/") for name in self.kept if name.startswith(f"{folder}/")]
        if not below:
            raise FileNotFoundError(path)
        names = {name.partition("/")[0]: "directory" if "/" in name else "file" for name in below}
        return [{"name": f"{folder}/{name}", "type": kind, "size": 7} for name, kind in names.items()]

    def modified(self, path: str) -> datetime:
        if not self.tells_age:
            raise NotImplementedError
        return self.kept[path][1]

    def exists(self, path: str) -> bool:
        return self._strip(path) in self.kept

    def rm(self, path: str) -> None:
        del self.kept[self._strip(path)]


@pytest.fixture
def objects(app: Any, bucket: Bucket, db: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], Objects]:
    """Return a function that has the location on a storage of objects."""

    def use(tells_age: bool) -> Objects:
        filesystem = Objects(tells_age)

        class Storage(PyFSFileStorage):
            def _get_fs(self, create_dir: bool = True) -> Any:
                return filesystem, self.fileurl

        monkeypatch.setattr(
            app.extensions["invenio-files-rest"],
            "storage_factory",
            lambda **kwargs: pyfs_storage_factory(filestorage_class=Storage, **kwargs),
        )
        bucket.location.uri = "objects://files"
        db.session.commit()
        for days in (0, 2):
            name = make_path("files", str(uuid4()), "data", 2, 2)
            filesystem.kept[name] = (CONTENT, ago(days=days))
        filesystem.kept["files/photos/data"] = (CONTENT, ago(days=2))
        return filesystem

    return use


def test_objects_that_no_row_names_are_found_and_removed(run: Run, objects: Callable[[bool], Objects]):
    filesystem = objects(True)
    assert sorted(kinds(run("files", "sweep", "--json"))) == ["file", "summary"]
    assert len(filesystem.kept) == 3
    assert run("files", "sweep", "--delete").exit_code == 0
    assert len(filesystem.kept) == 2
    filesystem.kept.clear()
    assert run("files", "sweep", "--delete").exit_code == 0


@pytest.mark.parametrize("zone", ["UTC-9", "UTC+9"])
def test_a_time_without_a_zone_is_in_utc(
    run: Run, objects: Callable[[bool], Objects], monkeypatch: pytest.MonkeyPatch, zone: str
):
    filesystem = objects(True)
    ages = {name: kept[1].replace(tzinfo=None) for name, kept in filesystem.kept.items()}
    monkeypatch.setattr(filesystem, "modified", ages.__getitem__)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        found = [kinds(run("files", "sweep", "--json", "--grace", grace)) for grace in ("1", "47", "49")]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == [["file", "summary"], ["file", "summary"], ["summary"]]


def test_a_storage_that_tells_no_age_is_a_problem_and_loses_nothing(run: Run, objects: Callable[[bool], Objects]):
    filesystem = objects(False)
    result = run("files", "sweep", "--delete", "--grace", "0", "--json")
    assert (result.exit_code, sorted(kinds(result))) == (1, ["skipped", "summary"])
    assert "does not tell when" in findings(result)[0]["error"]
    assert len(filesystem.kept) == 3


def test_a_storage_that_cannot_be_listed_is_a_problem_and_keeps_no_other_from_being_swept(
    app: Any, run: Run, bucket: Bucket, db: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    db.session.add(Location(name="unlisted", uri="unlisted://"))
    url = place(bucket.location.uri)
    db.session.commit()
    extension = app.extensions["invenio-files-rest"]
    original = extension.storage_factory

    def factory(fileinstance: Any, default_location: str | None = None, **kwargs: Any) -> FileStorage:
        if default_location == "unlisted://":
            return Unlisted(default_location)
        return original(fileinstance=fileinstance, default_location=default_location, **kwargs)

    monkeypatch.setattr(extension, "storage_factory", factory)
    result = run("files", "sweep", "--delete", "--json")
    assert (result.exit_code, sorted(kinds(result))) == (1, ["file", "skipped", "summary"])
    assert findings(result)[-1]["left"] == {"skipped": 1}
    assert "Unlisted does not list its files" in next(
        finding["error"] for finding in findings(result) if finding["kind"] == "skipped"
    )
    assert len(caplog.records) == 1
    with pytest.raises(FileNotFoundError):
        PyFSFileStorage(url).open()


def test_a_storage_that_is_away_is_a_problem_whatever_it_raises(
    run: Run, objects: Callable[[bool], Objects], db: Any, monkeypatch: pytest.MonkeyPatch
):
    filesystem = objects(True)

    def ls(path: str, detail: bool) -> Any:
        if path.startswith("objects://away"):
            raise RuntimeError("no route to it")
        return original(path, detail)

    original = filesystem.ls
    monkeypatch.setattr(filesystem, "ls", ls)
    Location.query.one().uri = "objects://away/files"
    db.session.add(Location(name="later", uri="objects://files"))
    db.session.commit()
    result = run("files", "sweep", "--delete", "--json")
    assert (result.exit_code, sorted(kinds(result))) == (1, ["file", "skipped", "summary"])
    assert findings(result)[0]["error"] == "RuntimeError: no route to it"


def test_a_database_that_fails_ends_the_sweep(
    run: Run, objects: Callable[[bool], Objects], monkeypatch: pytest.MonkeyPatch
):
    objects(True)

    def known_files(*args: Any) -> Any:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(sweeping, "known_files", known_files)
    result = run("files", "sweep", "--delete", "--json")
    assert result.exit_code == 1
    assert "skipped" not in result.stdout


@pytest.mark.parametrize("uri", ["mem://"], indirect=True)
def test_folders_are_looked_through_one_after_the_other(elsewhere: Bucket, uri: str, monkeypatch: pytest.MonkeyPatch):
    """The sweep begins to tell before it has seen all."""
    for _ in range(1100):
        place(uri)
    looked = []
    scandir = MemoryFS.scandir
    monkeypatch.setattr(
        MemoryFS, "scandir", lambda self, path, **kwargs: looked.append(path) or scandir(self, path, **kwargs)
    )
    found = sweep(timedelta(hours=1), delete=False)
    assert next(found).kind == "file"
    seen = len(looked)
    assert sum(1 for _ in found) == 1099
    assert seen < 0.7 * len(looked)
