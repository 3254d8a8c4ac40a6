"""Migration between a folder and an object store at its worst moments: nothing is lost, and nothing is left over."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from helpers.rest import url
from helpers.s3 import Store
from helpers.s3_proxy import Fault, FaultyProxy
from helpers.stored import findings

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.services import migration, moving
from invenio_files_rest.services.sweep import sweep

pytest.importorskip("boto3", reason="the extra s3 is not installed")
from invenio_files_rest.storage.s3 import S3FileStorage
from invenio_files_rest.storage.s3.writing import PartSender

pytestmark = pytest.mark.slow

Run = Callable[..., Result]

CONTENT = bytes(11 * 1024**2)
"""Three parts."""


@pytest.fixture
def folder(db: SQLAlchemy, s3_bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    """Make a location in a folder; sources are removed at once, since nobody reads them here."""
    monkeypatch.setattr(migration, "READ_SECONDS", 0)
    (tmp_path / "folder").mkdir()
    location = Location(name="folder", uri=str(tmp_path / "folder"))
    db.session.add(location)
    db.session.commit()
    return location


@pytest.fixture
def proxy(store: Store, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """Put a proxy before the store of the location."""
    with FaultyProxy(store.settings["endpoint_url"]) as proxy:
        monkeypatch.setitem(store.settings, "endpoint_url", proxy.url)
        monkeypatch.setitem(store.settings, "attempts", 1)
        yield proxy


def stored(db: SQLAlchemy, location: Location, *keys: str) -> Bucket:
    bucket = Bucket.create(location)
    for number, key in enumerate(keys):
        ObjectVersion.create(bucket, key, stream=io.BytesIO(CONTENT + bytes([number])))
    db.session.commit()
    return bucket


def in_folder(location: Location) -> list[Path]:
    return [path for path in Path(location.uri).rglob("*") if path.is_file()]


def places(db: SQLAlchemy, bucket: Bucket) -> list[str]:
    """Return the names of the locations of the files, whose bytes are all there."""
    db.session.expire_all()
    found = []
    for version in ObjectVersion.query.filter_by(bucket_id=bucket.id):
        assert version.file.verify_checksum()
        found.append(Location.of_uri(version.file.uri, Location.rows()).name)
    db.session.commit()
    return found


@pytest.mark.parametrize("direction", ["folder to s3", "s3 to folder"])
def test_a_store_that_is_away_keeps_files_where_they_are_and_the_next_run_moves_them(
    run: Run, db: SQLAlchemy, folder: Location, store: Store, proxy: FaultyProxy, direction: str
) -> None:
    source, to = direction.split(" to ")
    bucket = stored(db, Location.get_by_name(source), "a", "b")
    # The first file goes there, or comes, in part.
    method = "PUT" if to == "s3" else "GET"
    proxy.fail(Fault(method, "partNumber=3" if to == "s3" else "data", "short" if method == "GET" else "reset"))
    result = run("files", "migrate", "--bucket", str(bucket.id), to, "--remove-source", "--json")
    assert result.exit_code == 1
    assert findings(result)[-1]["left"] == {"file": 2}
    proxy.fail()
    assert places(db, bucket) == 2 * [source]
    assert (len(store.names()), len(in_folder(folder))) == ((0, 2) if to == "s3" else (2, 0))
    assert store.unfinished() == []
    assert run("files", "migrate", "--bucket", str(bucket.id), to, "--remove-source").exit_code == 0
    assert places(db, bucket) == 2 * [to]
    assert (len(store.names()), len(in_folder(folder))) == ((2, 0) if to == "s3" else (0, 2))


@pytest.mark.parametrize(
    ("owner", "name", "source_stays"),
    [
        pytest.param(PartSender, "wait", True, id="while the last part is on its way"),
        pytest.param(moving, "commit_or_discard", True, id="before the copy is recorded"),
        pytest.param(migration, "_verified", False, id="before the source is removed"),
    ],
)
def test_what_a_killed_migration_leaves_is_swept_and_the_next_run_goes_on(
    db: SQLAlchemy,
    folder: Location,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    source_stays: bool,
) -> None:
    bucket = stored(db, folder, "a", "b")
    db.engine.dispose()
    if not (child := os.fork()):
        try:
            monkeypatch.setattr(owner, name, lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL))
            list(migration.migrate("s3", bucket.id, remove=True))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert len(store.names() + store.unfinished()) == 1
    assert sorted(places(db, bucket)) == (["folder", "folder"] if source_stays else ["folder", "s3"])
    assert len(list(sweep(timedelta(seconds=-1), delete=True))) == 1
    assert (len(store.names()), store.unfinished()) == (0 if source_stays else 1, [])
    assert len(in_folder(folder)) == (2 if source_stays else 1)
    assert all(finding.done for finding in migration.migrate("s3", bucket.id, remove=True) if finding)
    assert places(db, bucket) == 2 * ["s3"]
    assert (len(store.names()), in_folder(folder), FileInstance.query.count()) == (2, [], 2)


@pytest.mark.usefixtures("allow_all")
def test_nothing_is_left_of_a_file_that_is_deleted_while_it_moves(
    db: SQLAlchemy, client: FlaskClient, folder: Location, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = stored(db, folder, "a", "b")
    deleted = ObjectVersion.get(bucket, "a")
    address = url(bucket, "a", versionId=deleted.version_id)
    copy = S3FileStorage.copy

    def copied(*args: Any, **kwargs: Any) -> Any:
        found = copy(*args, **kwargs)
        client.delete(address)
        return found

    monkeypatch.setattr(S3FileStorage, "copy", copied)
    assert all(finding.done for finding in migration.migrate("s3", bucket.id, remove=True) if finding)
    assert places(db, bucket) == ["s3"]
    assert (len(store.names()), store.unfinished(), in_folder(folder)) == (1, [], [])
