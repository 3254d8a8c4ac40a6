"""Commands as processes of a shell: with pipes that close, Ctrl-C, terminals and completion."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest
from helpers.waiting import wait_until

pytestmark = pytest.mark.slow

APPLICATION = """\
import os
from flask import Flask
from invenio_celery import InvenioCelery
from invenio_db import InvenioDB, db
from invenio_files_rest import InvenioFilesREST

FOLDER = os.path.dirname(os.path.abspath(__file__))


def create_app():
    app = Flask("shell", instance_path=FOLDER)
    app.config.update(CELERY_BROKER_URL="memory://", SQLALCHEMY_DATABASE_URI=f"sqlite:///{FOLDER}/test.db")
    for extension in (InvenioCelery, InvenioDB, InvenioFilesREST):
        extension(app)
    return app
"""

CONTENTS = """\
from io import BytesIO
from invenio_db import db
from invenio_files_rest.models import Bucket, FileInstance, ObjectVersion
from invenio_files_rest.services.locations import create_location
from app import FOLDER, create_app

with create_app().app_context():
    tables = [table for table in db.metadata.sorted_tables if table.name.startswith("files_")]
    db.metadata.create_all(db.engine, tables=tables)
    create_location("local", f"{FOLDER}/data", default=True)
    bucket = Bucket.create()
    first = ObjectVersion.create(bucket, "large", stream=BytesIO(bytes(20_000_000)))
    for number in range(3000):
        db.session.add(ObjectVersion(bucket=bucket, key=f"key-{number:05}", file=first.file, is_head=True))
    db.session.commit()
    print(bucket.id)
"""


class Shell:
    """An installation, and what runs its commands."""

    def __init__(self, folder: Path) -> None:
        (folder / "app.py").write_text(APPLICATION)
        (folder / "contents.py").write_text(CONTENTS)
        self.folder = folder
        path = os.pathsep.join(filter(None, [str(folder), *sys.path]))
        self.environment = {**os.environ, "FLASK_APP": "app", "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
        made = subprocess.run(
            [sys.executable, "contents.py"], cwd=folder, env=self.environment, check=True, stdout=subprocess.PIPE
        )
        self.bucket = made.stdout.decode().strip()

    def begin(self, *arguments: str, **kwargs: object) -> subprocess.Popen[bytes]:
        """Start a command."""
        command = [sys.executable, "-m", "flask", "files", *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, **kwargs)  # type: ignore[call-overload]

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script, in which ``files`` is the command."""
        function = f'files() {{ "{sys.executable}" -m flask files "$@"; }}\n'
        return subprocess.run(
            ["bash", "-c", function + script],
            cwd=self.folder,
            env={**self.environment, "BUCKET": self.bucket},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def on_terminal(self, *arguments: str, columns: int = 80) -> tuple[int, str]:
        """Run a command on a terminal, and return its exit status and what the terminal gets."""
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.environment.pop("COLUMNS", None)
        process = self.begin(*arguments, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 65536):
                shown += block
        except OSError:
            # Nobody is at the other end any more.
            pass
        os.close(ours)
        return process.wait(60), shown.decode()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Make an installation with a bucket of many keys."""
    return Shell(tmp_path_factory.mktemp("shell"))


def test_a_reader_that_has_enough_ends_the_command_without_a_word(shell: Shell):
    result = shell.bash("files object list $BUCKET | head -n 2; files object get $BUCKET large | head -c 3 | wc -c")
    lines = result.stdout.splitlines()
    assert (lines[0].split(), lines[1].split()[-1], lines[2]) == (["SIZE", "MODIFIED", "KEY"], "key-00000", "3")
    assert result.stderr == ""


def test_text_that_the_encoding_of_the_output_lacks_is_escaped(shell: Shell):
    result = shell.bash("files bucket tags $BUCKET name=日本 >&2; PYTHONIOENCODING=latin-1 files bucket tags $BUCKET")
    assert result.stdout.splitlines()[-1].split() == ["name", r"\u65e5\u672c"]


def test_ctrl_c_leaves_nothing_of_what_was_stored_or_written(shell: Shell):
    def files() -> list[Path]:
        return sorted(path for path in shell.folder.rglob("*") if path.is_file() and path.suffix != ".pyc")

    before = files()
    process = shell.begin(
        "object", "put", shell.bucket, "new", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(bytes(5_000_000))
    process.stdin.flush()
    wait_until(lambda: len(files()) > len(before))
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, b"", b"Interrupted.\n")
    assert files() == before


def test_a_terminal_shows_how_far_it_is_how_fast_and_gets_no_bytes_unasked(shell: Shell):
    target = shell.folder / "target"
    code, shown = shell.on_terminal("object", "get", shell.bucket, "large", str(target))
    assert code == 0
    assert "Reading" in shown
    assert "19.1 MiB/19.1 MiB" in shown
    assert "MiB/s" in shown
    assert target.stat().st_size == 20_000_000
    code, shown = shell.on_terminal("object", "get", shell.bucket, "large")
    assert code == 2
    assert "Standard output is a terminal." in shown


@pytest.mark.parametrize("columns", [20, 80])
def test_a_terminal_of_any_width_gets_whole_lines_without_colours(shell: Shell, columns: int):
    _, shown = shell.on_terminal("object", "list", shell.bucket, "--limit", "3", columns=columns)
    assert "\x1b" not in shown
    assert [line.split()[-1] for line in shown.splitlines()] == ["KEY", "key-00000", "key-00001", "key-00002"]


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_the_documented_line_makes_a_shell_complete(shell: Shell, name: str):
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name}")
    program = str(Path(sys.executable).parent / "flask")

    def completed(kind: str, **variables: str) -> str:
        environment = {**shell.environment, "_FLASK_COMPLETE": f"{name}_{kind}", **variables}
        result = subprocess.run(
            [program], env=environment, cwd=shell.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert result.stderr == ""
        return result.stdout

    assert subprocess.run([name, "-n"], input=completed("source"), text=True, check=False).returncode == 0
    words = f"flask files object show {shell.bucket} key-0000"
    answer = completed("complete", COMP_WORDS=words, COMP_CWORD="5")
    assert all(f"key-0000{number}" in answer for number in range(10))
