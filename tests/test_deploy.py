"""What ``deploy/`` has for an operator: compose and systemd run the same, and nginx before it does nothing twice."""

from __future__ import annotations

import http.client
import json
import os
import re
import runpy
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from servers import free_port
from servers.nginx import DEPLOYED, needs_nginx, running_nginx

pytest.importorskip("yaml")

from deployed.described import (
    COMPOSE,
    DEPLOY,
    SAME,
    UNITS,
    compose_command,
    seconds,
    unit,
    unit_command,
    unit_environment,
)

OURS = [name for name in SAME if name not in ("setup", "web")]
GUNICORN = runpy.run_path(str(DEPLOY / "gunicorn.conf.py"))
DCLINT = Path(__file__).parent / "node" / "node_modules" / ".bin" / "dclint"

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
needs_dclint = pytest.mark.skipif(not DCLINT.exists(), reason="the packages of tests/node are not installed")


@pytest.mark.parametrize("service", SAME)
def test_compose_and_systemd_run_the_same(service: str) -> None:
    program, *arguments = unit_command(*SAME[service])
    assert [Path(program).name, *arguments] == compose_command(service)


@pytest.mark.parametrize("server", ["app1", "app2", "app3"])
def test_servers_listen_where_nginx_asks_them(server: str) -> None:
    (port,) = re.findall(rf"server {server}:(\d+) ", DEPLOYED.read_text())
    assert unit_environment(*SAME[server])["FILES_BIND"] == f"0.0.0.0:{port}"
    service = COMPOSE["services"][server]
    assert service["environment"]["FILES_BIND"] == f"0.0.0.0:{port}"
    address = service["networks"]["inside"]["ipv4_address"]
    assert f"{server}:{address}" in COMPOSE["services"]["web"]["extra_hosts"]


def test_settings_are_where_both_look_for_them() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    (place,) = re.findall(r"INVENIO_INSTANCE_PATH=(\S+)", dockerfile)
    assert {unit_environment(*SAME[name])["INVENIO_INSTANCE_PATH"] for name in OURS} == {place}
    assert f"COPY deploy/gunicorn.conf.py deploy/invenio.cfg deploy/setup.py {place}/" in dockerfile


def test_an_upload_on_its_way_has_its_time_before_anybody_kills() -> None:
    for server in ("app1", "app2", "app3"):
        assert seconds(unit(*SAME[server])["TimeoutStopSec"][-1]) > GUNICORN["graceful_timeout"]
        assert seconds(COMPOSE["services"][server]["stop_grace_period"]) > GUNICORN["graceful_timeout"]
    for worker in ("worker1", "worker2"):
        assert unit(*SAME[worker])["KillMode"] == ["mixed"]


def test_nginx_closes_idle_connections_before_gunicorn_does() -> None:
    (kept,) = re.findall(r"keepalive_timeout (\d+)s", DEPLOYED.read_text())
    assert int(kept) < GUNICORN["keepalive"]


@pytest.mark.parametrize("service", OURS)
def test_what_ends_is_started_again_and_writes_nothing_under_an_empty_mount(service: str) -> None:
    said = unit(*SAME[service])
    assert said["Restart"] == ["always"]
    assert said["StartLimitIntervalSec"] == ["0"]
    assert said["RequiresMountsFor"] == ["/var/lib/files"]
    assert said["ProtectSystem"] == ["strict"]
    assert said["ReadWritePaths"] == ["-/var/lib/files"]


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if name != "setup"])
def test_each_service_of_compose_is_started_again_and_says_whether_it_is_well(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["restart"] == "always"
    assert "healthcheck" in service
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (DEPLOY / source).exists()
    for other, needed in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other == "setup" else "service_healthy"
        assert needed["condition"] == wanted


def test_images_are_pinned_by_name_and_major_version() -> None:
    images = {service["image"] for service in COMPOSE["services"].values()}
    assert all(re.fullmatch(r"[a-z/-]+:\d+(\.\d+)*", image) for image in images), images
    for base in re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.M):
        assert re.fullmatch(r"python:3\.\d+-slim", base)


def test_secrets_are_in_the_environment_alone() -> None:
    example = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", (DEPLOY / "environment.example").read_text(), re.M))
    secret = re.compile("SECRET|PASSWORD|PASS$|ACCESS_KEY|TOKEN")
    assert [name for name, value in example.items() if secret.search(name) and value] == []
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if secret.search(name):
                assert re.fullmatch(r"\$\{[A-Z_]+:[?-]\}", value), (name, value)
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", (DEPLOY / "compose.yaml").read_text()))
    assert asked <= set(example)
    assert set(re.findall(r"os\.environ\[['\"](\w+)", (DEPLOY / "invenio.cfg").read_text())) <= set(example)


def test_the_image_and_the_repository_get_no_secrets() -> None:
    allowed = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"]
    (copied,) = re.findall(r"^COPY (deploy/.*) /", (DEPLOY / "Dockerfile").read_text(), re.M)
    assert [name for name in allowed if name.startswith("deploy")] == sorted(copied.split())
    if not (DEPLOY.parent / ".git").exists():
        pytest.skip("this is no checkout")
    for name in ("environment", "tls/privkey.pem"):
        ignored = subprocess.run(["git", "check-ignore", "--quiet", name], cwd=DEPLOY, timeout=60)
        assert ignored.returncode == 0, name


ASKING = """
import json, sys
from urllib.parse import urlsplit
from invenio_app.factory import create_api
from invenio_app.wsgi import application
from invenio_db import db
from werkzeug.test import Client

with create_api().app_context():
    db.create_all()
for url in map(urlsplit, sys.argv[1:]):
    headers = {"Authorization": "Bearer secret"}
    response = Client(application).get(url.path, base_url=f"http://{url.netloc}", headers=headers)
    print(json.dumps([response.status_code, response.headers.get("Location")]))
"""


@pytest.mark.slow
@pytest.mark.skipif("TEST_REDIS_URL" not in os.environ, reason="TEST_REDIS_URL is not set")
def test_a_server_is_asked_by_its_own_name_whether_it_is_there_and_for_its_metrics(tmp_path: Path) -> None:
    """Everything else is for clients, who come over HTTPS and by the names that the service has."""
    documentation = (DEPLOY.parent / "docs" / "howto" / "deployment.rst").read_text()
    documented = sorted(set(re.findall(r"``(?:curl )?(http://app1:5001[^`]+)``", documentation)))
    assert [url.partition("5001")[2] for url in documented] == ["/api/files/metrics", "/ping"]
    own = [url.replace("app1:5001", f"app{number}:500{number}") for url in documented for number in (1, 2, 3)]
    others = ["http://files.example.org/api/files/", "http://elsewhere.example.org/ping"]
    told = {
        **dict.fromkeys(("FILES_SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "REDIS_PASSWORD"), "secret"),
        "FILES_METRICS_TOKEN": "secret",
        "FILES_HOSTS": "other.example.org, files.example.org",
        "FILES_FOLDER": str(tmp_path),
        "INVENIO_INSTANCE_PATH": str(DEPLOY),
        "INVENIO_SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/db",
        "INVENIO_SQLALCHEMY_ENGINE_OPTIONS": "{}",
        **{
            f"INVENIO_{name}": os.environ.get("TEST_REDIS_URL", "")
            for name in ("ACCOUNTS_SESSION_REDIS_URL", "CACHE_REDIS_URL", "RATELIMIT_STORAGE_URI")
        },
    }
    command = [sys.executable, "-W", "ignore", "-c", ASKING, *own, *others]
    done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, timeout=120)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert answers == [[200, None]] * 6 + [[302, "https://files.example.org/api/files/"], [400, None]], done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Return a copy of the units whose programs are here."""
    copy = tmp_path / "units"
    shutil.copytree(UNITS, copy)
    for path in copy.glob("*.service"):
        path.write_text(path.read_text().replace("/opt/invenio-files", sys.prefix))
    return copy


def verify(units: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"SYSTEMD_UNIT_PATH": f"{units}:"}
    return subprocess.run(
        ["systemd-analyze", *arguments], env=env, cwd=units, capture_output=True, text=True, timeout=60
    )


def instances(units: Path) -> list[str]:
    return [f"./{path.name.replace('@', '@5001')}" for path in sorted(units.iterdir()) if path.is_file()]


@needs_systemd
def test_systemd_takes_the_units(units: Path) -> None:
    done = verify(units, "verify", "--man=no", *instances(units))
    assert (done.returncode, done.stderr) == (0, "")
    broken = units / "invenio-files-beat.service"
    broken.write_text(broken.read_text().replace("Restart=", "Restarts="))
    assert "Restarts" in verify(units, "verify", "--man=no", "./invenio-files-beat.service").stderr


@needs_systemd
def test_a_service_that_is_broken_into_reaches_little(units: Path) -> None:
    services = [name for name in instances(units) if name.endswith(".service")]
    for service in services:
        done = verify(units, "security", "--offline=true", "--threshold=20", service)
        assert done.returncode == 0, done.stdout
    (units / "invenio-files-.service.d" / "common.conf").unlink()
    assert verify(units, "security", "--offline=true", "--threshold=20", services[0]).returncode != 0


@needs_dclint
def test_compose_takes_the_file(tmp_path: Path) -> None:

    def errors(path: Path) -> list[str]:
        done = subprocess.run([DCLINT, "-f", "json", "--quiet", path], capture_output=True, text=True, timeout=60)
        return [error["rule"] for file in json.loads(done.stdout) for error in file["messages"]]

    assert errors(DEPLOY / "compose.yaml") == []
    broken = tmp_path / "compose.yaml"
    broken.write_text((DEPLOY / "compose.yaml").read_text().replace("restart: always", "restarts: always"))
    assert "invalid-schema" in errors(broken)


class Deaf(socketserver.ThreadingTCPServer):
    """A server that ends in the middle of each request, so that nobody knows what came of it."""

    daemon_threads = True

    def __init__(self, asked: Counter[str]) -> None:
        super().__init__(("127.0.0.1", 0), None)  # type: ignore[arg-type]
        self.asked = asked

    def finish_request(self, request: Any, address: Any) -> None:
        request.settimeout(10)
        self.asked[request.recv(65536).split(b" ")[0].decode()] += 1


@contextmanager
def front(folder: Path, ports: list[int], site: str = DEPLOYED.read_text()) -> Iterator[str]:
    """Run the deployed nginx before three servers."""
    port = free_port()
    for number, server in enumerate(ports, 1):
        site = site.replace(f"app{number}:500{number}", f"127.0.0.1:{server}")
    with running_nginx(folder, port, site.replace("listen 80;", f"listen 127.0.0.1:{port};")) as url:
        yield url


@needs_nginx
def test_what_a_server_may_have_done_is_not_asked_of_another(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()
    with ExitStack() as stack:
        servers = [stack.enter_context(Deaf(asked)) for _ in range(3)]
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        for method in ("PUT", "DELETE", "POST", "PATCH", "GET"):
            # nginx takes none for lost that it has not asked before.
            with front(tmp_path, [server.server_address[1] for server in servers]) as url:
                assert requests.request(method, url, data=b"x" * (method != "GET"), timeout=30).status_code == 502
    assert asked == {"PUT": 1, "DELETE": 1, "POST": 1, "PATCH": 1, "GET": 3}


class Echo(socketserver.StreamRequestHandler):
    """Answers with the method and the length of the body, which comes in chunks or not."""

    def handle(self) -> None:
        method = self.rfile.readline().split()[0]
        headers = dict(line.strip().lower().split(b": ") for line in iter(self.rfile.readline, b"\r\n"))
        length = int(headers.get(b"content-length", 0))
        if b"transfer-encoding" in headers:
            while size := int(self.rfile.readline(), 16):
                length += len(self.rfile.read(size + 2)) - 2
        else:
            self.rfile.read(length)
        body = b"%s %d" % (method, length)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@needs_nginx
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_of_all_methods_come_whole_to_a_server_that_is_there(tmp_path: Path, chunked: bool) -> None:
    with (
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server,
        socket.create_server(("127.0.0.1", 0)) as closed,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        away = closed.getsockname()[1]
        closed.close()
        size = 3_000_000
        with front(tmp_path, [server.server_address[1], away, away]) as url:
            # Who is away is known from the first requests, which go to another.
            for _ in range(3):
                assert requests.get(url, timeout=30).text == "GET 0"
            for method in ("PUT", "POST", "PATCH", "DELETE"):
                body: Any = iter([b"x" * (size // 3)] * 3) if chunked else b"x" * size
                answer = requests.request(method, url, data=body, headers={"Expect": "100-continue"}, timeout=30)
                assert answer.text == f"{method} {size}"
        server.shutdown()


class Named(socketserver.StreamRequestHandler):
    """Answers with the scheme and the address that a client has come by."""

    def handle(self) -> None:
        headers = dict(line.strip().split(b": ") for line in iter(self.rfile.readline, b"\r\n") if b": " in line)
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s %s"
            % (headers[b"X-Forwarded-Proto"], headers[b"X-Forwarded-For"])
        )


@pytest.fixture
def named() -> Iterator[int]:
    """Return the port of a server that tells what nginx says of clients."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Named) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@needs_nginx
def test_a_balancer_names_scheme_and_address_of_clients_once_two_lines_have_lost_their_comment_sign(
    tmp_path: Path, named: int
) -> None:
    """Otherwise links are of HTTP, and who comes over HTTPS is led to HTTPS for ever."""

    def seen(source: str, scheme: str) -> bytes:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30, source_address=(source, 0))
        headers = {"X-Forwarded-For": "192.0.2.1, 192.0.2.7", "X-Forwarded-Proto": scheme}
        with closing(connection):
            connection.request("GET", "/", headers=headers)
            return connection.getresponse().read()

    site = DEPLOYED.read_text()
    with front(tmp_path, [named] * 3, site) as url:
        assert seen("127.0.0.9", "https") == b"http 127.0.0.9"
    site, count = re.subn(r"# (set_real_ip_from|real_ip_header)", r"\1", site)
    assert count == 2
    with front(tmp_path, [named] * 3, site.replace("10.0.0.0/24", "127.0.0.9")) as url:
        assert [seen("127.0.0.9", scheme) for scheme in ("https", "http", "", "https, evil")] == [
            b"https 192.0.2.7",
            *[b"http 192.0.2.7"] * 3,
        ]
        assert seen("127.0.0.1", "https") == b"http 127.0.0.1"


@needs_nginx
@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_clients_come_over_https_once_three_lines_have_lost_their_comment_sign(tmp_path: Path, named: int) -> None:
    (tmp_path / "tls").mkdir()
    new = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    pair = ["-keyout", tmp_path / "tls" / "privkey.pem", "-out", tmp_path / "tls" / "fullchain.pem"]
    subprocess.run(["openssl", *new, *pair], check=True, capture_output=True, timeout=60)
    port = free_port()
    site, count = re.subn(r"# (listen 443|ssl_)", r"\1", DEPLOYED.read_text())
    assert count == 3
    assert any(mount.startswith("./tls:/etc/nginx/tls") for mount in COMPOSE["services"]["web"]["volumes"])
    with front(tmp_path, [named] * 3, site.replace("listen 443", f"listen 127.0.0.1:{port}")):
        url, certificate = f"https://127.0.0.1:{port}", str(tmp_path / "tls" / "fullchain.pem")
        assert requests.get(url, verify=certificate, timeout=30).text == "https 127.0.0.1"
