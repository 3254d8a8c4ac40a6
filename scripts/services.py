#!/usr/bin/env python3
"""The databases and brokers that tests need: private servers in a temporary folder, gone when their user is.

``services.py COMMAND...`` runs a command with ``TEST_POSTGRESQL_URL``, ``TEST_MARIADB_URL``, ``TEST_REDIS_URL`` and
``TEST_RABBITMQ_URL`` set. Without a command it prints them as exports for another shell, and serves until Ctrl-C. With
``--install`` it installs, as root of a Debian system, the packages of the servers that are missing, also of nginx,
which the tests that need it start themselves, and of the clients that tests call; their services are not started.

The databases listen on a socket in the temporary folder alone, the brokers on this machine's loopback interface. None
waits for the disk. ``--durable`` starts PostgreSQL alone, on the loopback interface, and lets it wait for the disk.
"""

from __future__ import annotations

import argparse
import glob
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

START_SECONDS = 60
STOP_SECONDS = 30
POLICY = Path("/usr/sbin/policy-rc.d")
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


class PostgreSQL(Service):
    """A PostgreSQL server."""

    name = "postgresql"
    package = "postgresql"
    user = "postgres"
    variable = "TEST_POSTGRESQL_URL"
    stop_signal = signal.SIGQUIT
    settings: tuple[str, ...] = ("fsync=off", "synchronous_commit=off")

    @classmethod
    def programs(cls) -> list[str | None]:
        """Find the newest of Debian's versions, or what is in the path."""
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda folder: int(folder.split("/")[4]))
        path = os.pathsep.join([*reversed(folders), os.environ.get("PATH", os.defpath)])
        return [shutil.which(program, path=path) for program in ("initdb", "postgres", "pg_isready")]

    @property
    def url(self) -> str:
        """URL of the database ``postgres``."""
        return f"postgresql+psycopg2://postgres@/postgres?host={self.folder}"

    def commands(self, create: str, serve: str, ping: str) -> tuple[list[str], list[str], list[str]]:
        """Trust whoever reaches the socket, whose folder is private."""
        data = ["-D", f"{self.folder}/data"]
        settings = "listen_addresses=", "max_connections=200", *self.settings
        return (
            [create, *data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            [serve, *data, "-k", str(self.folder), *(f"--{setting}" for setting in settings)],
            [ping, "-q", "-h", str(self.folder)],
        )


class NetworkedPostgreSQL(PostgreSQL):
    """A PostgreSQL server as in production: over the network, and on the disk before it answers."""

    settings = ("fsync=on", "synchronous_commit=on", "autovacuum_naptime=1s")

    def __init__(self, folder: Path) -> None:
        """Choose a port of the loopback interface."""
        super().__init__(folder)
        self.port = free_port()

    @property
    def url(self) -> str:
        """URL of the database ``postgres``."""
        return f"postgresql+psycopg2://postgres@127.0.0.1:{self.port}/postgres"

    def commands(self, create: str, serve: str, ping: str) -> tuple[list[str], list[str], list[str]]:
        """Trust whoever reaches the port."""
        creating, serving, pinging = super().commands(create, serve, ping)
        address = f"--port={self.port}", "--listen_addresses=127.0.0.1"
        return creating, [*serving, *address], [*pinging, "-p", str(self.port)]


class MariaDB(Service):
    """A MariaDB server."""

    name = "mariadb"
    package = "mariadb-server"
    user = "mysql"
    variable = "TEST_MARIADB_URL"
    stop_signal = signal.SIGKILL

    @classmethod
    def programs(cls) -> list[str | None]:
        """Find them in the path, also in the folders that are only in root's."""
        return [shutil.which(program, path=SBIN) for program in ("mariadb-install-db", "mariadbd", "mariadb-admin")]

    @property
    def url(self) -> str:
        """URL of no database, as root."""
        return f"mysql+pymysql://root@localhost/?unix_socket={self.folder}/socket&charset=utf8mb4"

    def commands(self, create: str, serve: str, ping: str) -> tuple[list[str], list[str], list[str]]:
        """Give root no password; the socket's folder is private."""
        data = ["--no-defaults", f"--datadir={self.folder}/data"]
        socket = f"--socket={self.folder}/socket"
        files = socket, f"--pid-file={self.folder}/pid"
        settings = "--character-set-server=utf8mb4", "--innodb-flush-log-at-trx-commit=0", "--max-connections=200"
        return (
            [create, *data, "--auth-root-authentication-method=normal", "--skip-test-db"],
            [serve, *data, *files, "--skip-networking", *settings],
            [ping, "--no-defaults", socket, "--user=root", "ping"],
        )


class Redis(Service):
    """A Redis server."""

    name = "redis"
    package = "redis-server"
    user = "redis"
    variable = "TEST_REDIS_URL"
    stop_signal = signal.SIGKILL

    def __init__(self, folder: Path) -> None:
        """Choose a port of the loopback interface."""
        super().__init__(folder)
        self.port = free_port()

    @classmethod
    def programs(cls) -> list[str | None]:
        """Find them in the path; there is nothing to create."""
        return [shutil.which(program) for program in ("true", "redis-server", "redis-cli")]

    @property
    def url(self) -> str:
        """URL of the first database, for Celery."""
        return f"redis://127.0.0.1:{self.port}/0"

    def commands(self, create: str, serve: str, ping: str) -> tuple[list[str], list[str], list[str]]:
        """Keep all in memory."""
        return (
            [create],
            [serve, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"],
            [ping, "-e", "-p", str(self.port), "ping"],
        )


class RabbitMQ(Service):
    """A RabbitMQ server."""

    name = "rabbitmq"
    package = "rabbitmq-server"
    user = "rabbitmq"
    variable = "TEST_RABBITMQ_URL"
    stop_signal = signal.SIGKILL

    def __init__(self, folder: Path) -> None:
        """Choose ports of the loopback interface."""
        super().__init__(folder)
        self.port, self.distribution_port, self.daemon_port = free_port(), free_port(), free_port()

    @classmethod
    def programs(cls) -> list[str | None]:
        """Find Debian's, not the scripts in the path, which change the user."""
        path = os.pathsep.join(["/usr/lib/rabbitmq/bin", os.environ.get("PATH", os.defpath)])
        return [shutil.which(program, path=path) for program in ("true", "rabbitmq-server", "bash")]

    @property
    def url(self) -> str:
        """URL for Celery."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def environment(self) -> dict[str, str]:
        """Keep everything in the folder, and listen to this machine alone."""
        return {
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.daemon_port),
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{self.folder}/none",
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self.folder}/plugins",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": f"{self.folder}/data",
            "RABBITMQ_NODENAME": f"files{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_PID_FILE": f"{self.folder}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def commands(self, create: str, serve: str, ping: str) -> tuple[list[str], list[str], list[str]]:
        """Serve once the port is open."""
        return [create], [serve], [ping, "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.port}"]

    def stop(self) -> None:
        """Stop the server, and the daemon of Erlang that it has started, which only this one uses."""
        super().stop()
        if self.process is not None and (daemon := shutil.which("epmd")):
            self._spawn([daemon, "-kill"]).wait()


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


SERVICES: tuple[type[Service], ...] = (PostgreSQL, MariaDB, Redis, RabbitMQ)

CLIENTS = {"chromium": "chromium", "chromedriver": "chromium-driver", "curl": "curl", "wget": "wget", "zsh": "zsh"}
"""Programs that the tests call, and the packages that have them."""


def install(missing: Sequence[str]) -> None:
    """Install packages, without starting the services that come with them.

    :param missing: Names of the packages.
    :raises ServiceError: If they cannot be installed here.
    """
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ServiceError(f"installing {' and '.join(missing)} needs apt-get and root")
    say(f"Installing {' and '.join(missing)} ...")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    ours = not POLICY.exists()
    if ours:
        # Debian's way to keep packages from starting their services.
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
            done = subprocess.run(
                apt + command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            if done.returncode:
                raise ServiceError(f"apt-get {command[0]} failed:\n{done.stdout.decode(errors='replace')[-2000:]}")
    finally:
        if ours:
            POLICY.unlink()


def say(message: str) -> None:
    """Tell the user something, on the standard error output: exports go to the other one."""
    print(message, file=sys.stderr, flush=True)


def serve(command: Sequence[str], folder: Path, kinds: Sequence[type[Service]] = SERVICES) -> int:
    """Start the servers, run the command or wait for Ctrl-C, and stop them.

    :param command: The command, empty for none.
    :param folder: An empty folder for all that the servers write.
    :param kinds: The servers.
    :returns: Exit status of the command.
    """
    started: list[Service] = []
    try:
        for kind in kinds:
            service = kind(folder)
            # Before it starts, so that one that half starts is stopped too.
            started.append(service)
            try:
                service.start()
            except ServiceError as error:
                say(f"No tests on {service.name}: {error}")
                service.stop()
                started.remove(service)
        variables = {service.variable: service.url for service in started}
        if command:
            return run(command, {**os.environ, **variables})
        for variable, url in variables.items():
            print(f"export {variable}={shlex.quote(url)}", flush=True)
        say("Serving until Ctrl-C.")
        signal.pause()
        return 0
    finally:
        for service in started:
            service.stop()


def run(command: Sequence[str], env: dict[str, str]) -> int:
    """Run a command, which gets Ctrl-C as we do, and outlive it.

    :returns: Its exit status.
    """
    process = subprocess.Popen(command, env=env)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
        except SystemExit:
            process.terminate()
            process.wait()
            raise


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """Run as a program.

    :returns: Exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="install missing servers with apt-get")
    parser.add_argument("--durable", action="store_true", help="PostgreSQL alone, and let it wait for the disk")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run with the servers")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    kinds = (NetworkedPostgreSQL,) if arguments.durable else SERVICES
    if arguments.install:
        servers = [service.package for service in kinds if not service.installed()]
        if not shutil.which("nginx", path=SBIN):
            servers.append("nginx")
        clients = [] if arguments.durable else [CLIENTS[name] for name in CLIENTS if not shutil.which(name)]
        # By themselves, for not every system that has the servers has a browser of this name.
        for packages in (servers, clients):
            try:
                install(packages)
            except ServiceError as error:
                say(str(error))
    folder = Path(tempfile.mkdtemp(prefix="files-rest-tests-"))
    # Other users, whom the servers run as, have to pass through.
    folder.chmod(0o711)
    try:
        return serve(arguments.command, folder, kinds)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
