"""The first thing that a person runs: run-server.sh, as it is, with the curl lines that it prints."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from helpers.waiting import wait_until
from servers import free_port
from servers.instance import RUN, Server, environment, serving
from servers.nginx import NGINX

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def refused(*options: str, **variables: str) -> str:
    """Run a server that does not start, and return what it says."""
    done = subprocess.run([RUN, *options], env=environment(**variables), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def instance(folder: Path) -> Path:
    return folder / "instance"


@pytest.fixture(scope="module")
def server(folder: Path, instance: Path) -> Iterator[Server]:
    with serving(folder / "log", "--instance", str(instance)) as server:
        yield server


@pytest.fixture
def authorization(server: Server, instance: Path) -> dict[str, str]:
    return {"Authorization": f"Bearer {(instance / 'token').read_text().strip()}"}


def paste(commands: str, folder: Path, shell: str = "bash") -> str:
    # As a terminal that reads them, where zsh takes no comments.
    done = subprocess.run([shell, "-e"], input=commands, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_printed_commands_upload_list_download_and_delete(server: Server, tmp_path: Path, shell: str):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed.")
    answers = paste(server.commands, tmp_path, shell)
    assert answers.endswith("Hello, files.\n")
    assert '"key": "hello.txt"' in answers
    # From the bucket, and from the record.
    assert answers.count("Hello, files.\n") == 2
    assert f'"self": "{server.url}/api/records/1/files/hello.txt"' in answers
    (download,) = re.findall('curl .*/api/files/\\$BUCKET/hello.txt"$', server.commands, re.M)[:1]
    listed = paste(f'{server.commands}{download} -o /dev/null -w "%{{http_code}}"', tmp_path, shell)
    assert listed.endswith("404")


def test_printed_commands_have_no_comments_and_stream_what_they_upload(server: Server):
    assert "#" not in server.commands
    assert "--data-binary" not in server.commands
    assert server.commands.count(" -T hello.txt ") == 2


def test_a_token_that_is_empty_is_told(server: Server, tmp_path: Path):
    without = "\n".join(line for line in server.commands.splitlines() if "TOKEN=$" not in line)
    done = subprocess.run(
        ["bash", "-c", without], cwd=tmp_path, capture_output=True, text=True, env={"PATH": os.defpath}
    )
    assert done.returncode
    assert re.search("TOKEN: is empty: run the line that sets it", done.stderr)
    assert len(done.stderr.splitlines()) == 1


def test_it_says_where_pages_are_and_who_logs_in(server: Server, instance: Path):
    for line in (
        f"Start page +{server.url}/$",
        f"Administration +{server.url}/admin/$",
        f"Log in as +admin@example.org, with the password in {instance}/admin-password$",
    ):
        assert re.search(line, server.output, re.M)


def test_nobody_is_warned_of_what_is_so_on_purpose(server: Server, instance: Path):
    command = [Path(sys.executable).with_name("invenio"), "files", "location", "list"]
    environment = {**os.environ, "INVENIO_INSTANCE_PATH": str(instance)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    for said in (server.output, done.stderr):
        assert not re.search("SESSION_COOKIE_SECURE|JSONSCHEMAS_HOST", said)


def test_each_request_has_a_line_without_its_query(server: Server, authorization: dict[str, str]):
    token = authorization["Authorization"].split()[1]
    for url in (f"{server.url}/api/files", f"{server.url}/ping"):
        requests.post(f"{url}?access_token={token}&logged", headers={"X-Request-ID": "logged"})

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith('{"')]

    def of_gunicorn() -> list[dict[str, Any]]:
        return [line for line in lines() if '"POST /' in line["event"]]

    wait_until(lambda: [line for line in of_gunicorn() if '"POST /ping" 405 ' in line["event"]])
    (ours,) = (line for line in lines() if line["event"] == "request" and line.get("request_id") == "logged")
    assert (ours["route"], ours["method"], ours["status"]) == ("invenio_files_rest.location_api", "POST", 200)
    assert (ours["client"], ours["user"]) == ("127.0.0.1", "1")
    assert not [line for line in of_gunicorn() if "/api/files" in line["event"]]
    assert token not in server.log.read_text()


def test_this_machine_alone_has_the_metrics(server: Server):
    metrics = f"{server.url}/api/files/metrics"
    assert "files_rest_status_up 1.0" in requests.get(metrics).text
    assert requests.get(metrics, headers={"X-Forwarded-For": "203.0.113.1"}).status_code == 404


def test_it_counts_where_no_upload_fills_the_disk(server: Server):
    requests.get(f"{server.url}/api/files/metrics")
    processes = psutil.Process(server.process.pid).children(recursive=True)
    serving_ones = [each for each in processes if "gunicorn" in " ".join(each.cmdline())]
    (counts,) = {Path(each.environ()["PROMETHEUS_MULTIPROC_DIR"]) for each in serving_ones}
    assert counts.parent == Path("/dev/shm")
    assert list(counts.glob("counter_*.db"))


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}], ids=["none", "wrong"])
def test_without_a_valid_token_nothing_is_readable_or_writable(
    server: Server, authorization: dict[str, str], headers: dict[str, str]
):
    bucket = requests.post(f"{server.url}/api/files", headers=authorization).json()["links"]["self"]
    assert requests.put(f"{bucket}/a", data=b"a", headers=authorization).status_code == 200
    assert requests.post(f"{server.url}/api/files", headers=headers).status_code == 401
    for method, url in [("GET", bucket), ("GET", f"{bucket}/a"), ("PUT", f"{bucket}/a"), ("DELETE", f"{bucket}/a")]:
        assert requests.request(method, url, data=b"b", headers=headers).status_code == 404
    assert requests.get(f"{bucket}/a", headers=authorization).content == b"a"


def test_secrets_are_readable_by_their_owner_alone(server: Server, instance: Path):
    for path in [instance, *instance.iterdir()]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def create_location(instance: Path, name: str, uri: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("invenio"), "files", "location", "create", name, uri]
    environment = {**os.environ, "INVENIO_INSTANCE_PATH": str(instance)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)


def test_a_location_is_in_the_instance_or_nowhere(server: Server, instance: Path, tmp_path: Path):
    refused = create_location(instance, "elsewhere", str(tmp_path / "elsewhere"))
    assert refused.returncode == 1
    assert "is not in one of FILES_REST_LOCATION_URIS" in refused.stderr
    assert not (tmp_path / "elsewhere").exists()
    created = create_location(instance, "second", str(instance / "data" / "second"))
    assert created.returncode == 0, created.stderr


def test_a_location_that_is_away_is_a_503_and_makes_nothing(
    server: Server, instance: Path, authorization: dict[str, str]
):
    bucket = requests.post(f"{server.url}/api/files", headers=authorization).json()["links"]["self"]
    requests.put(f"{bucket}/kept", data=b"kept", headers=authorization)
    (instance / "data").rename(instance / "away")
    try:
        for method, key in (("PUT", "lost"), ("GET", "kept")):
            answer = requests.request(method, f"{bucket}/{key}", data=b"lost", headers=authorization)
            assert (answer.status_code, answer.json()) == (503, {"status": 503, "message": "File storage is offline."})
        assert not (instance / "data").exists()
    finally:
        (instance / "away").rename(instance / "data")
    assert requests.get(f"{bucket}/kept", headers=authorization).content == b"kept"


def test_a_file_keeps_its_own_security_headers(server: Server, authorization: dict[str, str]):
    bucket = requests.post(f"{server.url}/api/files", headers=authorization).json()["links"]["self"]
    requests.put(f"{bucket}/page.html", data=b"<script>alert(1)</script>", headers=authorization)
    answer = requests.get(f"{bucket}/page.html", headers=authorization)
    assert answer.headers["Content-Security-Policy"] == "default-src 'none';"
    assert answer.headers["X-Frame-Options"] == "deny"


def test_limits_cors_and_security_headers_are_on(server: Server, authorization: dict[str, str]):
    answer = requests.post(f"{server.url}/api/files", headers={**authorization, "Origin": "https://example.org"})
    assert int(answer.headers["X-RateLimit-Limit"]) >= 1000
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert {"Location", "Tus-Resumable", "Upload-Offset"} <= set(
        answer.headers["Access-Control-Expose-Headers"].split(", ")
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"]


def test_other_host_names_are_refused(server: Server):
    assert requests.get(f"{server.url}/ping", headers={"Host": "example.org"}).status_code == 400


def test_pages_work_without_node(server: Server):
    assert "password" in requests.get(f"{server.url}/login/").text
    assert requests.get(f"{server.url}/").status_code == 200
    # To be logged in to.
    assert "password" in requests.get(f"{server.url}/admin/").text


def test_second_run_starts_with_what_is_there(
    server: Server, instance: Path, folder: Path, authorization: dict[str, str]
):
    bucket = requests.post(f"{server.url}/api/files", headers=authorization).json()["links"]["self"]
    requests.put(f"{bucket}/kept", data=b"kept", headers=authorization)
    with serving(folder / "second", "--instance", str(instance)) as second:
        assert "Setting up" not in second.output
        url = f"{second.url}{bucket.removeprefix(server.url)}/kept"
        assert requests.get(url, headers=authorization).content == b"kept"


def test_open_lets_everyone_in_and_warns(server: Server, instance: Path, folder: Path, tmp_path: Path):
    with serving(folder / "open", SERVER_INSTANCE=str(instance), SERVER_OPEN="1") as everyone:
        assert "WARNING: open to everyone" in everyone.output
        assert "TOKEN" not in everyone.commands
        assert paste(everyone.commands, tmp_path).endswith("Hello, files.\n")
        url = everyone.url.replace("127.0.0.1", "localhost") + "/api/files"
        assert requests.post(url).status_code == 200
        for origin in ("http://localhost", "https://127.0.0.1:8443", "http://[::1]:3000"):
            answer = requests.post(url, headers={"Origin": origin})
            assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
        for origin in ("https://example.org", "http://localhost.example.org", "http://example.org:80", "null"):
            answer = requests.post(url, headers={"Origin": origin})
            assert answer.status_code in (401, 403)
            assert "Access-Control-Allow-Origin" not in answer.headers
            ask = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
            assert "Access-Control-Allow-Origin" not in requests.options(f"{url}/x/y", headers=ask).headers


def test_open_is_refused_beyond_this_machine():
    assert "loopback" in refused("--open", "--host", "0.0.0.0")


def test_ctrl_c_stops_everything(server: Server, instance: Path, folder: Path):
    with serving(folder / "stopped", f"--instance={instance}") as stopped:
        processes = [stopped.process.pid, *(p.pid for p in psutil.Process(stopped.process.pid).children(True))]
        assert len(processes) >= 3
    assert not [pid for pid in processes if psutil.pid_exists(pid)]
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{stopped.url}/ping")


def test_port_in_use_is_told(server: Server, instance: Path):
    told = refused("--instance", str(instance), "--port", str(server.port))
    assert f"in use by run-server.sh: kill {server.process.pid} stops it" in told


def test_after_a_kill_the_next_start_says_who_listens_and_how_to_stop_it(server: Server, instance: Path, folder: Path):
    with serving(folder / "killed", "--instance", str(instance)) as killed:
        left = psutil.Process(killed.process.pid).children(recursive=True)
        killed.process.kill()
        killed.process.wait()
        told = refused("--instance", str(instance), "--port", str(killed.port))
        found = re.search(r"in use by gunicorn \(process \d+\), left by .*: (kill -- -\d+) stops it", told)
        assert found, told
        subprocess.run(["bash", "-c", found[1]], check=True)
        _, alive = psutil.wait_procs(left, 60)
        assert not alive


def test_other_database_for_an_instance_is_refused(server: Server, instance: Path):
    options = "--instance", str(instance), "--port", str(free_port()), "--database", "sqlite:////other.db"
    assert "another database" in refused(*options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ports", "1"], "there is no option --ports"),
        (["--port"], "--port needs a value"),
        (["--port", "http"], "--port must be a positive number"),
        (["--port", "99999"], "--port must be at most 65535"),
        (["--open=1"], "--open takes no value"),
        (["--host", "198.51.100.7"], "198.51.100.7 is not an address of this machine"),
        (["--host", "nowhere.invalid"], "there is no host nowhere.invalid"),
        (["--database", "mysql://x"], "PostgreSQL"),
        (["--database", "nonsense"], "--database needs a URL"),
        (["--database", "postgres://x"], "there is no postgres"),
        (["--database", "postgresql+psycopg2://u:secret@127.0.0.1:1/x"], "Connection refused"),
        (["--database", "sqlite:///relative.db"], "absolute path"),
        (["--broker", "redis://127.0.0.1:1"], "--broker"),
        (["--storage", "/a/folder"], "--storage needs s3://bucket"),
        (["--s3-endpoint", "http://127.0.0.1:1"], "--s3-endpoint goes with --storage"),
        (["--demo-s3", "--storage", "s3://bucket"], "it does not go with --storage"),
        (["--storage", "s3://b", "--s3-endpoint", "http://u:secret@127.0.0.1:1"], "keys have names of their own"),
        (["--storage", "s3://b", "--s3-endpoint", "http://127.0.0.1:1"], "The object store does not answer"),
    ],
)
def test_wrong_options_are_told_before_anything_is_written(tmp_path: Path, options: list[str], message: str):
    instance = tmp_path / "instance"
    told = refused(
        "--instance", str(instance), *(() if "--port" in options else ("--port", str(free_port()))), *options
    )
    assert message in told
    assert len(told.splitlines()) == 1
    assert "secret" not in told
    assert not instance.exists()


def test_a_password_is_in_no_list_of_processes(tmp_path: Path):
    """Neither while options are checked, nor while the instance is made."""
    url = f"sqlite:////{tmp_path}/files.db?secret=hidden"
    command = [RUN, "--port", str(free_port()), "--instance", str(tmp_path / "i"), "--database", url]
    seen = set()
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 100
        while not (tmp_path / "i" / "setup.done").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            for running in psutil.process_iter(["pid", "cmdline"]):
                if any("secret=hidden" in argument for argument in running.info["cmdline"] or ()):
                    seen.add(tuple(running.info["cmdline"]))
        os.killpg(process.pid, signal.SIGKILL)
    # What was typed, which env and bash run, before it runs itself again without.
    typed = tuple(map(str, command))
    assert {arguments for arguments in seen if arguments[-len(typed) :] != typed} == set()


def test_python_that_is_too_old_is_told():
    assert "Python 3.10 or newer is needed" in refused("--port", str(free_port()), VENV="", PYTHON="false")


def log_in(server: Server, email: str, password: str) -> requests.Response:
    return requests.post(f"{server.url}/api/login", data={"email": email, "password": password})


def test_requests_are_counted_by_address_and_by_user_whatever_they_call_themselves(
    server: Server, authorization: dict[str, str]
):
    def left(agent: str, **headers: str) -> int:
        answer = requests.get(f"{server.url}/api/me", headers={"User-Agent": agent, **headers})
        return int(answer.headers["X-RateLimit-Remaining"])

    assert [left("one") - left("two"), left("three") - left("four")] == [1, 1]
    first = left("one", **authorization)
    assert left("two", **authorization) < first
    assert first > left("two")


def test_logging_in_does_not_tell_who_has_an_account(server: Server, instance: Path):
    def answer(email: str) -> tuple[int, bytes, set[str]]:
        refused = log_in(server, email, "wrong")
        return refused.status_code, refused.content, set(refused.headers)

    assert answer("admin@example.org") == answer("nobody@example.org") == answer("no address")
    known, unknown = (
        re.sub('value="[^"]*"', "", log_in_page(server, f"{name}@example.org")) for name in ("admin", "nobody")
    )
    assert "is wrong" in known
    assert known == unknown
    # One hash of a password each, which is nearly all of the time; a busy machine may have to be asked again.
    fastest = {"admin@example.org": math.inf, "nobody@example.org": math.inf}
    for _ in range(4):
        for email, before in fastest.items():
            fastest[email] = min(before, log_in(server, email, "wrong").elapsed.total_seconds())
        if max(fastest.values()) < 4 * min(fastest.values()):
            return
    pytest.fail(f"The time tells: {fastest}")


def log_in_page(server: Server, email: str) -> str:
    with requests.Session() as session:
        token = re.search(r'name="csrf_token"[^>]* value="([^"]*)"', session.get(f"{server.url}/login/").text)
        data = {"email": email, "password": "wrong", "csrf_token": token[1] if token else ""}
        return session.post(f"{server.url}/login/", data=data).text


def test_a_page_of_another_site_logs_nobody_in(server: Server):
    """Its visitor would go on working in the account of whoever made it."""
    # Not the administrator, whose attempts are counted.
    data = {"email": "visitor@example.org", "password": "not looked at"}

    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(f"{server.url}/api/login", data=data, headers=named).status_code

    assert status(Origin="http://other.example.org") == 403
    assert status(Origin=server.url, Sec_Fetch_Site="cross-site") == 403
    assert status(Origin=server.url) == 400


def test_attempts_to_log_in_are_limited_by_account(server: Server, instance: Path):
    for email in ("somebody@example.org", "Somebody@example.org "):
        statuses = [log_in(server, email, f"guess {number}").status_code for number in range(6)]
    assert statuses == [400] * 4 + [429] * 2
    password = (instance / "admin-password").read_text().strip()
    response = log_in(server, "admin@example.org", password)
    assert response.status_code == 200, response.text


REQUESTS = {
    "close": "GET /ping HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
    "byte": "G",
    "body": "PUT {path}/{number} HTTP/1.1\r\nHost: {host}\r\n{token}\r\nContent-Length: 100000\r\n\r\nx",
    "download": "GET {path}/large HTTP/1.1\r\nHost: {host}\r\n{token}\r\n\r\n",
}
"""What a client asks for, that then neither sends nor reads anything, nor closes its connection."""


@pytest.fixture(scope="module", params=["gunicorn", "nginx"])
def tried(request: pytest.FixtureRequest, server: Server, instance: Path, folder: Path) -> Iterator[Server]:
    """Give the server by itself, and behind nginx."""
    if request.param == "gunicorn":
        yield server
        return
    if not NGINX:
        pytest.skip("nginx is not installed; ./run-tests.sh installs it on Debian")
    with serving(folder / "nginx", "--instance", str(instance), "--host", "0.0.0.0") as behind:
        yield behind


@pytest.mark.parametrize("kind", REQUESTS)
def test_others_are_served_whatever_fifty_sockets_do(tried: Server, authorization: dict[str, str], kind: str):
    bucket = requests.post(f"{tried.url}/api/files", headers=authorization).json()["links"]["self"]
    requests.put(f"{bucket}/large", data=bytes(32 * 1024**2), headers=authorization)
    with ExitStack() as stack:
        held = []
        for number in range(50):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", tried.port)))
            token = f"Authorization: {authorization['Authorization']}"
            path, host = bucket.removeprefix(tried.url), f"127.0.0.1:{tried.port}"
            connection.sendall(REQUESTS[kind].format(path=path, number=number, token=token, host=host).encode())
            held.append(connection)
        with requests.Session() as session:
            # For longer than the 2 seconds that gunicorn's own worker waits for one that should close.
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                answer = session.get(f"{bucket}/large", headers={**authorization, "Range": "bytes=5-9"}, timeout=20)
                assert (answer.status_code, answer.content) == (206, bytes(5))
    assert "WORKER TIMEOUT" not in tried.log.read_text()


def test_nginx_sends_files_and_clients_are_known_by_their_addresses(
    server: Server, instance: Path, folder: Path, authorization: dict[str, str]
):
    if not NGINX:
        pytest.skip("nginx is not installed; ./run-tests.sh installs it on Debian")
    with serving(folder / "behind", "--instance", str(instance), "--host", "0.0.0.0") as behind:
        bucket = requests.post(f"{behind.url}/api/files", headers=authorization).json()["links"]["self"]
        assert bucket.startswith(behind.url)
        requests.put(f"{bucket}/a", data=b"content", headers=authorization)
        answer = requests.get(f"{bucket}/a", headers={**authorization, "X-Forwarded-For": "198.51.100.7"})
        assert (answer.content, answer.headers["Server"].split("/")[0]) == (b"content", "nginx")
        assert not [name for name in answer.headers if name.startswith("X-Accel")]
        # The line is written after the answer.
        line = re.compile(r'"client": "127\.0\.0\.1", "method": "GET", .*"status": 200, .*"key": "a"')
        wait_until(lambda: line.search(behind.log.read_text()), behind.log.read_text)
        assert requests.get(f"{behind.url}/ping", headers={"Host": "example.org"}).status_code == 400
        children = psutil.Process(behind.process.pid).children()
        assert {"nginx", "gunicorn"} <= {child.name() for child in children}
    assert not [child for child in children if child.is_running()]


def test_without_nginx_other_machines_are_not_served(tmp_path: Path):
    """Where it may not be installed, as by who is not root."""
    checkout, path = tmp_path / "checkout", tmp_path / "path"
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    shutil.copy(RUN, checkout)
    # Nothing is to be found elsewhere.
    script = checkout / "scripts" / "environment.sh"
    script.write_text(script.read_text().replace(":/usr/local/sbin:/usr/sbin", ""))
    path.mkdir()
    for name in ("bash", "basename", "dirname"):
        (path / name).symlink_to(shutil.which(name) or "")
    (path / "id").write_text("#!/bin/bash\necho 1000\n")
    (path / "id").chmod(0o755)
    command = [checkout / "run-server.sh", "--host", "0.0.0.0"]
    done = subprocess.run(command, env={"PATH": str(path)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "nginx is missing" in done.stderr
    assert "apt-get install nginx" in done.stderr
    assert not (checkout / "instance").exists()
