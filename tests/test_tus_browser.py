"""Uppy's Dashboard in a real browser, on a page of another site, with all that happens to a person on a train.

``UPPY_MB`` is the size of the file in MB.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest
import requests
from helpers.browser import Browser, browsing, needs_browser
from helpers.pages import blocks
from helpers.waiting import wait_until
from servers import HERE, Server, command, environment, free_port, serving
from servers.cutting import Cutting, cutting

UPPY = Path(__file__).parent / "node" / "node_modules" / "uppy" / "dist"
MB = 1_000_000
SIZE = int(os.environ.get("UPPY_MB", "16")) * MB
SECONDS = 12
"""How long the bytes take."""

LONG = 300
"""How many seconds a step may take that sends many of them."""

pytestmark = [
    pytest.mark.slow,
    needs_browser,
    pytest.mark.skipif(not UPPY.is_dir(), reason="Uppy is not installed; ./run-tests.sh installs it on Debian"),
    pytest.mark.timeout(900),
]

NOTES = """
const open = XMLHttpRequest.prototype.open;
XMLHttpRequest.prototype.open = function (method, ...others) {
  localStorage.methods = (localStorage.methods || "") + method + " ";
  return open.call(this, method, ...others);
};
"""
"""A script that keeps the methods of all requests, also over a page that is loaded anew."""

UPLOAD, PAUSE = ".uppy-StatusBar-actionBtn--upload", ".uppy-StatusBar-actions .uppy-StatusBar-actionCircleBtn"


class Train:
    """A bucket, a page of another site that uploads into it, and the network between them."""

    def __init__(self, browser: Browser, between: Cutting, server: Server, bucket: str, page: str) -> None:
        self.browser, self.between, self.page = browser, between, page
        self.url = f"{server.url}/files/{bucket}"

    def choose(self, path: Path) -> None:
        """Open the page, choose a file, and have it uploaded."""
        self.browser.open(self.page)
        self.browser.write("input.uppy-Dashboard-input", str(path))
        wait_until(lambda: self.browser.texts(UPLOAD))
        self.browser.click(UPLOAD)

    def offset(self) -> int:
        """Return how much the server says that it has, without disturbing anybody."""
        found = self.browser.run(
            "return Object.values(localStorage).filter(v => v.startsWith('{')).map(v => JSON.parse(v).uploadUrl)"
        )
        answer = requests.get(
            found[0].replace(str(self.between.port), self.url.split(":")[2].split("/")[0]), timeout=60
        )
        assert answer.status_code == 200, answer.text
        return int(answer.json()["offset"])

    def status(self) -> str:
        """Return what the page says of the upload."""
        return " ".join(self.browser.texts(".uppy-StatusBar-content"))

    def told(self) -> str:
        """Return what there is to say of a step that takes too long, on either side of the network."""
        methods = self.browser.run("return localStorage.methods")
        passed = f"{self.between.passed} bytes have passed, with {self.between.cuts} cuts"
        return f"{self.status()}; {passed}; requests: {methods}"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder in memory: on a disk that other tests wait for, what takes seconds takes minutes."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


@pytest.fixture
def train(tmp_path: Path, folder: Path) -> Iterator[Train]:
    (cors,) = blocks("howto/resumable", "python", "settings")
    settings: dict[str, Any] = {}
    exec(cors, {}, settings)
    site = tmp_path / "site"
    site.mkdir()
    settings["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": {"timeout": 60}}
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(folder, **settings), text=True).split()[0]
    port = free_port()
    arguments = command("gunicorn", port, workers=2)
    assert arguments is not None
    for name in ("uppy.min.js", "uppy.min.css"):
        shutil.copy(UPPY / name, site)
    (shown,) = blocks("howto/resumable", "html")
    cuts = [SIZE // 10, SIZE // 8, SIZE // 6]
    with (
        serving("gunicorn", arguments, port, folder, **settings) as server,
        cutting(port, cuts, SIZE / SECONDS) as between,
        ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as pages,
        browsing(tmp_path) as browser,
    ):
        shown = shown.replace("https://example.org/api", f"http://127.0.0.1:{between.port}")
        known = f'const bucket = "{bucket}", token = "token";'
        (site / "index.html").write_text(f"<!doctype html><script>{known}{NOTES}</script>{shown}")
        Thread(target=pages.serve_forever, daemon=True).start()
        yield Train(browser, between, server, bucket, f"http://localhost:{pages.server_port}/index.html")
        pages.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def test_a_person_on_a_train_uploads_a_large_file_with_uppy(train: Train, tmp_path: Path) -> None:
    path = tmp_path / "large file.bin"
    digest = hashlib.md5()
    with path.open("wb") as file:
        for _ in range(SIZE // MB):
            block = random.randbytes(MB)
            digest.update(block)
            file.write(block)
    train.choose(path)
    wait_until(lambda: train.between.cuts == 3, train.told, LONG)
    wait_until(lambda: train.offset() > SIZE // 3, train.told, LONG)

    train.browser.click(PAUSE)
    wait_until(lambda: "Paused" in train.status(), train.status)
    wait_until(lambda: train.offset() == (time.sleep(1), train.offset())[1])
    paused = train.offset()
    assert paused < SIZE
    train.browser.click(PAUSE)
    wait_until(lambda: train.offset() > paused, train.status)

    train.choose(path)
    wait_until(lambda: "Complete" in train.status(), train.status, LONG)
    checksum = f"md5:{digest.hexdigest()}"
    versions = requests.get(f"{train.url}?versions", timeout=60).json()["contents"]
    assert [(each["key"], each["checksum"]) for each in versions] == [(path.name, checksum)]
    methods = train.browser.run("return localStorage.methods").split()
    assert methods.count("POST") == 1
    # Chromium sends a request again by itself where a connection was cut that had served others; it is answered 409.
    assert methods.count("HEAD") >= 4
    assert train.between.passed < 2 * SIZE
