"""Removing what nothing refers to, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from helpers.rest import stored
from helpers.stored import CONTENT, damage, orphan, store
from sqlalchemy.exc import IntegrityError

from invenio_files_rest.models import Bucket, FileInstance, Location, MultipartObject, ObjectVersion
from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.tasks import clear_orphaned_files, remove_expired_multipartobjects, remove_file_data


def never_refuse(file: FileInstance) -> bool:
    """Be a check that an import path can name."""
    return True


def test_an_unused_file_goes_with_its_bytes_and_folders(bucket: Bucket):
    file = orphan(bucket, writable=True)
    assert remove_file_data(str(file.id)) is True
    assert FileInstance.query.count() == 0
    assert list(Path(bucket.location.uri).iterdir()) == []


def test_a_file_without_bytes_goes(db: Any):
    file = FileInstance.create()
    db.session.commit()
    assert remove_file_data(str(file.id)) is True
    assert FileInstance.query.count() == 0


def test_a_file_that_is_stored_needs_force(bucket: Bucket):
    file = orphan(bucket)
    assert remove_file_data(str(file.id)) is False
    assert stored(bucket.location) == [CONTENT]
    assert remove_file_data(str(file.id), force=True) is True
    assert stored(bucket.location) == []


def test_a_file_in_use_stays_silently(bucket: Bucket):
    file = store(bucket).file
    assert remove_file_data(str(file.id), force=True) is False
    assert stored(bucket.location) == [CONTENT]


def test_a_file_in_use_is_an_error_where_asked(bucket: Bucket, db: Any):
    file_id = store(bucket).file.id
    with pytest.raises(IntegrityError):
        remove_file_data(str(file_id), silent=False, force=True)
    db.session.rollback()
    assert stored(bucket.location) == [CONTENT]


def test_removing_twice_is_no_error(bucket: Bucket):
    file_id = str(orphan(bucket, writable=True).id)
    assert [remove_file_data(file_id), remove_file_data(file_id), remove_file_data(str(uuid4()))] == [
        True,
        False,
        False,
    ]


def test_the_row_goes_before_the_bytes(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    file_id = str(orphan(bucket, writable=True).id)

    def fail(self: Any) -> bool:
        raise OSError

    monkeypatch.setattr(PyFSFileStorage, "delete", fail)
    with pytest.raises(OSError):  # noqa: PT011 (it has no message)
        remove_file_data(file_id)
    # The other way round a row would name bytes that are gone.
    assert FileInstance.query.count() == 0
    assert stored(bucket.location) == [CONTENT]


def test_only_writable_orphans_are_cleared_by_default(bucket: Bucket):
    store(bucket)
    kept = orphan(bucket)
    orphan(bucket, writable=True)
    assert clear_orphaned_files() == 1
    assert {file.id for file in FileInstance.query} == {kept.id, ObjectVersion.query.one().file_id}


def test_the_file_of_an_upload_is_no_orphan(bucket: Bucket, app: Any, monkeypatch: pytest.MonkeyPatch, db: Any):
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    MultipartObject.create(bucket, "key", 2, 1)
    db.session.commit()
    assert clear_orphaned_files(never_refuse) == 0
    assert FileInstance.query.count() == 1


@pytest.mark.parametrize("check", [never_refuse, "test_tasks_removal:never_refuse"])
def test_a_check_or_its_import_path_forces(bucket: Bucket, check: Any):
    orphan(bucket)
    assert clear_orphaned_files(force_delete_check=check) == 1
    assert FileInstance.query.count() == 0
    assert stored(bucket.location) == []


def test_a_check_is_asked_for_each_orphan(bucket: Bucket):
    files = {orphan(bucket).id for _ in range(3)}
    asked = []

    def check(file: FileInstance) -> bool:
        asked.append(file.id)
        return False

    assert clear_orphaned_files(check) == 0
    assert set(asked) == files


@pytest.mark.parametrize("forced", [False, True])
def test_a_link_to_elsewhere_is_cleared_where_the_check_says_so(bucket: Bucket, db: Any, tmp_path: Path, forced: bool):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file, beside = elsewhere / "data", elsewhere / "beside"
    file.write_bytes(CONTENT)
    beside.write_bytes(CONTENT)
    version = ObjectVersion.create(bucket, "key").set_location(str(file), len(CONTENT), "md5:x")
    db.session.flush()
    version.remove()
    db.session.commit()
    assert clear_orphaned_files(lambda file: forced) == forced
    assert (file.exists(), FileInstance.query.count()) == (not forced, not forced)
    assert beside.read_bytes() == CONTENT


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7])
def test_the_limit_is_the_number_of_orphans_looked_at(bucket: Bucket, limit: int):
    for writable in (True, False, True, False, False):
        orphan(bucket, writable=writable)
    asked = []

    def check(file: FileInstance) -> bool:
        asked.append(file.writable)
        return False

    assert clear_orphaned_files(check, limit=limit) == sum(asked)
    assert len(asked) == min(limit, 5)


def test_what_stays_does_not_keep_a_limited_run_from_the_others(bucket: Bucket):
    for _ in range(4):
        orphan(bucket)
    last = max(orphan(bucket).id for _ in range(4))
    for _ in range(200):
        if clear_orphaned_files(lambda file: file.id == last, limit=4):
            break
    assert FileInstance.get(last) is None


@pytest.mark.parametrize(("limit", "left"), [(2, 1), (3, 0), (0, 0), (-1, 0)])
def test_the_limit_holds(bucket: Bucket, limit: int, left: int):
    for _ in range(3):
        orphan(bucket, writable=True)
    clear_orphaned_files(limit=limit)
    assert FileInstance.query.count() == left


def test_more_orphans_than_a_batch_are_all_cleared(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("invenio_files_rest.services.batches.BATCH", 2)
    for _ in range(5):
        orphan(bucket, writable=True)
    assert clear_orphaned_files(limit=0) == 5
    assert FileInstance.query.count() == 0


def test_one_upload_that_fails_does_not_keep_the_others(
    bucket: Bucket, app: Any, db: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_EXPIRES", timedelta(0))
    uploads = [MultipartObject.create(bucket, "key", 2, 1) for _ in range(3)]
    db.session.commit()
    damage(uploads[1].file, None)
    # Which cannot be opened.
    Path(uploads[1].file.uri).mkdir()
    broken = uploads[1].upload_id
    assert remove_expired_multipartobjects() == 2
    assert [upload.upload_id for upload in MultipartObject.query] == [broken]
    assert len(caplog.records) == 1
    assert stored(bucket.location) == []


def test_a_broker_that_is_down_leaves_the_file_to_the_sweep(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ConnectionRefusedError

    orphan(bucket, writable=True)
    monkeypatch.setattr(remove_file_data, "delay", refuse)
    assert clear_orphaned_files() == 1
    assert stored(bucket.location) == [CONTENT]
    (record,) = caplog.records
    assert record.exc_info[0] is ConnectionRefusedError


def test_a_large_file_is_removed_while_it_is_read(bucket: Bucket, db: Any):
    version = ObjectVersion.create(bucket, "key", stream=BytesIO(1000 * CONTENT))
    db.session.commit()
    file_id = version.file.id
    with version.file.storage().open() as stream:
        version.remove()
        db.session.commit()
        assert remove_file_data(file_id, force=True) is True
        assert stream.read() == 1000 * CONTENT


@pytest.mark.parametrize("spelling", ["{uri}", "file://{uri}", "{uri}/../location"])
def test_a_file_lies_in_a_location_however_that_is_spelled(bucket: Bucket, db: Any, spelling: str):
    file = orphan(bucket)
    bucket.location.uri = spelling.format(uri=bucket.location.uri)
    db.session.commit()
    found = Location.of_uri(file.uri)
    assert found == (None if ".." in spelling else bucket.location)


def test_of_two_locations_the_inner_one_has_the_file(bucket: Bucket, db: Any):
    inner = Location(name="inner", uri=bucket.location.uri + "/inner")
    db.session.add(inner)
    db.session.commit()
    assert Location.of_uri(inner.uri + "/data") == inner
    assert Location.of_uri(bucket.location.uri + "/data") == bucket.location
    assert Location.of_uri(None) is None


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("file:///srv/", "/srv/in"),
        ("/srv/././././.", "/srv/in"),
        ("osfs:////srv//", "/srv/in/"),
        ("mem://", "mem://in"),
        ("mem://srv///////", "mem://srv/in"),
    ],
)
def test_of_two_locations_the_inner_one_has_the_file_however_they_are_spelled(app: Any, outer: str, inner: str):
    locations = [Location(name=name, uri=uri) for name, uri in (("outer", outer), ("inner", inner))]
    for choice in (locations, locations[::-1]):
        assert Location.of_uri(f"{inner.rstrip('/')}/data", choice).name == "inner"
        assert Location.of_uri(f"{inner.rstrip('/').removesuffix('in')}beside/data", choice).name == "outer"
