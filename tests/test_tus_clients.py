"""Real clients of resumable uploads: tus-js-client in Node, tuspy, and curl, on a real server."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from helpers.pages import blocks
from servers import HERE, Server, command, environment, free_port, serving
from servers.cutting import cutting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

NODE = Path(__file__).parent / "node"
SIZE = 3_000_000
CONTENT = random.Random(3).randbytes(SIZE)
SETTINGS = {"SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"timeout": 60}}, "FILES_REST_UPLOAD_104": True}

needs_node = pytest.mark.skipif(
    not shutil.which("node") or not (NODE / "node_modules" / "tus-js-client").is_dir(),
    reason="tus-js-client is not installed; ./run-tests.sh installs it on Debian",
)


class Place:
    """A server, a bucket on it, and a file to upload."""

    def __init__(self, server: Server, bucket: str, path: Path) -> None:
        self.server, self.path = server, path
        self.url = f"{server.url}/files/{bucket}"

    def through(self, port: int) -> str:
        """Return the URL of the bucket by another port."""
        return self.url.replace(str(self.server.port), str(port))

    def content(self, key: str) -> bytes:
        answer = requests.get(f"{self.url}/{key}", timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.content

    def versions(self, key: str) -> int:
        contents = requests.get(self.url, params={"versions": "", "prefix": key}, timeout=60).json()["contents"]
        return len([each for each in contents if each["key"] == key])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("clients")
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(folder, **SETTINGS), text=True).split()[0]
    port = free_port()
    arguments = command("gunicorn", port, workers=2)
    if arguments is None:
        pytest.skip("gunicorn is not installed; the extra tests brings it")
    path = folder / "to upload"
    path.write_bytes(CONTENT)
    with serving("gunicorn", arguments, port, folder, **SETTINGS) as server:
        yield Place(server, bucket, path)


def node(place: Place, key: str, url: str | None = None, *, what: Any = (), **options: Any) -> Any:
    """Upload the file with tus-js-client, and return what it tells."""
    options = {
        "endpoint": f"{url or place.url}?tus",
        "metadata": {"filename": key, "filetype": "image/png"},
        "retryDelays": [0, 200, 500, 1000, 1000],
        **options,
    }
    task = json.dumps({"path": str(place.path), "options": options, **dict(what)})
    found = subprocess.run(
        ["node", "upload.cjs", task], cwd=NODE, capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout.splitlines()[-1])
    assert "error" not in answer, answer
    return answer


@needs_node
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunkSize": 700_000},
        {"uploadDataDuringCreation": True},
        {"uploadDataDuringCreation": True, "chunkSize": 700_000},
        {"overridePatchMethod": True},
        {"parallelUploads": 3},
        {"parallelUploads": 3, "chunkSize": 400_000},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_tus_js_client_uploads_a_file(place: Place, options: dict[str, Any]) -> None:
    key = "-".join(["js", *options]) + str(len(options))
    answer = node(place, key, **options)
    assert all(status in (200, 201, 204) for _, status in answer["requests"])
    assert place.content(key) == CONTENT
    assert place.versions(key) == 1


@needs_node
def test_tus_js_client_uploads_a_stream_of_unknown_length(place: Place) -> None:
    node(place, "deferred", what={"stream": True}, uploadLengthDeferred=True, chunkSize=700_000)
    assert place.content("deferred") == CONTENT


@needs_node
@pytest.mark.parametrize("protocol", ["tus-v1", "ietf-draft-03", "ietf-draft-05"])
def test_tus_js_client_goes_on_from_a_url_that_it_has_stored(place: Place, protocol: str) -> None:
    endpoint = f"{place.url}?tus" if protocol == "tus-v1" else f"{place.url}/{protocol}"
    options = {"chunkSize": 500_000, "protocol": protocol, "endpoint": endpoint}
    # With a file of Node's it never says of the draft that this is the end, unless it sends the whole file at once.
    whole = {"buffer": protocol != "tus-v1"}
    stopped = node(place, protocol, what={**whole, "abortAt": 1_200_000}, **options)
    assert stopped["aborted"]
    answer = node(place, protocol, what=whole, uploadUrl=stopped["url"], **options)
    assert answer["requests"][0][0] == "HEAD"
    assert place.content(protocol) == CONTENT
    assert place.versions(protocol) == 1


@needs_node
@pytest.mark.parametrize("protocol", ["ietf-draft-03", "ietf-draft-05"])
def test_tus_js_client_uploads_a_file_as_the_draft_has_it(place: Place, protocol: str) -> None:
    endpoint = f"{place.url}/whole-{protocol}"
    node(place, protocol, protocol=protocol, endpoint=endpoint)
    assert place.content(f"whole-{protocol}") == CONTENT


@needs_node
@pytest.mark.parametrize("options", [{}, {"parallelUploads": 2}], ids=["plain", "parallel"])
def test_tus_js_client_goes_on_where_the_connection_was_cut(place: Place, options: dict[str, Any]) -> None:
    key = "cut" + "-".join(options)
    with cutting(place.server.port, [400_000, 500_000, 600_000]) as between:
        answer = node(place, key, place.through(between.port), **options)
        assert between.cuts == 3
    methods = [method for method, _ in answer["requests"]]
    assert "HEAD" in methods
    assert place.content(key) == CONTENT


@needs_node
@pytest.mark.parametrize(
    ("options", "last"),
    [({}, b"PATCH /"), ({"parallelUploads": 2}, b"Upload-Concat: final")],
    ids=["plain", "parallel"],
)
def test_tus_js_client_that_did_not_get_the_last_answer_sends_nothing_again(
    place: Place, options: dict[str, Any], last: bytes
) -> None:
    key = "unheard" + "-".join(options)
    with cutting(place.server.port, [], unheard=last) as between:
        # It asks for the last request of a parallel upload only where a person does.
        answer = node(place, key, place.through(between.port), what={"again": 1}, **options)
        assert between.cuts == 1
        # What is asked is less than a block.
        assert between.passed < SIZE + 65536
    assert "HEAD" in [method for method, _ in answer["requests"]]
    assert place.content(key) == CONTENT
    assert place.versions(key) == 1


@needs_node
def test_tus_js_client_ends_an_upload(place: Place) -> None:
    stopped = node(place, "ended", what={"abortAt": 500_000}, chunkSize=500_000)
    assert node(place, "ended", what={"terminate": stopped["url"]}) == {"terminated": True}
    assert requests.head(stopped["url"], headers={"Tus-Resumable": "1.0.0"}, timeout=60).status_code == 404


# tuspy


def test_tuspy_uploads_with_checksums_and_goes_on(place: Place) -> None:
    client = pytest.importorskip("tusclient.client").TusClient(f"{place.url}?tus")
    options = {"chunk_size": 700_000, "metadata": {"filename": "tuspy"}, "upload_checksum": True}
    first = client.uploader(file_stream=BytesIO(CONTENT), **options)
    first.upload(stop_at=1_400_000)
    second = client.uploader(file_stream=BytesIO(CONTENT), **options, url=first.url)
    assert second.offset == 1_400_000
    second.upload()
    assert place.content("tuspy") == CONTENT


# curl, and the draft

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed; ./run-tests.sh installs it")
VERSION = ("-H", "Upload-Draft-Interop-Version: 8")


def curl(*arguments: str, **kwargs: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(["curl", "-sS", "-i", *VERSION, *arguments], stdout=subprocess.PIPE, text=True, **kwargs)


@needs_curl
def test_curl_is_told_in_between_where_to_go_on(place: Place) -> None:
    arguments = ("-T", str(place.path), "-H", "Upload-Complete: ?1", "-H", "Expect: 100-continue")
    answer = curl(*arguments, f"{place.url}/curl").communicate(timeout=60)[0]
    assert re.findall(r"^HTTP/1\.1 (\d+)", answer, re.M) == ["100", "104", "200"]
    assert "Upload-Draft-Interop-Version: 8" in answer
    assert "Upload-Complete: ?1" in answer
    assert json.loads(answer.split("\n\n")[-1])["checksum"] == f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert place.content("curl") == CONTENT


@needs_curl
def test_curl_goes_on_where_it_was_killed(place: Place, tmp_path: Path) -> None:
    arguments = ("-T", str(place.path), "--limit-rate", "1M", "-H", "Upload-Complete: ?1", "-D", str(tmp_path / "head"))
    with curl(*arguments, f"{place.url}/killed") as process:
        time.sleep(1.5)
        process.kill()
    found = re.search(r"104 .*\nLocation: (\S+)", (tmp_path / "head").read_text())
    assert found
    upload = found[1]
    answer = curl("-I", upload).communicate(timeout=60)[0]
    offset = int(re.search(r"Upload-Offset: (\d+)", answer)[1])  # type: ignore[index]
    assert 0 < offset < SIZE
    rest = tmp_path / "rest"
    rest.write_bytes(CONTENT[offset:])
    headers = ("Upload-Complete: ?1", f"Upload-Offset: {offset}", "Content-Type: application/partial-upload")
    arguments = ("-X", "PATCH", "-T", str(rest), *(part for header in headers for part in ("-H", header)))
    answer = curl(*arguments, upload).communicate(timeout=60)[0]
    assert "HTTP/1.1 200" in answer
    assert place.content("killed") == CONTENT


@needs_curl
def test_who_speaks_another_version_is_told_nothing_in_between(place: Place) -> None:
    for version in ("2", "9", ""):
        options = ("-H", f"Upload-Draft-Interop-Version: {version}" if version else "Upload-Draft-Interop-Version:")
        arguments = ["curl", "-sS", "-i", *options, "-T", str(place.path), "-H", "Upload-Complete: ?1", "-H", "Expect:"]
        answer = subprocess.check_output([*arguments, f"{place.url}/other"], text=True)
        assert re.findall(r"^HTTP/1\.1 (\d+)", answer, re.M) == ["200"]


# What the documentation shows


def test_the_documented_python_uploads_a_file(place: Place) -> None:
    pytest.importorskip("tusclient.client")
    (shown,) = blocks("howto/resumable", "python")
    namespace: dict[str, Any] = {}
    exec(shown, namespace)
    namespace["upload"](str(place.path), "documented.py", place.url, "token")
    assert place.content("documented.py") == CONTENT


@needs_node
def test_the_documented_javascript_uploads_a_file(place: Place) -> None:
    (shown,) = blocks("howto/resumable", "javascript")
    server, bucket = place.url.rsplit("/", 1)
    known = {"path": str(place.path), "bucket": bucket, "token": "token"}
    program = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in known.items())
    program += 'const tus = require("tus-js-client");\n'
    program += (
        'const file = Object.assign(require("fs").readFileSync(path), {name: "documented.js", type: "text/js"});\n'
    )
    program += shown.replace("https://example.org/api/files", server)
    output = subprocess.check_output(["node", "-e", program], cwd=NODE, text=True, timeout=60)
    assert output == "It is there.\n"
    assert place.content("documented.js") == CONTENT
