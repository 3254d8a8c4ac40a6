"""Bytes and rows where the database goes away in the moment of a commit, and nobody knows what came of it."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from helpers.rest import stored
from helpers.stored import CONTENT, store
from sqlalchemy.exc import OperationalError

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.services.objects import store_object
from invenio_files_rest.tasks import migrate_file


@pytest.fixture
def lose(db: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that has the connection lost at a later commit: after it, or before."""

    def lose(number: int, committed: bool) -> None:
        session = db.session()
        original, commits = session.commit, iter(range(1, 100))

        def commit() -> None:
            if next(commits) != number:
                original()
                return
            monkeypatch.setattr(session, "commit", original)
            if committed:
                original()
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"), connection_invalidated=True)

        monkeypatch.setattr(session, "commit", commit)

    return lose


def test_an_upload_whose_commit_was_not_answered_keeps_its_bytes(bucket: Bucket, lose: Any, run: Any):
    lose(2, committed=True)
    with pytest.raises(OperationalError):
        store_object(bucket, "key", BytesIO(CONTENT))
    assert Path(ObjectVersion.get(bucket, "key").file.uri).read_bytes() == CONTENT
    assert run("files", "check", "--checksum").exit_code == 0


def test_an_upload_that_was_not_committed_leaves_its_bytes_to_the_sweep(bucket: Bucket, lose: Any, run: Any):
    lose(2, committed=False)
    with pytest.raises(OperationalError):
        store_object(bucket, "key", BytesIO(CONTENT))
    assert FileInstance.query.count() == 0
    assert stored(bucket.location) == [CONTENT]
    assert run("files", "sweep", "--delete", "--grace", "0").exit_code == 0
    assert stored(bucket.location) == []


def test_a_migration_whose_commit_was_not_answered_keeps_both_files(
    bucket: Bucket, lose: Any, run: Any, db: Any, tmp_path: Path
):
    (tmp_path / "other").mkdir()
    other = Location(name="other", uri=str(tmp_path / "other"))
    db.session.add(other)
    version = store(bucket)
    old, new = bucket.location.uri, other.uri
    lose(2, committed=True)
    with pytest.raises(OperationalError):
        migrate_file.run(str(version.file.id), "other")
    db.session.expire_all()
    assert version.file.uri.startswith(new)
    assert run("files", "check", "--checksum").exit_code == 0
    assert len(list(Path(old).rglob("data"))) == len(list(Path(new).rglob("data"))) == 1


def test_an_upload_that_the_database_refused_leaves_nothing(bucket: Bucket, db: Any, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("no room"))

    monkeypatch.setattr(ObjectVersion, "record", refuse)
    with pytest.raises(OperationalError):
        store_object(bucket, "key", BytesIO(CONTENT))
    assert stored(bucket.location) == []
