"""Faults of what is underneath: each is told in an answer and once in the log, and is over when the fault is."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from crash.machine import DurablePostgreSQL, Machine
from flask import Flask
from helpers.rest import error, nothing_stays, put, stored, url
from helpers.stored import CONTENT, damage
from helpers.waiting import allowed
from private_servers.brokers import Redis

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion

pytestmark = pytest.mark.slow

MEBIBYTE = 1024 * 1024


@pytest.fixture
def bucket(app: Flask, db: Any, small_disk: Path, allow_all: None, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Make a bucket in a location of 8 MiB, in an application that answers as it does outside of tests."""
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    location = Location(name="small", uri=str(small_disk), default=True)
    db.session.add(location)
    bucket = Bucket.create(location)
    db.session.commit()
    return bucket


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def told_once(caplog: pytest.LogCaptureFixture, cause: str) -> None:
    """Check that one error was logged, with its cause."""
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert cause in logging.Formatter().formatException(record.exc_info)
    caplog.clear()


def plain(answer: dict[str, Any], *secrets: str) -> None:
    """Check that a message tells nothing that is for the operator alone."""
    for secret in ("Traceback", "psycopg2", "SELECT", "Errno", 'File "', *secrets):
        assert secret not in str(answer)


def test_a_full_disk_answers_507_and_heals(
    client: Any, bucket: Bucket, small_disk: Path, caplog: pytest.LogCaptureFixture
):
    put(client, bucket, "kept", CONTENT)
    with nothing_stays(bucket.location):
        answer = error(client.put(url(bucket, "large"), data=bytes(16 * MEBIBYTE)), 507)
    plain(answer, str(small_disk))
    told_once(caplog, "No space left on device")
    assert client.get(url(bucket, "kept")).data == CONTENT
    put(client, bucket, "large", bytes(4 * MEBIBYTE))


def test_a_disk_that_fills_between_two_parts_answers_507_and_the_part_can_be_sent_again(
    client: Any, app: Any, bucket: Bucket, small_disk: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    query = {"size": 4 * MEBIBYTE, "partSize": 2 * MEBIBYTE}
    upload = client.post(url(bucket, "key", uploads=True, **query)).json["id"]
    (small_disk / "other").write_bytes(bytes(7 * MEBIBYTE))

    def send(number: int) -> Any:
        part = bytes([number]) * 2 * MEBIBYTE
        return client.put(url(bucket, "key", uploadId=upload, partNumber=number), data=part)

    plain(error(send(0), 507), str(small_disk))
    assert client.get(url(bucket, "key", uploadId=upload)).json["parts"] == []
    (small_disk / "other").unlink()
    assert [send(number).status_code for number in (0, 1)] == [200, 200]
    assert client.post(url(bucket, "key", uploadId=upload)).status_code == 200
    assert client.get(url(bucket, "key")).data == bytes([0]) * 2 * MEBIBYTE + bytes([1]) * 2 * MEBIBYTE


def test_a_folder_that_turns_read_only_answers_500_and_heals(
    client: Any, bucket: Bucket, small_disk: Path, caplog: pytest.LogCaptureFixture
):
    put(client, bucket, "kept", CONTENT)
    remount(small_disk, "ro")
    with nothing_stays(bucket.location):
        plain(error(client.put(url(bucket, "key"), data=CONTENT), 500), str(small_disk))
    told_once(caplog, "Read-only file system")
    assert client.get(url(bucket, "kept")).data == CONTENT
    remount(small_disk, "rw")
    put(client, bucket, "key", CONTENT)


def test_a_version_that_is_removed_from_a_read_only_folder_leaves_bytes_to_the_sweep(
    client: Any, run: Callable[..., Any], bucket: Bucket, small_disk: Path, caplog: pytest.LogCaptureFixture
):
    version = put(client, bucket, "key", CONTENT)["version_id"]
    remount(small_disk, "ro")
    assert client.delete(url(bucket, "key", versionId=version)).status_code == 204
    told_once(caplog, "Read-only file system")
    assert stored(bucket.location) == [CONTENT]
    assert run("files", "sweep", "--delete", "--grace", "0").exit_code == 1
    remount(small_disk, "rw")
    assert run("files", "sweep", "--delete", "--grace", "0").exit_code == 0
    assert stored(bucket.location) == []
    assert (ObjectVersion.query.count(), FileInstance.query.count()) == (0, 0)


def test_a_file_that_is_removed_under_us_answers_500_until_it_is_back(
    client: Any, bucket: Bucket, small_disk: Path, caplog: pytest.LogCaptureFixture
):
    put(client, bucket, "key", CONTENT)
    file = FileInstance.query.one()
    damage(file, None)
    plain(error(client.get(url(bucket, "key")), 500), str(small_disk))
    told_once(caplog, "FileNotFoundError")
    Path(file.uri).write_bytes(CONTENT)
    assert client.get(url(bucket, "key")).data == CONTENT


@pytest.fixture
def machine_of() -> Iterator[Callable[..., Machine]]:
    """Return a function that starts a machine of its own, with a server on PostgreSQL."""
    if not DurablePostgreSQL.installed():
        pytest.skip("PostgreSQL is not installed.")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        # Other users, whom the database runs as, have to pass through.
        folder.chmod(0o711)

        def machine_of(broker: str | None = None, redis: Any = None) -> Machine:
            if redis is not None:
                broker = redis(folder)
            return stack.enter_context(Machine(folder, broker).running())

        yield machine_of


def errors_in(machine: Machine) -> int:
    return machine.log.read_text().count("ERROR in ")


def test_a_database_that_goes_away_answers_500_and_heals(machine_of: Callable[..., Machine]):
    machine = machine_of()
    machine.start()
    address = f"{machine.url}/{machine.ask('bucket')}/key"
    assert requests.put(address, data=CONTENT, timeout=60).ok
    machine.kill("database")
    before = errors_in(machine)
    for method in ("GET", "PUT", "DELETE"):
        response = requests.request(method, address, data=CONTENT, timeout=60)
        assert response.status_code in (500, 503)
        assert response.headers["Content-Type"] == "application/json"
        plain(response.json(), str(machine.folder))
    assert errors_in(machine) == before + 3
    machine.database.serve()
    # Not one request more fails.
    assert requests.get(address, timeout=60).content == CONTENT
    assert requests.put(address, data=b"new", timeout=60).ok
    assert requests.get(address, timeout=60).content == b"new"
    assert machine.ask("sweep", "no") == []
    assert len([path for path in machine.files.rglob("*") if path.is_file()]) == 2


def test_a_broker_that_is_down_at_a_delete_leaves_the_bytes_to_the_sweep(machine_of: Callable[..., Machine]):
    # Nobody listens to this port.
    machine = machine_of("redis://127.0.0.1:1/0")
    machine.pids["worker"] = os.getpid()
    machine.start()
    del machine.pids["worker"]
    address = f"{machine.url}/{machine.ask('bucket')}/key"
    version = requests.put(address, data=CONTENT, timeout=60).json()["version_id"]
    begun = time.monotonic()
    response = requests.delete(address, params={"versionId": version}, timeout=60)
    assert response.status_code == 204
    assert time.monotonic() - begun < allowed(5)
    assert errors_in(machine) == 1
    assert len([path for path in machine.files.rglob("*") if path.is_file()]) == 1
    assert machine.ask("sweep", "no") == []
    assert [path for path in machine.files.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(not Redis.installed(), reason="Redis is not installed.")
def test_a_broker_that_is_down_at_a_merge_keeps_the_upload_until_it_is_back(machine_of: Callable[..., Machine]):
    redis: list[Any] = []

    def start(folder: Path) -> str:
        redis.append(Redis(folder))
        redis[0].start()
        return str(redis[0].url)

    machine = machine_of(redis=start)
    try:
        machine.start()
        address = f"{machine.url}/{machine.ask('bucket')}/key"
        query = {"size": "7", "partSize": "7"}
        upload = {"uploadId": requests.post(f"{address}?uploads", params=query, timeout=60).json()["id"]}
        assert requests.put(address, params={**upload, "partNumber": "0"}, data=CONTENT, timeout=60).ok
        redis[0].stop()
        response = requests.post(address, params=upload, timeout=60)
        plain(response.json(), str(machine.folder))
        assert response.json()["status"] >= 500
        redis[0].serve()
        assert "links" in requests.post(address, params=upload, timeout=60).json()
        assert requests.get(address, timeout=60).content == CONTENT
    finally:
        redis[0].stop()
