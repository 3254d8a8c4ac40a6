"""The examples of the page on authentication, against run-server.sh: in a shell, in Python, and in a real browser."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from helpers.browser import Browser, browsing, needs_browser
from helpers.pages import blocks
from servers.instance import Server, serving

MIB = 1024**2
SESSIONS = os.environ.get("TEST_REDIS_URL")
PASSWORD_FILE, TOKEN_FILE = "admin-password", "token"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authentication")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    sessions = {"INVENIO_REST_CSRF_ENABLED": "True"}
    if SESSIONS:
        sessions["INVENIO_ACCOUNTS_SESSION_REDIS_URL"] = SESSIONS
    with serving(folder / "log", "--instance", str(folder / "instance"), **sessions) as server:
        yield server


@pytest.fixture(scope="module")
def token(server: Server, folder: Path) -> str:
    return (folder / "instance" / TOKEN_FILE).read_text().strip()


def example(language: str, kind: str, server: Server, token: str = "") -> str:
    """Return an example of the page for a server, with a token."""
    (code,) = blocks("howto/authentication", language, kind)
    return code.replace("http://localhost:5000", server.url).replace("YOUR TOKEN", token)


def run(arguments: list[str], code: str, folder: Path) -> str:
    done = subprocess.run(arguments, input=code, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lines_for_a_shell_store_a_file(server: Server, token: str, folder: Path) -> None:
    assert run(["bash", "-euo", "pipefail"], example("bash", "run", server), folder).endswith("}stored\n")


def test_the_example_in_python_stores_a_file(server: Server, token: str, folder: Path) -> None:
    (folder / "my_file.txt").write_bytes(b"content" * 1000)
    (code,) = blocks("howto/authentication", "python", "client")
    checksum = run([sys.executable, "-"], code.replace("http://localhost:5000", server.url), folder)
    assert checksum == f"md5:{hashlib.md5(b'content' * 1000).hexdigest()}\n"
    assert (folder / "copy.txt").read_bytes() == b"content" * 1000


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def other_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Serve a folder as another site than that of the API, and give its URL."""
    folder = tmp_path_factory.mktemp("site")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{site.server_port}"
        site.shutdown()
        thread.join()


@needs_browser
def test_the_example_with_fetch_runs_in_a_page_of_another_site(
    server: Server, token: str, browser: Browser, other_site: tuple[Path, str]
) -> None:
    folder, url = other_site
    (folder / "page.html").write_text(
        f"<!doctype html><script>{example('javascript', 'fetch', server, token)}</script>"
    )
    browser.open(f"{url}/page.html")
    found = browser.run("""
        return (async () => {
            const bucket = await createBucket();
            const stored = await upload(bucket, "a folder/my file?.txt", new Blob(["Hello, files."]));
            const keys = (await list(bucket)).map((item) => item.key);
            const text = await (await download(bucket, "a folder/my file?.txt")).text();
            let refused = "";
            try { await call(bucket.links.self + "/nothing"); } catch (error) { refused = error.message; }
            return {size: stored.size, keys, text, refused};
        })();
    """)
    assert found == {
        "size": 13,
        "keys": ["a folder/my file?.txt"],
        "text": "Hello, files.",
        "refused": "The bucket or the object does not exist.",
    }


def script_of(package: str, name: str) -> str:
    """Return a script that a package of XStatic has."""
    found = pytest.importorskip(f"xstatic.pkg.{package}", reason="the extra tests is not installed as a whole")
    return (Path(found.BASE_DIR) / name).read_text()


@needs_browser
def test_the_example_with_ng_file_upload_sends_a_file_whole_and_in_parts(
    server: Server, token: str, browser: Browser, other_site: tuple[Path, str]
) -> None:
    folder, url = other_site
    (folder / "angular.js").write_text(script_of("angular", "angular.js"))
    (folder / "ng-file-upload.js").write_text(script_of("angular_fileupload", "ng-file-upload.js"))
    fetching = example("javascript", "fetch", server, token)
    (folder / "angular.html").write_text(
        '<!doctype html><script src="angular.js"></script><script src="ng-file-upload.js"></script>'
        f"<script>{fetching}\n{example('javascript', 'angular', server, token)}</script>"
    )
    browser.open(f"{url}/angular.html")
    # More than MAX_CONTENT_LENGTH, of which no byte is where another one is.
    found = browser.run(f"""
        return (async () => {{
            const bucket = await createBucket();
            const content = Uint32Array.from({{length: {20 * MIB // 4}}}, (_, index) => index);
            const file = new File([content], "large.bin");
            const files = angular.injector(["ng", "files"]).get("files");
            const told = [];
            const progress = (event) => told.push(event.loaded);
            const whole = await files.whole(address(bucket, "whole"), file, progress);
            const parts = await files.inParts(address(bucket, "parts"), file, progress);
            return {{whole, parts, told: Math.max(...told), bucket: bucket.links.self}};
        }})();
    """)
    assert found["whole"]["size"] == 20 * MIB
    assert found["parts"]["completed"] is True
    assert found["told"] >= 20 * MIB
    expected = b"".join(number.to_bytes(4, "little") for number in range(20 * MIB // 4))
    for key in ("whole", "parts"):
        headers = {"Authorization": f"Bearer {token}"}
        assert requests.get(f"{found['bucket']}/{key}", headers=headers, timeout=60).content == expected


@needs_browser
@pytest.mark.skipif(not SESSIONS, reason="needs a Redis for sessions, see CONTRIBUTING.rst")
def test_a_session_needs_the_token_of_its_cookie(server: Server, folder: Path, browser: Browser) -> None:
    password = (folder / "instance" / PASSWORD_FILE).read_text().strip()
    body = urlencode({"email": "admin@example.org", "password": password})
    browser.open(f"{server.url}/ping")
    found = browser.run(f"""
        {example("javascript", "session", server)}
        return (async () => {{
            const headers = {{"Content-Type": "application/x-www-form-urlencoded"}};
            const login = await withSession("/api/login", {{method: "POST", headers, body: {json.dumps(body)}}});
            const bare = (await fetch("/api/files", {{method: "POST"}})).status;
            const bucket = await createBucketOfMine();
            return {{login: login.status, bare, size: bucket.size}};
        }})();
    """)
    assert found == {"login": 200, "bare": 400, "size": 0}
