"""A real Firefox: Debian's, driven by the protocol that it speaks itself, Marionette.

It has the commands of WebDriver (https://www.w3.org/TR/webdriver2/) under other names, as JSON over TCP, so that no
geckodriver is needed: each message is its length, a colon, and ``[type, id, command or error, parameters or result]``.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.browser import Browser
from helpers.waiting import SECONDS

FIREFOX = shutil.which("firefox-esr")
_COMMANDS = {
    ("POST", "url"): "Navigate",
    ("POST", "execute/sync"): "ExecuteScript",
    ("POST", "element"): "FindElement",
    ("POST", "actions"): "PerformActions",
    ("GET", "screenshot"): "TakeScreenshot",
}
_OF_ELEMENTS = {"click": "ElementClick", "clear": "ElementClear", "value": "ElementSendKeys"}

_PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "browser.download.folderList": 2,
    "browser.download.useDownloadDir": True,
    "browser.download.always_ask_before_handling_new_types": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "marionette.port": 0,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "toolkit.telemetry.enabled": False,
}


class Firefox(Browser):
    """A session of Firefox.

    :param connection: The connection to it.
    :param downloads: Folder of what is saved.
    """

    def __init__(self, connection: socket.socket, downloads: Path) -> None:
        super().__init__("", downloads)
        self._file = connection.makefile("rwb")
        self._ids = itertools.count(1)
        self._read()
        self.say("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": False}})

    def _read(self) -> Any:
        size = b""
        while (byte := self._file.read(1)) != b":":
            assert byte, "Firefox has ended"
            size += byte
        return json.loads(self._file.read(int(size)))

    def say(self, command: str, **parameters: Any) -> Any:
        """Send a command, and return its result."""
        message = json.dumps([0, next(self._ids), command, parameters]).encode()
        self._file.write(b"%d:%b" % (len(message), message))
        self._file.flush()
        _, _, error, result = self._read()
        assert error is None, error
        return result["value"] if isinstance(result, dict) and set(result) == {"value"} else result

    def _command(self, method: str, path: str, **arguments: Any) -> Any:
        if path.startswith("element/"):
            _, element, action = path.split("/")
            return self.say(f"WebDriver:{_OF_ELEMENTS[action]}", id=element, **arguments)
        if path == "screenshot":
            arguments["full"] = False
        return self.say(f"WebDriver:{_COMMANDS[method, path]}", **arguments)

    def _go(self, url: str) -> None:
        # It would wait for a page.
        self.run(f"location.href = {json.dumps(url)}")

    def look(self, width: int = 1200, height: int = 800, dark: bool = False) -> None:
        """Show pages in a window of a size in pixels."""
        assert not dark, "Firefox is asked for dark pages by its preferences."
        self.say("WebDriver:SetWindowRect", width=width, height=height)

    def forget(self) -> None:
        """Forget the cookies of the page."""
        self.say("WebDriver:DeleteAllCookies")

    def complaints(self) -> list[str]:
        """Return what the page has noted in ``window.complaints``: Firefox tells its log to no driver."""
        return list(self.run("return window.complaints ?? []"))


@contextmanager
def browsing_firefox(folder: Path) -> Iterator[Firefox]:
    """Run Firefox, with its profile and what it saves in an empty folder; skip the test where there is none."""
    if not FIREFOX:
        pytest.skip("firefox-esr is not installed; ./run-tests.sh installs it on Debian")
    profile, downloads = folder / "profile", folder / "downloads"
    profile.mkdir()
    downloads.mkdir()
    preferences = {**_PREFERENCES, "browser.download.dir": str(downloads)}
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items())
    (profile / "user.js").write_text("\n".join(lines))
    command = [FIREFOX, "--headless", "--no-remote", "--marionette", "--profile", str(profile)]
    environment = {**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"}
    with (
        (folder / "firefox.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            port = _port(profile / "MarionetteActivePort", process)
            with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
                yield Firefox(connection, downloads)
        finally:
            process.terminate()
            process.wait(20)


def _port(path: Path, process: subprocess.Popen[bytes]) -> int:
    """Return the port that Firefox has chosen, once it has."""
    deadline = time.monotonic() + SECONDS
    while not path.exists() or not path.read_text().strip():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(path.read_text())
