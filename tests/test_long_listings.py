"""Listings of very many objects or uploads, from a real server: they stream, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from servers import Server, command, free_port, serving
from sqlalchemy import URL

from invenio_files_rest.models import Bucket

pytestmark = pytest.mark.slow

MIB = 1024**2
OBJECTS = 100_000
UPLOADS = 20_000


@pytest.fixture(scope="module")
def server(base_app: Any, database_url: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("listings"), free_port()
    arguments = command("gunicorn", port)
    assert arguments is not None
    url = database_url.render_as_string(hide_password=False)
    with serving("gunicorn", arguments, port, folder, SQLALCHEMY_DATABASE_URI=url) as running:
        yield running


def peak_while_read(server: Server, path: str, once: bytes, items: int) -> int:
    """Read a listing without keeping it, and return how much memory the server has taken for it.

    :param once: A text that each item has once, by which they are counted.
    :param items: How many there have to be.
    """
    idle = server.memory("VmRSS")
    server.forget_peak()
    with requests.get(path, stream=True, timeout=100) as response:
        count, last = 0, b""
        for chunk in response.iter_content(MIB):
            count += (last + chunk).count(once)
            last = chunk[-len(once) + 1 :]
    assert count == items
    return server.memory("VmHWM") - idle


def test_a_hundred_thousand_objects_are_listed_in_flat_memory(
    server: Server, db: Any, bucket: Bucket, fill: Any
) -> None:
    few = Bucket.create()
    for one, number in ((few, 1000), (bucket, OBJECTS)):
        fill((f"{place:09}" for place in range(number)), bucket=one)
    paths = [f"{server.url}/files/{one.id}" for one in (few, bucket)]
    db.session.commit()
    assert len(requests.get(paths[0], timeout=60).json()["contents"]) == 1000
    assert peak_while_read(server, paths[1], b'"is_head"', OBJECTS) < 16 * MIB


def test_twenty_thousand_uploads_are_listed_in_flat_memory(
    server: Server, db: Any, bucket: Bucket, begin_uploads: Any
) -> None:
    few = Bucket.create()
    for one, number in ((few, 1000), (bucket, UPLOADS)):
        begin_uploads(one, map(str, range(number)))
    paths = [f"{server.url}/files/{one.id}?uploads" for one in (few, bucket)]
    db.session.commit()
    assert len(requests.get(paths[0], timeout=60).json()) == 1000
    assert peak_while_read(server, paths[1], b'"part_size"', UPLOADS) < 16 * MIB
