"""Files that are shorter or longer than their rows, on real servers: no response claims bytes that do not come."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest
import requests
from helpers.waiting import wait_until
from servers import HERE, Server, command, environment, free_port, serving

pytestmark = pytest.mark.slow

MIB = 1024**2
SERVERS = {
    "gunicorn": [],
    # The file goes through Python.
    "gunicorn-iterating": ["--no-sendfile"],
    "uwsgi": [],
    "werkzeug": [],
}


class Place:
    """A server, a bucket, and the folder of its files."""

    def __init__(self, server: Server, bucket: str, folder: Path) -> None:
        self.server = server
        self.path = f"/files/{bucket}"
        self.url = server.url + self.path
        self.location = folder / "location"
        self.log = folder / f"{server.name}.log"

    def stored(self, key: str, content: bytes) -> Path:
        """Store an object, and return its file."""
        before = set(self.location.rglob("data"))
        assert requests.put(f"{self.url}/{key}", data=content, timeout=60).status_code == 200
        (file,) = set(self.location.rglob("data")) - before
        return file


@pytest.fixture(scope="module", params=SERVERS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Run each server."""
    folder, port, name = tmp_path_factory.mktemp("damage"), free_port(), request.param.partition("-")[0]
    arguments = command(name, port)
    if arguments is None:
        pytest.skip(f"{name} is not installed; the extra tests brings it")
    arguments[1:1] = SERVERS[request.param]
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(folder), text=True).split()[0]
    with serving(name, arguments, port, folder) as server:
        yield Place(server, bucket, folder)


def lines_of(log: Path, text: str) -> int:
    return log.read_text(errors="replace").count(text)


@pytest.mark.parametrize("size", [0, 9, 11, 10 * MIB])
def test_a_file_of_another_size_than_its_row_is_refused_and_nothing_of_it_is_sent(place: Place, size: int) -> None:
    file = place.stored("damaged", b"0123456789")
    os.truncate(file, size)
    before = lines_of(place.log, f"has {size} bytes, not 10.")
    for ranges in (None, "bytes=0-3", "bytes=-3"):
        response = requests.get(f"{place.url}/damaged", headers={"Range": ranges}, timeout=30)
        assert response.status_code == 500
        assert response.json() == {"status": 500, "message": "The file storage failed."}
    assert lines_of(place.log, f"has {size} bytes, not 10.") == before + 3
    assert requests.delete(f"{place.url}/damaged", timeout=30).status_code == 204


@pytest.mark.parametrize("range_header", ["", "Range: bytes=5-\r\n"], ids=["whole", "range"])
def test_a_file_that_ends_while_it_is_sent_breaks_the_connection(place: Place, range_header: str) -> None:
    file = place.stored("large", os.urandom(32 * MIB))
    before = lines_of(place.log, str(file))
    with socket.socket() as connection:
        # Little is on its way when the file shrinks.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", place.server.port))
        head = f"GET {place.path}/large HTTP/1.1\r\nHost: localhost\r\n{range_header}\r\n"
        connection.sendall(head.encode() * 2)
        response = HTTPResponse(connection)
        response.begin()
        promised = int(response.headers["Content-Length"])
        received = len(response.read(64 * 1024))
        os.truncate(file, 16 * MIB)
        rest = b""
        try:
            while block := connection.recv(MIB):
                received += len(block)
                rest = (rest + block)[-10_000:]
        except ConnectionResetError:
            pass
    assert received < promised
    # Neither the next answer nor an error page stands for what is missing.
    assert b"HTTP/1" not in rest
    assert b"<html" not in rest

    def told() -> int:
        return lines_of(place.log, f"{file} ended") + lines_of(place.log, f"{file} has lost bytes")

    wait_until(told, place.log.read_text)
    assert (before, told()) == (0, 1)
    assert requests.get(f"{place.url}/large", timeout=30).status_code == 500
