"""The page on backups: a dump and a copy of what is written to meanwhile, restored elsewhere, lack nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from helpers.pages import blocks, dialogue
from helpers.terminal import Terminal
from helpers.waiting import wait_until
from servers import HERE, command, environment, free_port, serving
from servers.commands import commands
from sqlalchemy import URL, make_url
from sqlalchemy_utils.functions import create_database, drop_database

PAGE = "howto/backup"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not (os.environ.get("TEST_POSTGRESQL_URL") and shutil.which("pg_dump") and shutil.which("rsync")),
        reason="needs a PostgreSQL, pg_dump and rsync, see CONTRIBUTING.rst",
    ),
]


@contextmanager
def database() -> Iterator[URL]:
    """Give the name of a database that is not there yet, and remove it at the end."""
    url = make_url(os.environ["TEST_POSTGRESQL_URL"]).set(database=f"files_{uuid4().hex}")
    create_database(url)
    try:
        yield url
    finally:
        drop_database(url)


@dataclass
class Writers:
    """Clients that store, replace and delete objects as long as they are let.

    :param url: URL of the bucket.
    """

    url: str
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def write(self, name: str) -> None:
        """Store one object after another, and with each third one replace an object and delete it."""
        with requests.Session() as session:
            number = 0
            while not self.ended.is_set():
                number += 1
                key, content = f"{name}/{number}", f"{name} {number} ".encode() * 500
                session.put(f"{self.url}/{key}", data=content, timeout=60).raise_for_status()
                self.acknowledged[key] = content
                if number % 3 == 0:
                    session.put(f"{self.url}/{name}", data=content, timeout=60).raise_for_status()
                    session.delete(f"{self.url}/{name}", timeout=60).raise_for_status()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let them write while the block runs."""
        threads = [threading.Thread(target=self.write, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.ended.set()
            for thread in threads:
                thread.join(60)

    def wait_for_more(self) -> None:
        """Wait until some more have been acknowledged."""
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) > before + 5)


def test_what_is_backed_up_while_it_is_written_to_is_restored_elsewhere_without_a_loss(tmp_path: Path) -> None:
    old, new, backup, programs = (tmp_path / name for name in ("old", "new", "backup", "bin"))
    for folder in (old, new, backup, programs, new / "location"):
        folder.mkdir()
    with ExitStack() as stack:
        sources, target = stack.enter_context(database()), stack.enter_context(database())
        settings = {"SQLALCHEMY_DATABASE_URI": sources.render_as_string(False)}
        making = [sys.executable, str(HERE / "application.py")]
        bucket = subprocess.check_output(making, env=environment(old, **settings), text=True).split()[0]
        terminal = Terminal(
            tmp_path,
            "",
            "",
            {"PATH": f"{programs}:{os.environ['PATH']}"},
            {
                "postgresql:///files": f'"{sources.set(drivername="postgresql").render_as_string(False)}"',
                "postgresql:///restored": f'"{target.set(drivername="postgresql").render_as_string(False)}"',
                "/var/lib/files": str(old / "location"),
                "/srv/files": str(new / "location"),
                "/backup": str(backup),
                " local": " test",
            },
        )
        port = free_port()
        arguments = command("gunicorn", port)
        assert arguments is not None
        with serving("gunicorn", arguments, port, old, **settings) as server:
            writers = Writers(f"{server.url}/files/{bucket}")
            with writers.at_work():
                writers.wait_for_more()
                before = dict(writers.acknowledged)
                for step in dialogue(PAGE, "backup"):
                    terminal.hold([step])
                    writers.wait_for_more()

        # Nothing of the old one is there any more.
        shutil.rmtree(old / "location")
        terminal.hold(dialogue(PAGE, "restore"))
        (statements,) = blocks(PAGE, "sql", "restore")
        psql = ["psql", "--quiet", "--set", "ON_ERROR_STOP=1", terminal.variables["DATABASE"]]
        subprocess.run(psql, input=terminal.real(statements, ""), text=True, check=True, timeout=60)
        settings = {"SQLALCHEMY_DATABASE_URI": target.render_as_string(False)}
        stack.enter_context(commands(programs, environment(new, **settings), "application:create_app"))
        terminal.hold(dialogue(PAGE, "mark"))
        terminal.hold(dialogue(PAGE, "check"))
        assert "none is damaged" in terminal.run("invenio files verify")[-1]
        listed = [json.loads(line) for line in terminal.run(f"invenio files object list {bucket} --json")]
        found = {item["key"]: item["checksum"] for item in listed}
        expected = {key: f"md5:{hashlib.md5(content).hexdigest()}" for key, content in before.items()}
        assert len(before) > 5
        assert expected.items() <= found.items()
        # What was stored between the dump and the copy has bytes, and no row.
        ((sweep, _),) = dialogue(PAGE, "sweep")
        *left, summary = terminal.run(sweep, status=1)
        # The copy may also see a folder before there is a file in it, and a file before it is whole.
        kinds = [line.split()[0] for line in left]
        assert set(kinds) - {"folder", "temporary"} == {"file"}
        assert summary.startswith(f"{kinds.count('file')} file")
