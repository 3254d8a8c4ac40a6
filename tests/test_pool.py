"""What happens where all connections to the database are in use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import own_tables
from flask import Flask
from helpers.rest import Watched, stored
from invenio_access import InvenioAccess
from invenio_accounts import InvenioAccountsREST
from invenio_db import InvenioDB, db
from invenio_rest import InvenioREST

from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.models import Bucket, Location, ObjectVersion
from invenio_files_rest.views import blueprint

pytestmark = pytest.mark.slow

PATIENCE = 1


@pytest.fixture
def app(app_config: dict[str, Any], empty_database_url: Any) -> Iterator[Flask]:
    """Make an application whose pool has one connection, which is waited for a second."""
    app = Flask("pool")
    app.config.update(
        app_config,
        FILES_REST_PERMISSION_FACTORY=lambda obj, action: None,
        SQLALCHEMY_DATABASE_URI=empty_database_url.render_as_string(hide_password=False),
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "max_overflow": 0, "pool_timeout": PATIENCE},
    )
    for extension in (InvenioDB, InvenioREST, InvenioAccountsREST, InvenioAccess, InvenioFilesREST):
        extension(app)
    app.register_blueprint(blueprint)
    with app.app_context():
        db.metadata.create_all(db.engine, tables=own_tables(db))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def bucket(app: Flask, tmp_path: Path) -> str:
    with app.app_context():
        db.session.add(Location(name="l", uri=str(tmp_path / "location"), default=True))
        bucket = str(Bucket.create().id)
        db.session.commit()
        return bucket


@contextmanager
def taken(app: Flask, seconds: float) -> Iterator[None]:
    """Use the only connection for a while."""
    with app.app_context():
        connection = db.engine.connect()
    timer = threading.Timer(seconds, connection.close)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def put(app: Flask, bucket: str, seconds: float) -> Any:
    """Store an object, while whose body comes somebody takes the only connection for a while."""
    with ExitStack() as stack:
        once = cache(lambda: stack.enter_context(taken(app, seconds)))
        body = {"wsgi.input": Watched(7, once), "CONTENT_LENGTH": "7"}
        return app.test_client().put(f"/files/{bucket}/key", environ_overrides=body)


def test_an_upload_is_recorded_once_a_connection_is_free(app: Flask, bucket: str) -> None:
    assert put(app, bucket, seconds=1.5 * PATIENCE).status_code == 200
    with app.app_context():
        assert ObjectVersion.get(bucket, "key").file.size == 7


def test_an_upload_that_finds_none_is_told_when_to_try_again_and_leaves_nothing(
    app: Flask, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = put(app, bucket, seconds=5 * PATIENCE)
    assert (answer.status_code, answer.json["status"]) == (503, 503)
    assert int(answer.headers["Retry-After"]) > 0
    assert "QueuePool" not in answer.text
    assert len(caplog.records) == 1
    with app.app_context():
        assert ObjectVersion.query.count() == 0
        assert stored(Location.get_default()) == []


def test_a_download_that_finds_none_is_told_when_to_try_again(app: Flask, bucket: str) -> None:
    with taken(app, 2 * PATIENCE):
        answer = app.test_client().get(f"/files/{bucket}/key")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
