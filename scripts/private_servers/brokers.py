"""Redis and RabbitMQ."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from .base import Service, free_port


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
