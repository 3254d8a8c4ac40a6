"""The REST API on real servers: large bodies, ranges, and clients that go away."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from helpers.waiting import wait_until
from servers import HERE, OLD_KEYS, Server, add_old_keys, command, environment, free_port, serving

pytestmark = pytest.mark.slow

MIB = 1024**2
BLOCK = hashlib.shake_256(b"block").digest(MIB)
SERVERS = ("gunicorn", "uwsgi", "werkzeug")


class Body:
    """A body of so many MiB, each of them different, that is made while it is read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self.size):
            block = number.to_bytes(8, "big") + BLOCK[8:]
            self.digest.update(block)
            yield block

    def __len__(self) -> int:
        return self.size * MIB


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def buckets(folder: Path) -> list[str]:
    """Make the database; return the identifiers of a bucket and of a locked one."""
    program = [sys.executable, str(HERE / "application.py")]
    return subprocess.check_output(program, env=environment(folder), text=True).split()


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, folder: Path, buckets: list[str]) -> Iterator[Server]:
    port = free_port()
    arguments = command(request.param, port)
    if arguments is None:
        pytest.skip(f"{request.param} is not installed; the extra tests brings it")
    with serving(request.param, arguments, port, folder) as running:
        yield running


@pytest.fixture
def url(server: Server, buckets: list[str], folder: Path) -> Iterator[str]:
    """Give the URL of an empty bucket, and empty it again."""
    address = f"{server.url}/files/{buckets[0]}"
    yield address
    for item in requests.get(f"{address}?versions", timeout=60).json()["contents"]:
        assert requests.delete(item["links"]["version"], timeout=60).status_code == 204
    assert files(folder) == []


@pytest.fixture
def session(server: Server) -> Iterator[Any]:
    """Give a connection that stays open, or none where the server closes each without a word."""
    if server.name == "uwsgi":
        yield requests
        return
    with requests.Session() as session:
        yield session


def files(folder: Path) -> list[Path]:
    # Folders may vanish meanwhile, which os.walk passes over.
    return [Path(path, name) for path, _, names in os.walk(folder / "location") for name in names]


def send(server: Server, path: str, headers: dict[str, str], body: bytes = b"") -> socket.socket:
    """Send the head of a ``PUT`` and some of its body, and leave the connection open."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = {"Host": "localhost", **headers}
    lines = [f"PUT {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    connection.sendall("\r\n".join(lines).encode() + body)
    return connection


def test_a_large_file_comes_and_goes_as_it_is(url: str, session: Any) -> None:
    body = Body(64)
    stored = session.put(f"{url}/large", data=body, timeout=60)
    assert stored.status_code == 200, stored.text
    assert stored.json()["size"] == len(body)
    digest = hashlib.sha256()
    with session.get(f"{url}/large", stream=True, timeout=60) as response:
        assert response.headers["Content-Length"] == str(len(body))
        for chunk in response.iter_content(MIB):
            digest.update(chunk)
    assert digest.digest() == body.digest.digest()


def test_ranges_and_conditions_leave_the_connection_in_order(url: str, session: Any) -> None:
    content = b"".join(Body(3))
    stored = session.put(f"{url}/a.txt", data=content, timeout=60)
    path, etag = f"{url}/a.txt", stored.headers["ETag"]
    for value, part in {
        "bytes=0-9": content[:10],
        f"bytes={MIB}-{2 * MIB}": content[MIB : 2 * MIB + 1],
        "bytes=-1000": content[-1000:],
        f"bytes={MIB}-": content[MIB:],
    }.items():
        response = session.get(path, headers={"Range": value}, timeout=60)
        assert (response.status_code, response.content) == (206, part)
    response = session.head(path, timeout=60)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Length"] == str(len(content))
    response = session.get(path, headers={"If-None-Match": etag}, timeout=60)
    assert (response.status_code, response.content) == (304, b"")
    assert session.get(path, headers={"Range": f"bytes={4 * MIB}-"}, timeout=60).status_code == 416
    assert session.get(path, timeout=60).content == content


def test_a_listing_is_whole(url: str) -> None:
    for number in range(5):
        requests.put(f"{url}/{number}", data=b"x", timeout=60)
    assert len(requests.get(url, timeout=60).json()["contents"]) == 5


def test_a_chunked_body_is_stored(url: str) -> None:
    body = Body(8)
    response = requests.put(f"{url}/chunked", data=iter(body), timeout=60)
    assert response.status_code == 200, response.text
    assert hashlib.sha256(requests.get(f"{url}/chunked", timeout=60).content).digest() == body.digest.digest()


@pytest.mark.parametrize("chunked", [False, True])
def test_nothing_stays_of_a_body_that_is_cut_short(server: Server, url: str, folder: Path, chunked: bool) -> None:
    path = "/" + url.split("/", 3)[3] + "/short"
    if chunked:
        connection = send(server, path, {"Transfer-Encoding": "chunked"}, b"400000\r\n" + BLOCK * 2)
    else:
        connection = send(server, path, {"Content-Length": str(4 * MIB)}, BLOCK * 2)
    # uWSGI hands on whole chunks.
    if not (chunked and server.name == "uwsgi"):
        wait_until(lambda: files(folder) != [])
    connection.close()
    wait_until(lambda: files(folder) == [])
    assert requests.get(f"{url}/short", timeout=60).status_code == 404
    assert requests.put(f"{url}/next", data=b"next", timeout=60).status_code == 200
    assert requests.get(url, timeout=60).json()["size"] == 4


@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}])
def test_a_refusal_does_not_wait_for_the_body(server: Server, buckets: list[str], expect: dict[str, str]) -> None:
    for bucket, status in ((buckets[1], 403), (uuid4(), 404)):
        headers = {"Content-Length": str(100 * MIB), **expect}
        connection = send(server, f"/files/{bucket}/a", headers)
        try:
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert response.status == status
            assert b'"message"' in response.read()
        finally:
            connection.close()


def test_a_body_that_curl_calls_a_form_is_stored_as_it_is(url: str) -> None:
    """The application looks into the form of every request."""
    body = b"a=1&b=2" + BLOCK
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert requests.put(f"{url}/a", data=body, headers=headers, timeout=60).status_code == 200
    assert requests.get(f"{url}/a", timeout=60).content == body


def test_memory_does_not_grow_with_a_file(server: Server, url: str) -> None:
    def there_and_back(size: int) -> None:
        assert requests.put(f"{url}/large", data=Body(size), timeout=60).status_code == 200
        with requests.get(f"{url}/large", stream=True, timeout=60) as response:
            assert sum(map(len, response.iter_content(MIB))) == size * MIB

    there_and_back(1)
    idle = server.memory("VmRSS")
    server.forget_peak()
    there_and_back(256)
    assert server.memory("VmHWM") - idle < 64 * MIB


class FormBody:
    """A form of a file of so many MiB, that is made while it is read.

    :param size: The size.
    :param watch: Function that is called now and then.
    """

    def __init__(self, size: int, watch: Callable[[], Any]) -> None:
        self.size, self.watch = size, watch
        head = 'Content-Disposition: form-data; name="{}"'.format
        begin = f"--b\r\n{head('_totalSize')}\r\n\r\n{size * MIB}\r\n--b\r\n{head('file')}; filename=a\r\n\r\n"
        self.begin, self.end = begin.encode(), b"\r\n--b--\r\n"

    def __iter__(self) -> Iterator[bytes]:
        yield self.begin
        for number in range(self.size):
            yield BLOCK
            if number % 16 == 15:
                self.watch()
        yield self.end

    def __len__(self) -> int:
        return len(self.begin) + self.size * MIB + len(self.end)


def nameless_files(server: Server) -> list[str]:
    """Return what a server has open that has bytes and no name, as temporary files have none."""
    found = []
    for pid in server.processes():
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if os.readlink(path).endswith(" (deleted)") and path.stat().st_size:
                    found.append(os.readlink(path))
    return found


def test_the_file_of_a_form_is_neither_held_in_memory_nor_kept_in_a_temporary_file(server: Server, url: str) -> None:
    before = nameless_files(server)
    seen = []

    def send(size: int, chunked: bool) -> None:
        body = FormBody(size, lambda: seen.append(nameless_files(server)))
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        response = requests.put(f"{url}/form", data=iter(body) if chunked else body, headers=headers, timeout=60)
        assert response.status_code == 200, response.text
        assert response.json()["size"] == size * MIB

    send(1, chunked=True)
    idle = server.memory("VmRSS")
    server.forget_peak()
    send(300, chunked=True)
    send(48, chunked=False)
    assert server.memory("VmHWM") - idle < 64 * MIB
    assert len(seen) == 21
    assert all(found == before for found in seen)


def test_clients_that_follow_the_links_of_an_old_key_reach_its_object(
    url: str, buckets: list[str], folder: Path
) -> None:
    """Clients take segments of dots out of a path, and keys were once allowed to have them."""
    add_old_keys(folder, buckets[0])
    items = requests.get(url, timeout=60).json()["contents"]
    assert {item["key"] for item in items} == set(OLD_KEYS)
    for item in items:
        for link in (item["links"]["self"], item["links"]["version"]):
            assert requests.get(link, timeout=60).text == item["key"]
            assert subprocess.check_output(["curl", "-sS", link], text=True) == item["key"]


def test_a_client_that_leaves_dots_in_a_path_is_refused(server: Server, url: str) -> None:
    bucket = "/" + url.split("/", 3)[3]
    # uWSGI takes such segments out itself, unless their slash is encoded.
    for path in ("..%2Fnew", *(("../new", "a/%2e%2e/new", ".") if server.name != "uwsgi" else ())):
        with send(server, f"{bucket}/{path}", {"Content-Length": "4", "Connection": "close"}, b"body") as connection:
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, b"segment" in answer.read()) == (400, True)


def test_keys_arrive_as_they_were_sent(url: str) -> None:
    keys = {"a%20b": "a b", "%C3%A9/%F0%9F%98%80": "é/😀", "a%3Fb%23c": "a?b#c", "a//b": "a//b", "%2525": "%25"}
    for path in keys:
        assert requests.put(f"{url}/{path}", data=b"x", timeout=60).status_code == 200
    shown: Any = requests.get(url, timeout=60).json()["contents"]
    assert {item["key"] for item in shown} == set(keys.values())
