"""The servers that the application needs, which keep what they have acknowledged."""

from __future__ import annotations

import shutil
from pathlib import Path

from private_servers.base import SBIN, free_port
from private_servers.brokers import RabbitMQ, Redis
from private_servers.databases import NetworkedPostgreSQL
from private_servers.object_stores import Ceph

from .supervisor import Supervisor

PASSWORD = "0123456789abcdef0123456789abcdef"


class Database(NetworkedPostgreSQL):
    """PostgreSQL with the user and the database of the installation."""

    settings = (*NetworkedPostgreSQL.settings, "shared_buffers=64MB")

    def serve(self) -> None:
        """Make both, the first time."""
        super().serve()
        import psycopg2

        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE files LOGIN PASSWORD '{PASSWORD}'")
            cursor.execute("CREATE DATABASE files OWNER files")
        connection.close()


class Broker(RabbitMQ):
    """RabbitMQ with the user of the installation."""

    def environment(self) -> dict[str, str]:
        """Name the file of its settings."""
        return super().environment() | {"RABBITMQ_CONFIG_FILE": f"{self.folder}/settings"}

    def commands(self, create: str, serve: str, ping: str) -> tuple[list[str], list[str], list[str]]:
        """Write this file first."""
        _, serving, pinging = super().commands(create, serve, ping)
        settings = f"default_user = files\\ndefault_pass = {PASSWORD}\\n"
        return [ping, "-c", f"printf '{settings}' >settings.conf"], serving, pinging


class KeptRedis(Redis):
    """Redis that writes what it is told to a file."""

    def commands(self, create: str, serve: str, ping: str) -> tuple[list[str], list[str], list[str]]:
        """Have it ask for a password, too."""
        creating, serving, pinging = super().commands(create, serve, ping)
        asking = "--no-auth-warning", "-a", PASSWORD
        return creating, [*serving, "--appendonly", "yes", "--requirepass", PASSWORD], [ping, *asking, *pinging[1:]]


class KeptCeph(Ceph):
    """Ceph whose storage daemon keeps objects in a file."""

    objectstore = "bluestore"

    DAEMONS = {"monitor": "ceph-mon -i a -f", "osd": "ceph-osd -i 0 -f", "gateway": "radosgw -n client.rgw -f"}

    def supervise(self, supervisor: Supervisor) -> None:
        """Have each of its processes started again when it ends."""
        assert self.process is not None
        for name, command in self.DAEMONS.items():
            program, *arguments = command.split()
            supervisor.add(name, lambda p=program, a=arguments: self._run(p, a), self._pid(program))

    def _pid(self, program: str) -> int:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
                mine = f"CEPH_CONF={self.folder}/ceph.conf".encode() in (path.parent / "environ").read_bytes()
            except OSError:
                continue
            if mine and Path(words[0].decode()).name == program:
                return int(path.parent.name)
        raise LookupError(program)

    def _run(self, program: str, arguments: list[str]) -> int:
        process = self._spawn([str(shutil.which(program, path=SBIN)), *arguments])
        process.returncode = 0
        return process.pid


def supervise(service: Database | Broker | KeptRedis, supervisor: Supervisor) -> None:
    """Have a server started again when it ends."""
    assert service.process is not None
    serve = service._commands()[1]

    def start() -> int:
        process = service._spawn(serve)
        process.returncode = 0
        return process.pid

    service.process.returncode = 0
    supervisor.add(service.name, start, service.process.pid)


__all__ = ["PASSWORD", "Broker", "Database", "KeptCeph", "KeptRedis", "free_port", "supervise"]
