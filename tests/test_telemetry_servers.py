"""The log and the metrics of real servers: of several processes, and of clients that leave."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from helpers.waiting import wait_until
from servers import HERE, Server, command, environment, free_port, serving

pytestmark = pytest.mark.slow

SIZE = 16 * 2**20
TAKEN = 2 * 2**20


class Running(NamedTuple):
    """A server with a bucket, and what it writes."""

    server: Server
    bucket: str
    folder: Path

    @property
    def url(self) -> str:
        return f"{self.server.url}/files/{self.bucket}"

    def lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the lines of the log with these fields; every line of ours is JSON."""
        text = (self.folder / f"{self.server.name}.log").read_text()
        found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in found if wanted.items() <= line.items()]


@pytest.fixture(scope="module", params=["gunicorn", "uwsgi"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve with several processes, where the server has them."""
    port = free_port()
    arguments = command(request.param, port, workers=2)
    if arguments is None:
        pytest.skip(f"{request.param} is not installed.")
    folder = tmp_path_factory.mktemp(request.param)
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(folder), text=True).split()[0]
    (folder / "metrics").mkdir()
    settings = {
        "FILES_REST_LOG_FORMAT": "auto",
        "FILES_REST_METRICS_ADDRESSES": ["127.0.0.1"],
        "FILES_REST_METRICS_CACHE_SECONDS": 0,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "PROMETHEUS_MULTIPROC_DIR", str(folder / "metrics"))
        with serving(request.param, arguments, port, folder, **settings) as server:
            yield Running(server, bucket, folder)


def metric(running: Running, name: str) -> float:
    text = requests.get(f"{running.server.url}/files/metrics", timeout=60).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


def leave_early(running: Running, key: str, headers: str = "") -> None:
    """Take more than one chunk of a file, and reset the connection."""
    with socket.socket() as client:
        # What waits here counts as sent.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        client.connect(("127.0.0.1", running.server.port))
        path = f"/files/{running.bucket}/{key}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        assert len(client.recv(TAKEN, socket.MSG_WAITALL)) == TAKEN
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_reader_that_leaves_is_told_with_what_it_took(running: Running) -> None:
    assert requests.put(f"{running.url}/large", data=bytes(SIZE), timeout=60).status_code == 200
    leave_early(running, "large", "X-Request-ID: leaves\r\nRange: bytes=1-\r\n")
    wait_until(lambda: running.lines(request_id="leaves", event="request"))
    (read,) = running.lines(request_id="leaves", event="read")
    assert 0 < read["bytes"] < SIZE - 1
    assert read["cause"] == f"The client took {read['bytes']} of {SIZE - 1} bytes."


def test_a_reader_that_stays_has_all(running: Running) -> None:
    requests.put(f"{running.url}/small", data=b"12345", timeout=60)
    requests.get(f"{running.url}/small", headers={"X-Request-ID": "stays"}, timeout=60)
    wait_until(lambda: running.lines(request_id="stays", event="request"))
    (read,) = running.lines(request_id="stays", event="read")
    assert "cause" not in read
    # uWSGI sends whole files without telling.
    assert read.get("bytes") == (5 if running.server.name == "gunicorn" else None)


def test_a_writer_that_leaves_is_told_with_what_came(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.server.port)) as client:
        path = f"/files/{running.bucket}/broken"
        head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: breaks\r\nContent-Length: 1000\r\n\r\n"
        client.sendall(head.encode() + b"x" * 10)
    wait_until(lambda: running.lines(request_id="breaks", event="request"))
    (refused,) = running.lines(request_id="breaks", event="refused")
    assert refused["reason"] == "ClientDisconnected"


def test_all_processes_count_together(running: Running) -> None:
    before = metric(running, "files_rest_received_bytes_total")
    for number in range(20):
        requests.put(f"{running.url}/{number}", data=b"12345", timeout=60)
    # The last request is counted once its answer has been sent.
    wait_until(lambda: metric(running, "files_rest_received_bytes_total") - before == 100)
    assert metric(running, "files_rest_status_up") == 1
    # A process that has sent nothing counts what the others have.
    assert len({metric(running, "files_rest_versions_total") for _ in range(6)}) == 1
