"""The pages that show commands alone: each runs, and prints what the page says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.pages import blocks, dialogue
from helpers.s3 import STORES, Store, chosen_stores
from helpers.terminal import Terminal
from servers import HERE, environment
from servers.commands import commands

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("bash"), reason="needs bash"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """Give the URI of another location, and the settings that it needs: in an object store, where there is one."""
    if not any(os.environ.get(variable) for variable in STORES.values()):
        return str(tmp_path_factory.mktemp("archive") / "files"), {}
    store = Store(chosen_stores(False)[0])
    return store.location.uri, {store.location.uri: store.settings}


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory, archive: tuple[str, dict[str, Any]]) -> Iterator[Terminal]:
    """Give a terminal of an application that has the documented backend beside the others."""
    folder, programs, modules = (tmp_path_factory.mktemp(name) for name in ("folder", "bin", "modules"))
    (modules / "mymodule").mkdir()
    backend = "".join(blocks("howto/storage-backend", "python", "backend"))
    (modules / "mymodule" / "storage.py").write_text(backend)
    settings: dict[str, Any] = {}
    exec("".join(blocks("howto/storage-backend", "python", "settings")), {}, settings)
    uri, locations = archive
    making = [sys.executable, str(HERE / "application.py")]
    subprocess.run(making, env=environment(folder), check=True, capture_output=True)
    variables = environment(folder, FILES_REST_S3_LOCATIONS=locations, **settings)
    variables["PYTHONPATH"] += f"{os.pathsep}{modules}"
    replaced = {"/var/lib/files": str(folder / "files"), "s3://files/archive": uri, " local": " test"}
    with commands(programs, variables, "application:create_app"):
        yield Terminal(folder, "", "", {"PATH": f"{programs}:{os.environ['PATH']}"}, replaced)


def test_the_crontab_runs(terminal: Terminal) -> None:
    """It comes before those who add locations that cannot be listed, of which the sweep tells."""
    (lines,) = blocks("howto/operations", "text", "crontab")
    assert lines.count("\n") == 2
    for line in lines.splitlines():
        assert terminal.run(line.split(maxsplit=5)[5])[-1].endswith("left: nothing.")


def test_files_move_to_another_storage(terminal: Terminal) -> None:
    for content in ("Measurements", "Photographs."):
        terminal.run(f"echo {content[:11]} | invenio files object put $(invenio files bucket create) {content[:5]}")
    terminal.hold(dialogue("howto/move-storage"))


def test_a_backend_of_one_s_own_is_a_location(terminal: Terminal) -> None:
    terminal.hold(dialogue("howto/storage-backend", "use"))
    assert (terminal.folder / "files.db").stat().st_size > 0


def test_files_move_to_another_folder(terminal: Terminal) -> None:
    terminal.replaced["/mnt/new"] = str(terminal.folder / "new")
    terminal.run("invenio files location create old old --default")
    terminal.run("echo 1 | invenio files object put $(invenio files bucket create) key")
    terminal.hold(dialogue("howto/moving"))
    assert len([path for path in (terminal.folder / "new").rglob("data") if path.is_file()]) == 1


@pytest.mark.parametrize("page", ["howto/installation", "howto/operations"])
def test_a_location_is_marked(terminal: Terminal, page: str) -> None:
    ((command, _),) = dialogue(page, "mark")
    terminal.run("invenio files location create here here || true")
    (terminal.folder / "here" / ".invenio-files-location").unlink()
    terminal.run(command.replace(" local", " here"))
    assert (terminal.folder / "here" / ".invenio-files-location").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands(terminal: Terminal, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed.")
    (line,) = blocks("reference/cli", shell)
    before = "autoload -U compinit; compinit -u -D; " if shell == "zsh" else ""
    after = "complete -p invenio" if shell == "bash" else 'print -r -- "$_comps[invenio]"'
    (told,) = terminal.run(f"{shell} -c '{before}{line.strip()}; {after}'")
    assert "_invenio_completion" in told


def test_processes_get_a_folder_to_count_in(terminal: Terminal) -> None:
    ((command, _),) = dialogue("reference/telemetry")
    terminal.run(command)
    folder = Path(terminal.variables.pop("PROMETHEUS_MULTIPROC_DIR"))
    assert list(folder.iterdir()) == []
    folder.rmdir()
