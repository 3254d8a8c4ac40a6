"""``FILES_REST_XSENDFILE_ENABLED``: a real nginx sends the bytes, with the configuration that the docs show."""

from __future__ import annotations

import functools
import hashlib
import http.client
import io
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests
from flask import Flask, Response
from helpers.rest import put, url
from helpers.waiting import wait_until
from servers import OLD_KEYS, add_old_keys, free_port
from servers.nginx import Redirecting, documented, needs_nginx, redirecting, running_nginx

from invenio_files_rest.errors import FileInstanceUnreadableError
from invenio_files_rest.helpers import create_file_streaming_redirect_response
from invenio_files_rest.http.file_response import SECURITY_HEADERS
from invenio_files_rest.storage import FileStorage, PyFSFileStorage, pyfs_storage_factory

CONTENT = b"0123456789" * 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("xsendfile")


@pytest.fixture(scope="module")
def files(folder: Path) -> Iterator[Redirecting]:
    with redirecting(folder) as files:
        yield files


@pytest.fixture(scope="module")
def application(files: Redirecting) -> str:
    return files.url


@pytest.fixture(scope="module")
def nginx(folder: Path, application: str) -> Iterator[str]:
    port = free_port()
    with running_nginx(folder, port, documented(folder, port, application)) as url:
        yield url


@pytest.fixture
def stored(files: Redirecting, nginx: str) -> Any:
    """Return a function that stores an object, and returns its address at nginx."""

    def stored(key: str | None = None, content: bytes = CONTENT, location: str = "plain") -> str:
        path = files.path(key or f"{uuid4()}.txt", location)
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
def test_old_keys_with_segments_of_dots_are_reached_through_nginx(nginx: str, files: Redirecting, folder: Path) -> None:
    """For a location nginx decodes a path and takes such segments out, which those of a link to a version outlast."""
    bucket = files.buckets["beside"]
    add_old_keys(folder, bucket)
    items = requests.get(f"{nginx}/files/{bucket}").json()["contents"]
    assert {item["key"] for item in items} >= set(OLD_KEYS)
    for item in filter(lambda item: item["key"] in OLD_KEYS, items):
        answer = requests.get(item["links"]["self"])
        if item["key"] == OLD_KEYS[-1]:
            assert answer.status_code == 400
            assert "nginx" in answer.text
        else:
            assert answer.text == item["key"]
        assert requests.get(item["links"]["version"]).text == item["key"]
        assert requests.delete(item["links"]["version"]).status_code == 204


@needs_nginx
@pytest.mark.parametrize("location", ["unmapped", "beside"])
def test_files_that_nginx_does_not_have_are_sent_by_us(
    stored: Any, application: str, nginx: str, location: str
) -> None:
    address = stored(location=location)
    assert requests.get(address).content == CONTENT
    assert not sent_by_nginx(address, application, nginx)


def described(answer: requests.Response) -> dict[str, str]:
    """Return the headers that say something of the file, and not of the connection or the version."""
    connection = ("Connection", "Date", "Keep-Alive", "Last-Modified", "Server", "Transfer-Encoding")
    return {name: value for name, value in answer.headers.items() if name not in connection}


@needs_nginx
@pytest.mark.parametrize("query", ["", "?download"])
def test_headers_are_those_without_nginx(stored: Any, application: str, nginx: str, query: str) -> None:
    name = f"page{query[1:]}.html"
    page = requests.get(stored(name) + query)
    other = requests.get(stored(name, location="unmapped") + query)
    assert described(page) == described(other)
    assert set(SECURITY_HEADERS) < set(page.headers)
    assert page.headers["ETag"] == f'"md5:{hashlib.md5(CONTENT).hexdigest()}"'
    direct = requests.head(page.url.replace(nginx, application))
    assert page.headers["Last-Modified"] == direct.headers["Last-Modified"]


@needs_nginx
def test_the_longest_name_gets_through(stored: Any) -> None:
    name = "\U0001f600" * 255
    answer = requests.get(stored(name) + "?download")
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert quote(name) in answer.headers["Content-Disposition"]


@needs_nginx
def test_errors_of_nginx_are_guarded_too(stored: Any, folder: Path) -> None:
    address = stored("gone.html", b"<script>")
    assert requests.get(address, headers={"Range": "bytes=99-"}).status_code == 416
    for path in (folder / "location").rglob("data"):
        path.unlink()
    answer = requests.get(address)
    assert answer.status_code == 404
    assert SECURITY_HEADERS.items() <= dict(answer.headers).items()
    assert "ETag" not in answer.headers


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


def told(address: str) -> str:
    """Return the date of an object, once it is told; until then there is none, that of the file least of all."""
    wait_until(lambda: "Last-Modified" in requests.head(address).headers)
    return str(requests.head(address).headers["Last-Modified"])


@needs_nginx
@pytest.mark.parametrize("location", ["plain", "unmapped"])
def test_dates_are_those_of_the_object_and_not_of_its_file(stored: Any, location: str) -> None:
    old, new = b"old" * 100, b"new" * 100
    address = stored("dated", old, location)
    stored("dated", new, location)
    known = told(address)
    listed = requests.get(address.rsplit("/", 1)[0] + "?versions").json()["contents"]
    version = next(item["version_id"] for item in listed if item["key"] == "dated" and item["is_head"])
    assert requests.delete(f"{address}?versionId={version}").status_code == 204
    assert requests.head(address).headers.get("Last-Modified") != known
    date = told(address)
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


@needs_nginx
@pytest.mark.parametrize("size", [39, 41])
def test_a_file_of_another_size_than_its_row_is_refused(
    stored: Any, application: str, nginx: str, folder: Path, size: int
) -> None:
    address = stored("damaged", b"damaged " * 5)
    (file,) = (path for path in (folder / "location").rglob("data") if path.read_bytes() == b"damaged " * 5)
    os.truncate(file, size)
    for method in ("GET", "HEAD"):
        assert requests.request(method, address).status_code == 500
    assert requests.get(address).json()["message"] == "The file storage failed."
    log = (folder / "gunicorn.log").read_text()
    assert log.count(f"The file {file} has {size} bytes, not 40.") == 3


# What nginx is asked for


def obj(uri: str, **file: Any) -> Any:
    """Return a page in a file."""
    facts = {
        "uri": uri,
        "size": 4,
        "readable": True,
        "checksum": "md5:" + "0" * 32,
        "storage": lambda: PyFSFileStorage(uri),
    }
    sent = Response("sent by us")
    return SimpleNamespace(
        file=SimpleNamespace(**facts | file),
        basename="ž.html",
        mimetype="text/html",
        last_modified=datetime.now(timezone.utc),
        send_file=lambda **kwargs: sent,
    )


@pytest.fixture
def redirected(app: Flask, db: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that redirects the web server in front to a file."""

    def redirected(uri: str, mapping: dict[str, str] | None = None, **file: Any) -> Response:
        monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_MAPPING", mapping)
        with app.test_request_context():
            return create_file_streaming_redirect_response(obj(uri, **file))

    return redirected


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
def test_without_a_mapping_every_file_is_below_user_files(redirected: Any, uri: str, expected: str) -> None:
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
def test_the_longest_uri_that_fits_is_mapped(redirected: Any, uri: str, expected: str | None) -> None:
    response = redirected(uri, MAPPING)
    assert response.headers.get("X-Accel-Redirect") == expected
    assert (response.get_data() == b"sent by us") == (expected is None)


def test_a_path_that_leads_out_of_its_folder_is_never_asked_for(redirected: Any) -> None:
    assert "X-Accel-Redirect" not in redirected("/data/a/../../etc/passwd").headers


class Reversed(PyFSFileStorage):
    """Storage of somebody else's that has the bytes in another way than they are read."""

    def open(self, mode: str | None = "rb") -> Any:
        with super().open(mode) as file:
            return io.BytesIO(file.read()[::-1])


class Declaring(Reversed):
    def capability(self, kind: Any) -> Any:
        return PyFSFileStorage(self.fileurl).capability(kind)


class Wrapper(FileStorage):
    """Storage that does nothing but to pass on what it is asked."""

    def __init__(self, uri: str) -> None:
        super().__init__()
        self.inner = PyFSFileStorage(uri)

    def capability(self, kind: Any) -> Any:
        return self.inner.capability(kind)


@pytest.mark.parametrize(
    ("storage", "expected"),
    [(PyFSFileStorage, True), (Reversed, False), (FileStorage, False), (Declaring, True), (Wrapper, True)],
)
def test_a_file_is_left_to_the_web_server_where_its_path_has_what_the_storage_reads(
    redirected: Any, storage: Any, expected: bool
) -> None:
    response = redirected("/data/a/2a/data", MAPPING, storage=lambda: storage("/data/a/2a/data"))
    assert ("X-Accel-Redirect" in response.headers) is expected
    assert (response.get_data() == b"sent by us") is not expected


def test_a_file_is_not_left_to_the_web_server_by_a_storage_that_reads_it_otherwise(
    client: Any, bucket: Any, app: Flask, allow_all: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own ``send_file`` is called."""
    called = []
    send_file = Reversed.send_file
    monkeypatch.setattr(Reversed, "send_file", lambda self, *a, **kw: called.append(self) or send_file(self, *a, **kw))
    factory = functools.partial(pyfs_storage_factory, filestorage_class=Reversed)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_ENABLED", True)
    put(client, bucket, "a.txt", b"abc")
    answer = client.get(url(bucket, "a.txt"))
    assert (answer.status_code, answer.data) == (200, b"cba")
    assert "X-Accel-Redirect" not in answer.headers
    assert len(called) == 1


def test_a_file_that_is_not_readable_is_refused(redirected: Any) -> None:
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
