"""What `files sweep` removes, and what it never touches."""

from __future__ import annotations

import itertools
import os
import subprocess
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from helpers.faults import factory_of
from helpers.rest import nothing_stays, statements, stored, tree
from helpers.stored import CONTENT, ago, findings, kinds, orphan, store
from sqlalchemy import update

from invenio_files_rest.models import Bucket, FileInstance, Location, MultipartObject, ObjectVersion
from invenio_files_rest.paths import make_path
from invenio_files_rest.services import sweep as sweeping
from invenio_files_rest.services.sweep import sweep
from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.storage.capabilities import Entry, Listable
from invenio_files_rest.storage.locking import locked_region

Run = Callable[..., Result]


def age(path: Path, days: float = 2) -> Path:
    """Make a file or a folder look old."""
    os.utime(path, 2 * (ago(days=days).timestamp(),))
    return path


def place(location: Location, name: str = "data", days: float = 2, dimensions: int = 2) -> Path:
    """Put a file where storage would put one, without a row."""
    path = Path(make_path(location.uri, str(uuid4()), name, dimensions, 2))
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return age(path, days)


@pytest.fixture
def upload(app: Any, db: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> MultipartObject:
    """Begin an upload that has expired."""
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    upload = MultipartObject.create(bucket, "key", 2, 1)
    db.session.commit()
    db.session.execute(update(MultipartObject).values(created=ago(days=5), updated=ago(days=5)))
    db.session.commit()
    return upload


@pytest.fixture
def leftovers(bucket: Bucket, upload: MultipartObject) -> None:
    """Leave one of each kind behind."""
    orphan(bucket, updated=ago(days=2))
    place(bucket.location)
    place(bucket.location, ".incoming-0123")
    age_all(Path(bucket.location.uri))
    empty = Path(bucket.location.uri, "abc", "de")
    empty.mkdir(parents=True)
    age(empty)
    age(empty.parent)


def age_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        age(path)


def test_nothing_to_find_exits_with_0(run: Run, bucket: Bucket):
    store(bucket)
    with nothing_stays(bucket.location):
        result = run("files", "sweep", "--delete", "--grace", "0")
    assert result.exit_code == 0
    assert result.stdout == "nothing, 0 bytes; left: nothing.\n"


def test_without_delete_all_is_listed_and_nothing_removed(run: Run, bucket: Bucket, leftovers: None):
    with nothing_stays(bucket.location):
        result = run("files", "sweep", "--json")
    assert result.exit_code == 1
    assert sorted(kinds(result)) == ["file", "folder", "folder", "orphan", "summary", "temporary", "upload"]
    assert not any(finding.get("done") for finding in findings(result))


def test_with_delete_all_goes_and_nothing_else(run: Run, bucket: Bucket, leftovers: None):
    version = store(bucket, "kept")
    result = run("files", "sweep", "--delete", "--json")
    assert result.exit_code == 0
    assert findings(result)[-1] == {
        "kind": "summary",
        "found": {"upload": 1, "orphan": 1, "file": 1, "temporary": 1, "folder": 2},
        "left": {},
        "bytes": 2 + 3 * len(CONTENT),
        "fine": 0,
    }
    assert FileInstance.query.all() == [version.file]
    assert MultipartObject.query.count() == 0
    assert stored(bucket.location) == [CONTENT]
    assert len(tree(Path(bucket.location.uri))) == 4
    assert bucket.size == len(CONTENT)
    assert run("files", "sweep", "--grace", "0").exit_code == 0


def test_what_is_young_is_left_alone(run: Run, bucket: Bucket):
    orphan(bucket)
    place(bucket.location, days=0.9)
    place(bucket.location, ".incoming-0", days=0.9)
    Path(bucket.location.uri, "abc").mkdir()
    with nothing_stays(bucket.location):
        assert run("files", "sweep", "--delete").exit_code == 0
    found = run("files", "sweep", "--grace", "20", "--json")
    assert sorted(kinds(found)) == ["file", "summary", "temporary"]


def test_what_storage_did_not_put_there_is_never_touched(run: Run, bucket: Bucket, tmp_path: Path):
    folder = Path(bucket.location.uri)
    identifier = str(uuid4())
    foreign = [
        folder / "data",
        folder / "readme.txt",
        folder / ".incoming-0",
        folder / "photos" / "data",
        folder / identifier[:2] / "data",
        folder / identifier[:2] / ".incoming-0",
        folder / identifier[:2] / identifier[2:4] / identifier[4:] / "other",
        folder / identifier.upper() / "data",
        folder / identifier / "below" / "data",
        tmp_path / "outside" / identifier / "data",
    ]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
        age(path)
    (folder / str(uuid4())).symlink_to(tmp_path / "outside" / identifier)
    link = folder / str(uuid4()) / "data"
    link.parent.mkdir()
    link.symlink_to(foreign[-1])
    (folder / "empty").mkdir()
    age_all(tmp_path)
    with nothing_stays(bucket.location):
        result = run("files", "sweep", "--delete", "--grace", "0")
    assert result.exit_code == 0, result.output
    assert all(path.read_bytes() == CONTENT for path in foreign)


@pytest.mark.parametrize("dimensions", [0, 1, 2, 3])
def test_files_are_found_however_their_path_was_split(run: Run, bucket: Bucket, dimensions: int):
    place(bucket.location, dimensions=dimensions)
    assert run("files", "sweep", "--delete").exit_code == 0
    assert stored(bucket.location) == []


@pytest.mark.parametrize("spelling", ["{}", "file://{}", "osfs://{}"])
def test_a_file_whose_uri_is_known_stays(run: Run, bucket: Bucket, db: Any, spelling: str):
    path = place(bucket.location)
    ObjectVersion.create(bucket, "key").set_location(spelling.format(path), len(CONTENT), "md5:x")
    db.session.commit()
    assert run("files", "sweep", "--delete").exit_code == 0
    assert path.exists()


def test_a_location_that_is_a_link_or_has_moved_keeps_its_files(run: Run, bucket: Bucket, db: Any, tmp_path: Path):
    store(bucket)
    moved = tmp_path / "moved"
    moved.symlink_to(bucket.location.uri)
    bucket.location.uri = str(moved)
    db.session.commit()
    age_all(moved)
    result = run("files", "sweep", "--delete", "--grace", "0")
    assert result.exit_code == 0, result.output
    assert stored(bucket.location) == [CONTENT]


def test_the_row_of_a_link_to_elsewhere_goes_and_its_bytes_stay(run: Run, bucket: Bucket, db: Any, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(CONTENT)
    version = ObjectVersion.create(bucket, "key").set_location(str(elsewhere), len(CONTENT), "md5:x")
    db.session.flush()
    version.remove()
    db.session.commit()
    assert run("files", "sweep", "--delete", "--grace", "0").exit_code == 0
    assert FileInstance.query.count() == 0
    assert elsewhere.read_bytes() == CONTENT


@pytest.mark.parametrize("spelling", ["{0}/{1}", "{0}/{1}/", "file://{0}/{1}", "{0}//{1}", "{0}/./{1}", "{0}-link/{1}"])
@pytest.mark.parametrize("below", ["cafe", "ca/fe"])
def test_an_empty_location_in_another_one_stays(run: Run, bucket: Bucket, db: Any, spelling: str, below: str):
    outer = Path(bucket.location.uri)
    Path(f"{outer}-link").symlink_to(outer)
    inner, other = outer / below, outer / "caf"
    for folder in (inner, other):
        folder.mkdir(parents=True)
    age_all(outer)
    db.session.add(Location(name="inner", uri=spelling.format(outer, below)))
    assert kinds(run("files", "sweep", "--json")) == ["folder", "summary"]
    assert run("files", "sweep", "--delete").exit_code == 0
    assert (inner.is_dir(), other.is_dir()) == (True, False)


def test_the_row_of_a_file_that_never_got_bytes_goes(run: Run, bucket: Bucket, db: Any):
    file = FileInstance.create()
    db.session.commit()
    db.session.execute(update(FileInstance).where(FileInstance.id == file.id).values(updated=ago(days=2)))
    assert kinds(run("files", "sweep", "--json")) == ["orphan", "summary"]
    assert run("files", "sweep", "--delete").exit_code == 0
    assert FileInstance.query.count() == 0


def test_a_file_that_comes_into_use_meanwhile_stays(bucket: Bucket, db: Any, monkeypatch: pytest.MonkeyPatch):
    file_id = orphan(bucket).id
    original = sweeping.delete_unused

    def delete_unused(file_ids: Any, before: Any) -> Any:
        ObjectVersion.create(bucket, "key", file_id)
        db.session.commit()
        return original(file_ids, before)

    monkeypatch.setattr(sweeping, "delete_unused", delete_unused)
    assert list(sweep(timedelta(0), delete=True)) == []
    assert stored(bucket.location) == [CONTENT]


def test_what_comes_into_use_meanwhile_is_not_left_over(
    app: Any, run: Run, bucket: Bucket, upload: MultipartObject, monkeypatch: pytest.MonkeyPatch
):
    folder = Path(bucket.location.uri, "abc")
    folder.mkdir()
    age(folder)
    (file,) = (path for path in Path(bucket.location.uri).rglob("data") if path.is_file())

    def remove(usual: Callable[..., None], uri: str, entry: Entry) -> None:
        Path(entry.path, "cd").mkdir()
        usual(uri, entry)

    factory = factory_of(Listable, "remove", remove)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    with file.open("r+b") as sending, locked_region(sending, 0, 1, timeout=0):
        result = run("files", "sweep", "--delete", "--json")
    assert (result.exit_code, kinds(result)) == (0, ["summary"])
    assert MultipartObject.query.count() == 1
    assert (folder / "cd").is_dir()


def test_a_folder_that_cannot_be_removed_is_a_problem(run: Run, bucket: Bucket, db: Any, small_disk: Path):
    bucket.location.uri = str(small_disk)
    db.session.commit()
    folder = small_disk / "abc"
    folder.mkdir()
    age(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = run("files", "sweep", "--delete", "--json")
    assert (result.exit_code, kinds(result)) == (1, ["folder", "summary"])
    assert findings(result)[0]["error"].endswith(f"Read-only file system: '{folder}'")


def test_a_failure_is_told_logged_and_does_not_end_the_sweep(
    run: Run, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    for _ in range(2):
        orphan(bucket, updated=ago(days=2))
    place(bucket.location)
    failing = itertools.chain([True], itertools.repeat(False))
    original = PyFSFileStorage.delete

    def delete(self: Any) -> bool:
        if next(failing):
            raise PermissionError("not now")
        return original(self)

    monkeypatch.setattr(PyFSFileStorage, "delete", delete)
    result = run("files", "sweep", "--delete", "--json")
    assert result.exit_code == 1
    assert findings(result)[-1]["left"] == {"orphan": 1}
    assert [finding["error"] for finding in findings(result) if finding.get("error")] == ["PermissionError: not now"]
    assert len(caplog.records) == 1
    # Its row is gone, so what is left are bytes without a row, once they are old enough.
    assert run("files", "sweep", "--delete", "--grace", "0").exit_code == 0
    assert stored(bucket.location) == []


def test_a_location_that_is_not_there_is_a_problem(run: Run, bucket: Bucket, db: Any, tmp_path: Path):
    bucket.location.uri = str(tmp_path / "unmounted")
    db.session.commit()
    result = run("files", "sweep", "--json")
    assert result.exit_code == 1
    assert kinds(result) == ["location", "summary"]


def test_statements_grow_with_batches_and_memory_does_not_grow(bucket: Bucket, db: Any):
    for _ in range(sweeping.PATHS_PER_QUERY + 10):
        place(bucket.location, dimensions=0)
    for _ in range(5):
        orphan(bucket, updated=ago(days=2))
    with statements() as few:
        tracemalloc.start()
        assert sum(1 for _ in sweep(timedelta(hours=1), delete=False)) == sweeping.PATHS_PER_QUERY + 15
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len([statement for statement in few if statement.startswith("SELECT")]) <= 10
    assert peak < 5_000_000


@pytest.mark.parametrize("arguments", [["--grace", "-1"], ["--grace", "day"], ["--force"]])
def test_wrong_arguments_exit_with_2(run: Run, arguments: list[str]):
    assert run("files", "sweep", *arguments).exit_code == 2
