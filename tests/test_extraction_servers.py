"""Archives that are taken apart by real servers: one that is killed leaves only what the sweep removes."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
import requests
from helpers.waiting import wait_until
from servers import HERE, command, environment, free_port, serving

pytestmark = pytest.mark.slow

SWEEP = """
import json
from datetime import timedelta
from application import application
from invenio_files_rest.services.sweep import sweep

with application.app_context():
    print(json.dumps(sorted({finding.kind for finding in sweep(timedelta(0), delete=True)})))
"""


def tar(count: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number in range(count):
            info = tarfile.TarInfo(f"{number:06}")
            info.size = 100
            archive.addfile(info, io.BytesIO(bytes(100)))
    return packed.getvalue()


def left(folder: Path) -> dict[str, int]:
    """Return what there is in the database and the folder of a server."""
    counts = {
        "objects": "SELECT COUNT(*) FROM files_object",
        "rows": "SELECT COUNT(*) FROM files_files",
        "size": "SELECT SUM(size) FROM files_bucket",
    }
    with closing(sqlite3.connect(folder / "files.db", timeout=60)) as database:
        found = {name: database.execute(statement).fetchone()[0] for name, statement in counts.items()}
    return found | {"files": sum(path.is_file() for path in (folder / "location").rglob("*"))}


def test_a_server_that_is_killed_leaves_only_what_the_sweep_removes(tmp_path: Path):
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(tmp_path), text=True).split()[0]
    port, archive = free_port(), tar(2500)
    arguments = command("gunicorn", port)
    assert arguments is not None
    with serving("gunicorn", arguments, port, tmp_path) as server:
        path = f"/files/{bucket}?extract"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(archive)}\r\n\r\n"
            connection.sendall(head.encode() + archive[: 1024 * 1700])
            # The first thousand have rows, and of the others there are bytes.
            wait_until(lambda: left(tmp_path)["rows"] == 1000 and left(tmp_path)["files"] > 1200)
            for pid in server.processes():
                os.kill(pid, signal.SIGKILL)
    assert left(tmp_path)["objects"] == left(tmp_path)["size"] == 0
    sweep = subprocess.check_output([sys.executable, "-c", SWEEP], env=environment(tmp_path), text=True)
    assert {"file", "orphan"} <= set(json.loads(sweep))
    assert left(tmp_path) == {"objects": 0, "rows": 0, "size": 0, "files": 0}
    assert list((tmp_path / "location").iterdir()) == []
    with serving("gunicorn", arguments, port, tmp_path) as server:
        assert len(requests.post(server.url + path, data=archive, timeout=100).json()["contents"]) == 2500
    assert left(tmp_path) == {"objects": 2500, "rows": 2500, "size": 250_000, "files": 2500}
