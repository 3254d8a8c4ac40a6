"""The first thing that a person runs: run-server.sh, as it is, with the curl lines that it prints."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests
from servers import free_port

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which nothing is installed, as what is needed is where the tests run."""
    return {**os.environ, "VENV": sys.prefix, **variables}


class Server:
    """A server that says that it serves."""

    def __init__(self, process: subprocess.Popen[str], url: str, output: str) -> None:
        """Keep what it said."""
        self.process = process
        self.url = url
        self.output = output

    @property
    def commands(self) -> str:
        """The lines to paste."""
        return self.output.split("in another terminal:")[1]


@contextmanager
def serving(log: Path, *options: str, **variables: str) -> Iterator[Server]:
    port = free_port()
    with log.open("w") as file:
        process = subprocess.Popen(
            [ROOT / "run-server.sh", "--port", str(port), *options],
            env=environment(**variables),
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 200
        while "# delete" not in (output := log.read_text()):
            assert process.poll() is None, output
            assert time.monotonic() < deadline, output
            time.sleep(0.2)
        yield Server(process, f"http://127.0.0.1:{port}", output)
    finally:
        if process.poll() is None:
            # As Ctrl-C does: to all of the terminal's processes.
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


def refused(*options: str, **variables: str) -> str:
    """Run a server that does not start, and return what it says."""
    done = subprocess.run(
        [ROOT / "run-server.sh", *options], env=environment(**variables), capture_output=True, text=True, timeout=60
    )
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


def paste(commands: str, folder: Path) -> str:
    done = subprocess.run(["bash", "-e"], input=commands, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_printed_commands_upload_list_download_and_delete(server: Server, tmp_path: Path):
    answers = paste(server.commands, tmp_path)
    assert answers.endswith("Hello, files.\n")
    assert '"key": "hello.txt"' in answers
    # From the bucket, and from the record.
    assert answers.count("Hello, files.\n") == 2
    assert f'"self": "{server.url}/api/records/1/files/hello.txt"' in answers
    listed = paste(server.commands + f'{download_line(server.commands)} -o /dev/null -w "%{{http_code}}"', tmp_path)
    assert listed.endswith("404")


def download_line(commands: str) -> str:
    return commands.split("# download\n")[1].split("\n")[0].strip()


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
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"]


def test_other_host_names_are_refused(server: Server):
    assert requests.get(f"{server.url}/ping", headers={"Host": "example.org"}).status_code == 400


def test_pages_work_without_node(server: Server):
    assert "password" in requests.get(f"{server.url}/login/").text
    assert requests.get(f"{server.url}/").status_code == 404


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
        assert requests.post(everyone.url.replace("127.0.0.1", "localhost") + "/api/files").status_code == 200


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
    assert re.search("in use.*--port", refused("--instance", str(instance), "--port", server.url.split(":")[-1]), re.S)


def test_other_database_for_an_instance_is_refused(server: Server, instance: Path):
    options = "--instance", str(instance), "--port", str(free_port()), "--database", "sqlite:////other.db"
    assert "another database" in refused(*options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ports", "1"], "there is no option --ports"),
        (["--port"], "--port needs a value"),
        (["--port", "http"], "--port must be a positive number"),
        (["--database", "mysql://x"], "PostgreSQL"),
    ],
)
def test_wrong_options_are_told(options: list[str], message: str):
    assert message in refused(*options)


def test_python_that_is_too_old_is_told():
    assert "Python 3.10 or newer is needed" in refused("--port", str(free_port()), VENV="", PYTHON="false")
