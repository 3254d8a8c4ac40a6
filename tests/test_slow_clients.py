"""Slow clients: they hold no database connection, and no worker for ever."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from helpers.waiting import SECONDS, allowed, wait_until
from servers import HERE, Server, command, environment, free_port, serving
from servers.nginx import documented, needs_nginx, running_nginx
from sqlalchemy import URL
from werkzeug.exceptions import RequestTimeout

from invenio_files_rest.http.pacing import PIECE, PacedStream
from invenio_files_rest.models import Bucket

pytestmark = pytest.mark.slow

RATE = 2000
PATIENCE = 1


def connect(server: Server, path: str, **headers: str) -> socket.socket:
    """Send the head of a ``PUT``."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    lines = [f"PUT {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def answer(connection: socket.socket) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


@contextmanager
def trickling(connection: socket.socket, data: bytes, pause: float) -> Iterator[None]:
    """Send bytes, one at a time, until somebody is tired of it."""
    stop = threading.Event()

    def send() -> None:
        for byte in data:
            try:
                connection.send(bytes([byte]))
            except OSError:
                return
            if stop.wait(pause):
                return

    thread = threading.Thread(target=send)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture(scope="module")
def pool_of_two(base_app: Any, database_url: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a process of 48 threads with two connections, for which nobody waits longer than 20 seconds."""
    folder, port = tmp_path_factory.mktemp("pool"), free_port()
    arguments = command("gunicorn", port, threads=48)
    assert arguments is not None
    with serving(
        "gunicorn",
        arguments,
        port,
        folder,
        SQLALCHEMY_DATABASE_URI=database_url.render_as_string(hide_password=False),
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 2, "max_overflow": 0, "pool_timeout": 20},
    ) as running:
        yield running


def test_uploads_that_trickle_hold_no_connection(pool_of_two: Server, db: Any, bucket: Bucket) -> None:
    """Others are answered, whose requests would else wait for a connection in vain."""
    path, folder, uploads, size = f"/files/{bucket.id}", Path(bucket.location.uri), 40, 100_000
    db.session.commit()
    url = f"{pool_of_two.url}{path}"

    def ask(client: int) -> int:
        with requests.Session() as session:
            for method in ["PUT", "GET"] * 10:
                answer = session.request(method, f"{url}/small-{client}", data=b"x" * 100, timeout=120)
                if answer.status_code != 200:
                    break
        return answer.status_code

    def kept() -> int:
        return sum(path.is_file() for path in folder.rglob("*"))

    with ExitStack() as stack:
        slow = [
            stack.enter_context(connect(pool_of_two, f"{path}/slow-{number}", **{"Content-Length": str(size)}))
            for number in range(uploads)
        ]

        def trickle(until: Callable[[], bool]) -> int:
            """Send each a byte at a time, and return how many."""
            sent = 0
            while not until():
                for connection in slow:
                    connection.sendall(b"s")
                sent += 1
                time.sleep(0.1)
            return sent

        deadline = time.monotonic() + SECONDS
        sent = trickle(lambda: kept() >= uploads or time.monotonic() > deadline)
        assert kept() == uploads
        pool = stack.enter_context(ThreadPoolExecutor(2))
        clients = [pool.submit(ask, client) for client in range(2)]
        sent += trickle(lambda: all(client.done() for client in clients))
        assert [client.result() for client in clients] == [200, 200]
        for connection in slow:
            connection.sendall(b"s" * (size - sent))
        assert [answer(connection)[0] for connection in slow] == [200] * uploads


@pytest.fixture(scope="module", params=["gunicorn", "werkzeug", "uwsgi"])
def impatient(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """Run a server that wants bodies to come fast; give it, and the path of a bucket."""
    folder, port = tmp_path_factory.mktemp("impatient"), free_port()
    arguments = command(request.param, port)
    if arguments is None:
        pytest.skip(f"{request.param} is not installed; the extra tests brings it")
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(folder), text=True).split()[0]
    settings = {
        "FILES_REST_UPLOAD_MIN_RATE": RATE,
        "FILES_REST_UPLOAD_PATIENCE": PATIENCE,
        "FILES_REST_DOWNLOAD_MIN_RATE": RATE,
        "FILES_REST_DOWNLOAD_PATIENCE": PATIENCE,
    }
    if request.param == "gunicorn":
        # Longer than between two requests of one connection.
        arguments += ["--keep-alive", "60"]
    with serving(request.param, arguments, port, folder, **settings) as running:
        # The first answer waits for the application.
        assert requests.get(f"{running.url}/files/{bucket}", timeout=60).status_code == 200
        yield running, f"/files/{bucket}"
        left = [path for path in Path(folder, "location").rglob("*") if path.is_file()]
        assert len(left) == len(requests.get(f"{running.url}/files/{bucket}?versions", timeout=30).json()["contents"])


@pytest.mark.parametrize("form", ["length", "chunked"])
@pytest.mark.parametrize("sent", [0, 100_000])
def test_a_client_that_sends_a_byte_at_a_time_is_told_so(impatient: tuple[Server, str], form: str, sent: int) -> None:
    server, path = impatient
    size = 200_000
    headers = {"Content-Length": str(size)} if form == "length" else {"Transfer-Encoding": "chunked"}
    begun = time.monotonic()
    with connect(server, f"{path}/slow", **headers) as connection:
        if form == "chunked":
            connection.sendall(b"%x\r\n" % size)
        connection.sendall(b"s" * sent)
        with trickling(connection, b"s" * 1000, 0.05):
            status, body = answer(connection)
    assert time.monotonic() - begun < allowed(3 * PATIENCE)
    assert status == 408
    assert "2000 bytes per second" in json.loads(body)["message"]
    assert requests.get(f"{server.url}{path}/slow", timeout=30).status_code == 404


def test_a_client_that_is_slow_but_not_too_slow_is_waited_for(impatient: tuple[Server, str]) -> None:
    server, path = impatient

    def patient() -> bool:
        """Tell whether the upload was taken, or was slower than it was meant to be."""
        with connect(server, f"{path}/patient", **{"Content-Length": "40"}) as connection:
            begun = time.monotonic()
            connection.sendall(b"s" * 20)
            time.sleep(0.5 * PATIENCE)
            connection.sendall(b"s" * 20)
            taken = answer(connection)[0] == 200
            assert taken or time.monotonic() - begun > 0.9 * PATIENCE
            return taken

    wait_until(patient)
    assert requests.get(f"{server.url}{path}/patient", timeout=30).content == b"s" * 40


def test_a_connection_goes_on_after_an_upload(impatient: tuple[Server, str]) -> None:
    """Nobody who looks after the upload ends what comes after it."""
    server, path = impatient
    if server.name != "gunicorn":
        pytest.skip("connections end with the request")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    addresses = set()
    for _ in range(2):
        connection.request("PUT", f"{path}/again", b"s" * 100)
        addresses.add(connection.sock.getsockname())
        assert connection.getresponse().read()
        time.sleep(1.5 * PATIENCE)
    connection.close()
    assert len(addresses) == 1


def test_a_piece_has_to_come_in_time_where_nobody_counts_its_bytes() -> None:
    """As of a socket of the Unix domain."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as body:
        stream = PacedStream(body, ours.fileno(), rate=1_000_000, patience=0.5)
        theirs.sendall(b"s" * 100_000)
        assert len(stream.read(100_000)) == PIECE
        assert len(stream.read(100_000 - PIECE)) == 100_000 - PIECE
        with trickling(theirs, b"s" * 100, 0.05), pytest.raises(RequestTimeout):
            stream.read(100)
        ours.sendall(b"The answer.")
        assert theirs.recv(100) == b"The answer."


def test_a_connection_that_is_no_socket_is_read_and_leaves_no_descriptor_open() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as body, open(writing, "wb", buffering=0) as sender:
        sender.write(b"s" * 100)
        before = os.listdir("/proc/self/fd")
        assert PacedStream(body, reading, rate=1000, patience=60).read(100) == b"s" * 100
        late = PacedStream(body, reading, rate=1_000_000, patience=0)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(late.read, 100)
            sender.write(b"s" * 50)
            time.sleep(0.01)
            late.look()
            # Nobody can end the wait for what is no socket, but the bytes come too late.
            sender.write(b"s" * 50)
            with pytest.raises(RequestTimeout):
                waiting.result(SECONDS)
        assert os.listdir("/proc/self/fd") == before


def test_a_form_that_comes_too_slowly_is_refused(impatient: tuple[Server, str]) -> None:
    server, path = impatient
    headers = {"Content-Length": "10000", "Content-Type": "multipart/form-data; boundary=b"}
    with connect(server, f"{path}/form", **headers) as connection, trickling(connection, b"s" * 1000, 0.05):
        assert answer(connection)[0] == 408
    assert requests.get(f"{server.url}{path}/form", timeout=30).status_code == 404


LARGE = 32 * 1024**2
"""Bytes that are more than all buffers between a server and a client hold."""


def reader(server: Server, path: str) -> socket.socket:
    """Ask for a file, and read nothing yet."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return connection


def taken(connection: socket.socket) -> int:
    """Read all that comes, and return how much that is."""
    count = 0
    with suppress(ConnectionResetError):
        while data := connection.recv(1024**2):
            count += len(data)
    return count


@pytest.fixture(scope="module")
def large(impatient: tuple[Server, str]) -> str:
    """Give the path of a large file."""
    server, path = impatient
    assert requests.put(f"{server.url}{path}/large", data=bytes(LARGE), timeout=60).status_code == 200
    return f"{path}/large"


def cut_off(server: Server, connection: socket.socket) -> bool:
    """Tell whether the server has given up a connection, which its client cannot see before it reads."""
    ours = connection.getsockname()[1]
    ends = [
        end
        for end in psutil.net_connections("tcp")
        if end.raddr and (end.laddr.port, end.raddr.port) == (server.port, ours)
    ]
    return all(end.status != psutil.CONN_ESTABLISHED for end in ends)


def test_clients_that_do_not_read_are_cut_off(impatient: tuple[Server, str], large: str) -> None:
    server, _ = impatient
    with ExitStack() as stack:
        # As many as there are threads; none is left for others until they are cut off.
        readers = [stack.enter_context(reader(server, large)) for _ in range(4)]
        deadline = time.monotonic() + 60
        while not all(cut_off(server, connection) for connection in readers):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert requests.get(f"{server.url}{large}", timeout=30).status_code == 200
        assert all(taken(connection) < LARGE for connection in readers)


def test_a_client_that_reads_slowly_but_not_too_slowly_gets_it_all(impatient: tuple[Server, str], large: str) -> None:
    server, _ = impatient
    with reader(server, large) as connection:
        count = 0
        for _ in range(5):
            # Twice the patience in all.
            time.sleep(0.4 * PATIENCE)
            count += len(connection.recv(512 * 1024, socket.MSG_WAITALL))
        assert count + taken(connection) > LARGE


def test_a_connection_goes_on_after_a_download(impatient: tuple[Server, str], large: str) -> None:
    server, _ = impatient
    if server.name != "gunicorn":
        pytest.skip("connections end with the request")
    with requests.Session() as session:
        for _ in range(2):
            assert len(session.get(f"{server.url}{large}", timeout=30).content) == LARGE
            time.sleep(1.5 * PATIENCE)


@needs_nginx
@pytest.mark.parametrize(
    ("address", "limited"),
    [("192.0.2.1", True), ("192.0.2.{}", False), ("2001:db8::{:x}", True), ("2001:db8:0:{:x}::", False)],
)
def test_uploads_of_one_address_or_ipv6_network_cannot_take_all_threads(
    tmp_path: Path, address: str, limited: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as application, ExitStack() as stack:
        port = free_port()
        configuration = documented(tmp_path, port, f"http://127.0.0.1:{application.getsockname()[1]}")
        # As if the requests came from these addresses.
        named = "set_real_ip_from 127.0.0.1; real_ip_header X-Test;"
        stack.enter_context(running_nginx(tmp_path, port, f"{named}\n{configuration}"))
        for number in range(1, 34):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            head = f"PUT / HTTP/1.1\r\nHost: localhost\r\nX-Test: {address.format(number)}\r\nContent-Length: 9\r\n\r\n"
            client.sendall(head.encode())
            if number <= 32 or not limited:
                # It is waiting for the application, which has got the head.
                stack.enter_context(application.accept()[0])
        if limited:
            assert client.recv(1000).startswith(b"HTTP/1.1 429 ")
