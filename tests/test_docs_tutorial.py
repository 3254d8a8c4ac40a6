"""The tutorial and the pages by task, against run-server.sh: every command runs, and prints what the page says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
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
    with commands(folder / ".venv" / "bin", folder / "instance") as found:
        yield found


@pytest.fixture
def terminal(server: Server, folder: Path) -> Terminal:
    url = f"http://localhost:{server.port}/api/files"
    return Terminal(folder, url, url)


def test_the_tutorial_leads_from_nothing_to_a_shared_file(terminal: Terminal, programs: Path, folder: Path) -> None:
    page = "tutorial/first-file"
    *before, last = dialogue(page)
    terminal.hold(before)
    (code,) = blocks(page, "python", "shell")
    export, shell = (command for command, _ in dialogue(page, "shell"))
    terminal.run(export)
    done = subprocess.run(
        ["bash", "-c", shell],
        input=terminal.real(code, terminal.url),
        cwd=folder,
        env={**terminal.variables, "IPYTHONDIR": str(folder / "ipython")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert f"25 bytes at {folder}/instance/data/" in done.stdout, done.stdout + done.stderr
    assert "['thesis.txt']" in done.stdout
    terminal.hold([last])
