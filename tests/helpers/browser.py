"""A real browser: Debian's Chromium, driven over WebDriver (https://www.w3.org/TR/webdriver2/)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from servers import free_port

from helpers.waiting import SECONDS

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "chromium and chromedriver are not installed; ./run-tests.sh installs them on Debian"
OPTIONS = (
    *("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server"),
)


class Browser:
    """A session of the browser.

    :param url: URL of the session.
    :param downloads: Folder of what is saved.
    """

    def __init__(self, url: str, downloads: Path) -> None:
        self.url, self.downloads = url, downloads

    def _command(self, method: str, path: str, **arguments: Any) -> Any:
        response = requests.request(method, f"{self.url}/{path}", json=arguments if method == "POST" else None)
        value = response.json()["value"]
        assert response.ok, value
        return value

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self._command("POST", "url", url=url)

    def run(self, script: str) -> Any:
        """Run a script in the page, and return what it returns."""
        return self._command("POST", "execute/sync", script=script, args=[])

    def save(self, url: str) -> str:
        """Save what is at an address, which is an attachment, and return the name that the file gets."""
        for old in self.downloads.iterdir():
            old.unlink()
        self.open(url)
        deadline = time.monotonic() + SECONDS
        while not (names := [name for name in os.listdir(self.downloads) if not _is_partial(name)]):
            assert time.monotonic() < deadline, os.listdir(self.downloads)
            time.sleep(0.05)
        (name,) = names
        return name


def _is_partial(name: str) -> bool:
    return name.endswith(".crdownload") or name.startswith(".org.chromium.")


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Run the browser, with its profile and what it saves in an empty folder."""
    port = free_port()
    downloads = folder / "downloads"
    downloads.mkdir()
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    options = {
        "binary": CHROMIUM,
        "args": [*OPTIONS, *sandbox, f"--user-data-dir={folder}/profile"],
        "prefs": {"download.default_directory": str(downloads), "download.prompt_for_download": False},
    }
    with (
        (folder / "chromedriver.log").open("wb") as log,
        subprocess.Popen([str(DRIVER), f"--port={port}"], stdout=log, stderr=log) as driver,
    ):
        try:
            sessions = f"http://127.0.0.1:{port}/session"
            capabilities = {"alwaysMatch": {"goog:chromeOptions": options}}
            session = _first_answer(sessions, {"capabilities": capabilities}, driver).json()["value"]
            assert "sessionId" in session, session
            browser = Browser(f"{sessions}/{session['sessionId']}", downloads)
            try:
                yield browser
            finally:
                requests.delete(browser.url)
        finally:
            driver.terminate()
            driver.wait(20)


def _first_answer(url: str, body: Any, driver: subprocess.Popen[bytes]) -> requests.Response:
    """Send a request, again until the driver listens."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return requests.post(url, json=body)
        except requests.ConnectionError:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
