"""The requests that the documentation shows are answered as it says, line by line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from test_docs import blocks
from werkzeug.serving import make_server

from invenio_files_rest.models import Location

DOCUMENTED_URL = "http://localhost:5000/api/files"
IDENTIFIER = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00|\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT"

pytestmark = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")


class Session:
    """A shell in which the commands of a page are run, whose identifiers stand for real ones.

    :param folder: Where it runs.
    :param url: Where the API is served.
    :param linked_url: Where its links say that it is served.
    """

    def __init__(self, folder: Path, url: str, linked_url: str) -> None:
        self.folder = folder
        self.url = url
        self.linked_url = linked_url
        self.identifiers: dict[str, str] = {}
        self.variables: dict[str, str] = {}

    def real(self, text: str, url: str) -> str:
        """Return a text with the real identifiers, and another URL."""
        text = re.sub(IDENTIFIER, lambda match: self.identifiers.get(match[0], match[0]), text)
        return text.replace(DOCUMENTED_URL, url)

    def run(self, command: str) -> list[str]:
        """Run a command, and return the lines that it prints."""
        command = self.real(command, self.url)
        assigned = re.match(r"(\w+)=", command)
        if assigned:
            command += f'; printf %s "${assigned[1]}"'
        result = subprocess.run(
            ["bash", "-c", re.sub(r"\bcurl ", "curl -sS ", command)],
            cwd=self.folder,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, f"{command}: {result.stderr}"
        if assigned:
            self.variables[assigned[1]] = result.stdout
            return []
        return result.stdout.replace("\r", "").splitlines()

    def matches(self, documented: str, actual: str) -> bool:
        """Tell whether a line is as documented, and learn what its identifiers stand for."""
        pattern, new = "", []
        for token in re.split(f"({IDENTIFIER}|{TIME})", documented):
            if re.fullmatch(TIME, token):
                pattern += f"(?:{TIME})"
            elif not re.fullmatch(IDENTIFIER, token) or token in self.identifiers:
                pattern += re.escape(self.real(token, self.linked_url))
            elif token in new:
                pattern += f"\\{new.index(token) + 1}"
            else:
                new.append(token)
                pattern += f"({IDENTIFIER})"
        match = re.fullmatch(pattern, actual)
        if match:
            self.identifiers.update(zip(new, match.groups(), strict=True))
        return match is not None


@pytest.fixture
def session(base_app: Flask, location: Location, allow_all: None, tmp_path: Path) -> Iterator[Session]:
    """Serve the application, and give a session with it."""
    server = make_server("localhost", 0, base_app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    folder = tmp_path / "session"
    folder.mkdir()
    linked_url = f"http://{base_app.config['SERVER_NAME']}/files"
    yield Session(folder, f"http://localhost:{server.server_port}/files", linked_url)
    server.shutdown()
    thread.join()
    server.server_close()


def dialogue(page: str) -> Iterator[tuple[str, list[str]]]:
    """Return the commands of a page, each with what it prints; there ``...`` stands for lines that are left out."""
    lines = "".join(blocks(page, "console")).splitlines()
    while lines:
        command = lines.pop(0)
        assert command.startswith("$ ")
        while command.endswith("\\"):
            command = command[:-1] + lines.pop(0).lstrip()
        printed = []
        while lines and not lines[0].startswith("$ "):
            printed.append(lines.pop(0))
        yield command[2:], printed


@pytest.mark.parametrize("page", ["reference/rest", "howto/uploads", "howto/archives"])
def test_each_request_is_answered_as_documented(session: Session, page: str):
    for command, documented in dialogue(page):
        if any(line.startswith("Last-Modified:") for line in documented):
            # The date of a head that follows another within a second is told once it has come.
            time.sleep(2)
        actual = iter(session.run(command))
        left_out = False
        for line in documented:
            if line == "...":
                left_out = True
                continue
            for answer in actual:
                if session.matches(line, answer):
                    break
                assert left_out, f"{command}\nanswers {answer!r}\nand not  {line!r}"
            else:
                pytest.fail(f"{command}\ndoes not answer {line!r}")
            left_out = False
