"""Multipart uploads of Invenio-Records-Resources to an object store, by the methods that it finds on our storage."""

from __future__ import annotations

import hashlib
import io
import random
from datetime import timedelta
from typing import Any

import pytest
import requests
from flask import Flask
from helpers.s3 import Store

pytest.importorskip("invenio_records_resources", reason="the extra ecosystem is not installed")

from invenio_access.permissions import system_identity
from invenio_db import db
from invenio_records_resources.services import FileService
from invenio_records_resources.services.files.links import FileLink
from test_ecosystem_records import RecordWithFiles, app, contents, loaded, new_record, service  # noqa: F401

from invenio_files_rest.models import Location

MIB = 1024**2
PART = 5 * MIB
CONTENT = random.Random(5).randbytes(PART + 10)


@pytest.fixture
def on_s3(app: Flask, store: Store, service: FileService) -> RecordWithFiles:  # noqa: F811
    """Give a record whose files are in an object store, and whose parts may go there directly."""
    app.config["FILES_REST_S3_LOCATIONS"] = {store.location.uri: store.settings}
    service.config.file_links_item = {"self": FileLink("{+api}/records/{id}/files/{+key}")}
    app.config["FILES_REST_S3_DIRECT_UPLOAD"] = timedelta(minutes=5)
    Location.query.update({"default": False})
    db.session.add(Location(name="s3", uri=store.location.uri, default=True))
    db.session.commit()
    return new_record()


def begin(service: FileService, record: RecordWithFiles, size: int, parts: int, part_size: int) -> Any:  # noqa: F811
    transfer = {"type": "M", "parts": parts, "part_size": part_size}
    files = [{"key": "data.bin", "size": size, "transfer": transfer}]
    return service.init_files(system_identity, record.pid.pid_value, files)


def names(store: Store) -> list[str]:
    return [key.rpartition("/")[2] for key in store.names()]


@pytest.mark.parametrize("part_size", [PART, 1000])
def test_parts_that_come_through_the_application_become_the_file(
    service: FileService,  # noqa: F811
    on_s3: RecordWithFiles,
    store: Store,
    part_size: int,
) -> None:
    content = CONTENT[: part_size + 10]
    begin(service, on_s3, len(content), 2, part_size)
    pid = on_s3.pid.pid_value
    for part, data in ((2, content[part_size:]), (1, content[:part_size])):
        service.set_multipart_file_content(system_identity, pid, "data.bin", part, io.BytesIO(data), len(data))
    service.commit_file(system_identity, pid, "data.bin")
    assert contents(on_s3) == {"data.bin": content}
    assert (names(store), store.unfinished()) == (["data"], [])
    file = loaded(on_s3).files["data.bin"].object_version.file
    assert file.checksum == f"md5:{hashlib.md5(content).hexdigest()}"


def test_a_client_sends_parts_to_the_store_with_the_links_that_it_is_given(
    service: FileService,  # noqa: F811
    on_s3: RecordWithFiles,
    store: Store,
) -> None:
    begun = begin(service, on_s3, len(CONTENT), 2, PART).to_dict()
    parts = begun["entries"][0]["links"]["parts"]
    assert [part["part"] for part in parts] == [1, 2]
    for part, data in zip(parts, (CONTENT[:PART], CONTENT[PART:]), strict=True):
        assert part["url"].startswith(store.settings["endpoint_url"])
        assert requests.put(part["url"], data=data, timeout=60).status_code == 200
    service.commit_file(system_identity, on_s3.pid.pid_value, "data.bin")
    assert contents(on_s3) == {"data.bin": CONTENT}


def test_nothing_stays_of_an_upload_that_is_given_up(
    service: FileService,  # noqa: F811
    on_s3: RecordWithFiles,
    store: Store,
) -> None:
    begin(service, on_s3, len(CONTENT), 2, PART)
    pid = on_s3.pid.pid_value
    service.set_multipart_file_content(system_identity, pid, "data.bin", 2, io.BytesIO(CONTENT[PART:]), 10)
    service.delete_file(system_identity, pid, "data.bin")
    assert store.unfinished() == store.names() == []
