"""A page of another site that uploads straight to an object store, in a real browser."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests
from helpers.browser import browsing, needs_browser
from helpers.pages import blocks
from helpers.s3 import BUCKET, Store
from helpers.waiting import wait_until
from servers import HERE, Server, command, environment, free_port, serving
from test_tus_browser import Quiet

pytestmark = [pytest.mark.slow, needs_browser, pytest.mark.timeout(300)]

SIZE = 8 * 1024**2 + 1000


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve a folder as another site; give its origin and the folder."""
    site = tmp_path / "site"
    site.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as pages:
        Thread(target=pages.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://localhost:{pages.server_port}", site
        pages.shutdown()


@pytest.fixture
def served(store: Store, page: tuple[str, Path], tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """Serve a bucket in the store, which lets the other site in as the command says."""
    settings = {
        "CORS_ORIGINS": [page[0]],
        "FILES_REST_S3_DIRECT_UPLOAD": 300,
        "FILES_REST_S3_LOCATIONS": {store.location.uri: store.settings},
        "REST_ENABLE_CORS": True,
    }
    env, port = environment(tmp_path, **settings), free_port()
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=env, text=True).split()[0]
    rules = [sys.executable, "-m", "flask", "--app", "application", *("files", "location", "cors", "test", page[0])]
    told = subprocess.check_output(rules, env=env, text=True)
    store.client.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=json.loads(told))
    arguments = command("gunicorn", port)
    assert arguments is not None
    with serving("gunicorn", arguments, port, tmp_path, **settings) as server:
        yield server, bucket
    store.client.delete_bucket_cors(Bucket=BUCKET)


def test_a_page_of_another_site_uploads_straight_to_the_store(
    store: Store, served: tuple[Server, str], page: tuple[str, Path], tmp_path: Path
) -> None:
    (server, bucket), (origin, site) = served, page
    content = random.Random(6).randbytes(SIZE)
    (tmp_path / "large file.bin").write_bytes(content)
    (shown,) = blocks("howto/s3", "html")
    assert "https://example.org/api" in shown
    known = f'<script>const bucket = "{bucket}", token = "token";</script>'
    (site / "index.html").write_text(f"<!doctype html>{known}{shown.replace('https://example.org/api', server.url)}")
    with browsing(tmp_path) as browser:
        browser.open(f"{origin}/index.html")
        browser.write("input", str(tmp_path / "large file.bin"))
        wait_until(
            lambda: "Complete" in browser.texts("output"), lambda: (browser.texts("output"), browser.complaints())
        )
        asked = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert len([address for address in asked if address.startswith(store.settings["endpoint_url"])]) == 2
    answer = requests.head(f"{server.url}/files/{bucket}/large%20file.bin", timeout=60)
    assert answer.headers["ETag"] == f'"md5:{hashlib.md5(content).hexdigest()}"'
