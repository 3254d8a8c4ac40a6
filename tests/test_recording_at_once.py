"""On PostgreSQL a version is recorded in two statements where nobody listens, and is what it is where somebody does."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy.track_modifications import models_committed
from helpers.rest import CONTENT, put, statements, url
from invenio_db import InvenioDB
from invenio_db import db as db_
from sqlalchemy import URL, column, event, inspect, literal, select, values
from sqlalchemy.orm import Mapper, Session

from invenio_files_rest.models import Bucket, BucketTag, FileInstance, ObjectVersion, UploadExtent
from invenio_files_rest.models import succession as succession_module
from invenio_files_rest.models.base import UTCTimestamp
from invenio_files_rest.models.succession import next_times, next_times_in_sql
from invenio_files_rest.services.uploads.plans import APPENDED
from invenio_files_rest.signals import file_deleted, file_uploaded


@contextmanager
def listening(target: Any, name: str, listener: Callable[..., None], **options: Any) -> Iterator[None]:
    event.listen(target, name, listener, **options)
    try:
        yield
    finally:
        event.remove(target, name, listener)


@contextmanager
def by_the_unit_of_work() -> Iterator[None]:
    """Let versions be recorded as if somebody listened, which somebody does."""
    with listening(ObjectVersion, "after_insert", lambda mapper, connection, target: None):
        yield


def is_postgresql(db: Any) -> bool:
    return bool(db.engine.dialect.name == "postgresql")


def shape(item: Any) -> dict[str, Any]:
    """Return how an object is, with the types of what differs from one to the next, and the state it is in."""
    state = inspect(item)
    columns = {
        name: value if isinstance(value, bool | int | str | None) and name != "uri" else type(value)
        for name, value in state.dict.items()
        if name != "_sa_instance_state"
    }
    return {
        **columns,
        "expired": sorted(state.expired_attributes),
        "unloaded": sorted(state.unloaded),
        "modified": state.modified,
        "state": [name for name in ("transient", "pending", "persistent", "detached") if getattr(state, name)],
    }


def history(bucket_id: Any) -> list[Any]:
    """Return the rows of the versions and files of a bucket, in their order, without what is of its own in each."""
    query = select(ObjectVersion).where(ObjectVersion.bucket_id == bucket_id).order_by(ObjectVersion.created)
    found = []
    for version in db_.session.scalars(query):
        file = version.file
        found.append((version.key, version.is_head, version._mimetype, version.get_tags()))
        found.append(file and (file.size, file.checksum, file.readable, file.writable, file.last_check))
        found.append(file and (file.storage_class, file.last_check_at, file.created <= file.updated))
    return found


@pytest.mark.usefixtures("allow_all")
def test_receivers_of_signals_and_the_database_get_the_same_either_way(client: Any, db: Any, location: Any) -> None:
    heard: list[Any] = []

    def hear(app: Any, obj: ObjectVersion) -> None:
        heard.append([shape(obj), obj.file and shape(obj.file), obj.bucket.size, obj.last_modified == obj.updated])

    def work() -> tuple[list[Any], list[Any]]:
        heard.clear()
        bucket = Bucket.create()
        db.session.commit()
        first = put(client, bucket, "a.txt")["version_id"]
        put(client, bucket, "a.txt", b"more")
        assert client.delete(url(bucket, "a.txt")).status_code == 204
        put(client, bucket, "b", headers={"X-Invenio-File-Tags": "a=1"})
        put(client, bucket, "b", headers={"If-Match": "*"})
        db.session.expire_all()
        ObjectVersion.get(bucket, "a.txt", first).copy(key="c")
        ObjectVersion.create(bucket, "d", stream=BytesIO(CONTENT), mimetype="text/x-own")
        db.session.commit()
        return list(heard), history(bucket.id)

    with file_uploaded.connected_to(hear), file_deleted.connected_to(hear):
        at_once = work()
        with by_the_unit_of_work():
            told = work()
    assert len(at_once[0]) == len(told[0]) == 5
    for one, other in zip(chain(*at_once), chain(*told), strict=True):
        assert one == other


@pytest.mark.parametrize("replaced", [False, True])
def test_objects_are_the_same_before_the_commit(db: Any, bucket: Any, replaced: bool) -> None:
    shapes = []

    def work(key: str) -> None:
        if replaced:
            before = ObjectVersion.create(bucket, key, stream=BytesIO(CONTENT))
            db.session.commit()
            assert before.is_head
        version = ObjectVersion.create(bucket, key, stream=BytesIO(CONTENT))
        assert not replaced or not before.is_head
        assert not db.session.new
        assert not db.session.dirty
        assert db.session.get(ObjectVersion, version.version_id) is version
        shapes.append([shape(version), shape(version.file), version.created >= version.file.created])
        db.session.commit()

    work("key")
    with by_the_unit_of_work():
        bucket = Bucket.create()
        work("key")
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("listened", [False, True])
def test_a_rollback_undoes_a_version(db: Any, bucket: Any, nested: bool, listened: bool) -> None:
    def work() -> None:
        outer = db.session.begin_nested() if nested else db.session
        version = ObjectVersion.create(bucket, "key", stream=BytesIO(CONTENT))
        file = version.file
        outer.rollback()
        assert inspect(version).transient
        assert inspect(file).transient
        assert ObjectVersion.get(bucket, "key") is None
        assert FileInstance.query.count() == 0
        assert bucket.size == 0

    if listened:
        with by_the_unit_of_work():
            work()
    else:
        work()


@pytest.mark.usefixtures("allow_all")
@pytest.mark.parametrize(
    ("target", "name", "options"),
    [
        *((*each, {}) for each in itertools.product((ObjectVersion, FileInstance), ("before_insert", "after_insert"))),
        *((Session, name, {}) for name in ("before_flush", "after_flush", "after_flush_postexec")),
        # Those who listen to all models or sessions, and to what flushes set.
        (Mapper, "after_insert", {}),
        (db_.Model, "after_insert", {"propagate": True}),
        (db_.session, "before_flush", {}),
        (FileInstance, "refresh_flush", {}),
    ],
)
def test_who_listens_is_told_of_new_rows(
    client: Any, bucket: Any, target: Any, name: str, options: dict[str, Any]
) -> None:
    told: list[Any] = []

    def hear(*arguments: Any) -> None:
        told.append(arguments)

    with listening(target, name, hear, **options):
        put(client, bucket, "key")
    assert told
    told.clear()
    put(client, bucket, "key")
    assert not told


@pytest.mark.usefixtures("allow_all")
def test_a_version_is_recorded_in_two_statements_where_nobody_listens(client: Any, bucket: Any, db: Any) -> None:
    path = url(bucket, "key")
    for _ in range(2):
        with statements() as at_once:
            assert client.put(path, data=CONTENT).status_code == 200
    with by_the_unit_of_work(), statements() as told:
        assert client.put(path, data=CONTENT).status_code == 200
    if is_postgresql(db):
        assert [len(at_once), len(told)] == [3, 5]
    else:
        assert len(at_once) == len(told)


@pytest.mark.usefixtures("allow_all")
def test_flask_sqlalchemy_tracks_new_rows_where_somebody_receives_them(app: Any, client: Any, bucket: Any) -> None:
    tracking = Flask("tracking")
    tracking.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    # It listens to the sessions of all applications from now on.
    InvenioDB(tracking, entry_point_group=None)
    assert tracking.config["SQLALCHEMY_TRACK_MODIFICATIONS"]
    path, told = url(bucket, "key"), []

    def receive(sender: Any, changes: list[tuple[Any, str]]) -> None:
        told.extend(type(model) for model, operation in changes if operation == "insert")

    def sent() -> int:
        with statements() as found:
            assert client.put(path, data=CONTENT).status_code == 200
        return len(found)

    at_once = [sent(), sent()][-1]
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = True
    assert sent() == at_once
    with models_committed.connected_to(receive):
        sent()
    assert sorted(told, key=repr) == [FileInstance, ObjectVersion]


EXTENDED = """
from io import BytesIO

from invenio_db import db
from servers.application import FOLDER, create_app
from sqlalchemy.orm import column_property

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.models.additions import add_file_rows, row_of

FileInstance.kind = db.Column(db.String(10), server_default="plain")
FileInstance.place = column_property("in " + FileInstance.__table__.c.uri)
ObjectVersion.state = db.Column(db.String(10), server_default="new")
ObjectVersion.path = column_property("/" + ObjectVersion.__table__.c.key)
with create_app().app_context():
    db.metadata.create_all(db.engine, [each for each in db.metadata.sorted_tables if each.name.startswith("files_")])
    db.session.add(Location(name="files", uri=f"{FOLDER}/files", default=True))
    bucket = Bucket.create()
    version = ObjectVersion.create(bucket, "key", stream=BytesIO(b"1"))
    (other,) = ObjectVersion.create_many(bucket, [("other", BytesIO(b"2"))])
    for each in (version, other):
        print(each.state, each.path, each.file.kind, each.file.place[:3])
    file = FileInstance.new()
    add_file_rows([row_of(file)])
    print(FileInstance.get(file.id).kind)
"""


def test_a_model_that_somebody_has_extended_gets_what_the_database_gives(
    database: str, empty_database_url: URL, tmp_path: Path
) -> None:
    settings = {
        "SQLALCHEMY_DATABASE_URI": empty_database_url.render_as_string(hide_password=False),
        "SQLALCHEMY_TRACK_MODIFICATIONS": False,
    }
    (tmp_path / "files").mkdir()
    known = {"FILES_FOLDER": str(tmp_path), "FILES_SETTINGS": json.dumps(settings)}
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent / "servers"), *sys.path])
    environment = {**os.environ, **known, "PYTHONPATH": path}
    said = subprocess.run([sys.executable, "-c", EXTENDED], env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == ["new", "/key", "plain", "in", "new", "/other", "plain", "in", "plain"]


NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
AGO = [
    timedelta(days=1),
    timedelta(seconds=1),
    timedelta(microseconds=1),
    timedelta(0),
    timedelta(microseconds=-1),
    timedelta(seconds=-1, microseconds=400),
    timedelta(seconds=-30),
    timedelta(minutes=-1),
    timedelta(hours=-1),
]


def test_times_of_a_head_are_the_same_in_sql(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_postgresql(db):
        pytest.skip("heads are recorded at once on PostgreSQL alone")
    for now in (NOW, NOW + timedelta(microseconds=123456)):
        monkeypatch.setattr(succession_module, "utcnow", lambda now=now: now)
        befores = [[], *([(NOW - one, NOW - other)] for one, other in itertools.product(AGO, AGO))]
        for before in [*befores, [(NOW, NOW - AGO[0]), (NOW - AGO[0], NOW + AGO[1])]]:
            columns = column("created", UTCTimestamp()), column("updated", UTCTimestamp())
            rows = values(*columns, name="before").data(before or [(NOW, NOW)])
            times = select(*next_times_in_sql(literal(now, UTCTimestamp()), rows.c.created, rows.c.updated))
            found = db.session.execute(times if before else times.where(rows.c.created.is_(None))).one()
            expected = next_times([succession_module.Times(*one) for one in before])
            assert tuple(found) == tuple(expected), before


@pytest.fixture
def sent(db: Any) -> Iterator[list[tuple[str, bool]]]:
    """Note the statements that are sent, each with whether it is sent in a transaction."""
    found: list[tuple[str, bool]] = []

    def note(connection: Any, cursor: Any, statement: str, *args: Any) -> None:
        found.append((statement.split()[0], getattr(cursor.connection, "autocommit", False) is not True))

    with listening(db.engine, "before_cursor_execute", note):
        yield found


@pytest.mark.usefixtures("allow_all")
def test_a_download_begins_no_transaction_on_postgresql(client: Any, bucket: Any, db: Any, sent: Any) -> None:
    put(client, bucket, "key")
    path = url(bucket, "key")
    sent.clear()
    assert client.get(path).status_code == 200
    assert sent == [("SELECT", not is_postgresql(db))]


@pytest.mark.parametrize("outcome", ["commit", "rollback", "nothing"])
def test_a_permission_factory_that_writes_has_its_transaction(
    app: Any, client: Any, bucket: Any, db: Any, allow_all: None, sent: Any, outcome: str
) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("its driver begins no transaction for a savepoint")
    put(client, bucket, "key")
    bucket_id = bucket.id
    path = url(bucket, "key")
    state = app.extensions["invenio-files-rest"]
    allowed = state.permission_factory

    def factory(obj: Any, action: str) -> Any:
        with db.session.begin_nested():
            db.session.add(BucketTag(bucket_id=bucket_id, key="asked", value=action))
        with db.session.begin_nested() as inner:
            db.session.add(BucketTag(bucket_id=bucket_id, key="undone", value=action))
            db.session.flush()
            inner.rollback()
        if outcome != "nothing":
            getattr(db.session, outcome)()
        return allowed(obj, action)

    state.permission_factory = factory
    sent.clear()
    assert client.get(path).status_code == 200
    assert all(inside for statement, inside in sent[1:])
    db.session.expire_all()
    assert Bucket.get(bucket_id).get_tags() == ({"asked": "object-read"} if outcome == "commit" else {})


@pytest.mark.parametrize(
    "options", [{"stream_results": True}, {"isolation_level": "REPEATABLE READ"}, {"postgresql_readonly": True}]
)
def test_a_transaction_that_has_been_set_up_is_used_to_read(
    db: Any, bucket: Any, sent: Any, options: dict[str, Any]
) -> None:
    if not is_postgresql(db):
        pytest.skip("PostgreSQL alone reads without a transaction")
    bucket_id = bucket.id
    db.session.commit()
    db.session.connection(execution_options=options)
    sent.clear()
    assert Bucket.get(bucket_id).id == bucket_id
    assert sent == [("SELECT", True)]
    db.session.rollback()


def test_reading_commits_nothing_that_is_pending(db: Any, bucket: Any) -> None:
    bucket_id = bucket.id
    db.session.commit()
    db.session.add(BucketTag(bucket_id=bucket_id, key="pending", value="1"))
    assert Bucket.get(bucket_id).get_tags() == {"pending": "1"}
    db.session.rollback()
    assert Bucket.get(bucket_id).get_tags() == {}


@pytest.fixture
def begun(bucket: Any) -> Any:
    """Begin an upload that has its first bytes."""
    upload = APPENDED.begin(bucket, "key", 12, protocol="test")
    APPENDED.write(upload, 0, BytesIO(b"0123"), size=4)
    return upload


def test_a_piece_of_an_upload_is_recorded_without_a_transaction_on_postgresql(db: Any, begun: Any, sent: Any) -> None:
    sent.clear()
    APPENDED.write(begun, 4, BytesIO(b"4567"), size=4, epoch=1)
    assert sent == [("UPDATE", not is_postgresql(db))]


def test_what_commits_itself_is_taken_back_by_who_has_bound_the_session_to_a_transaction(
    db: Any, begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tests of applications do, so that nothing stays of them."""

    class BoundSession(db.session.session_factory.class_):  # type: ignore[misc]
        def get_bind(self, *args: Any, **kwargs: Any) -> Any:
            return self.bind

    with db.engine.connect() as connection, monkeypatch.context() as bound:
        options = {"class_": BoundSession, "bind": connection, "binds": {}, "join_transaction_mode": "rollback_only"}
        bound.setattr(db, "session", db._make_scoped_session(options))
        connection.begin()
        APPENDED.write(begun, 4, BytesIO(b"4567"), size=4, epoch=1)
        assert UploadExtent.total(begun) == 8
        db.session.remove()
        connection.rollback()
    assert UploadExtent.total(begun) == 4
