"""tus and the IETF draft on buckets in an object store, also of a server that is killed."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
import requests
from flask.testing import FlaskClient
from helpers.rest import error, put, url
from helpers.s3 import Store, asked
from helpers.tus import TYPE, TusClient, local, metadata
from helpers.uploading import Breaking, age, bucket_size
from helpers.waiting import wait_until
from servers import HERE, Server, command, environment, free_port, serving

from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.services.sweep import sweep
from invenio_files_rest.storage.uploads import ExtentWrite, Uploads
from invenio_files_rest.tasks import remove_expired_multipartobjects

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("allow_all")]

MIB = 1024**2
CONTENT = random.Random(3).randbytes(11 * MIB + 5)
SMALL = CONTENT[:10]


@pytest.fixture
def tus(client: FlaskClient, s3_bucket: Bucket) -> TusClient:
    return TusClient(client, s3_bucket)


def content(tus: TusClient, key: str = "key") -> bytes:
    response = tus.client.get(f"{tus.url}/{key}")
    assert response.status_code == 200, response.text
    return bytes(response.data)


def names(store: Store) -> list[str]:
    """Return the names of all objects, without the folders."""
    return sorted(key.rpartition("/")[2] for key in store.names())


@pytest.mark.every_store
@pytest.mark.parametrize("is_declared", [True, False], ids=["length", "deferred"])
def test_an_upload_of_tus_becomes_an_object_without_being_read(
    tus: TusClient, store: Store, s3_bucket: Bucket, is_declared: bool
) -> None:
    """Its last bytes, too few for a part, wait in an object of their own for those that follow."""
    upload = tus.begin(len(CONTENT)) if is_declared else tus.begin(None, Upload_Defer_Length=1)
    tus.patch(upload, 0, CONTENT[: 2 * MIB])
    assert [name for name in names(store) if name != "data"] == names(store)
    assert tus.head(upload).headers["Upload-Offset"] == str(2 * MIB)
    tus.patch(upload, 2 * MIB, CONTENT[2 * MIB : 8 * MIB])
    length = {} if is_declared else {"Upload_Length": len(CONTENT)}
    with asked(store) as requests_to_it:
        answer = tus.patch(upload, 8 * MIB, CONTENT[8 * MIB :], **length)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(len(CONTENT)))
    # The tail of the request before, and that of this one, which becomes the last part.
    assert requests_to_it.count("GetObject") <= 2
    assert content(tus) == CONTENT
    assert (names(store), store.unfinished()) == (["data"], [])
    assert ObjectVersion.get(s3_bucket, "key").file.checksum == f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.mark.parametrize("how", ["raises", "ends"])
def test_what_came_of_a_body_that_breaks_is_kept_and_nothing_of_one_with_a_checksum(tus: TusClient, how: str) -> None:
    upload = tus.begin(len(CONTENT))
    for begin, end in ((0, 10), (10, 6 * MIB), (6 * MIB, 6 * MIB + 1)):
        environ = {"wsgi.input": Breaking(CONTENT[begin:end], how), "CONTENT_LENGTH": str(len(CONTENT) - begin)}
        headers = {"Upload-Offset": begin, "Content-Type": TYPE}
        assert tus.send("PATCH", upload, headers, environ_overrides=environ).status_code == 400
        assert tus.head(upload).headers["Upload-Offset"] == str(end)
    wrong = tus.patch(upload, end, b"wrong", Upload_Checksum="md5 AAAAAAAAAAAAAAAAAAAAAA==")
    assert wrong.status_code == 460
    assert tus.head(upload).headers["Upload-Offset"] == str(end)
    assert tus.patch(upload, end, CONTENT[end:]).status_code == 204
    assert content(tus) == CONTENT


def test_an_upload_of_the_draft_becomes_an_object(client: FlaskClient, s3_bucket: Bucket) -> None:
    address = url(s3_bucket, "key")
    begun = client.put(address, data=CONTENT[:MIB], headers={"Upload-Complete": "?0"})
    assert begun.status_code == 201, begun.text
    upload = local(begun.headers["Location"])
    assert client.head(upload).headers["Upload-Offset"] == str(MIB)
    headers = {"Upload-Complete": "?1", "Upload-Offset": str(MIB), "Content-Type": "application/partial-upload"}
    answer = client.patch(upload, data=CONTENT[MIB:], headers=headers)
    assert (answer.status_code, answer.json["size"]) == (200, len(CONTENT))
    assert client.get(address).data == CONTENT
    whole = client.put(url(s3_bucket, "whole"), data=SMALL, headers={"Upload-Complete": "?1"})
    assert (whole.status_code, whole.json["size"]) == (200, 10)


def test_uploads_are_not_joined_and_options_says_so(tus: TusClient, s3_bucket: Bucket) -> None:
    told = tus.client.options(tus.url).headers
    assert told["Tus-Version"] == "1.0.0"
    assert set(told["Tus-Extension"].split(",")) == {
        *("creation", "creation-with-upload", "creation-defer-length", "termination", "checksum", "expiration")
    }
    for concat in ("partial", f"final;{tus.begin()}"):
        answer = error(tus.create(None if ";" in concat else 4, Upload_Concat=concat), 501)
        assert answer["message"] == "The storage of this bucket cannot join uploads."
    assert bucket_size(s3_bucket) == 10


def test_a_finished_upload_is_a_version_like_any_other(tus: TusClient, s3_bucket: Bucket) -> None:
    put(tus.client, s3_bucket, "key", b"before")
    tag = tus.client.get(f"{tus.url}/key").headers["ETag"]
    assert tus.create(If_None_Match="*").status_code == 412
    upload = tus.begin(If_Match=tag, Upload_Metadata=metadata(filename="key", filetype="image/png", tags="a=b"))
    tus.patch(upload, 0, SMALL)
    assert content(tus) == SMALL
    version = ObjectVersion.get(s3_bucket, "key")
    assert (version.is_head, version.mimetype, version.get_tags()) == (True, "image/png", {"a": "b"})
    assert ObjectVersion.query.filter_by(is_head=True).count() == 1
    assert bucket_size(s3_bucket) == 16


def test_nothing_is_left_of_an_upload_that_ends_expires_or_fails(
    tus: TusClient, store: Store, s3_bucket: Bucket
) -> None:
    ended, expired, failed = tus.begin(9 * MIB), tus.begin(9 * MIB), tus.begin(If_None_Match="*")
    for upload in (ended, expired):
        tus.patch(upload, 0, CONTENT[: 6 * MIB])
    assert tus.send("DELETE", ended).status_code == 204
    age(UUID(expired[-36:]))
    remove_expired_multipartobjects()
    put(tus.client, s3_bucket, "key", b"first")
    assert tus.patch(failed, 0, SMALL).status_code == 412
    assert (names(store), store.unfinished()) == (["data"], [])
    assert bucket_size(s3_bucket) == 5
    assert list(sweep(timedelta(seconds=-1), delete=True)) == []


@pytest.mark.every_store
def test_a_writer_that_has_been_replaced_takes_nothing_away(store: Store) -> None:
    """It goes on sending for a moment, before it learns that it has been."""
    make = store.maker()
    state = make("file").capability(Uploads).begin()
    has_begun, may_go_on = threading.Event(), threading.Event()

    class Old(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 6 * MIB and not has_begun.is_set():
                has_begun.set()
                assert may_go_on.wait(60)
            return super().read(size)

    def write_old() -> None:
        make("file").capability(Uploads).write(state, ExtentWrite(0, 0, whole=False), Old(bytes(16 * MIB)))

    old = threading.Thread(target=write_old)
    old.start()
    assert has_begun.wait(60)
    uploads = make("file").capability(Uploads)
    kept = uploads.kept(state, 0, None, epoch=1)
    extent = ExtentWrite(0, kept["size"], epoch=3, receipt=kept, whole=False)
    receipt = uploads.write(state, extent, io.BytesIO(CONTENT[kept["size"] :]))
    may_go_on.set()
    old.join()
    assert uploads.finish(state, [receipt]).checksum == f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Place:
    """A bucket of a real server, in an object store."""

    def __init__(self, server: Server, bucket: str) -> None:
        self.server = server
        self.url = f"{server.url}/files/{bucket}"

    def send(self, method: str, address: str, **headers: Any) -> requests.Response:
        data = headers.pop("data", None)
        named = {"Tus-Resumable": "1.0.0"} | {name.replace("_", "-"): str(value) for name, value in headers.items()}
        return requests.request(method, address, headers=named, data=data, timeout=60)

    def offset(self, upload: str) -> int:
        """Return the offset of an upload, as soon as a worker tells it."""
        offsets = []

        def ask() -> bool:
            answer = self.send("HEAD", upload)
            if answer.ok:
                offsets.append(int(answer.headers["Upload-Offset"]))
            return answer.ok

        wait_until(ask)
        return offsets[0]

    def kill_who_serves(self) -> None:
        """Kill the worker once it has taken a connection."""

        def serves(worker: psutil.Process) -> bool:
            found = worker.net_connections("tcp")
            return any(each.laddr.port == self.server.port and each.status == "ESTABLISHED" for each in found)

        def kill() -> bool:
            serving = [worker for worker in psutil.Process(self.server.pid).children() if serves(worker)]
            for worker in serving:
                worker.kill()
            return bool(serving)

        wait_until(kill)


@pytest.fixture
def place(store: Store, tmp_path: Path) -> Iterator[Place]:
    settings = {
        "FILES_REST_S3_LOCATIONS": {store.location.uri: store.settings},
        "SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"timeout": 60}},
    }
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(tmp_path, **settings), text=True).split()[0]
    port = free_port()
    arguments = command("gunicorn", port, workers=2)
    if arguments is None:
        pytest.skip("gunicorn is not installed")
    with serving("gunicorn", arguments, port, tmp_path, **settings) as server:
        yield Place(server, bucket)


def test_a_server_that_is_killed_loses_nothing_that_was_told(place: Place) -> None:
    """Not even a tail that is too short for a part."""
    named = metadata(filename="key")
    begun = place.send("POST", f"{place.url}?tus", Upload_Length=len(CONTENT), Upload_Metadata=named)
    upload, told = begun.headers["Location"], 6 * MIB + 7
    appended = {"Upload_Offset": 0, "Content_Type": TYPE, "data": CONTENT[:told]}
    assert place.send("PATCH", upload, **appended).headers["Upload-Offset"] == str(told)

    def broken() -> Iterator[bytes]:
        yield CONTENT[told : told + 200_000]
        place.kill_who_serves()
        yield CONTENT[told + 200_000 :]

    with pytest.raises(requests.ConnectionError):
        place.send("PATCH", upload, Upload_Offset=told, Content_Type=TYPE, data=broken())
    offset = place.offset(upload)
    assert offset >= told
    rest = {"Upload_Offset": offset, "Content_Type": TYPE, "data": CONTENT[offset:]}
    assert place.send("PATCH", upload, **rest).status_code == 204
    assert requests.get(f"{place.url}/key", timeout=60).content == CONTENT
