"""tus on real servers: a body that breaks at any byte, workers that are killed, and nginx in front."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from helpers.tus import TYPE, metadata
from servers import HERE, Server, command, environment, free_port, serving
from servers.nginx import NGINX, running_nginx

from invenio_files_rest.services.uploads.sources import PIECE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SIZE = 400_000
CONTENT = random.Random(1).randbytes(SIZE)
SETTINGS = {"SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"timeout": 60}}}
TUS = {"Tus-Resumable": "1.0.0"}


class Place:
    """A server, and a bucket on it."""

    def __init__(self, name: str, server: Server, port: int, bucket: str) -> None:
        self.name, self.server, self.port = name, server, port
        self.url = f"http://127.0.0.1:{port}/files/{bucket}"

    def begin(self, key: str, length: int = SIZE) -> str:
        headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata(filename=key)}
        answer = requests.post(f"{self.url}?tus", headers=headers, timeout=60)
        assert answer.status_code == 201, answer.text
        assert answer.headers["Location"].startswith(f"{self.url}?uploadId=")
        return answer.headers["Location"]

    def send(self, upload: str, offset: int, body: bytes, size: int | None) -> socket.socket:
        """Send a PATCH, and the beginning of its body: in chunks where no size of it is given."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        parts = urlsplit(upload)
        framing = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
        headers = {**TUS, "Host": parts.netloc, "Upload-Offset": offset, "Content-Type": TYPE}
        lines = [f"PATCH {parts.path}?{parts.query} HTTP/1.1", framing, *(f"{k}: {v}" for k, v in headers.items())]
        connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        if size is None:
            for start in range(0, len(body), 10_000):
                chunk = body[start : start + 10_000]
                connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        else:
            connection.sendall(body)
        return connection

    def patch(self, upload: str, offset: int, data: Any) -> requests.Response:
        headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": TYPE}
        return requests.patch(upload, data=data, headers=headers, timeout=60)

    def offset(self, upload: str) -> int:
        for _ in range(10):
            answer = requests.head(upload, headers=TUS, timeout=60)
            # A request that was sent before may have begun after.
            if answer.status_code not in (409, 423):
                break
        assert answer.status_code == 200, answer.headers
        return int(answer.headers["Upload-Offset"])

    def shown(self, upload: str) -> int:
        """Return how far the server says that it is, without stopping whoever writes."""
        answer = requests.get(upload, headers=TUS, timeout=60)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["offset"])

    def content(self, key: str) -> bytes:
        return requests.get(f"{self.url}/{key}", timeout=60).content


@pytest.fixture(scope="module", params=["gunicorn", "uwsgi", "nginx"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("servers")
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(folder, **SETTINGS), text=True).split()[0]
    port, front = free_port(), free_port()
    name = "gunicorn" if request.param == "nginx" else request.param
    arguments = command(name, port, workers=2)
    if arguments is None or (request.param == "nginx" and NGINX is None):
        pytest.skip(f"{request.param} is not installed")
    with serving(name, arguments, port, folder, **SETTINGS) as server:
        if request.param != "nginx":
            yield Place(name, server, port, bucket)
            return
        configuration = (
            f"server {{ listen 127.0.0.1:{front}; client_max_body_size 0; location / {{"
            f" proxy_pass http://127.0.0.1:{port}; proxy_set_header Host $http_host;"
            " proxy_http_version 1.1; proxy_request_buffering off; }}"
        )
        with running_nginx(folder, front, configuration):
            yield Place("nginx", server, front, bucket)


@pytest.fixture(params=["a length", "chunks"])
def chunked(request: pytest.FixtureRequest, place: Place) -> bool:
    if request.param == "chunks" and place.name == "uwsgi":
        pytest.skip("uWSGI does not mark the end of such a body.")
    return bool(request.param == "chunks")


def test_what_came_is_kept_whatever_byte_the_connection_is_cut_at(place: Place, chunked: bool) -> None:
    """Of a body in chunks, or that another program has passed on, one block may be lost."""
    upload, offset, choice = place.begin("cut"), 0, random.Random(2)
    lost = PIECE if chunked or place.name != "gunicorn" else 0
    for _ in range(4):
        cut = choice.randint(offset, SIZE)
        place.send(upload, offset, CONTENT[offset:cut], None if chunked else SIZE - offset).close()
        # The server may not have taken all of it from the connection yet.
        deadline = time.monotonic() + 20
        while place.shown(upload) < cut - lost:
            assert time.monotonic() < deadline, (place.shown(upload), cut)
            time.sleep(0.05)
        offset = place.offset(upload)
        assert cut - lost <= offset <= cut
    answer = place.patch(upload, offset, CONTENT[offset:])
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(SIZE))
    assert place.content("cut") == CONTENT


def test_who_asks_for_the_offset_stops_a_request_that_hangs(place: Place) -> None:
    upload = place.begin("hanging")
    with place.send(upload, 0, CONTENT[:200_000], SIZE):
        time.sleep(0.5)
        begun = time.monotonic()
        offset = place.offset(upload)
        assert time.monotonic() - begun < 10
        assert 0 < offset <= 200_000
        assert place.patch(upload, offset, CONTENT[offset:]).status_code == 204
    assert place.content("hanging") == CONTENT


def test_workers_that_are_killed_lose_nothing_that_was_told(place: Place) -> None:
    if place.name != "gunicorn":
        pytest.skip("gunicorn starts new workers.")
    content = CONTENT * 10
    upload = place.begin("killed", len(content))
    told = SIZE
    assert place.patch(upload, 0, content[:told]).headers["Upload-Offset"] == str(told)
    connection = place.send(upload, told, content[told:-1], len(content) - told)
    time.sleep(1)
    for process in place.server.processes()[1:]:
        os.kill(process, signal.SIGKILL)
    connection.close()
    time.sleep(1)
    offset = place.offset(upload)
    assert told < offset < len(content)
    assert place.patch(upload, offset, content[offset:]).status_code == 204
    assert place.content("killed") == content
