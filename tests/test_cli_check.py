"""What `files check` finds, repairs and exits with."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from helpers.rest import statements, tree
from helpers.stored import CONTENT, ago, damage, store
from sqlalchemy import update

from invenio_files_rest.models import Bucket, FileInstance, Location, MultipartObject, ObjectVersion
from invenio_files_rest.services import check as checking
from invenio_files_rest.services.check import check, check_sizes
from invenio_files_rest.services.presence import AwayLocations
from invenio_files_rest.storage import PyFSFileStorage, pyfs_storage_factory

Run = Callable[..., Result]


def findings(result: Result) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return sorted((line["kind"], line["name"]) for line in lines if line["kind"] != "summary")


def bend(bucket: Bucket, by: int, db: Any) -> None:
    """Make the size of a bucket wrong."""
    db.session.execute(update(Bucket).where(Bucket.id == bucket.id).values(size=Bucket.size + by))
    db.session.commit()


def test_all_is_well(run: Run, bucket: Bucket, db: Any):
    store(bucket)
    ObjectVersion.delete(bucket, "key")
    db.session.commit()
    result = run("files", "check", "--checksum", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"kind": "summary", "found": {}, "left": {}, "bytes": 0, "fine": 1}


def test_bytes_that_are_missing_too_few_or_known_to_have_changed_are_found(run: Run, bucket: Bucket, db: Any):
    files = [store(bucket, key).file for key in "abcd"]
    damage(files[0], None)
    damage(files[1], b"")
    files[2].last_check, files[2].last_check_at = False, ago(days=1)
    db.session.commit()
    result = run("files", "check", "--json")
    assert result.exit_code == 1
    expected = zip(("missing", "size", "checksum"), files[:3], strict=True)
    assert findings(result) == sorted((kind, str(file.id)) for kind, file in expected)


def test_bytes_that_have_changed_are_found_by_reading_them(run: Run, bucket: Bucket):
    files = [store(bucket, key).file for key in "ab"]
    damage(files[0], b"x" * len(CONTENT))
    assert run("files", "check").exit_code == 0
    result = run("files", "check", "--checksum", "--json")
    assert result.exit_code == 1
    assert findings(result) == [("checksum", str(files[0].id))]
    assert [file.last_check for file in files] == [False, True]


def test_a_file_that_cannot_be_opened_is_found(run: Run, bucket: Bucket, caplog: pytest.LogCaptureFixture):
    file = store(bucket).file
    folder = Path(file.uri).parent
    damage(file, None)
    folder.rmdir()
    folder.write_bytes(b"")
    result = run("files", "check", "--json")
    assert result.exit_code == 1
    assert findings(result) == [("unreadable", str(file.id))]
    assert len(caplog.records) == 1


def test_the_file_of_an_upload_has_to_be_there(
    run: Run, app: Any, bucket: Bucket, db: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    upload = MultipartObject.create(bucket, "key", 2, 1)
    db.session.commit()
    assert run("files", "check", "--checksum").exit_code == 0
    damage(upload.file, None)
    assert findings(run("files", "check", "--json")) == [("missing", str(upload.file_id))]


def test_a_file_that_is_removed_meanwhile_is_no_problem(
    app: Any, bucket: Bucket, db: Any, monkeypatch: pytest.MonkeyPatch
):
    version = store(bucket)
    file_id, path = version.file_id, Path(version.file.uri)

    def factory(**kwargs: Any) -> PyFSFileStorage:
        """Remove the file when its row has been read, before anybody looks at it."""
        if path.exists():
            version.remove()
            db.session.get(FileInstance, file_id).delete()
            db.session.commit()
            path.unlink()
        return pyfs_storage_factory(**kwargs)

    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    assert not any(check(checksum=False, repair=False))
    assert FileInstance.query.count() == 0


def test_a_file_that_other_file_systems_have_is_held_against_them(run: Run, bucket: Bucket, db: Any):
    bucket.location.uri = "mem://"
    db.session.commit()
    file = store(bucket).file
    assert run("files", "check").exit_code == 0
    file.size += 1
    db.session.commit()
    assert findings(run("files", "check", "--json"))[0] == ("bucket", str(bucket.id))


@pytest.mark.parametrize("by", [-3, 5])
def test_a_wrong_size_is_told_and_left_until_repair_is_asked_for(run: Run, bucket: Bucket, db: Any, by: int):
    store(bucket)
    bend(bucket, by, db)
    result = run("files", "check")
    assert result.exit_code == 1
    assert f"The size of the bucket is {7 + by}, not 7." in result.stdout
    assert bucket.size == 7 + by
    assert run("files", "check", "--repair").exit_code == 0
    db.session.expire_all()
    assert bucket.size == 7
    assert run("files", "check").exit_code == 0


def test_the_sum_is_that_of_all_versions_and_uploads(
    run: Run, app: Any, bucket: Bucket, db: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    store(bucket)
    store(bucket)
    ObjectVersion.delete(bucket, "key")
    MultipartObject.create(bucket, "key", 2, 1)
    MultipartObject.create(bucket, "key", 3, 1)
    other, empty = (Bucket.create(bucket.location) for _ in range(2))
    db.session.commit()
    store(other)
    assert run("files", "check").exit_code == 0
    for one in (bucket, other, empty):
        bend(one, 1, db)
    bucket.locked = other.deleted = True
    db.session.commit()
    assert run("files", "check", "--repair").exit_code == 0
    db.session.expire_all()
    assert [one.size for one in (bucket, other, empty)] == [19, 7, 0]


def test_all_sizes_are_held_against_their_sums_in_one_statement(bucket: Bucket, db: Any):
    for _ in range(5):
        store(Bucket.create(bucket.location))
    with statements() as sent:
        assert list(check_sizes(repair=False)) == []
    assert len(sent) == 1


def test_files_are_checked_in_one_statement_for_a_batch(bucket: Bucket):
    for number in range(5):
        damage(store(bucket, str(number)).file, None)
    away = AwayLocations()
    with statements() as sent:
        assert len(list(checking.check_files(False, away))) == 5
    assert len(sent) == 2


def test_wrong_arguments_exit_with_2(run: Run):
    assert run("files", "check", "--delete").exit_code == 2


def test_a_bucket_that_is_removed_meanwhile_keeps_no_other_from_being_repaired(bucket: Bucket, db: Any):
    buckets = [bucket, Bucket.create(), Bucket.create()]
    for one in buckets:
        bend(one, 1, db)
    names = {str(one.id) for one in buckets}
    findings = check_sizes(repair=True)
    first = next(findings).name
    gone = next(one for one in buckets if str(one.id) != first)
    gone.remove()
    db.session.commit()
    names -= {first, str(gone.id)}
    assert {finding.name for finding in findings} == names


def test_a_location_is_asked_to_keep_a_file_and_nothing_is_left_of_that(run: Run, bucket: Bucket, db: Any):
    store(bucket)
    folder = Path(bucket.location.uri)
    unused = Location(name="unused", uri=str(folder.with_name("unused")))
    db.session.add(unused)
    before = tree(folder.parent)
    assert run("files", "check").exit_code == 0
    assert tree(folder.parent) == before


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("zip://@/archive.zip", "zip:// is an archive, of which nothing is on disk before it is closed."),
        ("none://anywhere", "none"),
        ("@/a-file", "Not a directory"),
    ],
)
def test_a_location_that_keeps_no_files_is_found(
    run: Run, bucket: Bucket, db: Any, tmp_path: Path, uri: str, reason: str
):
    (tmp_path / "a-file").write_bytes(b"")
    db.session.add(Location(name="unfit", uri=uri.replace("@", str(tmp_path))))
    before = tree(tmp_path)
    result = run("files", "check", "--json")
    assert result.exit_code == 1
    [found, _] = [json.loads(line) for line in result.stdout.splitlines()]
    assert (found["kind"], found["name"]) == ("location", uri.replace("@", str(tmp_path)))
    assert found["text"].startswith("No file can be kept in the location unfit: ")
    assert reason in found["text"]
    assert tree(tmp_path) == before


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_location_that_is_only_read_is_no_problem(
    run: Run, app: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, number: int
):
    class ReadOnly(PyFSFileStorage):
        def save(self, *args: Any, **kwargs: Any) -> Any:
            raise OSError(number, "Only read")

    store(bucket)
    factory = partial(pyfs_storage_factory, filestorage_class=ReadOnly)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    assert run("files", "check").exit_code == 0
