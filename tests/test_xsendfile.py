"""``FILES_REST_XSENDFILE_ENABLED``: a real nginx sends the bytes, with the configuration that the docs show."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
import requests
from flask import Flask, Response
from rest import put, url
from servers import HERE, command, environment, free_port, serving

from invenio_files_rest.errors import FileInstanceUnreadableError
from invenio_files_rest.helpers import create_file_streaming_redirect_response
from invenio_files_rest.responses import SECURITY_HEADERS

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"]))
CONFIGURATION = HERE.parent.parent / "docs" / "nginx.conf"
ODD = "location é %41 'a' \"b\" ?c#d;+&"
CONTENT = b"0123456789" * 1000

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed; ./run-tests.sh installs it on Debian")


def quoted(text: str) -> str:
    """Write a text as nginx's configuration wants it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def nginx_configuration(folder: Path, port: int, application: int) -> str:
    """Return the documented configuration, for a temporary folder and two free ports."""
    shown = CONFIGURATION.read_text()
    for old, new in {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "127.0.0.1:5000;": f"127.0.0.1:{application};",
        "location /api/files {": "location /files {",
        "alias /var/lib/files/;": f"alias {folder}/location/;",
    }.items():
        assert old in shown
        shown = shown.replace(old, new)
    # A second location, which the documentation says to add likewise.
    block = re.search(r"\n    location /internal/files/ \{.*?\n    \}\n", shown, re.S)
    assert block
    odd = block[0].replace("/internal/files/", "/internal/odd/")
    odd = odd.replace(f"alias {folder}/location/;", f"alias {quoted(f'{folder}/{ODD}/')};")
    shown = shown.replace(block[0], block[0] + odd)
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "".join(
        f"{kind}_temp_path {folder}/nginx-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{shown}\n}}\n"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("xsendfile")


@pytest.fixture(scope="module")
def buckets(folder: Path) -> dict[str, str]:
    program = [sys.executable, str(HERE / "redirecting.py")]
    found: dict[str, str] = json.loads(subprocess.check_output(program, env=environment(folder), text=True))
    return found


@pytest.fixture(scope="module")
def application(folder: Path, buckets: dict[str, str]) -> Iterator[str]:
    port = free_port()
    arguments = command("gunicorn", port)
    assert arguments is not None
    with serving("gunicorn", [*arguments[:-1], "redirecting:application"], port, folder) as server:
        yield server.url


@pytest.fixture(scope="module")
def nginx(folder: Path, application: str) -> Iterator[str]:
    port = free_port()
    path = folder / "nginx.conf"
    path.write_text(nginx_configuration(folder, port, int(application.rsplit(":", 1)[1])))
    with subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(path), "-e", f"{folder}/nginx.log"]) as process:
        try:
            deadline = time.monotonic() + 20
            with socket.socket() as probe:
                while probe.connect_ex(("127.0.0.1", port)):
                    assert process.poll() is None, (folder / "nginx.log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def stored(application: str, nginx: str, buckets: dict[str, str]) -> Any:
    """Return a function that stores an object, and returns its address at nginx."""

    def stored(key: str = "a.txt", content: bytes = CONTENT, location: str = "plain") -> str:
        path = f"/files/{buckets[location]}/{quote(key)}"
        assert requests.put(nginx + path, data=content).status_code == 200
        return nginx + path

    return stored


def sent_by_nginx(address: str, application: str, nginx: str) -> bool:
    """Tell whether the application leaves the bytes of an object to nginx."""
    answer = requests.get(address.replace(nginx, application))
    return "X-Accel-Redirect" in answer.headers and answer.content == b""


@needs_nginx
@pytest.mark.parametrize("location", ["plain", "odd"])
@pytest.mark.parametrize("key", ["a.txt", "a b/ž €/100%.txt", "'a' \"b\"", "%2e%2e/a", "a?b#c;d&e+f\\g", "..%2Fa"])
def test_nginx_sends_any_key_from_any_location(
    stored: Any, application: str, nginx: str, key: str, location: str
) -> None:
    address = stored(key, key.encode() + CONTENT, location)
    assert requests.get(address).content == key.encode() + CONTENT
    assert sent_by_nginx(address, application, nginx)


@needs_nginx
@pytest.mark.parametrize("location", ["unmapped", "beside"])
def test_files_that_nginx_does_not_have_are_sent_by_us(
    stored: Any, application: str, nginx: str, location: str
) -> None:
    address = stored(location=location)
    assert requests.get(address).content == CONTENT
    assert not sent_by_nginx(address, application, nginx)


@needs_nginx
def test_headers_are_those_without_nginx(stored: Any, application: str, nginx: str, buckets: dict[str, str]) -> None:
    page = requests.get(stored("page.html"))
    other = requests.get(stored("page.html", location="unmapped"))
    names = {
        *SECURITY_HEADERS,
        *("Content-Type", "Content-Disposition", "Content-Length", "Content-MD5", "Repr-Digest", "ETag"),
        *("Cache-Control", "Accept-Ranges"),
    }
    assert names <= set(other.headers)
    assert {name: page.headers[name] for name in names} == {name: other.headers[name] for name in names}
    assert page.headers["ETag"] == f'"md5:{hashlib.md5(CONTENT).hexdigest()}"'
    direct = requests.head(page.url.replace(nginx, application))
    assert page.headers["Last-Modified"] == direct.headers["Last-Modified"]
    assert "X-Accel-Redirect" not in page.headers


@needs_nginx
@pytest.mark.parametrize("location", ["plain", "unmapped"])
def test_download_is_an_attachment(stored: Any, location: str) -> None:
    address = stored("ž.txt", location=location)
    assert requests.get(address).headers["Content-Disposition"] == "inline"
    answer = requests.get(f"{address}?download")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "filename*=UTF-8''%C5%BE.txt" in answer.headers["Content-Disposition"]
    assert answer.content == CONTENT


@needs_nginx
def test_head_has_no_body(stored: Any) -> None:
    answer = requests.head(stored())
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert "ETag" in answer.headers


@needs_nginx
def test_ranges_are_served(stored: Any) -> None:
    address = stored()
    answer = requests.get(address, headers={"Range": "bytes=5-14"})
    assert (answer.status_code, answer.content) == (206, CONTENT[5:15])
    assert answer.headers["Content-Range"] == f"bytes 5-14/{len(CONTENT)}"
    assert "Content-MD5" not in answer.headers
    etag = answer.headers["ETag"]
    answer = requests.get(address, headers={"Range": "bytes=5-14", "If-Range": etag})
    assert (answer.status_code, answer.content) == (206, CONTENT[5:15])
    answer = requests.get(address, headers={"Range": "bytes=5-14", "If-Range": '"other"'})
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert requests.get(address, headers={"Range": f"bytes={len(CONTENT)}-"}).status_code == 416


@needs_nginx
@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-None-Match", "{etag}", 304),
        ("If-None-Match", "W/{etag}", 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", '"other"', 200),
        ("If-Modified-Since", "{last_modified}", 304),
        ("If-Modified-Since", "Sun, 13 Sep 2020 12:26:40 GMT", 200),
        ("If-Match", "{etag}", 200),
        ("If-Match", "*", 200),
        ("If-Match", '"other"', 412),
        ("If-Unmodified-Since", "{last_modified}", 200),
        ("If-Unmodified-Since", "Sun, 13 Sep 2020 12:26:40 GMT", 412),
    ],
)
def test_conditions_are_checked(stored: Any, header: str, value: str, status: int) -> None:
    address = stored()
    first = requests.head(address).headers
    condition = value.format(etag=first["ETag"], last_modified=first["Last-Modified"])
    answer = requests.get(address, headers={header: condition})
    assert answer.status_code == status
    if status == 200:
        assert answer.content == CONTENT
    if status == 304:
        assert answer.headers["ETag"] == first["ETag"]


@needs_nginx
@pytest.mark.parametrize("location", ["plain", "unmapped"])
def test_dates_are_those_of_the_object_and_not_of_its_file(stored: Any, location: str) -> None:
    old, new = b"old" * 100, b"new" * 100
    address = stored("dated", old, location)
    stored("dated", new, location)
    known = requests.head(address).headers["Last-Modified"]
    listed = requests.get(address.rsplit("/", 1)[0] + "?versions").json()["contents"]
    version = next(item["version_id"] for item in listed if item["key"] == "dated" and item["is_head"])
    assert requests.delete(f"{address}?versionId={version}").status_code == 204
    # Until its second has passed, a date is as well that of what came before.
    time.sleep(1.1)
    date = requests.head(address).headers["Last-Modified"]
    assert date != known
    for condition, status in ((known, 200), (date, 304)):
        answer = requests.get(address, headers={"If-Modified-Since": condition})
        assert (answer.status_code, answer.content) == (status, old if status == 200 else b"")
    for condition, status in ((known, 200), (date, 206)):
        answer = requests.get(address, headers={"Range": "bytes=3-5", "If-Range": condition})
        assert (answer.status_code, answer.content) == (status, old if status == 200 else b"old")


@needs_nginx
def test_permission_is_checked_by_us(stored: Any) -> None:
    address = stored()
    answer = requests.get(address, headers={"X-Refuse-Me": "1"})
    assert answer.status_code == 404
    assert answer.json()["status"] == 404
    assert CONTENT not in answer.content


@needs_nginx
def test_a_version_that_is_not_the_head_is_sent_too(stored: Any) -> None:
    address = stored("v", b"old")
    old = requests.get(address.rsplit("/", 1)[0] + "?versions").json()
    version = next(item for item in old["contents"] if item["key"] == "v")["links"]["version"]
    stored("v", b"new")
    assert requests.get(address).content == b"new"
    assert requests.get(address + version[version.index("?") :]).content == b"old"


@needs_nginx
def test_nothing_is_reachable_at_nginx_itself(stored: Any, folder: Path, nginx: str) -> None:
    stored(content=b"secret" * 100)
    file = next(path for path in (folder / "location").rglob("data") if path.read_bytes().startswith(b"secret"))
    inside = str(file.relative_to(folder / "location"))
    paths = [
        f"/internal/files/{inside}",
        f"/internal/files/../files/{inside}",
        f"/files/../internal/files/{inside}",
        f"/files/%2e%2e/internal/files/{inside}",
        f"//internal/files/{inside}",
        f"/internal/files/../../..{file}",
        "/internal/files/..%2ffiles.db",
        "/internal/odd/",
        str(file),
    ]
    for path in paths:
        connection = http.client.HTTPConnection(nginx.removeprefix("http://"))
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status in (400, 404), path
        assert b"secret" not in answer.read()
        connection.close()


@needs_nginx
def test_a_file_that_is_gone_is_not_found(stored: Any, folder: Path) -> None:
    address = stored("gone", b"gone" * 10)
    for path in (folder / "location").rglob("data"):
        if path.read_bytes() == b"gone" * 10:
            path.unlink()
    answer = requests.get(address)
    assert answer.status_code == 404
    assert str(folder) not in answer.text


# What nginx is asked for


def obj(uri: str, **file: Any) -> Any:
    """Return a page in a file."""
    facts = {"uri": uri, "readable": True, "checksum": "md5:" + "0" * 32}
    sent = Response("sent by us")
    return SimpleNamespace(
        file=SimpleNamespace(**facts | file),
        basename="ž.html",
        mimetype="text/html",
        last_modified=datetime.now(timezone.utc),
        send_file=lambda **kwargs: sent,
    )


def redirected(uri: str, mapping: dict[str, str] | None = None, **file: Any) -> Response:
    app = Flask("app")
    app.config["FILES_REST_XSENDFILE_MAPPING"] = mapping
    with app.test_request_context():
        return create_file_streaming_redirect_response(obj(uri, **file))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/data/2a/data", "/user_files/data/2a/data"),
        ("/data/ž x?y#z%/data", "/user_files/data/%C5%BE%20x%3Fy%23z%25/data"),
        ("file:///data/a%20b?c/data", "/user_files/data/a%2520b%3Fc/data"),
        ("root://host//eos/data", "/user_files//eos/data"),
        ("https://host:80/eos/data?a=1", "/user_files/eos/data"),
    ],
)
def test_without_a_mapping_every_file_is_below_user_files(uri: str, expected: str) -> None:
    response = redirected(uri)
    assert response.status_code == 200
    assert response.headers["X-Accel-Redirect"] == expected
    assert response.mimetype == "text/plain"
    assert SECURITY_HEADERS.items() <= dict(response.headers).items()


MAPPING = {"/data/a": "/one/", "/data/a/b/": "/two", "root://host//eos": "/eos"}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/data/a/2a/data", "/one/2a/data"),
        ("file:///data/a/2a/data", "/one/2a/data"),
        ("/data//a/./2a/data", "/one/2a/data"),
        ("/data/a/b/2a/data", "/two/2a/data"),
        ("root://host//eos/x y", "/eos/x%20y"),
        ("/data/ab/2a/data", None),
        ("/data/a/../c/data", None),
        ("/other", None),
        ("root://other//eos/x", None),
        ("root://host//eos/../x", None),
    ],
)
def test_the_longest_uri_that_fits_is_mapped(uri: str, expected: str | None) -> None:
    response = redirected(uri, MAPPING)
    assert response.headers.get("X-Accel-Redirect") == expected
    assert (response.get_data() == b"sent by us") == (expected is None)


def test_a_path_that_leads_out_of_its_folder_is_never_asked_for() -> None:
    assert "X-Accel-Redirect" not in redirected("/data/a/../../etc/passwd").headers


def test_a_file_that_is_not_readable_is_refused() -> None:
    with pytest.raises(FileInstanceUnreadableError):
        redirected("/data/a", readable=False)


@pytest.mark.usefixtures("allow_all")
@pytest.mark.parametrize("as_path", [False, True])
def test_the_function_that_is_set_makes_the_response(
    client: Any, bucket: Any, app: Flask, monkeypatch: Any, as_path: bool
) -> None:
    put(client, bucket, "a.txt")
    monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_ENABLED", True)
    function = f"{__name__}:own_response" if as_path else own_response
    monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_RESPONSE_FUNC", function)
    answer = client.get(url(bucket, "a.txt"))
    assert answer.headers["X-Sendfile"] == "a.txt"


def own_response(obj: Any) -> Response:
    """Redirect another web server."""
    return Response(headers={"X-Sendfile": obj.key})
