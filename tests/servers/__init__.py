"""Real WSGI servers: how to start each on a free port, and how much memory it takes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from private_servers.base import free_port as free_port

HERE = Path(__file__).parent
START_SECONDS = 60
PUBLISHED = Path(os.environ.get("TEST_PUBLISHED_PYTHON") or HERE.parent.parent / ".venv-published" / "bin" / "python")
"""The Python of an environment that has the published 6.1."""

needs_published = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="there is no environment with the published 6.1; ./run-tests.sh makes it"
)
OLD_KEYS = ("..", ".", "../x", "a/./b", "../é/%2E", "../../../../../x")
"""Keys with segments of dots, which earlier versions took. The last leads out of all that a server has."""


def _program(python: str, *names: str) -> str | None:
    folder = str(Path(python).parent)
    return next((found for name in names if (found := shutil.which(name, path=folder))), None)


def command(
    server: str,
    port: int,
    workers: int = 1,
    threads: int = 4,
    module: str = "application",
    python: str = sys.executable,
) -> list[str] | None:
    """Return the command that starts a server; ``None`` where it is not installed.

    :param server: ``gunicorn``, ``uwsgi`` or ``werkzeug``.
    :param port: The port of the loopback interface.
    :param workers: Number of processes, of gunicorn.
    :param threads: Number of threads of each, of gunicorn and uWSGI.
    :param module: Module of the application, in this folder.
    :param python: Python of the environment that has server and application.
    """
    address, name = f"127.0.0.1:{port}", f"{module}:application"
    if server == "werkzeug":
        return [python, "-m", "flask", "--app", name, "run", "--port", str(port)]
    if server == "gunicorn":
        program = _program(python, "gunicorn")
        return program and [  # type: ignore[return-value]
            *(program, "--bind", address, "--worker-class", "gthread"),
            *("--workers", str(workers), "--threads", str(threads)),
            name,
        ]
    program = _program(python, "uwsgi", "pyuwsgi")
    return program and [  # type: ignore[return-value]
        *(program, "--http-socket", address, "--threads", str(threads), "--need-app", "--die-on-term"),
        # Clients of ours send a MiB at a time, which does not fit in the one that is allowed with its length.
        *("--chunked-input-limit", str(8 * 1024**2)),
        *("--virtualenv", str(Path(python).parents[1]), "--module", name),
    ]


@dataclass
class Server:
    """A server that runs."""

    name: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def processes(self) -> list[int]:
        """Return the identifiers of its processes."""
        found, wanted = [], [self.pid]
        while wanted:
            pid = wanted.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").iterdir():
                # A thread may end in this moment.
                with suppress(FileNotFoundError):
                    wanted += map(int, (task / "children").read_text().split())
        return found

    def memory(self, field: str) -> int:
        """Return the memory of its processes, in bytes.

        :param field: ``VmRSS`` for what they take now, ``VmHWM`` for the most since :meth:`forget_peak`.
        """
        total = 0
        for pid in self.processes():
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
        return total

    def forget_peak(self) -> None:
        """Let the peak of memory begin anew."""
        for pid in self.processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def environment(folder: Path, **settings: Any) -> dict[str, str]:
    """Return the environment of the application, whose data are in a folder.

    :param folder: The folder.
    :param settings: Settings of the application other than those that it has by itself.
    """
    path = os.pathsep.join([str(HERE), str(HERE.parent.parent)])
    return os.environ | {"FILES_FOLDER": str(folder), "FILES_SETTINGS": json.dumps(settings), "PYTHONPATH": path}


def add_old_keys(folder: Path, bucket: str) -> None:
    """Add objects with :data:`OLD_KEYS`, whose contents are their keys.

    :param folder: The folder of the application's data.
    :param bucket: Identifier of the bucket.
    """
    program = [sys.executable, str(HERE / "old_keys.py"), bucket, *OLD_KEYS]
    subprocess.run(program, env=environment(folder), check=True)


@contextmanager
def serving(name: str, arguments: list[str], port: int, folder: Path, **settings: Any) -> Iterator[Server]:
    """Run a server, whose application has settings of its own."""
    with (
        (folder / f"{name}.log").open("wb") as log,
        subprocess.Popen(arguments, cwd=folder, env=environment(folder, **settings), stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, (folder / f"{name}.log").read_text()
                assert time.monotonic() < deadline, f"{name} does not start."
                time.sleep(0.1)
            yield Server(name, port, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
