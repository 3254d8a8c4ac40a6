"""A server in a folder of its own: how it is started, asked and stopped."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 30
SBIN = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
"""Where to look for programs, also in the folders that are only in root's path."""


class ServiceError(Exception):
    """A server cannot be had; the message says why."""


class Service(ABC):
    """A server in a folder of its own.

    :param folder: Folder for all the temporary things, in which the server makes its own.
    """

    name: str
    package: str
    user: str
    variable: str
    stop_signal: signal.Signals
    """Signal that ends the server at once, as its data is of no further use."""

    def __init__(self, folder: Path) -> None:
        """Set the paths; nothing runs yet."""
        self.folder = folder / self.name
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    @abstractmethod
    def programs(cls) -> list[str | None]:
        """Return the paths of the programs that make, run and ask the server, ``None`` for one that is missing."""

    @property
    @abstractmethod
    def url(self) -> str:
        """URL of the server for SQLAlchemy, of a user who may create databases."""

    @abstractmethod
    def commands(self, create: str, serve: str, ping: str) -> tuple[list[str], list[str], list[str]]:
        """Return the commands that create the server's data, serve it, and succeed once it serves.

        :param create: First of the paths from :meth:`programs`; the others follow.
        """

    @classmethod
    def installed(cls) -> bool:
        """Tell whether the server's programs are there."""
        return all(cls.programs())

    def start(self) -> None:
        """Create the data, start the server and wait until it serves.

        :raises ServiceError: If it does not.
        """
        if not self.installed():
            raise ServiceError("it is not installed; as root of a Debian system, run-tests.sh installs it")
        self.folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user, self.user)
        if self._spawn(self._commands()[0]).wait():
            raise ServiceError(f"its data could not be created:\n{self._log_tail()}")
        self.serve()

    def serve(self) -> None:
        """Start the server on the data that it has, and wait until it serves.

        :raises ServiceError: If it does not.
        """
        _, serve, ping = self._commands()
        self.process = self._spawn(serve)
        deadline = time.monotonic() + START_SECONDS
        while self._spawn(ping).wait():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ServiceError(f"it does not start:\n{self._log_tail()}")
            time.sleep(0.1)

    def _commands(self) -> tuple[list[str], list[str], list[str]]:
        return self.commands(*(str(program) for program in self.programs()))

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        # Some refuse to run as root, and others should.
        user = self.user if os.geteuid() == 0 else None
        groups: list[str] | None = [] if user else None
        with (self.folder.parent / f"{self.name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                # A temporary folder of ours may be closed to the server's user.
                env={**os.environ, "TMPDIR": str(self.folder), **self.environment()},
                user=user,
                group=user,
                extra_groups=groups,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                # A session of its own, so that Ctrl-C is for us, who stop it in order.
                start_new_session=True,
            )

    def environment(self) -> dict[str, str]:
        """Return the environment variables that the programs need besides ours."""
        return {}

    def _log_tail(self) -> str:
        return (self.folder.parent / f"{self.name}.log").read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """Stop the server, if it runs."""
        if self.process is not None:
            # The whole group, for what is started may be a script that starts the server.
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, self.stop_signal)
            self.process.wait(STOP_SECONDS)


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses.

    It is below those that Linux gives to connections, one of which might take it before a server begins to listen, and
    so is the port 10,000 above it, which SeaweedFS takes, too.
    """
    while True:
        port = 10_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
