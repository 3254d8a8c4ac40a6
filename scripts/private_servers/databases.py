"""PostgreSQL and MariaDB."""

from __future__ import annotations

import glob
import os
import shutil
import signal
from pathlib import Path

from .base import SBIN, Service, free_port


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
