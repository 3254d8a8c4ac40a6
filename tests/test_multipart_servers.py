"""Parts in parallel, on a real server of several processes, on each database."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
import requests
from conftest import temporary_database
from helpers.parts import checksum
from servers import HERE, Server, command, environment, free_port, serving

MIB = 1024**2
PART = 5 * MIB

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Place:
    """A server, and a bucket on it."""

    def __init__(self, server: Server, bucket: str, folder: Path) -> None:
        self.server, self.bucket, self.folder = server, f"{server.url}/files/{bucket}", folder

    def begin(self, key: str, size: int) -> str:
        answer = requests.post(f"{self.bucket}/{key}?uploads&size={size}&partSize={PART}")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["links"]["self"])

    def parts(self, upload: str) -> dict[int, str]:
        return {part["part_number"]: part["checksum"] for part in requests.get(upload).json()["parts"]}

    def connection(self, upload: str, number: int, size: int = PART) -> http.client.HTTPConnection:
        """Begin to send a part."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.putrequest("PUT", f"{upload.removeprefix(self.server.url)}&partNumber={number}")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        return connection


@pytest.fixture(scope="module")
def place(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp(f"servers-{database}")
    with temporary_database(database, folder) as url:
        settings = {
            "SQLALCHEMY_DATABASE_URI": url.render_as_string(hide_password=False),
            "SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"timeout": 60}} if database == "sqlite" else {},
        }
        program = [sys.executable, str(HERE / "application.py")]
        bucket = subprocess.check_output(program, env=environment(folder, **settings), text=True).split()[0]
        port = free_port()
        arguments = command("gunicorn", port)
        assert arguments is not None
        with serving("gunicorn", [*arguments, "--workers", "3"], port, folder, **settings) as server:
            yield Place(server, bucket, folder)


def test_parts_come_from_many_connections_to_several_processes(place: Place) -> None:
    count = 12
    content = Random(1).randbytes(count * PART - 1)
    pieces = [content[start : start + PART] for start in range(0, len(content), PART)]
    upload = place.begin("parallel", len(content))
    order = list(range(count)) * 2
    Random(2).shuffle(order)

    def send(number: int) -> int:
        return requests.put(f"{upload}&partNumber={number}", data=pieces[number]).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, order)) == {200}
    assert place.parts(upload) == {number: checksum(piece) for number, piece in enumerate(pieces)}
    assert requests.post(upload).json()["completed"]
    answer = requests.get(f"{place.bucket}/parallel")
    assert answer.content == content
    assert answer.headers["ETag"] == f'"{checksum(content)}"'
    assert requests.delete(f"{place.bucket}/parallel").status_code == 204


@pytest.mark.parametrize("clients", [2, 6])
def test_clients_that_send_different_bytes_as_one_part_never_mix_them(place: Place, clients: int) -> None:
    upload = place.begin("same", 2 * PART)
    bodies = [bytes([65 + number]) * PART for number in range(clients)]

    def send(body: bytes) -> int:
        connection = place.connection(upload, 0)
        try:
            for start in range(0, PART, MIB):
                connection.send(body[start : start + MIB])
                time.sleep(0.02)
            return connection.getresponse().status
        finally:
            connection.close()

    with ThreadPoolExecutor(clients) as pool:
        statuses = list(pool.map(send, bodies))
    assert set(statuses) == {200}
    last = b"z" * PART
    assert requests.put(f"{upload}&partNumber=1", data=last).status_code == 200
    recorded = place.parts(upload)[0]
    assert recorded in [checksum(body) for body in bodies]
    assert requests.post(upload).json()["completed"]
    content = requests.get(f"{place.bucket}/same").content
    assert checksum(content[:PART]) == recorded
    assert content[PART:] == last


def test_a_part_that_another_connection_was_cut_in_is_sent_again(place: Place) -> None:
    upload = place.begin("cut", PART)
    connection = place.connection(upload, 0)
    connection.send(b"x" * MIB)
    time.sleep(0.3)
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(requests.put, f"{upload}&partNumber=0", data=b"y" * PART)
        time.sleep(0.5)
        assert not again.done()
        assert place.parts(upload) == {}
        connection.close()
        assert again.result(60).status_code == 200
    assert place.parts(upload) == {0: checksum(b"y" * PART)}
    assert requests.post(upload).json()["completed"]


def test_what_has_arrived_is_known_after_a_kill_of_the_server(place: Place) -> None:
    upload = place.begin("killed", 2 * PART)
    assert requests.put(f"{upload}&partNumber=0", data=b"a" * PART).status_code == 200
    connection = place.connection(upload, 1)
    connection.send(b"b" * MIB)
    time.sleep(0.3)
    # gunicorn starts new workers.
    for process in place.server.processes()[1:]:
        os.kill(process, signal.SIGKILL)
    time.sleep(1)
    connection.close()
    assert place.parts(upload) == {0: checksum(b"a" * PART)}
    assert requests.put(f"{upload}&partNumber=1", data=b"c" * PART).status_code == 200
    assert requests.post(upload).json()["completed"]
    assert requests.get(f"{place.bucket}/killed").content == b"a" * PART + b"c" * PART
