"""Archives by a real gunicorn, behind nginx and not: downloads that break go on with the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from servers import HERE, Server, command, environment, free_port, serving
from servers.nginx import needs_nginx, running_nginx

MIB = 1024**2
MANY = int(os.environ.get("TEST_ARCHIVED_FILES", "10000"))

pytestmark = [
    pytest.mark.slow,
    needs_nginx,
    pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed; scripts/services.py installs it"),
]

FILL = """
import sys, uuid
from application import application
from invenio_db import db
from sqlalchemy import insert
from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.models.base import utcnow

with application.app_context():
    source = ObjectVersion.query.filter_by(key="source").one()
    now = utcnow()
    same = {"bucket_id": source.bucket_id, "file_id": source.file_id, "is_head": True, "created": now, "updated": now}
    for prefix in sys.argv[1:]:
        names = (f"{prefix}/{number:06}" for number in range(int(prefix)))
        rows = [{"version_id": uuid.uuid4(), "key": name, **same} for name in names]
        db.session.execute(insert(ObjectVersion), rows)
    db.session.commit()
"""

PROXY = """
server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{application}; proxy_set_header Host $http_host; }}
}}
"""


class Place:
    """A bucket, by gunicorn and by nginx."""

    def __init__(self, server: Server, nginx: str, bucket: str) -> None:
        self.server = server
        self.urls = {"gunicorn": f"{server.url}/files/{bucket}", "nginx": f"{nginx}/files/{bucket}"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("archives")
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(folder), text=True).split()[0]
    application, port = free_port(), free_port()
    arguments = command("gunicorn", application)
    assert arguments is not None
    with (
        serving("gunicorn", arguments, application, folder) as server,
        running_nginx(folder, port, PROXY.format(port=port, application=application)) as nginx,
    ):
        place = Place(server, nginx, bucket)
        for key, content in {
            "source": b"content",
            "data/large": os.urandom(5 * MIB + 7),
            "data/small": b"small",
            "data/x/ü": b"",
            "data/y": os.urandom(MIB),
        }.items():
            # A file of no bytes is refused over REST.
            requests.put(f"{place.urls['gunicorn']}/{key}", data=content or b"x").raise_for_status()
        subprocess.run([sys.executable, "-c", FILL, "1000", str(MANY)], env=environment(folder), check=True)
        yield place


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("way", ["gunicorn", "nginx"])
def test_curl_goes_on_with_a_download_that_broke(place: Place, tmp_path: Path, way: str, kind: str):
    answer = requests.get(f"{place.urls[way]}?archive={kind}&prefix=data/", allow_redirects=False)
    assert answer.status_code == 307
    address = answer.headers["Location"]
    whole, part = tmp_path / "whole", tmp_path / "part"
    subprocess.run(["curl", "-sSf", "-o", str(whole), address], check=True)
    # The connection breaks in the middle of a file, and again near the end.
    for size in (2 * MIB + 99, whole.stat().st_size - 70):
        begun = part.stat().st_size if part.exists() else 0
        with subprocess.Popen(["curl", "-sSf", "-C", str(begun), address], stdout=subprocess.PIPE) as curl:
            assert curl.stdout is not None
            with part.open("ab") as file:
                file.write(curl.stdout.read(size - begun))
            curl.kill()
    subprocess.run(["curl", "-sSf", "-C", "-", "-o", str(part), address], check=True)
    assert part.read_bytes() == whole.read_bytes()
    for range_ in ("0-0", "-1", "70-4000000", f"{3 * MIB}-"):
        piece = requests.get(address, headers={"Range": f"bytes={range_}"})
        assert piece.status_code == 206
        first, last = piece.headers["Content-Range"].removeprefix("bytes ").split("/")[0].split("-")
        assert piece.content == whole.read_bytes()[int(first) : int(last) + 1]


def test_memory_does_not_grow_with_the_number_of_files(place: Place):
    def peak(prefix: int) -> int:
        place.server.forget_peak()
        before = place.server.memory("VmRSS")
        with requests.get(f"{place.urls['gunicorn']}?archive=zip&prefix={prefix}/", stream=True) as answer:
            assert answer.status_code == 200
            size = sum(map(len, answer.iter_content(MIB)))
        assert size == int(answer.headers["Content-Length"])
        return place.server.memory("VmHWM") - before

    # The first time there is more to be loaded.
    peak(1000)
    few = peak(1000)
    assert peak(MANY) < few + 12 * MIB
