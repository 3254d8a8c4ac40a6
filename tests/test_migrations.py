"""The tables: migrated or created at once they are the same, and those of an existing installation become them."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from helpers.schema import Facts, create_tables, facts, release, stored_facts
from invenio_db import InvenioDB, db
from invenio_db.utils import alembic_test_context
from sqlalchemy import URL, delete, event, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy_utils.functions import create_database, drop_database

from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.models import (
    Bucket,
    BucketTag,
    FileCRC,
    FileInstance,
    Location,
    LocationMark,
    MultipartObject,
    ObjectVersion,
    ObjectVersionTag,
    Part,
    Share,
    Upload,
    UploadExtent,
)
from invenio_files_rest.models.base import utcnow
from invenio_files_rest.models.pages import page as rows_after

REVISIONS = [
    "52ce868f33c3",
    "2e97565eba72",
    "f741aa746a7d",
    "8ae99b034410",
    "a29271fd78f8",
    "e172c837b036",
    "08e4a71525b6",
    "3f6b0c9ad172",
    "9d27e5b8c401",
    "c4e81f0b7a36",
    "e5b9d2704f18",
    "6a1f8c3e5d92",
    "b7c3d5e1f902",
    "b7d4f1a9c263",
    "d2a6c8f4b915",
    "f3b8d6c2e417",
    "a4e7d1c95b38",
]
LAST_OF_6_1 = "08e4a71525b6"
KNOWN_TO_6_1 = (Location, FileInstance, Bucket, BucketTag, ObjectVersion, ObjectVersionTag, MultipartObject, Part)
MODELS = (*KNOWN_TO_6_1, FileCRC, LocationMark, Share, Upload, UploadExtent)
ADDED_INDEXES = {
    "files_files": {"ix_files_files_last_check_at_id": ["last_check_at", "id"]},
    "files_multipartobject": {"ix_files_multipartobject_file_id": ["file_id"]},
    "files_object": {
        "ix_files_object_bucket_id_key_is_head": ["bucket_id", "key", "is_head"],
        "ix_files_object_file_id": ["file_id"],
    },
}
EXACT = [
    ("files_buckettags", "key"),
    ("files_files", "uri"),
    ("files_multipartobject", "key"),
    ("files_object", "key"),
    ("files_objecttags", "key"),
]


@pytest.fixture
def app(database: str, database_url: URL, tmp_path: Path) -> Iterator[Flask]:
    """Give an application, its context pushed, whose database has no tables."""
    if database == "sqlite":
        url = database_url.set(database=f"{tmp_path}/empty.db")
    else:
        url = database_url.set(database=f"{database_url.database}_empty")
        create_database(url, encoding="utf8mb4" if database == "mariadb" else "utf8")
    app = Flask("testapp", instance_path=str(tmp_path))
    app.config["SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
    InvenioDB(app)
    InvenioFilesREST(app)
    with app.app_context():
        yield app
        db.session.remove()
        release(app)
    if database != "sqlite":
        drop_database(url)


def migrate(app: Flask, revision: str = "head", down: bool = False) -> None:
    alembic = app.extensions["invenio-db"].alembic
    if db.engine.dialect.name == "sqlite" and not alembic.current():
        # The revision of Invenio-DB that ours depends on is none that SQLite can run, and makes nothing that ours need.
        alembic.stamp("dbdbc1b19cf2")
    (alembic.downgrade if down else alembic.upgrade)(f"invenio_files_rest@{revision}")
    release(app)


def tables() -> Facts:
    with db.engine.connect() as connection:
        return facts(connection)


def create_all() -> None:
    db.metadata.create_all(db.engine, tables=[model.__table__ for model in MODELS])


def rows() -> dict[str, list[Any]]:
    """Return the rows of the tables that 6.1 knows."""
    with db.engine.connect() as connection:
        return {
            model.__tablename__: sorted(map(tuple, connection.execute(select(model.__table__))), key=repr)
            for model in KNOWN_TO_6_1
        }


@pytest.fixture
def fill(app: Flask, tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """Return a function that adds a row of every kind, and tells their identifiers."""

    def fill() -> dict[str, Any]:
        ids = {name: uuid.uuid4() for name in ("bucket", "file", "part", "old", "head", "gone", "upload")}
        # To the second, which is all that MySQL keeps before the revisions.
        now = datetime(2020, 2, 29, 23, 59, 58, tzinfo=timezone.utc)
        later = now + timedelta(seconds=1)
        folder = tmp_path / "location"
        folder.mkdir()
        for name in ("file", "part"):
            (folder / name).write_bytes(b"hello")

        def add(model: Any, *rows: dict[str, Any], stamped: bool = True) -> None:
            stamps = {"created": now, "updated": later} if stamped else {}
            connection.execute(insert(model.__table__), [{**stamps, **row} for row in rows])

        with db.engine.begin() as connection:
            add(Location, {"id": 7, "name": "first", "uri": str(folder), "default": True})
            file = {
                "storage_class": "S",
                "size": 5,
                "checksum": "md5:5d41402abc4b2a76b9719d911017c592",
                "readable": True,
                "writable": False,
                "last_check_at": now,
                "last_check": True,
            }
            add(
                FileInstance,
                {**file, "id": ids["file"], "uri": f"{folder}/file"},
                {
                    **file,
                    "id": ids["part"],
                    "uri": f"{folder}/part",
                    "readable": False,
                    "writable": True,
                    "checksum": None,
                    "last_check_at": None,
                },
            )
            bucket = {
                "id": ids["bucket"],
                "default_location": 7,
                "default_storage_class": "S",
                "size": 15,
                "quota_size": 10**12,
                "max_file_size": None,
                "locked": False,
                "deleted": False,
            }
            add(Bucket, bucket)
            add(BucketTag, {"bucket_id": ids["bucket"], "key": "Ä", "value": "ä" * 300}, stamped=False)
            version = {"bucket_id": ids["bucket"], "file_id": ids["file"], "_mimetype": "text/x-special"}
            add(
                ObjectVersion,
                {**version, "version_id": ids["old"], "key": "key", "is_head": False},
                {**version, "version_id": ids["head"], "key": "key", "is_head": True, "created": later},
                {**version, "version_id": ids["gone"], "key": "gone/é", "is_head": True, "file_id": None},
            )
            tag = {"version_id": ids["head"], "key": "tag", "value": "value"}
            add(ObjectVersionTag, tag, stamped=False)
            upload = {
                "upload_id": ids["upload"],
                "bucket_id": ids["bucket"],
                "key": "upload",
                "file_id": ids["part"],
                "chunk_size": 3,
                "size": 5,
                "completed": False,
            }
            add(MultipartObject, upload)
            add(Part, {"upload_id": ids["upload"], "part_number": 0, "checksum": "md5:abc"})
        return ids

    return fill


def test_the_revisions_are_those_that_installations_know_and_ours(app: Flask) -> None:
    script = app.extensions["invenio-db"].alembic.script_directory
    walk = script.iterate_revisions("invenio_files_rest@head", "base")
    ours = [revision for revision in walk if "invenio_files_rest" in revision.branch_labels]
    assert [revision.revision for revision in reversed(ours)] == REVISIONS
    assert [revision.down_revision for revision in reversed(ours)] == [None, *REVISIONS[:-1]]
    assert ours[-1].dependencies == "dbdbc1b19cf2"


def test_migrated_tables_are_those_created_at_once(app: Flask) -> None:
    create_all()
    created = tables()
    db.metadata.drop_all(db.engine, tables=[model.__table__ for model in MODELS])
    migrate(app)
    assert tables() == created


def test_alembic_finds_no_difference_to_the_models(app: Flask) -> None:
    migrate(app)
    options = alembic_test_context()
    with_partial_index = options.pop("include_object")

    def ours(item: Any, name: str, kind: str, *rest: Any) -> bool:
        return with_partial_index(item, name, kind, *rest) and (kind != "table" or name.startswith("files_"))

    # SQLite does not tell the type of identifiers; the test before this one compares the types that it is given.
    options.update(include_object=ours, compare_type=db.engine.dialect.name != "sqlite")
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), db.metadata) == []


def test_migrations_run_back_to_nothing_and_again(app: Flask) -> None:
    migrate(app)
    migrated = tables()
    for revision in reversed(REVISIONS[:-1]):
        migrate(app, revision, down=True)
    assert tables() == {}
    for revision in REVISIONS:
        migrate(app, revision)
    assert tables() == migrated


def test_rows_survive_the_way_back_to_6_1_and_again(app: Flask, fill: Callable[[], Any]) -> None:
    migrate(app)
    fill()
    before = rows()
    migrate(app, LAST_OF_6_1, down=True)
    assert rows() == before
    migrate(app)
    assert rows() == before


def test_rows_survive_the_oldest_tables(app: Flask, fill: Callable[[], Any]) -> None:
    """Object tags are younger than these; a check without result becomes one that failed."""
    migrate(app)
    fill()
    with db.engine.begin() as connection:
        connection.execute(delete(ObjectVersionTag))
        connection.execute(update(FileInstance.__table__).values(last_check=None))
    before = rows()
    migrate(app, "2e97565eba72", down=True)
    migrate(app)
    with db.engine.begin() as connection:
        assert connection.execute(select(FileInstance.__table__.c.last_check)).scalars().all() == [False, False]
        connection.execute(update(FileInstance.__table__).values(last_check=None))
    assert rows() == before


def test_created_tables_are_those_of_6_1_and_the_documented_additions(app: Flask, database: str) -> None:
    create_all()
    expected = copy.deepcopy(stored_facts(database)["created"])
    for table, indexes in ADDED_INDEXES.items():
        expected[table]["indexes"].update(indexes)
        # MySQL has an index of its own for each foreign key that has none.
        expected[table]["indexes"].pop(f"fk_{table}_file_id_files_files", None)
    collation = {"postgresql": ' COLLATE "C"', "mariadb": " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"}
    for table, column in EXACT:
        columns = expected[table]["columns"]
        words, null, rest = columns[column].partition(" NOT NULL")
        columns[column] = words + collation.get(database, "") + null + rest
    if database != "sqlite":
        # Part sizes of 2 GiB and more.
        expected["files_multipartobject"]["columns"]["chunk_size"] = {"mariadb": "BIGINT(20)"}.get(database, "BIGINT")
    if database == "mariadb":
        for table in expected.values():
            for name, column in table["columns"].items():
                table["columns"][name] = column.replace("DATETIME", "DATETIME(6)")
    # Ours alone: 6.1 passes them over.
    expected.update(stored_facts(database)["uploads"])
    created = tables()
    mark, crcs, shares = (created.pop(f"files_{name}") for name in ("location_mark", "crc32", "share"))
    assert created == expected
    assert crcs["primary_key"] == ["file_id"]
    assert crcs["foreign_keys"] == {"fk_files_crc32_file_id_files_files": ["file_id", "files_files(id)", "CASCADE"]}
    assert mark["foreign_keys"] == {
        "fk_files_location_mark_location_id_files_location": ["location_id", "files_location(id)", "CASCADE"]
    }
    assert shares["foreign_keys"] == {
        "fk_files_share_bucket_id_files_bucket": ["bucket_id", "files_bucket(id)", "CASCADE"]
    }


def test_a_location_that_6_1_deletes_takes_its_mark_along(app: Flask, database: str) -> None:
    migrate(app)
    if database == "sqlite":
        pytest.skip("SQLite does not enforce foreign keys unless told to.")
    db.session.add(Location(name="marked", uri="/marked", marking=LocationMark(uri="/marked", mark=uuid.uuid4())))
    db.session.commit()
    with db.engine.begin() as connection:
        connection.execute(text("DELETE FROM files_location"))
        assert connection.execute(select(LocationMark.__table__)).all() == []


@pytest.mark.parametrize("how", ["created", "migrated"])
def test_tables_of_6_1_become_ours_and_their_rows_are_served(
    app: Flask, database: str, how: str, fill: Callable[[], dict[str, Any]]
) -> None:
    if how not in stored_facts(database):
        pytest.skip("6.1 could not migrate SQLite.")
    with db.engine.begin() as connection:
        create_tables(connection, stored_facts(database)[how])
        assert facts(connection) == stored_facts(database)[how]
    ids = fill()
    before = rows()
    app.extensions["invenio-db"].alembic.stamp(LAST_OF_6_1)
    release(app)
    migrate(app)
    assert rows() == before
    upgraded = tables()

    bucket = Bucket.get(ids["bucket"])
    assert (bucket.size, bucket.quota_left, bucket.get_tags()) == (15, 10**12 - 15, {"Ä": "ä" * 300})
    head = ObjectVersion.get(bucket, "key")
    assert (head.version_id, head.mimetype, head.get_tags()) == (ids["head"], "text/x-special", {"tag": "value"})
    assert head.created == datetime(2020, 2, 29, 23, 59, 59, tzinfo=timezone.utc)
    assert head.file.verify_checksum() is True
    assert [version.version_id for version in ObjectVersion.get_versions(bucket, "key")] == [ids["head"], ids["old"]]
    assert ObjectVersion.get(bucket, "gone/é") is None
    upload = MultipartObject.get(bucket, "upload", ids["upload"])
    Part.get_or_none(upload, 0).set_contents(BytesIO(b"HEL"))
    Part.create(upload, 1, stream=BytesIO(b"LO"))
    with upload.complete().merge_parts().file.storage().open() as merged:
        assert merged.read() == b"HELLO"
    ObjectVersion.create(bucket, "KEY", stream=BytesIO(b"other"))
    ObjectVersion.create(bucket, "key", stream=BytesIO(b"new"))
    db.session.commit()
    assert bucket.size == 23
    assert [version.key for version in ObjectVersion.get_by_bucket(bucket)] == ["KEY", "key", "upload"]

    db.session.remove()
    with db.engine.begin() as connection:
        for model in reversed(MODELS):
            connection.execute(delete(model.__table__))
        for model in reversed(MODELS):
            model.__table__.drop(connection)
    create_all()
    assert upgraded == tables()


def test_of_several_heads_of_a_key_the_newest_stays(app: Flask, database: str, fill: Callable[[], Any]) -> None:
    migrate(app, "9d27e5b8c401")
    ids = fill()
    with db.engine.begin() as connection:
        if database == "postgresql":
            # 6.1 dropped it in the middle of its migrations.
            connection.execute(text("DROP INDEX ix_uq_partial_files_object_is_head"))
        connection.execute(update(ObjectVersion.__table__).values(is_head=True))
    migrate(app)
    heads = ObjectVersion.query.filter_by(is_head=True)
    assert {version.version_id for version in heads} == {ids["head"], ids["gone"]}
    if database == "postgresql":
        statement = update(ObjectVersion.__table__).values(is_head=True)
        with pytest.raises(IntegrityError), db.engine.begin() as connection:
            connection.execute(statement)


def test_a_key_whose_head_was_removed_stays_without(app: Flask, fill: Callable[[], Any]) -> None:
    migrate(app, "9d27e5b8c401")
    fill()
    with db.engine.begin() as connection:
        connection.execute(delete(ObjectVersionTag))
        connection.execute(delete(ObjectVersion).where(ObjectVersion.is_head))
    migrate(app)
    assert [version.is_head for version in ObjectVersion.query] == [False]


def test_sizes_are_rebuilt_from_versions_and_uploads(app: Flask, fill: Callable[[], Any]) -> None:
    migrate(app, "c4e81f0b7a36")
    ids = fill()
    with db.engine.begin() as connection:
        connection.execute(update(Bucket.__table__).values(size=-3))
        row = dict(connection.execute(select(Bucket.__table__)).mappings().one())
        connection.execute(insert(Bucket.__table__), {**row, "id": uuid.uuid4(), "size": 9})
    migrate(app)
    assert {bucket.id == ids["bucket"]: bucket.size for bucket in Bucket.query} == {True: 15, False: 0}


def test_a_bucket_that_6_1_removes_takes_its_uploads_along(app: Flask, database: str) -> None:
    if database == "sqlite":
        pytest.skip("SQLite does not enforce foreign keys unless told to.")
    migrate(app)
    bucket = Bucket.create(Location(name="here", uri="/here"))
    upload = Upload.record(bucket_id=bucket.id, protocol="test", plan="parts", length=7, state={"uri": "/here/data"})
    UploadExtent.take(upload.id, 1)
    db.session.commit()
    with db.engine.begin() as connection:
        connection.execute(text("DELETE FROM files_bucket"))
        for model in (Upload, UploadExtent):
            assert connection.execute(select(model.__table__)).all() == []


def test_the_way_back_gives_back_what_uploads_have_claimed(app: Flask, fill: Callable[[], Any]) -> None:
    migrate(app)
    ids = fill()
    with db.engine.begin() as connection:
        now = datetime(2020, 2, 29, tzinfo=timezone.utc)
        row = dict(connection.execute(select(Bucket.__table__)).mappings().one())
        connection.execute(insert(Bucket.__table__), {**row, "id": uuid.uuid4(), "size": 9})
        connection.execute(update(Bucket.__table__).where(Bucket.id == ids["bucket"]).values(size=115))
        upload = {
            "bucket_id": ids["bucket"],
            "key": "Ä",
            "protocol": "test",
            "plan": "parts",
            "status": "open",
            "state": {"uri": "/nowhere"},
            **dict.fromkeys(("created", "updated", "expires"), now),
        }
        uploads = [{**upload, "id": uuid.uuid4(), "claimed": claimed} for claimed in (60, 40)]
        connection.execute(insert(Upload.__table__), uploads)
        extent = {"upload_id": uploads[0]["id"], "number": 1, "claimed": 60, "epoch": 1, "created": now, "updated": now}
        connection.execute(insert(UploadExtent.__table__), extent)
    migrate(app, "b7c3d5e1f902", down=True)
    with db.engine.connect() as connection:
        assert sorted(connection.scalars(select(Bucket.__table__.c.size))) == [9, 15]
    migrate(app)


def test_all_of_an_invenio_application_migrates_from_nothing(app: Flask, database: str) -> None:
    if database != "postgresql":
        pytest.skip("Other modules of Invenio migrate nothing but PostgreSQL.")
    app.extensions["invenio-db"].alembic.upgrade()
    release(app)
    migrated = tables()
    with db.engine.begin() as connection:
        for model in MODELS:
            # Tables of other modules refer to them.
            connection.execute(text(f"DROP TABLE {model.__tablename__} CASCADE"))
    create_all()
    assert migrated == tables()


def test_postgresql_answers_lookups_from_indexes(app: Flask, database: str) -> None:
    if database != "postgresql":
        pytest.skip("The plans are PostgreSQL's.")
    create_all()
    many = """
        INSERT INTO files_location (id, name, uri, "default", created, updated)
            VALUES (1, 'a', '/a', true, now(), now());
        INSERT INTO files_bucket (id, default_location, default_storage_class, size, locked, deleted, created, updated)
            SELECT md5('b' || n)::uuid, 1, 'S', 0, false, false, now(), now() FROM generate_series(0, 3) n;
        INSERT INTO files_files (id, uri, size, readable, writable, last_check_at, created, updated)
            SELECT md5('f' || n)::uuid, '/a/' || n, 1, true, false,
                CASE WHEN n % 100 > 0 THEN now() - n * interval '1 minute' END, now(), now()
            FROM generate_series(1, 20000) n;
        INSERT INTO files_object (version_id, key, bucket_id, file_id, is_head, created, updated)
            SELECT md5('v' || n)::uuid, 'k' || n / 2, md5('b' || n / 2 % 4)::uuid, md5('f' || n)::uuid, n % 2 = 0,
                now(), now()
            FROM generate_series(1, 20000) n;
        INSERT INTO files_multipartobject (upload_id, bucket_id, key, file_id, completed, created, updated)
            SELECT md5('u' || n)::uuid, md5('b1')::uuid, 'u' || n, md5('f' || n)::uuid, false, now(), now()
            FROM generate_series(1, 5000) n;
    """
    with db.engine.begin() as connection:
        connection.execute(text(many))
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    bucket = db.session.execute(select(Bucket.id)).scalars().first()
    file = db.session.execute(select(ObjectVersion.file_id)).scalars().first()

    def plan(statement: Any) -> str:
        seen: list[Any] = []

        def note(connection: Any, cursor: Any, sql: str, parameters: Any, *rest: Any) -> None:
            seen.append((sql, parameters))

        event.listen(db.engine, "before_cursor_execute", note)
        db.session.execute(statement)
        event.remove(db.engine, "before_cursor_execute", note)
        [(sql, parameters)] = seen
        with db.engine.connect() as connection:
            return "\n".join(connection.exec_driver_sql(f"EXPLAIN {sql}", parameters).scalars())

    heads = select(ObjectVersion).where(ObjectVersion.bucket_id == bucket, ObjectVersion.is_head)
    lookups = {
        "ix_uq_partial_files_object_is_head": heads.where(ObjectVersion.key == "k4"),
        "ix_files_object_file_id": select(ObjectVersion).where(ObjectVersion.file_id == file),
        "ix_files_multipartobject_file_id": select(MultipartObject).where(MultipartObject.file_id == file),
    }
    for index, statement in lookups.items():
        assert index in plan(statement)
        assert "Seq Scan on files_object" not in plan(statement)
    versions = plan(select(ObjectVersion).where(ObjectVersion.bucket_id == bucket, ObjectVersion.key == "k4"))
    assert "ix_files_object_bucket_id_key_is_head" in versions
    page = plan(heads.where(ObjectVersion.key > "k4").order_by(ObjectVersion.key).limit(10))
    assert "Index Scan using" in page
    assert "Sort" not in page
    checked_at = FileInstance.last_check_at
    oldest = FileInstance.query.order_by(checked_at).first()
    for query, keys, after in (
        (FileInstance.query.filter(checked_at.is_(None)), (FileInstance.id,), oldest),
        (FileInstance.query.filter(checked_at < utcnow()), (checked_at, FileInstance.id), oldest),
    ):
        due = plan(rows_after(query, keys, 100, after).statement)
        assert "ix_files_files_last_check_at_id" in due
        assert "Seq Scan" not in due
