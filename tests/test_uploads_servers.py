"""Uploads on real servers: bodies that break at any byte, and requests that take over from others."""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from helpers.waiting import SECONDS, allowed
from servers import HERE, Server, command, environment, free_port, serving

from invenio_files_rest.services.uploads.sources import PIECE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

MIB = 1024**2
SIZE = 300_000
CONTENT = random.Random(1).randbytes(SIZE)
SETTINGS = {"SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"timeout": 60}}}


class Place:
    """A server, and a bucket on it."""

    def __init__(self, server: Server, bucket: str) -> None:
        self.server, self.bucket = server, bucket

    def begin(self, plan: str, **query: Any) -> str:
        query |= {"bucket": self.bucket, "key": "key"}
        answer = requests.post(f"{self.server.url}/uploads/{plan}", params=query, timeout=60)
        assert answer.status_code == 200, answer.text
        return f"/uploads/{plan}/{answer.json()['id']}"

    def send(self, path: str, body: bytes, size: int | None) -> socket.socket:
        """Send a request, and the beginning of its body: in chunks where no size of it is given."""
        connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
        framing = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
        connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        if size is None:
            for start in range(0, len(body), 10_000):
                chunk = body[start : start + 10_000]
                connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        else:
            connection.sendall(body)
        return connection

    def offset(self, upload: str, **query: Any) -> int:
        for _ in range(5):
            answer = requests.get(self.server.url + upload, params=query, timeout=60)
            # A request that was sent before may have begun after.
            if answer.status_code not in (409, 423):
                break
        assert answer.status_code == 200, answer.text
        return int(answer.json()["offset"])

    def lost(self, chunked: bool) -> int:
        """Return how many bytes the server may have read of a broken body and not handed on."""
        return PIECE if chunked or self.server.name == "uwsgi" else 0

    def complete(self, upload: str) -> bytes:
        """Complete an upload, and return what the object has."""
        answer = requests.post(self.server.url + upload, timeout=60)
        assert answer.status_code == 200, answer.text
        return requests.get(f"{self.server.url}/files/{self.bucket}/key", timeout=60).content


@pytest.fixture(scope="module", params=["gunicorn", "uwsgi", "werkzeug"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("servers")
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(folder, **SETTINGS), text=True).split()[0]
    port = free_port()
    arguments = command(request.param, port, workers=2)
    if arguments is None:
        pytest.skip(f"{request.param} is not installed; the extra tests brings it")
    with serving(request.param, arguments, port, folder, **SETTINGS) as server:
        yield Place(server, bucket)


@pytest.fixture(params=["a length", "chunks"])
def chunked(request: pytest.FixtureRequest, place: Place) -> bool:
    if request.param == "chunks" and place.server.name == "uwsgi":
        pytest.skip("uWSGI does not mark the end of such a body.")
    return bool(request.param == "chunks")


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def test_a_body_may_break_at_any_byte_and_what_came_is_kept(place: Place, chunked: bool) -> None:
    upload, offset, choice = place.begin("appended", length=SIZE), 0, random.Random(2)
    for _ in range(8):
        cut = choice.randint(offset, SIZE)
        place.send(f"{upload}/{offset}", CONTENT[offset:cut], None if chunked else SIZE - offset).close()
        # The server may not have taken all of it from the connection yet.
        found = -1
        deadline = time.monotonic() + SECONDS
        while found < cut - place.lost(chunked):
            found = place.offset(upload)
            assert time.monotonic() < deadline, (found, cut)
            time.sleep(0.02)
        assert found <= cut
        offset = place.offset(upload, take_over=True)
        assert found <= offset <= cut
    connection = place.send(f"{upload}/{offset}", CONTENT[offset:], SIZE - offset)
    with connection:
        assert answer_of(connection)[0] == 200
    assert place.complete(upload) == CONTENT


def test_a_part_that_breaks_is_not_there(place: Place, chunked: bool) -> None:
    upload = place.begin("parts")
    for number, cut in ((1, 0), (2, 1), (3, SIZE - 1)):
        place.send(f"{upload}/{number}", CONTENT[:cut], None if chunked else SIZE).close()
    # Else one of these may be taken for the newer.
    time.sleep(1)
    for number in (2, 3):
        body = iter([CONTENT[:1000], CONTENT[1000:]]) if chunked else CONTENT
        assert requests.put(f"{place.server.url}{upload}/{number}", data=body, timeout=60).status_code == 200
    assert requests.get(place.server.url + upload, timeout=60).json() == [2, 3]
    assert place.complete(upload) == CONTENT * 2


def test_a_new_request_stops_one_that_hangs_within_two_seconds(place: Place, chunked: bool) -> None:
    upload = place.begin("appended")
    with place.send(f"{upload}/0", CONTENT[:100_000], None if chunked else SIZE) as hanging:
        time.sleep(0.5)
        begun = time.monotonic()
        offset = place.offset(upload, take_over=True)
        assert time.monotonic() - begun < allowed(2)
        assert 100_000 - place.lost(chunked) <= offset <= 100_000
        assert answer_of(hanging)[0] == 409
        answer = requests.put(f"{place.server.url}{upload}/{offset}", data=CONTENT[offset:], timeout=60)
        assert answer.json() == {"broken": False, "offset": SIZE}
    assert place.complete(upload) == CONTENT


def test_of_several_writers_of_one_part_the_last_is_heard(place: Place) -> None:
    upload = place.begin("parts")
    with place.send(f"{upload}/1", b"a" * 1000, SIZE) as first:
        time.sleep(0.3)
        with place.send(f"{upload}/1", b"b" * 1000, SIZE) as second:
            time.sleep(0.3)
            begun = time.monotonic()
            answer = requests.put(f"{place.server.url}{upload}/1", data=CONTENT, timeout=60)
            assert answer.status_code == 200, answer.text
            assert [answer_of(connection)[0] for connection in (first, second)] == [409, 409]
            assert time.monotonic() - begun < allowed(3)
    assert place.complete(upload) == CONTENT


def test_parts_come_from_many_connections_at_once(place: Place) -> None:
    upload = place.begin("parts")
    parts = {number: bytes([number]) * (MIB if number % 3 else 5) for number in range(1, 25)}

    def put(number: int) -> int:
        return requests.put(f"{place.server.url}{upload}/{number}", data=parts[number], timeout=60).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(put, reversed(parts))) == {200}
    assert place.complete(upload) == b"".join(parts.values())


def test_what_killed_workers_had_written_is_kept(place: Place) -> None:
    if place.server.name != "gunicorn":
        pytest.skip("gunicorn starts new workers.")
    upload = place.begin("appended")
    content = CONTENT * 20
    connection = place.send(f"{upload}/0", content[:-1], len(content))
    time.sleep(1)
    for process in place.server.processes()[1:]:
        os.kill(process, signal.SIGKILL)
    connection.close()
    time.sleep(1)
    offset = place.offset(upload, take_over=True)
    assert len(content) - 2 * MIB < offset < len(content)
    answer = requests.put(f"{place.server.url}{upload}/{offset}", data=content[offset:], timeout=60)
    assert answer.json()["offset"] == len(content)
    assert place.complete(upload) == content
