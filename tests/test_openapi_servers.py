"""Schemathesis finds no answer of a real server that the description of the API does not have.

``SCHEMATHESIS_EXAMPLES`` is the number of requests that it makes up for each operation, besides those at the limits.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from servers import HERE, Server, command, environment, free_port, serving

pytestmark = pytest.mark.slow

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "3")

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """Serve a bucket with an object."""
    folder = tmp_path_factory.mktemp("server")
    program = [sys.executable, str(HERE / "application.py")]
    identifier, _ = subprocess.check_output(program, env=environment(folder), text=True).split()
    port = free_port()
    arguments = command("gunicorn", port)
    assert arguments
    with serving("gunicorn", arguments, port, folder, FILES_REST_METRICS_ADDRESSES=["127.0.0.1"]) as server:
        requests.put(f"{server.url}/files/{identifier}/a", data=b"a", timeout=60).raise_for_status()
        yield server, identifier


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("key", [None, "a"], ids=["any key", "a key that is there"])
def test_schemathesis_finds_nothing(bucket: tuple[Server, str], tmp_path: Path, key: str | None):
    server, identifier = bucket
    lines = ["[parameters]", f'"path.bucket_id" = "{identifier}"', *([f'"path.key" = "{key}"'] if key else [])]
    (tmp_path / "schemathesis.toml").write_text("\n".join(lines))
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert program, "schemathesis is not installed"
    only = ("--include-path", "/files/{bucket_id}/{key}") if key else ()
    result = subprocess.run(
        [
            *(program, "--config-file", str(tmp_path / "schemathesis.toml"), "run", "--no-color"),
            *("--phases", "coverage,fuzzing", "--max-examples", EXAMPLES, "--checks", ",".join(CHECKS), *only),
            f"{server.url}/files/openapi.json",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    found = re.search(r"(\d+) generated", result.stdout)
    assert found, result.stdout
    assert int(found[1]) > 100
