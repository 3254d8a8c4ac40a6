"""Links for others on the real server, with curl: what it answers, and what it writes of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from servers.instance import Server, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("curl"), reason="needs curl"),
]


def curl(*arguments: str) -> str:
    """Return what curl prints."""
    return subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


def make(server: Server, authorization: str, bucket: str, **body: Any) -> str:
    """Make a link, and return its URL."""
    given = ("-H", authorization, "--json", json.dumps(body))
    return str(json.loads(curl(*given, f"{server.url}/api/files/{bucket}?links"))["url"])


def test_a_link_works_in_curl_and_no_line_of_the_server_has_its_token(tmp_path: Path) -> None:
    instance, log, file = tmp_path / "instance", tmp_path / "server.log", tmp_path / "page.html"
    file.write_text("<script>alert(1)</script>")
    # Without a log of files, gunicorn writes a line for each request.
    with serving(log, "--instance", str(instance), INVENIO_FILES_REST_LOG_FORMAT="None") as server:
        authorization = f"Authorization: Bearer {(instance / 'token').read_text().strip()}"
        files = f"{server.url}/api/files"
        bucket = json.loads(curl("-H", authorization, "-X", "POST", files))["id"]
        curl("-H", authorization, "-T", str(file), f"{files}/{bucket}/d/page.html")
        reading, writing = (make(server, authorization, bucket, prefix="d/", upload=upload) for upload in (False, True))

        assert curl(f"{reading}/d/page.html") == file.read_text()
        headers = curl("-I", f"{reading}/d/page.html").lower()
        assert "content-type: text/plain" in headers
        assert "referrer-policy: no-referrer" in headers
        assert "cache-control: private, no-store" in headers
        assert curl("-L", "-o", str(tmp_path / "all.zip"), "-w", "%{http_code}", f"{reading}?archive=zip") == "200"
        page = curl("-i", "-H", "Accept: text/html", reading)
        assert "page.html" in page
        assert "default-src 'none'" in page
        status = ("-o", str(tmp_path / "answer"), "-w", "%{http_code}")
        new = tmp_path / "new.txt"
        new.write_text("new")
        assert [curl(*status, "-T", str(path), writing) for path in (new, new, file)] == ["201", "412", "412"]
        # A form, from a browser that is logged in nowhere.
        form = ("-F", f"file=@{new};filename=form.txt", "-H", "Accept: text/html")
        assert curl(*status, *form, writing.removesuffix("d/")) == "201"

        token = reading.rsplit("/", 1)[1]
        strange = [f"{files}//links/{token}", f"{files}/%6Cinks/{token}", f"{reading}/none", f"{reading}?max-keys=x"]
        for url in strange:
            curl(*status, url)
        for method in ("DELETE", "PATCH", "PROPFIND"):
            curl(*status, "-X", method, f"{reading}/d/page.html")
        metrics = curl(f"{files}/metrics")
        assert "invenio_files_rest_shares.link" in metrics
        written = log.read_text() + metrics
        assert "/files/links/[hidden]" in written
        for secret in (token, writing.split("/")[-3]):
            assert len(secret) == 32
            assert secret not in written
