"""Who is measured: this package, another installation of it, nginx, and a bare loop, each in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from private_servers.base import free_port
from sqlalchemy import make_url
from sqlalchemy_utils.functions import create_database, drop_database

from . import ROOT
from .client import Client, wait_for
from .wire import CountedWire

SERVED = ROOT / "benchmarks" / "served"

WORKERS, THREADS = 2, 4
"""Processes of an application's server, and threads of each."""


@dataclass
class Contestant:
    """A server that runs."""

    name: str
    port: int
    path: str
    """Path that the objects are below."""

    setup: dict[str, Any] = field(default_factory=dict)
    """What the application's program printed."""

    environment: dict[str, str] = field(default_factory=dict)
    """Environment of the application."""

    python: str = sys.executable
    """Interpreter of the application."""

    keeps_connections: bool = True

    pid: int = 0
    """Process of the server."""

    def client(self) -> Client:
        """Return a client of it, with the token of the application's user where it has one."""
        token = self.setup.get("token")
        return Client(self.port, self.keeps_connections, {"Authorization": f"Bearer {token}"} if token else None)

    @property
    def is_application(self) -> bool:
        """Whether it has the REST API."""
        return bool(self.setup)

    def run(self, program: str) -> Any:
        """Run a program of the application, and return what it prints in JSON.

        :param program: Name of the program.
        """
        return _run(self.python, program, self.environment)


def _run(python: str, program: str, environment: dict[str, str]) -> Any:
    # What another installation has to say about itself is not for us.
    output = subprocess.check_output([python, "-W", "ignore", str(SERVED / program)], env=environment, cwd="/")
    return json.loads(output.decode().strip().splitlines()[-1])


@contextmanager
def serving(command: list[str], log: Path, environment: dict[str, str] | None = None) -> Iterator[int]:
    """Run a server, and give the number of its process.

    :param command: Its command.
    :param log: File that gets what it says.
    :param environment: Its environment; this process's by default.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd="/", stdout=output, stderr=output)
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _prepared(
    name: str,
    python: str,
    folder: Path,
    ours: bool,
    program: str = "application.py",
    variables: Mapping[str, str] | None = None,
) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Make database and folder of an application; give its environment, and what its program printed."""
    url = make_url(os.environ["TEST_POSTGRESQL_URL"]).set(database=f"benchmark_{uuid4().hex}")
    create_database(url)
    try:
        (folder / name).mkdir()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment["BENCHMARK_DATABASE"] = url.render_as_string(hide_password=False)
        environment["BENCHMARK_FOLDER"] = str(folder / name)
        environment |= variables or {}
        if ours:
            environment["PYTHONPATH"] = str(ROOT)
        yield environment, _run(python, program, environment)
    finally:
        drop_database(url)


@contextmanager
def ours(
    folder: Path,
    name: str = "ours",
    workers: int = WORKERS,
    threads: int = THREADS,
    module: str = "application",
    program: str = "application.py",
    variables: Mapping[str, str] | None = None,
    **engine: Any,
) -> Iterator[Contestant]:
    """Serve this package with gunicorn.

    :param folder: Folder of all files.
    :param name: Name of the contestant.
    :param workers: Number of processes.
    :param threads: Number of threads of each.
    :param module: Module that has the application.
    :param program: Program that makes what it begins with.
    :param variables: What else its environment has.
    :param engine: Options of the database engine.
    """
    port = free_port()
    with _prepared(name, sys.executable, folder, True, program, variables) as (environment, setup):
        environment["BENCHMARK_ENGINE"] = json.dumps(engine)
        command = [
            *(sys.executable, "-W", "ignore", "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--chdir", str(SERVED)),
            *("--worker-class", "gthread", "--workers", str(workers), "--threads", str(threads)),
            *("--keep-alive", "60", f"{module}:application"),
        ]
        with serving(command, folder / f"{name}.log", environment) as pid:
            wait_for(port, f"/files/{setup['bucket']}")
            yield Contestant(name, port, f"/files/{setup['bucket']}", setup, environment, pid=pid)


@contextmanager
def ours_in_uwsgi(folder: Path) -> Iterator[Contestant]:
    """Serve this package with uWSGI, as :func:`peer` serves another.

    :param folder: Folder of all files.
    """
    name = "ours, uWSGI"
    with (
        _prepared(name, sys.executable, folder, ours=True) as (environment, setup),
        _uwsgi(folder, name, sys.executable, environment, "application") as (port, pid),
    ):
        path = f"/files/{setup['bucket']}"
        wait_for(port, path)
        yield Contestant(name, port, path, setup, environment, keeps_connections=False, pid=pid)


@contextmanager
def bare(folder: Path) -> Iterator[Contestant]:
    """Serve the bare statements, as this package is served; it has no more of the REST API than ``PUT`` and ``GET``.

    :param folder: Folder of all files.
    """
    with ours(folder, "bare", module="bare") as server:
        yield replace(server, name="Flask, psycopg2", setup={})


@contextmanager
def peer(folder: Path, python: str) -> Iterator[Contestant]:
    """Serve another installation of the module with uWSGI, which has to be installed with it.

    :param folder: Folder of all files.
    :param python: Its interpreter.
    """
    with (
        _prepared("peer", python, folder, ours=False) as (environment, setup),
        _uwsgi(folder, "peer", python, environment, "application") as (port, pid),
    ):
        wait_for(port, f"/files/{setup['bucket']}")
        yield Contestant(
            setup["version"], port, f"/files/{setup['bucket']}", setup, environment, python, False, pid=pid
        )


@contextmanager
def instance(folder: Path, python: str = sys.executable) -> Iterator[Contestant]:
    """Serve an application as people run it, with tokens and grants, with the uWSGI of an installation.

    :param folder: Folder of all files.
    :param python: Interpreter of the installation; this package's is named "ours".
    """
    name = "ours" if python == sys.executable else "peer"
    with (
        _prepared(f"instance-{name}", python, folder, name == "ours", "instance.py") as (environment, setup),
        _uwsgi(folder, f"instance-{name}", python, environment, "instance") as (port, pid),
    ):
        path = f"/files/{setup['bucket']}"
        wait_for(port, path)
        shown = "ours" if name == "ours" else setup["version"]
        yield Contestant(shown, port, path, setup, environment, python, False, pid=pid)


@contextmanager
def counted(folder: Path, server: Contestant) -> Iterator[tuple[Contestant, CountedWire]]:
    """Serve the application of another server again, in one thread, and note what it sends to the database.

    :param folder: Folder of all files.
    :param server: The server.
    """
    with CountedWire(server.environment["BENCHMARK_DATABASE"]) as wire:
        environment = server.environment | {"BENCHMARK_DATABASE": wire.url}
        with _uwsgi(folder, "counted", server.python, environment, "instance", 1, 1) as (port, pid):
            wait_for(port, server.path)
            yield replace(server, port=port, environment=environment, pid=pid), wire


@contextmanager
def _uwsgi(
    folder: Path,
    name: str,
    python: str,
    environment: dict[str, str],
    module: str,
    workers: int = WORKERS,
    threads: int = THREADS,
) -> Iterator[tuple[int, int]]:
    port, prefix = free_port(), Path(python).parent
    uwsgi = shutil.which("uwsgi", path=str(prefix)) or shutil.which("pyuwsgi", path=str(prefix))
    if uwsgi is None:
        raise SystemExit(f"There is no uwsgi beside {python}; pyuwsgi can be installed there.")
    command = [
        *(uwsgi, "--http-socket", f"127.0.0.1:{port}", "--master", "--lazy-apps", "--need-app", "--die-on-term"),
        *("--processes", str(workers), "--threads", str(threads), "--virtualenv", str(prefix.parent)),
        *("--pythonpath", str(SERVED), "--module", f"{module}:application", "--disable-logging"),
    ]
    with serving(command, folder / f"{name}.log", environment) as pid:
        yield port, pid


NGINX = """
worker_processes {cores};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    client_max_body_size 0;
    client_body_temp_path {folder}/nginx/incoming;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/nginx/files;
        dav_methods PUT DELETE;
    }}
}}
"""


@contextmanager
def nginx(folder: Path) -> Iterator[Contestant]:
    """Serve files with nginx: ``GET`` with sendfile, ``PUT`` with its DAV module.

    :param folder: Folder of all files.
    """
    program = shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if program is None:
        raise SystemExit("nginx is not installed.")
    port = free_port()
    (folder / "nginx" / "files").mkdir(parents=True)
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(user + NGINX.format(folder=folder, port=port, cores=os.cpu_count()))
    with serving([program, "-c", str(configuration)], folder / "nginx.out"):
        wait_for(port, "/")
        yield Contestant("nginx", port, "")


@contextmanager
def floor(folder: Path) -> Iterator[Contestant]:
    """Serve the bare loop.

    :param folder: Folder of all files.
    """
    port = free_port()
    (folder / "floor").mkdir()
    with serving([sys.executable, str(SERVED / "floor.py"), str(port), str(folder / "floor")], folder / "floor.log"):
        wait_for_port(port)
        yield Contestant("bare loop", port, "")


def wait_for_port(port: int) -> None:
    """Wait until a port of the loopback interface answers.

    :param port: The port.
    :raises RuntimeError: If it does not for 10 seconds.
    """
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"Nobody answers at {port}.")
