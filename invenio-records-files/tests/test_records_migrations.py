"""The table that links records to buckets: migrated or created at once it is the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from files_rest_tests.helpers.schema import release, table_facts
from flask import Flask
from invenio_db import InvenioDB, db
from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.models import Bucket, FileInstance, Location
from invenio_records.models import RecordMetadata
from sqlalchemy import URL, inspect

from invenio_records_files import InvenioRecordsFiles
from invenio_records_files.models import RecordsBuckets

REVISIONS = ["2da9a03b0833", "1ba76da94103", "4a5d5b4d4c2f"]
UUIDS = {"mariadb": "BINARY(16)", "postgresql": "UUID", "sqlite": "BINARY(16)"}
REFERRED = [model.__table__ for model in (RecordMetadata, Location, Bucket)]


@pytest.fixture
def app(empty_database_url: URL, tmp_path: Path) -> Iterator[Flask]:
    """Give an application, its context pushed, whose database has what the table refers to, and not the table."""
    app = Flask("testapp", instance_path=str(tmp_path))
    app.config["SQLALCHEMY_DATABASE_URI"] = empty_database_url.render_as_string(hide_password=False)
    for extension in (InvenioDB, InvenioFilesREST, InvenioRecordsFiles):
        extension(app)
    with app.app_context():
        db.metadata.create_all(db.engine, tables=REFERRED)
        alembic = app.extensions["invenio-db"].alembic
        # Other modules of Invenio migrate nothing but PostgreSQL, so that their tables are there already.
        for revision in ("2e97565eba72", "862037093962"):
            alembic.stamp(revision)
        release(app)
        yield app
        db.session.remove()
        release(app)


def migrate(app: Flask, revision: str = "head", down: bool = False) -> None:
    alembic = app.extensions["invenio-db"].alembic
    (alembic.downgrade if down else alembic.upgrade)(f"invenio_records_files@{revision}")
    release(app)


def table() -> dict[str, Any] | None:
    with db.engine.connect() as connection:
        inspector = inspect(connection)
        if not inspector.has_table("records_buckets"):
            return None
        return table_facts(connection, inspector, "records_buckets")


def test_revisions_are_those_of_existing_databases(app: Flask):
    scripts = app.extensions["invenio-db"].alembic.script_directory
    ours = [script for script in scripts.walk_revisions() if "invenio_records_files" in script.branch_labels]
    assert [script.revision for script in reversed(ours)] == REVISIONS


def test_the_migrated_table_is_the_one_created_at_once(app: Flask, database: str):
    migrate(app)
    migrated = table()
    assert migrated == {
        "columns": {"bucket_id": f"{UUIDS[database]} NOT NULL", "record_id": f"{UUIDS[database]} NOT NULL"},
        "primary_key": ["record_id", "bucket_id"],
        "foreign_keys": {
            "fk_records_buckets_bucket_id_files_bucket": ["bucket_id", "files_bucket(id)", "RESTRICT"],
            "fk_records_buckets_record_id_records_metadata": ["record_id", "records_metadata(id)", "RESTRICT"],
        },
        "unique": {},
        "indexes": {"ix_records_buckets_bucket_id": ["bucket_id"]},
    }
    RecordsBuckets.__table__.drop(db.engine)
    RecordsBuckets.__table__.create(db.engine)
    assert table() == migrated


def test_migrations_run_back_to_nothing_and_again(app: Flask):
    migrate(app)
    migrated = table()
    for revision in reversed(REVISIONS[:-1]):
        migrate(app, revision, down=True)
    assert table() is None
    for revision in REVISIONS:
        migrate(app, revision)
    assert table() == migrated


def test_alembic_finds_no_difference_to_the_model(app: Flask):
    migrate(app)

    def ours(item: Any, name: str, kind: str, *rest: Any) -> bool:
        return kind != "table" or name == "records_buckets"

    # SQLite does not tell the type of identifiers; the tests before this one compare the types that it is given.
    options = {"include_object": ours, "compare_type": db.engine.dialect.name != "sqlite"}
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), db.metadata) == []


def test_all_of_an_application_migrates_from_nothing(app: Flask, database: str):
    if database != "postgresql":
        pytest.skip("Other modules of Invenio migrate nothing but PostgreSQL.")
    db.metadata.drop_all(db.engine, tables=REFERRED)
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    release(app)
    app.extensions["invenio-db"].alembic.upgrade()
    release(app)
    assert table() is not None
    with db.engine.connect() as connection:
        assert inspect(connection).has_table(FileInstance.__tablename__)
