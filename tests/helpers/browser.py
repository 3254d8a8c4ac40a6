"""A real browser: Debian's Chromium, driven over WebDriver (https://www.w3.org/TR/webdriver2/)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from servers import free_port

from helpers.waiting import SECONDS, wait_until

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="chromium and chromedriver are not installed; ./run-tests.sh installs them on Debian",
)
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

    def find(self, selector: str) -> str:
        """Return the element of a CSS selector, the first one where there are several."""
        found = self._command("POST", "element", using="css selector", value=selector)
        return str(next(iter(found.values())))

    def texts(self, selector: str) -> list[str]:
        """Return the texts that one sees of the elements of a CSS selector."""
        script = (
            f"return [...document.querySelectorAll({json.dumps(selector)})].map(element => element.innerText.trim())"
        )
        return list(self.run(script))

    def click(self, selector: str) -> None:
        """Click on an element."""
        self._command("POST", f"element/{self.find(selector)}/click")

    def submit(self, selector: str) -> None:
        """Click on what leads to another page, and wait until that is there."""
        self.run("window.isLeft = true")
        self.click(selector)
        self.arrive()

    def arrive(self) -> None:
        """Wait until the page is left that has been marked as such, and the next one is there."""
        wait_until(lambda: self.run("return !window.isLeft && document.readyState == 'complete'"))

    def write(self, selector: str, text: str) -> None:
        """Write into a field, which is emptied before; for the field of a file, its path."""
        element = self.find(selector)
        if self.run(f"return document.querySelector({json.dumps(selector)}).type") != "file":
            self._command("POST", f"element/{element}/clear")
        self._command("POST", f"element/{element}/value", text=text)

    def drop(self, selector: str, *paths: Path, before: Callable[[], object] | None = None) -> None:
        """Drag files and folders over an element, and drop them there.

        :param selector: CSS selector of the element.
        :param paths: The files and folders.
        :param before: Called before they are dropped.
        """
        box = (
            f"const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return {x: box.x + box.width / 2, y: box.y + box.height / 2}"
        )
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for event in ("dragEnter", "dragOver", "drop"):
            if event == "drop" and before is not None:
                before()
            self._devtools("Input.dispatchDragEvent", type=event, data=data, **self.run(box))

    def press(self, key: str) -> None:
        """Press a key where the focus is; https://www.w3.org/TR/webdriver2/#keyboard-actions has the codes of keys."""
        strokes = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._command("POST", "actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def log_in(self, url: str, email: str, password: str) -> None:
        """Log in at a page of Flask-Security."""
        self.open(url)
        self.write("input[name=email]", email)
        self.write("input[name=password]", password)
        self.submit("form[name=login_user_form] [type=submit]")

    def become(self, url: str, email: str, password: str) -> None:
        """Log in at a site, unless that is who has logged in there already."""
        self.open(url)
        if self.texts(".user") != [email]:
            self.forget()
            self.log_in(f"{url}/login/?next=/", email, password)
        assert self.texts(".user") == [email]

    def accept(self) -> str:
        """Confirm what the page asks, and return the question."""
        question = str(self._command("GET", "alert/text"))
        self._command("POST", "alert/accept")
        return question

    def look(self, width: int = 1200, height: int = 800, dark: bool = False) -> None:
        """Show pages as on a screen of a size in pixels, whose user likes a dark one or not."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._devtools("Emulation.setDeviceMetricsOverride", **screen)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", features=[scheme])

    @contextmanager
    def speaking(self, language: str) -> Iterator[None]:
        """Show pages as to somebody who has asked the browser for a language."""
        agent = self.run("return navigator.userAgent")
        self._devtools("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        try:
            yield
        finally:
            self._devtools("Emulation.setUserAgentOverride", userAgent="")

    def screenshot(self, path: Path) -> None:
        """Save what the screen shows, as a PNG."""
        path.write_bytes(base64.b64decode(self._command("GET", "screenshot")))

    def complaints(self) -> list[str]:
        """Return what the browser has complained about since one asked last: scripts that failed or were refused."""
        entries = self._command("POST", "se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def forget(self) -> None:
        """Forget all cookies."""
        self._devtools("Network.clearBrowserCookies")

    def cookies(self) -> list[dict[str, Any]]:
        """Return the cookies of the page."""
        return list(self._command("GET", "cookie"))

    def remember(self, cookies: list[dict[str, Any]]) -> None:
        """Have cookies again that were forgotten."""
        for cookie in cookies:
            self._command("POST", "cookie", cookie=cookie)

    @contextmanager
    def without_scripts(self) -> Iterator[None]:
        """Show pages as to somebody whose browser runs no scripts. The driver's own run as ever."""
        self._devtools("Emulation.setScriptExecutionDisabled", value=True)
        try:
            yield
        finally:
            self._devtools("Emulation.setScriptExecutionDisabled", value=False)

    def _devtools(self, command: str, **params: Any) -> None:
        self._command("POST", "goog/cdp/execute", cmd=command, params=params)

    def _go(self, url: str) -> None:
        """Go to what is saved rather than shown."""
        self.open(url)

    def save(self, url: str) -> str:
        """Save what is at an address, which is an attachment, and return the name that the file gets."""
        for old in self.downloads.iterdir():
            old.unlink()
        self._go(url)
        deadline = time.monotonic() + SECONDS
        while not (names := [name for name in os.listdir(self.downloads) if not _is_partial(name)]):
            assert time.monotonic() < deadline, os.listdir(self.downloads)
            time.sleep(0.05)
        (name,) = names
        return name


def _is_partial(name: str) -> bool:
    return name.endswith((".crdownload", ".part")) or name.startswith(".org.chromium.")


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
            capabilities = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
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
