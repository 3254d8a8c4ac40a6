"""The machine that crashes: a server, a worker and a database, each of which can be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
from private_servers.databases import PostgreSQL
from servers import free_port

ROOT = Path(__file__).parent.parent.parent
READY_SECONDS = 30


class DurablePostgreSQL(PostgreSQL):
    """PostgreSQL that waits for the disk, as one has to that may crash."""

    settings = ("fsync=on", "synchronous_commit=on", "shared_buffers=16MB")


def descendants(pid: int) -> list[int]:
    """Return a process and all that it has started, whatever sessions they are in."""
    found, wanted = [], [pid]
    while wanted:
        pid = wanted.pop()
        found.append(pid)
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                wanted += map(int, (task / "children").read_text().split())
    return found


def kill(pid: int) -> None:
    """Kill a process and all that it has started, at once, and wait until they are gone."""
    with suppress(ProcessLookupError):
        # One that is stopped starts nothing that we would not know of.
        os.kill(pid, signal.SIGSTOP)
    victims = descendants(pid)
    for victim in victims:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    while any(map(runs, victims)):
        time.sleep(0.001)


def runs(pid: int) -> bool:
    """Tell whether a process holds anything still: one that nobody has waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


class Zygote:
    """The application in a process that does what it is asked to.

    :param module: The module to run.
    :param env: Its environment.
    :param log: A file for what it says.
    """

    def __init__(self, module: str, env: dict[str, str], log: Path) -> None:
        """Nothing runs yet."""
        self.module = module
        self.env = {**env, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT / "scripts"), str(ROOT)])}
        self.log = log

    def __enter__(self) -> Zygote:
        """Start it."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self.process.kill()
        with self.process:
            pass

    def ask(self, *command: str) -> Any:
        """Have the application do something."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(command) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"status": "ended"}')
        assert answer.get("status", 0) == 0, self.log.read_text()[-3000:]
        return answer.get("pid", answer.get("result"))


class Machine:
    """A machine.

    :param folder: Folder for all its files.
    :param broker: URL of the broker of a worker; without one tasks run in the server.
    """

    def __init__(self, folder: Path, broker: str | None) -> None:
        """Set the paths; nothing runs yet."""
        self.folder = folder
        self.broker = broker
        self.database = DurablePostgreSQL(folder)
        self.files = folder / "files"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/files"
        self.pool = "solo"
        self.pids: dict[str, int] = {}
        self.log = folder / "crash.log"

    @contextmanager
    def running(self) -> Iterator[Machine]:
        """Start the database and the application, and end all afterwards."""
        self.database.start()
        try:
            env = os.environ | {"CRASH_DATABASE": self.database.url, "CRASH_FOLDER": str(self.folder)}
            env.pop("CRASH_BROKER", None)
            if self.broker:
                env |= {"CRASH_BROKER": self.broker, "CRASH_QUEUE": self.folder.name}
            with Zygote("crash.zygote", env, self.log) as self.zygote:
                try:
                    self.files.mkdir()
                    self.ask("prepare", str(self.files))
                    yield self
                finally:
                    for name in list(self.pids):
                        self.kill(name)
        finally:
            self.kill("database")

    def ask(self, *command: str) -> Any:
        """Have the application do something."""
        return self.zygote.ask(*command)

    def send(self, task: str, **arguments: Any) -> None:
        """Send a task to the worker."""
        self.ask("send", task, json.dumps(arguments, separators=(",", ":")))

    def start(self) -> None:
        """Start what does not run, and wait until it serves."""
        if self.database.process is None:
            self.database.serve()
        if "server" not in self.pids:
            self.pids["server"] = self.ask("serve", str(self.port))
        if self.broker and "worker" not in self.pids:
            self.pids["worker"] = self.ask("work", self.pool)
        self.wait()

    def wait(self) -> None:
        """Wait until the server serves, which it does by itself once the database does."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with suppress(requests.RequestException):
                # No bucket has this identifier.
                if requests.get(f"{self.url}/{self.port}", timeout=5).status_code == 404:
                    return
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.03)

    def runs(self, name: str) -> bool:
        """Tell whether the server or the worker is there still."""
        return name in self.pids and runs(self.pids[name])

    def kill(self, name: str) -> None:
        """Kill the server, the worker or the database."""
        if name == "database":
            if self.database.process is not None:
                kill(self.database.process.pid)
                self.database.process.wait()
                self.database.process = None
        elif name in self.pids:
            kill(self.pids.pop(name))
