"""The tutorial and the pages by task, against run-server.sh: every command runs, and prints what the page says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from helpers.pages import blocks, dialogue
from helpers.terminal import Terminal
from servers.commands import commands
from servers.instance import Server, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder that stands for the checkout of the reader."""
    return tmp_path_factory.mktemp("checkout")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    assert blocks("tutorial/first-file", "console", "start") == ["$ ./run-server.sh\n"]
    with serving(folder / "log", "--instance", str(folder / "instance")) as server:
        yield server


@pytest.fixture(scope="module")
def programs(server: Server, folder: Path) -> Iterator[Path]:
    """Give the folder of the program ``invenio``, as the environment of the checkout has it."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    with commands(folder / ".venv" / "bin", {"INVENIO_INSTANCE_PATH": str(folder / "instance")}) as found:
        yield found


@pytest.fixture
def terminal(server: Server, folder: Path) -> Terminal:
    url = f"http://localhost:{server.port}/api/files"
    return Terminal(folder, url, url)


def paste(terminal: Terminal, page: str, kind: str) -> str:
    """Paste the Python of a page into the shell that the page opens, and return what it prints.

    :param terminal: Where the commands run.
    :param page: Name of the page.
    :param kind: Class of the blocks: commands, of which the last opens the shell, and Python.
    """
    (code,) = blocks(page, "python", kind)
    *before, (shell, _) = dialogue(page, kind)
    terminal.hold(before)
    done = subprocess.run(
        ["bash", "-c", shell],
        input=terminal.real(code, terminal.url),
        cwd=terminal.folder,
        env={**terminal.variables, "IPYTHONDIR": str(terminal.folder / "ipython")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "Error" not in done.stdout, done.stdout
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tutorial_leads_from_nothing_to_a_shared_file(terminal: Terminal, programs: Path, folder: Path) -> None:
    page = "tutorial/first-file"
    *before, last = dialogue(page)
    terminal.hold(before)
    printed = paste(terminal, page, "shell")
    assert f"25 bytes at {folder}/instance/data/" in printed
    assert "['thesis.txt']" in printed
    terminal.hold([last])


def test_a_damaged_file_is_answered_from_the_alert_to_the_right_bytes(
    server: Server, programs: Path, folder: Path
) -> None:
    page, location, backup = "howto/damaged-file", folder / "instance" / "data", folder / "backup"
    url = f"http://localhost:{server.port}/api/files"
    terminal = Terminal(
        folder,
        url,
        url,
        {"PATH": f"{programs}:{os.environ['PATH']}"},
        {"/var/lib/files": str(location), "/backup/files": str(backup), "/root/damaged": str(folder / "damaged")},
    )
    headers = {"Authorization": f"Bearer {(folder / 'instance' / 'token').read_text().strip()}"}
    bucket = requests.post(url, headers=headers).json()["links"]["self"]
    requests.put(f"{bucket}/report.txt", data=b"All is well.\r\n", headers=headers).raise_for_status()
    (path,) = (path for path in location.rglob("data") if path.is_file() and path.read_bytes() == b"All is well.\r\n")
    shutil.copytree(location, backup)
    path.write_bytes(b"All is weld.\r\n")
    assert "damaged: 1 checksum" in "".join(terminal.run("invenio files verify", status=1))

    steps = list(dialogue(page))
    terminal.identifiers["2c4d7ae0-71b4-4ab7-a6c5-d1c1dd1bd4e9"] = bucket.rsplit("/", 1)[1]
    terminal.hold(steps[:2], failing=("invenio files status", "invenio files check"))
    assert "report.txt" in paste(terminal, page, "shell")
    terminal.hold(steps[2:])
    assert requests.get(f"{bucket}/report.txt", headers=headers).content == b"All is well.\r\n"
    assert (folder / "damaged").read_bytes() == b"All is weld.\r\n"
    assert "files_rest_files_damaged 0.0" in requests.get(f"{url}/metrics").text
