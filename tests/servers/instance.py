"""The whole server: run-server.sh, with pages, administration and REST API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import free_port

RUN = Path(__file__).parents[2] / "run-server.sh"
EMAIL = "admin@example.org"


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which nothing is installed, as what is needed is where the tests run."""
    return {**os.environ, "VENV": sys.prefix, **variables}


class Server:
    """A server that says that it serves."""

    def __init__(self, process: subprocess.Popen[str], url: str, output: str, log: Path) -> None:
        """Keep what it said."""
        self.process = process
        self.url = url
        self.port = int(url.rsplit(":", 1)[1])
        self.output = output
        self.log = log

    @property
    def commands(self) -> str:
        """The lines to paste."""
        pasted = self.output.split("To paste into another terminal:")[1].split("\n\n", 1)[1]
        return pasted.split("From here on")[0]


@contextmanager
def serving(
    log: Path, *options: str, program: Path = RUN, port: int | None = None, **variables: str
) -> Iterator[Server]:
    """Run run-server.sh until it says that it serves.

    :param log: File that gets what it says.
    :param options: Its options, but for the port.
    :param program: The script, which may be a copy.
    :param port: Its port; one that nobody uses.
    :param variables: What is set in its environment.
    """
    port = port or free_port()
    with log.open("w") as file:
        process = subprocess.Popen(
            [program, "--port", str(port), *options],
            env=environment(**variables),
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 200
        while "line for each request." not in (output := log.read_text()):
            assert process.poll() is None, output
            assert time.monotonic() < deadline, output
            time.sleep(0.2)
        yield Server(process, f"http://127.0.0.1:{port}", output, log)
    finally:
        if process.poll() is None:
            # As Ctrl-C does: to all of the terminal's processes.
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


@dataclass
class Instance:
    """A server that serves an instance."""

    url: str
    folder: Path

    @property
    def password(self) -> str:
        """Password of the administrator."""
        return (self.folder / "admin-password").read_text().strip()

    @property
    def authorization(self) -> dict[str, str]:
        """Header of a request for the administrator."""
        return {"Authorization": f"Bearer {(self.folder / 'token').read_text().strip()}"}


@contextmanager
def running_instance(folder: Path) -> Iterator[Instance]:
    """Set an instance up in a folder, with what is installed where the tests run, and serve it."""
    instance = folder / "instance"
    with serving(folder / "server.log", "--instance", str(instance)) as server:
        yield Instance(server.url, instance)
