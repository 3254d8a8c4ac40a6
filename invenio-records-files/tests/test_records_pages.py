"""Files below the pages of Invenio-Records-UI, and the schemas of what records tell about them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from invenio_db import db
from invenio_records.api import Record as PlainRecord
from jsonschema import ValidationError
from werkzeug.exceptions import NotFound

from invenio_records_files.api import Record
from invenio_records_files.utils import file_download_ui


@pytest.fixture
def page(record_with_files: Record, register: Callable[..., str], allow_all: None) -> str:
    """Give the path of a record's files as pages have it."""
    register(record_with_files)
    return "/pages/1/files"


def test_a_file_is_sent(client: FlaskClient, page: str):
    answer = client.get(f"{page}/a.txt")
    assert (answer.status_code, answer.data) == (200, b"first")
    assert answer.headers["Content-Disposition"] == "inline"
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_file_is_sent_as_an_attachment_where_that_is_asked(client: FlaskClient, page: str):
    assert client.get(f"{page}/a.txt?download").headers["Content-Disposition"].startswith("attachment; filename=a.txt")


def test_what_is_not_there_is_404(client: FlaskClient, page: str, register: Callable[..., str]):
    register(PlainRecord.create({}), "2")
    register(Record.create({}, with_bucket=False), "3")
    for path in (f"{page}/none", "/pages/2/files/a.txt", "/pages/3/files/a.txt", "/pages/4/files/a.txt"):
        assert client.get(path).status_code == 404


def test_a_route_without_a_file_name_is_404(app: Flask, record_with_files: Record, allow_all: None):
    asked = []
    for find in (None, lambda *arguments: asked.append(arguments)):
        with app.test_request_context(), pytest.raises(NotFound):
            file_download_ui(None, record_with_files, _record_file_factory=find)
    assert asked == [(None, record_with_files, None)]


def test_a_file_that_may_not_be_read_is_404(
    client: FlaskClient, record_with_files: Record, register: Callable[..., str]
):
    register(record_with_files)
    answer = client.get("/pages/1/files/a.txt")
    assert answer.status_code == 404
    assert answer.headers["Cache-Control"] == "private, no-store"


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [entry for entry in caplog.records if "checksum" in entry.getMessage()]


def test_another_checksum_than_the_records_is_logged(
    client: FlaskClient, page: str, record_with_files: Record, caplog: pytest.LogCaptureFixture
):
    assert client.get(f"{page}/a.txt").data == b"first"
    assert logged(caplog) == []
    record_with_files["_files"][1]["checksum"] = "md5:other"
    record_with_files.commit()
    assert client.get(f"{page}/a.txt").data == b"first"
    [entry] = logged(caplog)
    assert "md5:other" in entry.getMessage()
    assert (entry.pid_type, entry.pid_value, str(entry.bucket_id)) == ("recid", "1", record_with_files.bucket_id)
    assert client.get(f"{page}/b.txt").data == b"second"
    assert len(logged(caplog)) == 1


def test_another_factory_may_find_the_file(app: Flask, record_with_files: Record, allow_all: None):
    class Pid:
        pid_type, pid_value = "recid", "1"

    def find(pid: Any, record: Record, filename: str) -> Any:
        return record.files[f"{filename}.txt"]

    with app.test_request_context():
        response = file_download_ui(Pid, record_with_files, _record_file_factory=find, filename="b")
        response.direct_passthrough = False
        assert response.get_data() == b"second"


def test_a_file_that_cannot_be_sent_is_told_once_in_the_log(
    client: FlaskClient, page: str, record_with_files: Record, location: Any, caplog: pytest.LogCaptureFixture
):
    file = record_with_files.files["a.txt"].obj.file
    Path(file.uri).unlink()
    for path in (f"{page}/a.txt", f"/files/{record_with_files.bucket_id}/a.txt"):
        caplog.clear()
        assert client.get(path).status_code == 500
        (told,) = [entry for entry in caplog.records if entry.levelno >= logging.ERROR]
        assert path in told.getMessage()
        assert "FileNotFoundError" in logging.Formatter().formatException(told.exc_info)
    Path(location.uri).rename(f"{location.uri}-away")
    caplog.clear()
    assert client.get(f"{page}/a.txt").status_code == 503
    (told,) = [entry for entry in caplog.records if entry.levelno >= logging.ERROR]
    assert (told.exc_info, location.uri in told.getMessage()) == (None, True)


SCHEMA = "https://localhost/schemas/records-files/record-v1.0.0.json"


def test_a_record_with_files_is_valid(record_with_files: Record):
    record_with_files["$schema"] = SCHEMA
    record_with_files.commit()
    db.session.commit()
    assert len(Record.get_record(record_with_files.id)["_files"]) == 2


@pytest.mark.parametrize(
    "wrong", [{"_bucket": 1}, {"_files": {}}, {"_files": [1]}, {"_files": [{"key": "a", "size": "1"}]}], ids=repr
)
def test_a_record_with_wrong_files_is_not(record_with_files: Record, wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        PlainRecord.create({"$schema": SCHEMA, **wrong})


def test_an_invalid_record_leaves_no_bucket(location: Any):
    from invenio_files_rest.models import Bucket

    with pytest.raises(ValidationError):
        Record.create({"$schema": SCHEMA, "_files": 1})
    assert Bucket.query.count() == 0


def test_the_schema_of_one_file_is_for_the_schemas_of_others(app: Flask):
    schemas = app.extensions["invenio-jsonschemas"]
    assert set(schemas.get_schema("records-files/records-files-v1.0.0.json")["properties"]) == {
        "bucket",
        "checksum",
        "file_id",
        "key",
        "size",
        "version_id",
    }
