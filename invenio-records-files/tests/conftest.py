"""Fixtures of the tests of records with files, on those of the tests of Invenio-Files-REST.

These tests run in a session of their own: ``pytest invenio-records-files/tests``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy import Table

    from invenio_records_files.api import Record

# The tests of Invenio-Files-REST, as a package to import from.
files_rest_tests = ModuleType("files_rest_tests")
files_rest_tests.__path__ = [str(Path(__file__).parents[2] / "tests")]
sys.modules["files_rest_tests"] = files_rest_tests

pytest_plugins = ["files_rest_tests.conftest"]

RECORD = '<pid({},record_class="invenio_records_files.api.Record"):pid_value>'

REST_ENDPOINT = {
    "pid_minter": "recid",
    "pid_fetcher": "recid",
    "record_serializers": {"application/json": "invenio_records_rest.serializers:json_v1_response"},
    "search_serializers": {"application/json": "invenio_records_rest.serializers:json_v1_search"},
    "default_media_type": "application/json",
}


@pytest.fixture(scope="session")
def app_config(app_config: dict[str, Any]) -> dict[str, Any]:
    """Add four kinds of records, whose files are at four paths, and pages."""
    from invenio_records.api import Record as PlainRecord

    from invenio_records_files.api import FilesMixin

    class Linked(FilesMixin, PlainRecord):
        """A record that does not have its bucket in its metadata."""

    return {
        **app_config,
        "RECORDS_REST_ENDPOINTS": {
            "recid": {
                **REST_ENDPOINT,
                "pid_type": "recid",
                "list_route": "/records/",
                "item_route": f"/records/{RECORD.format('recid')}",
                "links_factory_imp": "invenio_records_files.links:default_record_files_links_factory",
                "read_permission_factory_imp": "invenio_records_rest.utils:allow_all",
            },
            "docid": {
                **REST_ENDPOINT,
                "pid_type": "docid",
                "list_route": "/documents/",
                # A route that names no class.
                "item_route": "/documents/<pid(docid):pid_value>",
                "links_factory_imp": "invenio_records_files.links:default_record_files_links_factory",
            },
        },
        "DEPOSIT_REST_ENDPOINTS": {
            "depid": {
                "pid_type": "depid",
                # A route without a converter, and with one more argument.
                "item_route": "/<string:community>/deposits/<pid_value>",
                "record_class": "invenio_records_files.api:Record",
            },
            "linkid": {"pid_type": "linkid", "item_route": "/linked/<pid_value>/", "record_class": Linked},
        },
        "RECORDS_FILES_REST_ENDPOINTS": {
            "RECORDS_REST_ENDPOINTS": {"recid": "/files", "docid": "doc-files"},
            "DEPOSIT_REST_ENDPOINTS": {"depid": "/deposit-files", "linkid": "/files/"},
        },
        "RECORDS_UI_ENDPOINTS": {
            "recid_files": {
                "pid_type": "recid",
                "route": "/pages/<pid_value>/files/<path:filename>",
                "view_imp": "invenio_records_files.utils:file_download_ui",
                "record_class": "invenio_records_files.api:Record",
            },
        },
        "RECORDS_UI_DEFAULT_PERMISSION_FACTORY": None,
        "JSONSCHEMAS_HOST": "localhost",
        "FILES_REST_SHARES_ENABLED": True,
    }


def added_tables(db: SQLAlchemy) -> list[Table]:
    """Return the tables of records, and that of SQLAlchemy-Continuum, which keeps their revisions."""
    names = ("pidstore_", "records_", "transaction")
    return [table for table in db.metadata.sorted_tables if table.name.startswith(names)]


@pytest.fixture(scope="session")
def base_app(base_app: Flask) -> Flask:
    """Add records, persistent identifiers, and what serves them."""
    from invenio_db import db
    from invenio_files_rest.shares import create_blueprint as shares_blueprint
    from invenio_jsonschemas import InvenioJSONSchemas
    from invenio_pidstore import InvenioPIDStore
    from invenio_records import InvenioRecords
    from invenio_records_rest import InvenioRecordsREST
    from invenio_records_rest.utils import PIDConverter
    from invenio_records_rest.views import create_blueprint_from_app as records_rest_blueprint
    from invenio_records_ui import InvenioRecordsUI
    from invenio_records_ui.views import create_blueprint_from_app as records_ui_blueprint

    from invenio_records_files import InvenioRecordsFiles
    from invenio_records_files.views import create_blueprint_from_app

    if "invenio-records-files" in base_app.extensions:
        # It is the application that has been made for this database before.
        return base_app
    for extension in (
        InvenioJSONSchemas,
        InvenioPIDStore,
        InvenioRecords,
        InvenioRecordsREST,
        InvenioRecordsUI,
        InvenioRecordsFiles,
    ):
        extension(base_app)
    base_app.url_map.converters["pid"] = PIDConverter
    for make_blueprint in (records_rest_blueprint, create_blueprint_from_app, records_ui_blueprint, shares_blueprint):
        base_app.register_blueprint(make_blueprint(base_app))
    with base_app.app_context():
        db.metadata.create_all(db.engine, tables=added_tables(db))
    return base_app


@pytest.fixture
def db(db: SQLAlchemy) -> Iterator[SQLAlchemy]:
    """Empty the tables of records too."""
    yield db
    db.session.remove()
    with db.engine.begin() as connection:
        for table in reversed(added_tables(db)):
            connection.execute(table.delete())


@pytest.fixture
def record(location: Any) -> Record:
    """Make a record with a bucket."""
    from invenio_db import db

    from invenio_records_files.api import Record

    record = Record.create({"title": "Thesis"})
    db.session.commit()
    return record


@pytest.fixture
def record_with_files(record: Record) -> Record:
    """Make a record with two files, of which one has metadata."""
    from invenio_db import db

    record.files["b.txt"] = BytesIO(b"second")
    record.files["a.txt"] = BytesIO(b"first")
    record.files["b.txt"]["language"] = "en"
    record.commit()
    db.session.commit()
    return record


@pytest.fixture
def register() -> Callable[..., str]:
    """Return a function that gives a record a persistent identifier, and the path of its files."""
    from invenio_db import db
    from invenio_pidstore.models import PersistentIdentifier, PIDStatus

    def register(record: Any, value: str = "1", pid_type: str = "recid") -> str:
        PersistentIdentifier.create(
            pid_type, value, object_type="rec", object_uuid=record.id, status=PIDStatus.REGISTERED
        )
        db.session.commit()
        return {
            "recid": f"/records/{value}/files",
            "docid": f"/documents/{value}/doc-files",
            "depid": f"/physics/deposits/{value}/deposit-files",
            "linkid": f"/linked/{value}/files",
        }[pid_type]

    return register
