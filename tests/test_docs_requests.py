"""The requests that the documentation shows are answered as it says, line by line."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from helpers.pages import dialogue
from helpers.terminal import Terminal
from werkzeug.serving import make_server

from invenio_files_rest.models import Location

pytestmark = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")


@pytest.fixture
def terminal(base_app: Flask, location: Location, allow_all: None, tmp_path: Path) -> Iterator[Terminal]:
    """Serve the application, and give a terminal that has it."""
    server = make_server("localhost", 0, base_app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    folder = tmp_path / "terminal"
    folder.mkdir()
    linked_url = f"http://{base_app.config['SERVER_NAME']}/files"
    yield Terminal(folder, f"http://localhost:{server.server_port}/files", linked_url)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("page", ["reference/rest", "reference/openapi", "howto/uploads", "howto/archives"])
def test_each_request_is_answered_as_documented(terminal: Terminal, page: str):
    terminal.hold(dialogue(page))
