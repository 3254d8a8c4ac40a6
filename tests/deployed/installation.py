"""An installation as ``deploy/`` describes it: its processes, on free ports of this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import requests
from crash.machine import Zygote, descendants
from helpers.waiting import wait_until
from servers.nginx import NGINX

from .described import DEPLOY, SAME, unit_command, unit_environment
from .services import PASSWORD, Broker, Database, KeptCeph, KeptRedis, free_port, supervise
from .supervisor import Supervisor, spawn

READY_SECONDS = 90
SERVERS, WORKERS = ("app1", "app2", "app3"), ("worker1", "worker2")
OURS = (*SERVERS, *WORKERS, "beat")
STORE = "s3://files/repository"


def _accepts(pid: int) -> bool:
    """Tell whether a process of nginx takes connections still, as its title says."""
    with suppress(FileNotFoundError, ProcessLookupError):
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
        return bool(title) and b"shutting down" not in title
    return False


class Installation:
    """The processes, and where they keep what they keep.

    :param folder: An empty folder, which other users may pass through.
    """

    def __init__(self, folder: Path) -> None:
        """Set paths and ports; nothing runs yet."""
        self.folder = folder
        self.files = folder / "files"
        self.database, self.broker, self.redis = Database(folder), Broker(folder), KeptRedis(folder)
        self.ceph = KeptCeph(folder) if KeptCeph.installed() else None
        self.ports = {name: free_port() for name in (*SERVERS, "web")}
        self.url = f"http://127.0.0.1:{self.ports['web']}/api/files"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("INVENIO_", "FILES_"))}
        self.env |= self._variables()

    def _variables(self) -> dict[str, str]:
        example = (DEPLOY / "environment.example").read_text()
        told = dict.fromkeys(re.findall(r"^([A-Z0-9_]+)=$", example, re.M), PASSWORD)
        told |= {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "testsecret",
            "FILES_HOSTS": "localhost",
            "FILES_HTTPS": "0",
            "FILES_LOCATION": str(self.files),
            "FILES_FOLDER": str(self.files),
            "FILES_S3_LOCATION": STORE if self.ceph else "",
            "FILES_S3_ENDPOINT": f"http://127.0.0.1:{self.ceph.port}" if self.ceph else "",
            "FILES_DATABASE": f"127.0.0.1:{self.database.port}",
            "FILES_BROKER": f"127.0.0.1:{self.broker.port}",
            "FILES_REDIS": f"127.0.0.1:{self.redis.port}",
            # One user is all clients here, whose parts are small.
            "FILES_RATE": "100000000 per hour",
            "INVENIO_FILES_REST_MULTIPART_CHUNKSIZE_MIN": "1",
            "INVENIO_FILES_REST_TASK_WAIT_INTERVAL": "0.1",
            "INVENIO_FILES_REST_TASK_WAIT_MAX_SECONDS": "20",
            "INVENIO_INSTANCE_PATH": f"{self.folder}/etc",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        return told

    def command(self, name: str) -> list[str]:
        """Return the command of a unit, for the paths that there are here."""
        told = {
            "/opt/invenio-files/bin/": f"{sys.prefix}/bin/",
            "/etc/invenio-files/": f"{self.folder}/etc/",
            "/var/lib/invenio-files/": f"{self.folder}/state/",
            "/usr/sbin/nginx": str(NGINX),
            "/etc/nginx/nginx.conf": f"{self.folder}/nginx/nginx.conf",
        }
        words = unit_command(*SAME[name])
        for there, here in told.items():
            words = [word.replace(there, here) for word in words]
        return words

    def start(self, name: str) -> int:
        """Start one of ours."""
        env = self.env | unit_environment(*SAME[name]) if name != "web" else self.env
        env["INVENIO_INSTANCE_PATH"] = self.env["INVENIO_INSTANCE_PATH"]
        env.pop("PROMETHEUS_MULTIPROC_DIR", None)
        if name in SERVERS:
            env["FILES_BIND"] = f"127.0.0.1:{self.ports[name]}"
        return spawn(self.command(name), env, str(self.folder / f"{name}.log"), str(self.folder))

    def write_nginx(self, *without: str) -> None:
        """Write the configuration of nginx.

        :param without: Servers that get no requests.
        """
        folder = self.folder / "nginx"
        for kind in ("conf.d", "temporary"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        site = (DEPLOY / "nginx" / "files.conf").read_text()
        site = site.replace("listen 80;", f"listen 127.0.0.1:{self.ports['web']};")
        site = site.replace("alias /var/lib/files/;", f"alias {self.files}/;")
        for number, name in enumerate(SERVERS, 1):
            down = " down" if name in without else ""
            site, count = re.subn(rf"app{number}:500{number} (.*);", rf"127.0.0.1:{self.ports[name]} \1{down};", site)
            assert count == 1
        (folder / "conf.d" / "files.conf").write_text(site)
        main = (DEPLOY / "nginx" / "nginx.conf").read_text()
        kinds = "client_body", "proxy", "fastcgi", "uwsgi", "scgi"
        paths = "".join(f"    {kind}_temp_path {folder}/temporary/{kind};\n" for kind in kinds)
        for old, new in {
            "pid /run/nginx.pid;": f"pid {folder}/pid;" + ("\nuser root;" if os.geteuid() == 0 else ""),
            "worker_processes auto;": "worker_processes 2;",
            "include mime.types;": "include /etc/nginx/mime.types;",
            "/var/log/nginx/access.log": f"{folder}/access.log",
            "http {\n": f"http {{\n{paths}",
        }.items():
            assert old in main, old
            main = main.replace(old, new)
        (folder / "nginx.conf").write_text(main)

    def reload_nginx(self, *without: str) -> None:
        """Have nginx read its configuration again, and wait until it goes by it.

        :param without: Servers that get no requests.
        """
        self.write_nginx(*without)
        pid = self.supervisor.pids["web"]
        before = set(descendants(pid))
        os.kill(pid, signal.SIGHUP)
        # One that goes by the new one is there once those that go by the old one have been told to end.
        wait_until(lambda: set(descendants(pid)) - before)
        wait_until(lambda: not any(_accepts(child) for child in before - {pid}))

    @contextmanager
    def running(self) -> Iterator[Installation]:
        """Start all of it, and kill all afterwards."""
        for name in ("etc", "state", "files"):
            (self.folder / name).mkdir()
        for name in ("invenio.cfg", "gunicorn.conf.py", "setup.py"):
            (self.folder / "etc" / name).write_text((DEPLOY / name).read_text())
        self.write_nginx()
        services = [service for service in (self.database, self.broker, self.redis, self.ceph) if service]
        self.supervisor = Supervisor()
        try:
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda service: service.start(), services))
            for service in services:
                if isinstance(service, KeptCeph):
                    service.supervise(self.supervisor)
                else:
                    supervise(service, self.supervisor)
            subprocess.run(self.command("setup"), env=self.env, cwd=self.folder, check=True, timeout=READY_SECONDS)
            for name in ("web", *OURS):
                self.supervisor.add(name, lambda name=name: self.start(name))
            with Zygote("deployed.clerk", self.env, self.folder / "clerk.log") as self.clerk:
                self.token = self.clerk.ask("token", str(self.folder / "state"))
                self.wait()
                yield self
        finally:
            self.supervisor.end()
            for service in services:
                with suppress(Exception):
                    service.stop()

    def bucket(self, location: str) -> str:
        """Make a bucket, and return its identifier."""
        return str(self.clerk.ask("bucket", location))

    def wait(self, *names: str) -> None:
        """Wait until servers, or all of them and nginx, answer what the database has to be asked for."""
        deadline = time.monotonic() + READY_SECONDS
        headers = {"Authorization": f"Bearer {self.token}"}
        for name, port in self.ports.items():
            if names and name not in names:
                continue
            while True:
                status = None
                with suppress(requests.RequestException):
                    url = f"http://127.0.0.1:{port}/api/files/00000000-0000-0000-0000-000000000000"
                    status = requests.get(url, headers=headers, timeout=10).status_code
                if status == 404:
                    break
                assert time.monotonic() < deadline, (name, status, self.log(name))
                time.sleep(0.1)

    def log(self, name: str) -> str:
        """Return the end of what a process has said."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""
