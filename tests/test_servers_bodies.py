"""Bodies on real servers: chunked ones in all ways, and what becomes of one whose client goes or makes mistakes."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from helpers.waiting import wait_until
from servers import HERE, Server, command, environment, free_port, serving

pytestmark = pytest.mark.slow

SIZE = 100_000
BODY = os.urandom(SIZE)
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


def form(**fields: str) -> bytes:
    """Return the beginning of a form, up to the bytes of its file."""
    names = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    return f'{names}--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()


class Place:
    """A server, a bucket and an upload in it, and the folder of its files."""

    def __init__(self, server: Server, bucket: str, folder: Path) -> None:
        self.server = server
        self.path = f"/files/{bucket}"
        self.url = server.url + self.path
        self.location = folder / "location"
        self.log = folder / f"{server.name}.log"
        query = {"size": str(2 * SIZE), "partSize": str(SIZE)}
        self.upload = requests.post(f"{self.url}/part?uploads", params=query, timeout=60).json()["id"]

    def target(self, kind: str) -> tuple[str, str, str, bytes, bytes]:
        """Return method, path, type, and the body in two pieces."""
        multipart = "multipart/form-data; boundary=b"
        if kind == "file":
            return "PUT", f"{self.path}/file", "application/octet-stream", BODY[:5000], BODY[5000:]
        if kind == "part":
            path = f"{self.path}/part?uploadId={self.upload}&partNumber=0"
            return "PUT", path, "application/octet-stream", BODY[:5000], BODY[5000:]
        if kind == "form":
            return "PUT", f"{self.path}/form", multipart, form(_totalSize=str(SIZE)) + BODY[:5000], BODY[5000:] + END
        if kind == "form of a part":
            begin = form(_chunkNumber="1", _currentChunkSize=str(SIZE))
            path = f"{self.path}/part?uploadId={self.upload}"
            return "PUT", path, multipart, begin + BODY[:5000], BODY[5000:] + END
        return "POST", f"{self.path}/json?uploads", "application/json", b'{"size": 10, ', b'"partSize": 5}'

    def send(self, kind: str, framing: str) -> tuple[socket.socket, bytes, bytes]:
        """Send the head of a request; return the connection and the body in two pieces."""
        method, path, content_type, begin, rest = self.target(kind)
        connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
        told = "Transfer-Encoding: chunked" if framing == "chunked" else f"Content-Length: {len(begin + rest)}"
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Type: {content_type}", told, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        return connection, begin, rest

    def stored(self) -> list[Path]:
        return sorted(path for path in self.location.rglob("*") if path.is_file())


END = b"\r\n--b--\r\n"
KINDS = ["file", "part", "form", "form of a part", "json"]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def answer(connection: socket.socket) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


@pytest.fixture(scope="module", params=["gunicorn", "uwsgi", "werkzeug"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Run each server."""
    folder, port = tmp_path_factory.mktemp("bodies"), free_port()
    arguments = command(request.param, port)
    if arguments is None:
        pytest.skip(f"{request.param} is not installed; the extra tests brings it")
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(folder), text=True).split()[0]
    with serving(request.param, arguments, port, folder, FILES_REST_MULTIPART_CHUNKSIZE_MIN=1) as server:
        yield Place(server, bucket, folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_of_any_framing_is_taken_for_whatever_it_is(place: Place, kind: str, framing: str) -> None:
    connection, begin, rest = place.send(kind, framing)
    with connection:
        # A chunk may end in the middle of anything.
        pieces = [begin[:10], begin[10:], rest[:-5], rest[-5:]]
        for piece in pieces:
            connection.sendall(chunk(piece) if framing == "chunked" else piece)
        if framing == "chunked":
            connection.sendall(b"0\r\n\r\n")
        status, body = answer(connection)
    assert status == 200, body
    if kind in ("file", "form"):
        assert requests.get(f"{place.url}/{kind}", timeout=60).content == BODY


FAULTS = ["reset", "closed", "chunked: reset", "chunked: closed", "chunked: no size", "chunked: no end"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_fault_of_a_client_is_a_400_and_one_line_at_info_and_nothing_stays(
    place: Place, kind: str, fault: str
) -> None:
    framing, _, how = f"length: {fault}".rpartition("length: ")[2].rpartition(": ")
    if how == "no size" and place.server.name == "uwsgi":
        pytest.skip("uWSGI takes what is no size for the end")
    before, begun = place.stored(), place.log.stat().st_size
    connection, begin, _ = place.send(kind, framing or "length")
    with connection:
        if not framing:
            connection.sendall(begin)
        elif how == "no size":
            connection.sendall(chunk(begin) + b"-5\r\n")
        elif how == "no end":
            connection.sendall(chunk(begin)[:-2] + b"ab" + chunk(begin))
        else:
            connection.sendall(chunk(begin + begin)[: len(begin)])
        if how == "reset":
            # The server has begun to read.
            time.sleep(0.2)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            if how == "closed":
                connection.shutdown(socket.SHUT_WR)
            status, body = answer(connection)
            assert (status, b"The body of the request is malformed" in body) == (400, True)

    def told() -> str:
        return place.log.read_bytes()[begun:].decode()

    wait_until(lambda: "The body of the request is malformed" in told(), told)
    # Whatever else the server has to say of it.
    time.sleep(0.2)
    assert told().count("The body of the request is malformed") == 1
    assert [line for line in told().splitlines() if "INFO in" in line]
    assert "ERROR" not in told()
    assert "Traceback" not in told()
    assert place.stored() == before


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed.")
@pytest.mark.parametrize("buffering", ["on", "off"])
def test_a_chunked_body_that_nginx_puts_together_for_uwsgi_is_stored(tmp_path: Path, buffering: str) -> None:
    """It tells the length then, and passes Transfer-Encoding on."""
    http_port, uwsgi_port, port = free_port(), free_port(), free_port()
    arguments = command("uwsgi", http_port)
    if arguments is None:
        pytest.skip("uwsgi is not installed; the extra tests brings it")
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(tmp_path), text=True).split()[0]
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    names = {
        "QUERY_STRING": "$query_string",
        "REQUEST_METHOD": "$request_method",
        "CONTENT_TYPE": "$content_type",
        "CONTENT_LENGTH": "$content_length",
        "REQUEST_URI": "$request_uri",
        "PATH_INFO": "$document_uri",
        "SERVER_PROTOCOL": "$server_protocol",
        "REMOTE_ADDR": "$remote_addr",
        "SERVER_PORT": "$server_port",
        "SERVER_NAME": "$server_name",
    }
    parameters = " ".join(f"uwsgi_param {name} {value};" for name, value in names.items())
    paths = " ".join(f"{kind}_temp_path {tmp_path}/nginx-{kind};" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off; worker_processes 1; pid {tmp_path}/nginx.pid;\n"
        f"events {{}}\nhttp {{ access_log off; {paths} server {{ listen 127.0.0.1:{port}; location / {{\n"
        f"{parameters} uwsgi_request_buffering {buffering}; uwsgi_pass 127.0.0.1:{uwsgi_port}; }} }} }}\n"
    )
    arguments[1:1] = ["--socket", f"127.0.0.1:{uwsgi_port}"]
    with serving("uwsgi", arguments, http_port, tmp_path):
        nginx = [str(NGINX), "-p", str(tmp_path), "-c", f"{tmp_path}/nginx.conf", "-e", f"{tmp_path}/nginx.log"]
        with serving("nginx", nginx, port, tmp_path) as server:
            url = f"{server.url}/files/{bucket}/a"
            response = requests.put(url, data=iter([BODY[:10], BODY[10:]]), timeout=60)
            assert response.status_code == 200, response.text
            assert requests.get(url, timeout=60).content == BODY
            begin = form(_totalSize=str(SIZE))
            headers = {"Content-Type": "multipart/form-data; boundary=b"}
            response = requests.put(url, data=iter([begin, BODY, END]), headers=headers, timeout=60)
            assert response.status_code == 200, response.text
