"""The tutorial and the pages by task, against run-server.sh: every command runs, and prints what the page says."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from helpers.browser import browsing, needs_browser
from helpers.pages import blocks, dialogue
from helpers.terminal import IDENTIFIER, Terminal
from helpers.waiting import wait_until
from servers.commands import commands
from servers.instance import EMAIL, Server, serving
from test_tus_browser import Quiet

TUS = Path(__file__).parent / "node" / "node_modules" / "tus-js-client" / "dist" / "tus.min.js"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder that stands for the checkout of the reader."""
    return tmp_path_factory.mktemp("checkout")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    for page in ("tutorial/first-file", "howto/installation"):
        assert blocks(page, "console", "start") == ["$ ./run-server.sh\n"]
    with serving(folder / "log", "--instance", str(folder / "instance")) as server:
        yield server


@pytest.fixture(scope="module")
def programs(server: Server, folder: Path) -> Iterator[Path]:
    """Give the folder of the program ``invenio``, as the environment of the checkout has it."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    with commands(folder / ".venv" / "bin", {"INVENIO_INSTANCE_PATH": str(folder / "instance")}) as found:
        yield found


@pytest.fixture
def terminal(server: Server, folder: Path) -> Terminal:
    url = f"http://localhost:{server.port}/api/files"
    return Terminal(folder, url, url)


def paste(terminal: Terminal, page: str, kind: str) -> str:
    """Paste the Python of a page into the shell that the page opens, and return what it prints.

    :param terminal: Where the commands run.
    :param page: Name of the page.
    :param kind: Class of the blocks: commands, of which the last opens the shell, and Python.
    """
    (code,) = blocks(page, "python", kind)
    *before, (shell, _) = dialogue(page, kind)
    terminal.hold(before)
    done = subprocess.run(
        ["bash", "-c", shell],
        input=terminal.real(code, terminal.url),
        cwd=terminal.folder,
        env={**terminal.variables, "IPYTHONDIR": str(terminal.folder / "ipython")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "Error" not in done.stdout, done.stdout
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tutorial_leads_from_nothing_to_a_shared_file(terminal: Terminal, programs: Path, folder: Path) -> None:
    page = "tutorial/first-file"
    *before, last = dialogue(page)
    terminal.hold(before)
    printed = paste(terminal, page, "shell")
    assert f"25 bytes at {folder}/instance/data/" in printed
    assert "['thesis.txt']" in printed
    terminal.hold([last])


def test_a_damaged_file_is_answered_from_the_alert_to_the_right_bytes(
    server: Server, programs: Path, folder: Path
) -> None:
    page, location, backup = "howto/damaged-file", folder / "instance" / "data", folder / "backup"
    url = f"http://localhost:{server.port}/api/files"
    terminal = Terminal(
        folder,
        url,
        url,
        {"PATH": f"{programs}:{os.environ['PATH']}"},
        {"/var/lib/files": str(location), "/backup/files": str(backup), "/root/damaged": str(folder / "damaged")},
    )
    headers = {"Authorization": f"Bearer {(folder / 'instance' / 'token').read_text().strip()}"}
    bucket = requests.post(url, headers=headers).json()["links"]["self"]
    requests.put(f"{bucket}/report.txt", data=b"All is well.\r\n", headers=headers).raise_for_status()
    (path,) = (path for path in location.rglob("data") if path.is_file() and path.read_bytes() == b"All is well.\r\n")
    shutil.copytree(location, backup)
    path.write_bytes(b"All is weld.\r\n")
    assert "damaged: 1 checksum" in "".join(terminal.run("invenio files verify", status=1))

    steps = list(dialogue(page))
    terminal.identifiers["2c4d7ae0-71b4-4ab7-a6c5-d1c1dd1bd4e9"] = bucket.rsplit("/", 1)[1]
    terminal.hold(steps[:2], failing=("invenio files status", "invenio files check"))
    assert "report.txt" in paste(terminal, page, "shell")
    terminal.hold(steps[2:])
    assert requests.get(f"{bucket}/report.txt", headers=headers).content == b"All is well.\r\n"
    assert (folder / "damaged").read_bytes() == b"All is weld.\r\n"
    assert "files_rest_files_damaged 0.0" in requests.get(f"{url}/metrics").text


@pytest.fixture(scope="module")
def token(server: Server, folder: Path) -> str:
    return (folder / "instance" / "token").read_text().strip()


@pytest.fixture
def bucket(server: Server, token: str) -> str:
    """Make a bucket, and give its URL."""
    url = f"http://localhost:{server.port}/api/files"
    return str(requests.post(url, headers={"Authorization": f"Bearer {token}"}).json()["links"]["self"])


def test_the_client_in_python_uploads_downloads_and_lists(bucket: str, token: str, tmp_path: Path) -> None:
    client, use = ("".join(blocks("howto/python-clients", "python", kind)) for kind in ("client", "use"))
    # What an earlier attempt has left of the download.
    digest = hashlib.md5(b"1,2,4\n").hexdigest()
    (tmp_path / f"copy.csv.{digest}.part").write_text("1,2")
    done = subprocess.run(
        [sys.executable, "-c", client + use],
        cwd=tmp_path,
        env={**os.environ, "BUCKET": bucket, "TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == blocks("howto/python-clients", "text", "printed")[0].splitlines(), done.stderr


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node")
def test_the_program_in_node_stores_a_file(terminal: Terminal, folder: Path) -> None:
    page = "howto/javascript"
    (code,) = blocks(page, "javascript", "node")
    (folder / "store.cjs").write_text(code)
    terminal.hold(dialogue(page, "node"))


@needs_browser
@pytest.mark.skipif(not TUS.exists(), reason="tus-js-client is not installed; ./run-tests.sh installs it on Debian")
def test_the_page_in_javascript_uploads_pauses_and_goes_on(bucket: str, token: str, tmp_path: Path) -> None:
    (page,) = blocks("howto/javascript", "html", "page")
    page = page.replace("http://localhost:5000/api/files/YOUR BUCKET", bucket).replace("YOUR TOKEN", token)
    site = tmp_path / "site"
    site.mkdir()
    # Small requests, so that there is a moment to pause in.
    (site / "index.html").write_text(page.replace("8 * 1024 ** 2", "256 * 1024"))
    shutil.copy(TUS, site)
    content = random.Random(5).randbytes(6 * 1024**2)
    (tmp_path / "film.bin").write_bytes(content)
    with (
        browsing(tmp_path) as browser,
        ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as pages,
    ):
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        browser.open(f"http://localhost:{pages.server_port}/index.html")
        browser.write("input", str(tmp_path / "film.bin"))
        wait_until(lambda: browser.run("return document.querySelector('progress').value > 0"))
        browser.click("button")
        assert browser.texts("button") == ["Go on"]
        # Somebody closes the page, and comes back.
        browser.open(f"http://localhost:{pages.server_port}/index.html")
        browser.write("input", str(tmp_path / "film.bin"))
        wait_until(lambda: browser.texts("li span") == ["Stored"], lambda: browser.texts("li"))
        pages.shutdown()
    answer = requests.get(f"{bucket}/film.bin", headers={"Authorization": f"Bearer {token}"})
    assert answer.content == content


@pytest.mark.parametrize("page", ["howto/authentication", "reference/access"])
def test_users_tokens_and_grants_are_made_as_documented(terminal: Terminal, programs: Path, page: str) -> None:
    terminal.variables["PATH"] = f"{programs}:{os.environ['PATH']}"
    steps = list(dialogue(page))
    assert any("access allow" in command for command, _ in steps)
    terminal.hold(steps)


def test_files_of_a_record_are_stored_and_read(server: Server, token: str, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text(f'header = "Authorization: Bearer {token}"\n')
    (tmp_path / "example.txt").write_text("An example.\n")
    url = f"http://localhost:{server.port}"
    terminal = Terminal(tmp_path, "", "", {"CURL_HOME": str(tmp_path)}, {"http://localhost:5000": url})
    store, listing, fetch = (command for command, _ in dialogue("records/rest", "run"))
    assert '"key":"example.txt"' in terminal.run(store)[0]
    assert '"key":"example.txt"' in terminal.run(listing)[0]
    (tmp_path / "example.txt").unlink()
    terminal.run(fetch)
    assert (tmp_path / "example.txt").read_text() == "An example.\n"


@needs_browser
def test_the_start_page_has_the_bucket_of_the_record_and_new_ones(
    server: Server, folder: Path, bucket: str, token: str, tmp_path: Path
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    requests.put(f"{bucket}/thesis.txt", data=b"First draft", headers=headers).raise_for_status()
    own, text = bucket.rsplit("/", 1)[1], "return document.body.innerText"
    files = requests.get(f"{server.url}/api/records/1/files/", headers=headers).json()
    with browsing(tmp_path) as browser:
        password = (folder / "instance" / "admin-password").read_text().strip()
        browser.log_in(f"{server.url}/login/", EMAIL, password)
        browser.open(f"{server.url}/")
        wait_until(lambda: {own, files["id"]} <= set(re.findall(IDENTIFIER, browser.run(text))))
        browser.open(f"{server.url}/buckets/{own}")
        wait_until(lambda: "thesis.txt" in browser.run(text))
