"""What `files migrate` moves, leaves and exits with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from helpers.rest import stored, url
from helpers.stored import CONTENT, damage, findings, store

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.services import migration as migrating
from invenio_files_rest.storage import PyFSFileStorage

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove sources at once: nobody reads them here."""
    monkeypatch.setattr(migrating, "READ_SECONDS", 0)


@pytest.fixture
def new(db: Any, tmp_path: Path) -> Location:
    """Make a second location."""
    (tmp_path / "new").mkdir()
    location = Location(name="new", uri=str(tmp_path / "new"))
    db.session.add(location)
    db.session.commit()
    return location


@pytest.fixture
def other(bucket: Bucket, db: Any) -> Bucket:
    """Make a second bucket in the first location."""
    other = Bucket.create(bucket.location)
    db.session.commit()
    return other


def test_a_location_moves_with_all_its_buckets(run: Run, bucket: Bucket, other: Bucket, new: Location, db: Any):
    old = bucket.location
    versions = [store(bucket), store(bucket), store(other)]
    result = run("files", "migrate", "--location", "testloc", "new", "--json")
    assert result.exit_code == 0, result.output
    *lines, summary = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == summary["found"]["file"] == 3
    db.session.expire_all()
    assert all(version.file.uri.startswith(new.uri) for version in versions)
    assert bucket.location == other.location == new
    assert store(bucket).file.uri.startswith(new.uri)
    assert stored(old) == 3 * [CONTENT]


def test_a_bucket_moves_alone(run: Run, bucket: Bucket, other: Bucket, new: Location, db: Any):
    versions = [store(bucket), store(other)]
    assert run("files", "migrate", "--bucket", str(bucket.id), "new").exit_code == 0
    db.session.expire_all()
    assert [version.file.uri.startswith(new.uri) for version in versions] == [True, False]
    assert (bucket.location.name, other.location.name) == ("new", "testloc")


def test_a_second_run_goes_on_where_the_first_ended(
    run: Run, bucket: Bucket, new: Location, monkeypatch: pytest.MonkeyPatch
):
    for key in "abcde":
        store(bucket, key)
    original, left = PyFSFileStorage.copy, iter(range(2))

    def copy(*args: Any, **kwargs: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(PyFSFileStorage, "copy", copy)
        assert run("files", "migrate", "--location", "testloc", "new").exit_code == 130
    assert len(stored(new)) == 2
    result = run("files", "migrate", "--location", "testloc", "new", "--json")
    assert json.loads(result.stdout.splitlines()[-1])["found"] == {"file": 3}
    assert len(stored(new)) == 5
    result = run("files", "migrate", "--location", "testloc", "new")
    assert result.stdout == "nothing, 0 bytes; left: nothing.\n"


def test_a_file_that_fails_stays_in_use_and_the_others_move(
    run: Run, bucket: Bucket, new: Location, db: Any, caplog: pytest.LogCaptureFixture
):
    versions = [store(bucket, key) for key in "abc"]
    damage(versions[1].file)
    broken = versions[1].file.id
    result = run("files", "migrate", "--location", "testloc", "new", "--remove-source")
    assert result.exit_code == 1
    assert len(caplog.records) == 1
    db.session.expire_all()
    assert versions[1].file.id == broken
    assert stored(new) == 2 * [CONTENT]
    assert stored(bucket.query.first().location) == 2 * [CONTENT]
    assert FileInstance.query.count() == 3


def test_sources_are_removed_where_asked(run: Run, bucket: Bucket, new: Location, db: Any):
    old = bucket.location
    version = store(bucket)
    version.copy(key="again")
    db.session.commit()
    assert run("files", "migrate", "--location", "testloc", "new", "--remove-source").exit_code == 0
    assert stored(old) == []
    assert stored(new) == [CONTENT]
    assert FileInstance.query.count() == 1


def test_a_source_that_cannot_be_removed_is_told_and_the_others_go_on(
    run: Run, bucket: Bucket, new: Location, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    old = bucket.location
    for key in "abc":
        store(bucket, key)
    failing = iter([True])
    original = PyFSFileStorage.delete

    def delete(self: PyFSFileStorage) -> bool:
        if next(failing, False):
            raise PermissionError("not now")
        return original(self)

    monkeypatch.setattr(PyFSFileStorage, "delete", delete)
    result = run("files", "migrate", "--location", "testloc", "new", "--remove-source", "--json")
    assert result.exit_code == 1
    summary = json.loads(result.stdout.splitlines()[-1])
    assert (summary["found"], summary["left"]) == ({"file": 3, "source": 1}, {"source": 1})
    assert len(caplog.records) == 1
    assert (stored(new), stored(old)) == (3 * [CONTENT], [CONTENT])
    assert run("files", "sweep", "--delete", "--grace", "0").exit_code == 0
    assert stored(old) == []


@pytest.mark.parametrize("content", [b"damaged", None])
def test_a_source_is_in_use_again_where_the_copy_is_damaged(
    run: Run, bucket: Bucket, new: Location, db: Any, monkeypatch: pytest.MonkeyPatch, content: bytes | None
):
    old = bucket.location
    versions = [store(bucket, key) for key in "ab"]
    sources = [version.file.id for version in versions]
    original, first = PyFSFileStorage.checksum, iter([True])

    def checksum(self: PyFSFileStorage, *args: Any, **kwargs: Any) -> Any:
        """Read a copy before its source is removed."""
        if next(first, False):
            damage(FileInstance.get_by_uri(self.fileurl), content)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(PyFSFileStorage, "checksum", checksum)
    result = run("files", "migrate", "--location", "testloc", "new", "--remove-source", "--json")
    assert result.exit_code == 1
    assert findings(result)[-1]["left"] == {"file": 1}
    assert (stored(old), stored(new)) == ([CONTENT], [CONTENT])
    db.session.expire_all()
    assert sum(version.file.id == source for version, source in zip(versions, sources, strict=True)) == 1
    assert FileInstance.query.count() == 2


def test_a_source_stays_where_the_copy_has_no_checksum(run: Run, bucket: Bucket, new: Location, db: Any):
    old = bucket.location
    store(bucket).file.checksum = None
    db.session.commit()
    result = run("files", "migrate", "--location", "testloc", "new", "--remove-source")
    assert result.exit_code == 0
    assert "could not be verified, so that the source stays" in result.stdout
    assert (stored(old), stored(new)) == ([CONTENT], [CONTENT])


def test_a_source_stays_for_a_while_for_those_who_read_it(
    run: Run, bucket: Bucket, new: Location, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(migrating, "READ_SECONDS", 0.5)
    old = bucket.location
    store(bucket)
    findings = migrating.migrate("new", source="testloc", remove=True)
    assert next(findings).done
    assert stored(old) == [CONTENT]
    assert list(findings) == []
    assert stored(old) == []


def test_links_to_elsewhere_stay(run: Run, bucket: Bucket, new: Location, db: Any, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(CONTENT)
    version = ObjectVersion.create(bucket, "key").set_location(str(elsewhere), len(CONTENT), "md5:x")
    db.session.commit()
    assert run("files", "migrate", "--bucket", str(bucket.id), "new", "--remove-source").exit_code == 0
    db.session.expire_all()
    assert version.file.uri == str(elsewhere)
    assert elsewhere.exists()


def test_readers_and_writers_are_at_work_meanwhile(
    run: Run, client: Any, allow_all: None, bucket: Bucket, new: Location, monkeypatch: pytest.MonkeyPatch
):
    for key in "abc":
        store(bucket, key)
    copy, checksum = PyFSFileStorage.copy, PyFSFileStorage.checksum
    answers = []

    def copied(*args: Any, **kwargs: Any) -> Any:
        answers.extend(client.get(url(bucket, key)).status_code for key in "abc")
        answers.append(client.put(url(bucket, "a"), data=b"new").status_code)
        return copy(*args, **kwargs)

    def verified(*args: Any, **kwargs: Any) -> Any:
        """Read a copy that is in use, before its source is removed."""
        answers.extend(client.get(url(bucket, key)).status_code for key in "abc")
        return checksum(*args, **kwargs)

    monkeypatch.setattr(PyFSFileStorage, "copy", copied)
    monkeypatch.setattr(PyFSFileStorage, "checksum", verified)
    assert run("files", "migrate", "--location", "testloc", "new", "--remove-source").exit_code == 0
    assert len(answers) >= 7 * 3
    assert set(answers) == {200}
    assert client.get(url(bucket, "a")).data == b"new"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--location", "testloc", "nowhere"],
        ["--location", "nowhere", "new"],
        ["--location", "new", "new"],
        ["--bucket", str(uuid4()), "new"],
    ],
)
def test_what_does_not_exist_exits_with_1_and_changes_nothing(
    run: Run, bucket: Bucket, new: Location, arguments: list[str]
):
    result = run("files", "migrate", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert bucket.location.name == "testloc"


@pytest.mark.parametrize("arguments", [["new"], ["--location", "a", "--bucket", str(uuid4()), "new"], []])
def test_wrong_arguments_exit_with_2(run: Run, arguments: list[str]):
    assert run("files", "migrate", *arguments).exit_code == 2
