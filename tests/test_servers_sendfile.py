"""Files go out by the operating system, which copies them without us."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import requests
from servers import HERE, command, environment, free_port, serving

pytestmark = pytest.mark.slow


def test_gunicorn_sends_files_and_ranges_of_them_with_sendfile(tmp_path: Path) -> None:
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(tmp_path), text=True).split()[0]
    port = free_port()
    arguments = command("gunicorn", port)
    assert arguments is not None
    arguments[1:1] = ["--config", str(HERE / "noting_sendfile.py")]
    content = bytes(range(256)) * 1000
    with serving("gunicorn", arguments, port, tmp_path) as server:
        url = f"{server.url}/files/{bucket}/a"
        assert requests.put(url, data=content, timeout=60).status_code == 200
        assert requests.get(url, timeout=60).content == content
        part = requests.get(url, headers={"Range": "bytes=1000-1999"}, timeout=60)
        assert (part.status_code, part.content) == (206, content[1000:2000])
        assert requests.head(url, timeout=60).status_code == 200
    assert Path(tmp_path, "sent").read_text().splitlines() == [f"0 {len(content)}", "1000 1000"]
