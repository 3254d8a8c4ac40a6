"""Object stores with the API of S3: Ceph with one monitor, one storage daemon and its gateway, and SeaweedFS."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

from .base import SBIN, Service, free_port

ACCESS_KEY, SECRET_KEY = "test", "testsecret"


class ObjectStore(Service):
    """An object store that listens to this machine alone."""

    stop_signal = signal.SIGKILL

    def __init__(
        self, folder: Path, port: int | None = None, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY
    ) -> None:
        """Choose a port of the loopback interface if none is given."""
        super().__init__(folder)
        self.port = port or free_port()
        self.access_key, self.secret_key = access_key, secret_key

    @property
    def url(self) -> str:
        """URL of the store, with access key and secret key as user and password."""
        return f"http://{self.access_key}:{self.secret_key}@127.0.0.1:{self.port}"

    def ping(self, bash: str) -> list[str]:
        """Return the command that succeeds once the port is open."""
        return [bash, "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.port}"]


class Ceph(ObjectStore):
    """A Ceph cluster of one machine, which keeps everything in memory."""

    objectstore = "memstore"
    name = "ceph"
    package = "ceph-mon ceph-osd radosgw ceph-common"
    user = "ceph"
    variable = "TEST_S3_CEPH"

    def __init__(self, *args: Any) -> None:
        """Choose a port for the monitor, too."""
        super().__init__(*args)
        self.monitor_port = free_port()

    @classmethod
    def programs(cls) -> list[str | None]:
        """Find the script that calls them, if they are all there."""
        needed = "ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph-authtool"
        there = all(shutil.which(program, path=SBIN) for program in needed)
        bash = shutil.which("bash")
        return [bash if there else None, bash, bash]

    def environment(self) -> dict[str, str]:
        """Say where everything is, and who may come in."""
        return {
            "CEPH_CONF": f"{self.folder}/ceph.conf",
            "GATEWAY_PORT": str(self.port),
            "MONITOR_PORT": str(self.monitor_port),
            "ACCESS_KEY": self.access_key,
            "SECRET_KEY": self.secret_key,
            "OBJECTSTORE": self.objectstore,
            "PATH": SBIN,
        }

    def commands(self, create: str, serve: str, ping: str) -> tuple[list[str], list[str], list[str]]:
        """Have the script do it, in the folder of the store."""
        # As text, since the user of the store may not be allowed to read where this file is.
        script = "-c", Path(__file__).with_name("ceph.sh").read_text(), "ceph.sh"
        return [create, *script, "create"], [serve, *script, "serve"], self.ping(ping)


class SeaweedFS(ObjectStore):
    """A SeaweedFS server, which is one program."""

    name = "seaweedfs"
    package = ""
    user = "root"
    variable = "TEST_S3_SEAWEEDFS"

    def __init__(self, *args: Any) -> None:
        """Choose ports for its other parts, each of which has a second one."""
        super().__init__(*args)
        parts = "master", "volume", "filer"
        ports = [(f"-{part}.port={free_port()}", f"-{part}.port.grpc={free_port()}") for part in parts]
        self.ports = [*sum(ports, ()), f"-s3.port={self.port}", f"-s3.port.grpc={free_port()}"]

    @classmethod
    def programs(cls) -> list[str | None]:
        """Find the program, which comes from PyPI."""
        return [shutil.which(program) for program in ("true", "weed", "bash")]

    def environment(self) -> dict[str, str]:
        """Say who may come in."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def commands(self, create: str, serve: str, ping: str) -> tuple[list[str], list[str], list[str]]:
        """Serve the folder."""
        own = [f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=100"]
        needed = ["-filer", "-s3", "-master.volumeSizeLimitMB=1024"]
        unused = ["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        sockets = [f"-filer.localSocket={self.folder}/filer.socket", f"-s3.localSocket={self.folder}/s3.socket"]
        return [create], [serve, "server", *own, *needed, *unused, *sockets, *self.ports], self.ping(ping)
