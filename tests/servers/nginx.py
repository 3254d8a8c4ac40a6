"""A real nginx, and behind it the application that leaves the bytes of its files to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import requests

from . import HERE, command, environment, free_port, serving

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"]))
DEPLOYED = HERE.parent.parent / "deploy" / "nginx" / "files.conf"
ODD = "location é %41 'a' \"b\" ?c#d;+&"

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed; ./run-tests.sh installs it on Debian")


@contextmanager
def running_nginx(folder: Path, port: int, configuration: str) -> Iterator[str]:
    """Run nginx, and give the URL of its server.

    :param folder: A folder for all that it writes.
    :param port: The port that the server listens to, on the loopback interface.
    :param configuration: What is in the block ``http``.
    """
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "".join(
        f"{kind}_temp_path {folder}/nginx-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    path.write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{configuration}\n}}\n"
    )
    with subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(path), "-e", f"{folder}/nginx.log"]) as process:
        try:
            deadline = time.monotonic() + 60
            with socket.socket() as probe:
                while probe.connect_ex(("127.0.0.1", port)):
                    assert process.poll() is None, (folder / "nginx.log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def quoted(text: str) -> str:
    """Write a text as nginx's configuration wants it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def documented(folder: Path, port: int, application: str) -> str:
    """Return the deployed configuration, for a temporary folder and two free ports.

    :param application: The URL of the application.
    """
    shown, count = re.subn(
        r"(    server app\d:\d+ .*;\n)+", f"    server {urlsplit(application).netloc};\n", DEPLOYED.read_text()
    )
    assert count == 1
    for old, new in {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "alias /var/lib/files/;": f"alias {folder}/location/;",
    }.items():
        assert old in shown
        shown = shown.replace(old, new)
    # A second location, which the documentation says to add likewise.
    block = re.search(r"\n    location /internal/files/ \{.*?\n    \}\n", shown, re.S)
    assert block
    odd = block[0].replace("/internal/files/", "/internal/odd/")
    odd = odd.replace(f"alias {folder}/location/;", f"alias {quoted(f'{folder}/{ODD}/')};")
    return shown.replace(block[0], block[0] + odd)


@dataclass
class Redirecting:
    """The application that redirects nginx."""

    url: str
    buckets: dict[str, str]

    def path(self, key: str, location: str = "plain") -> str:
        """Return the path of an object."""
        return f"/files/{self.buckets[location]}/{quote(key)}"

    def store(self, key: str, content: bytes, location: str = "plain") -> str:
        """Store an object, and return its path."""
        path = self.path(key, location)
        answer = requests.put(self.url + path, data=content)
        assert answer.status_code == 200, answer.text
        return path


@contextmanager
def redirecting(folder: Path) -> Iterator[Redirecting]:
    """Run the application of ``redirecting.py`` in a folder."""
    program = [sys.executable, str(HERE / "redirecting.py")]
    buckets = json.loads(subprocess.check_output(program, env=environment(folder), text=True))
    port = free_port()
    arguments = command("gunicorn", port)
    assert arguments is not None
    with serving("gunicorn", [*arguments[:-1], "redirecting:application"], port, folder) as server:
        yield Redirecting(server.url, buckets)
