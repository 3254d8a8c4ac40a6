"""What other packages of Invenio do with this one: their own code, unmodified, against ours.

The packages come with the extra ``ecosystem``; without them these tests are skipped.
"""

from __future__ import annotations

import hashlib
import io
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from werkzeug.utils import import_string

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.services.sweep import sweep
from invenio_files_rest.storage import FileStorage, PyFSFileStorage, pyfs_storage_factory
from invenio_files_rest.tasks import remove_file_data
from invenio_files_rest.testing import ListableContract, PartsContract, SavingContract

BUCKET = "files"


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """Start an S3 server with an empty bucket, and give its URL."""
    pytest.importorskip("moto.server", reason="the extra ecosystem is not installed: moto")
    boto3 = pytest.importorskip("boto3", reason="the extra ecosystem is not installed: boto3")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
            config=import_string("botocore.config.Config")(retries={"total_max_attempts": 1}),
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                client.create_bucket(Bucket=BUCKET)
                break
            except import_string("botocore.exceptions.EndpointConnectionError"):
                assert server.poll() is None, "The S3 server does not start."
                assert time.monotonic() < deadline, "The S3 server does not answer."
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def use_s3(app: Flask, url: str) -> None:
    invenio_s3 = pytest.importorskip("invenio_s3", reason="the extra ecosystem is not installed: invenio-s3")
    app.config.update(S3_ENDPOINT_URL=url, S3_ACCESS_KEY_ID="test", S3_SECRET_ACCESS_KEY="test")
    invenio_s3.InvenioS3(app)


@pytest.fixture
def s3_app(s3_server: str) -> Iterator[Flask]:
    """Push an application that has Invenio-S3, and no database."""
    app = Flask("s3")
    use_s3(app, s3_server)
    with app.app_context():
        yield app


class TestInvenioS3(SavingContract, PartsContract):
    """The storage of Invenio-S3, which inherits from ours, keeps what it does not change of the contract.

    It sends a redirect, whether there is a file or not.
    """

    # s3fs holds several parts of 5 MiB at a time.
    test_memory_is_bounded_whatever_the_size = None  # type: ignore[assignment]
    # A part is written by copying the whole file, so that one disturbs another.
    test_parts_of_one_file_do_not_disturb_each_other = None  # type: ignore[assignment]
    test_a_part_of_another_size_than_announced_is_refused_and_the_file_stays = None  # type: ignore[assignment]
    # It takes for granted that what it copies has a URL.
    test_a_file_of_another_backend_is_copied = None  # type: ignore[assignment]

    @pytest.fixture
    def make_storage(self, s3_app: Flask) -> Callable[..., FileStorage]:
        from invenio_s3.storage import S3FSFileStorage

        folder = uuid.uuid4().hex
        return lambda name, size=None: S3FSFileStorage(f"s3://{BUCKET}/{folder}/{name}/data", size=size)

    def test_a_file_is_copied_from_a_folder(self, storage: FileStorage, tmp_path: Path) -> None:
        source = PyFSFileStorage(str(tmp_path / "source"))
        self.save(source, b"on disk")
        assert storage.copy(source)[1:] == (7, f"md5:{hashlib.md5(b'on disk').hexdigest()}")
        assert self.content(storage) == b"on disk"

    def test_a_file_is_copied_to_a_folder(self, storage: FileStorage, tmp_path: Path) -> None:
        self.save(storage, b"on s3")
        target = PyFSFileStorage(str(tmp_path / "target"))
        target.copy(storage)
        assert self.content(target) == b"on s3"

    def test_a_file_of_several_blocks_is_saved_and_read(
        self, storage: FileStorage, make_storage: Callable[..., FileStorage]
    ) -> None:
        content = random.Random(0).randbytes(12 * 1024 * 1024 + 1)
        assert self.save(storage, content)[2] == f"md5:{hashlib.md5(content).hexdigest()}"
        assert self.content(make_storage("file", size=len(content))) == content
        assert make_storage("file").checksum() == f"md5:{hashlib.md5(content).hexdigest()}"

    def test_a_file_is_sent_by_a_link_to_its_server(self, s3_app: Flask, storage: FileStorage) -> None:
        self.save(storage, b"<html>")
        with s3_app.test_request_context():
            response = storage.send_file("page.html", as_attachment=True)
        answer = requests.get(response.headers["Location"], timeout=10)
        assert answer.content == b"<html>"
        assert answer.headers["Content-Type"].startswith("text/plain")


class TestInvenioS3Listing(ListableContract):
    """It knows of no capability, and its locations can be listed."""

    @pytest.fixture
    def location(self, s3_app: Flask) -> str:
        return f"s3://{BUCKET}/{uuid.uuid4().hex}"

    @pytest.fixture
    def make_storage(self, location: str) -> Callable[..., FileStorage]:
        from invenio_s3.storage import S3FSFileStorage

        return lambda name, size=None: S3FSFileStorage(f"{location}/{name}/data", size=size)


@pytest.fixture
def s3_location(app: Flask, db: SQLAlchemy, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Location:
    """Make a location on S3 in the application that has the database."""
    use_s3(app, s3_server)
    factory = import_string("invenio_s3.s3fs_storage_factory")
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    location = Location(name="s3", uri=f"s3://{BUCKET}/{uuid.uuid4().hex}", default=True)
    db.session.add(location)
    db.session.commit()
    return location


def test_an_object_is_stored_copied_read_and_removed_on_s3(app: Flask, db: SQLAlchemy, s3_location: Location):
    bucket = Bucket.create()
    obj = ObjectVersion.create(bucket, "data.txt", stream=io.BytesIO(b"on s3"))
    db.session.commit()
    assert obj.file.uri.startswith(s3_location.uri + "/")
    assert (bucket.size, obj.file.checksum) == (5, f"md5:{hashlib.md5(b'on s3').hexdigest()}")
    assert obj.file.verify_checksum()

    copy = FileInstance.create()
    copy.copy_contents(obj.file, default_location=s3_location.uri)
    with copy.storage().open() as file:
        assert file.read() == b"on s3"
    assert (copy.size, copy.checksum) == (5, obj.file.checksum)

    file = obj.file
    obj.remove()
    db.session.commit()
    assert remove_file_data(str(file.id), force=True)
    with pytest.raises(FileNotFoundError):
        file.storage().open()


def test_bytes_on_s3_that_no_row_names_are_swept(app: Flask, db: SQLAlchemy, s3_location: Location):
    kept = ObjectVersion.create(Bucket.create(), "kept", stream=io.BytesIO(b"kept")).file
    db.session.commit()
    stray = FileInstance.new()
    stray.set_contents(io.BytesIO(b"stray"), default_location=s3_location.uri)
    assert list(sweep(timedelta(hours=1), delete=True)) == []
    (found,) = sweep(timedelta(seconds=-1), delete=True)
    assert (found.kind, found.size, found.done) == ("file", 5, True)
    with pytest.raises(FileNotFoundError):
        stray.storage().open()
    with kept.storage().open() as file:
        assert file.read() == b"kept"


def test_an_object_on_s3_goes_up_and_down_over_rest(client: FlaskClient, allow_all: None, s3_location: Location):
    bucket = client.post("/files").json["id"]
    stored = client.put(f"/files/{bucket}/data.txt", data=b"over rest")
    assert (stored.status_code, stored.json["size"]) == (200, 9)
    answer = client.get(f"/files/{bucket}/data.txt")
    assert answer.status_code == 302
    assert requests.get(answer.headers["Location"], timeout=10).content == b"over rest"
    version = stored.json["version_id"]
    assert client.delete(f"/files/{bucket}/data.txt?versionId={version}").status_code == 204
    assert not requests.get(answer.headers["Location"], timeout=10).ok


def test_an_installation_with_invenio_s3_changes_over_and_back_without_moving_a_byte(
    app: Flask, db: SQLAlchemy, s3_location: Location, s3_server: str, monkeypatch: pytest.MonkeyPatch
):
    theirs = app.extensions["invenio-files-rest"].storage_factory
    keys = {"endpoint_url": s3_server, "access_key_id": "test", "secret_access_key": "test", "region_name": "us-east-1"}
    monkeypatch.setitem(app.config, "FILES_REST_S3_LOCATIONS", {s3_location.uri: keys})
    bucket = Bucket.create()
    stored = {}
    for name, factory in (("before", theirs), ("during", pyfs_storage_factory), ("after", theirs)):
        monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
        content = name.encode() * 1000
        stored[content] = ObjectVersion.create(bucket, name, stream=io.BytesIO(content)).file
        db.session.commit()
        for expected, file in stored.items():
            assert isinstance(file.storage(), PyFSFileStorage) == (factory is theirs)
            with file.storage().open() as stream:
                assert stream.read() == expected
            assert file.verify_checksum()
    assert list(sweep(timedelta(seconds=-1), delete=True)) == []
