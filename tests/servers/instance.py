"""The whole server: run-server.sh, with pages, administration and REST API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from . import free_port

RUN = Path(__file__).parents[2] / "run-server.sh"
EMAIL = "admin@example.org"


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
    port, log = free_port(), folder / "server.log"
    instance = Instance(f"http://127.0.0.1:{port}", folder / "instance")
    with log.open("w") as file:
        process = subprocess.Popen(
            [RUN, "--port", str(port), "--instance", str(instance.folder)],
            env={**os.environ, "VENV": sys.prefix},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 250
        while True:
            with suppress(requests.ConnectionError):
                if requests.get(f"{instance.url}/ping", timeout=30).ok:
                    break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield instance
    finally:
        if process.poll() is None:
            # As Ctrl-C does: to all of the terminal's processes.
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
