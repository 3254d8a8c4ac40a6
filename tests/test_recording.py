"""Bytes and rows where the database goes away in the moment of a commit, and nobody knows what came of it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from helpers.faults import losing_a_commit, refusing
from helpers.rest import stored
from helpers.stored import CONTENT, store
from sqlalchemy.exc import OperationalError

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.services.objects import store_object
from invenio_files_rest.tasks import migrate_file


def test_an_upload_whose_commit_was_not_answered_keeps_its_bytes(bucket: Bucket, run: Any):
    with losing_a_commit(2), pytest.raises(OperationalError):
        store_object(bucket, "key", BytesIO(CONTENT))
    assert Path(ObjectVersion.get(bucket, "key").file.uri).read_bytes() == CONTENT
    assert run("files", "check", "--checksum").exit_code == 0


def test_an_upload_that_was_not_committed_leaves_its_bytes_to_the_sweep(bucket: Bucket, run: Any):
    with losing_a_commit(2, committed=False), pytest.raises(OperationalError):
        store_object(bucket, "key", BytesIO(CONTENT))
    assert FileInstance.query.count() == 0
    assert stored(bucket.location) == [CONTENT]
    assert run("files", "sweep", "--delete", "--grace", "0").exit_code == 0
    assert stored(bucket.location) == []


def test_a_migration_whose_commit_was_not_answered_keeps_both_files(bucket: Bucket, run: Any, db: Any, tmp_path: Path):
    (tmp_path / "other").mkdir()
    other = Location(name="other", uri=str(tmp_path / "other"))
    db.session.add(other)
    version = store(bucket)
    old, new = bucket.location.uri, other.uri
    with losing_a_commit(2), pytest.raises(OperationalError):
        migrate_file.run(str(version.file.id), "other")
    db.session.expire_all()
    assert version.file.uri.startswith(new)
    assert run("files", "check", "--checksum").exit_code == 0
    assert len(list(Path(old).rglob("data"))) == len(list(Path(new).rglob("data"))) == 1


def test_an_upload_that_the_database_refused_leaves_nothing(bucket: Bucket):
    with refusing("INSERT INTO files_object", "WITH "), pytest.raises(OperationalError):
        store_object(bucket, "key", BytesIO(CONTENT))
    assert stored(bucket.location) == []
