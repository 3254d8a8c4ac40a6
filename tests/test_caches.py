"""A shared cache between clients and the application, a real one of nginx, gives nobody what somebody else may see."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from servers import HERE, command, environment, free_port, serving
from servers.nginx import needs_nginx, running_nginx
from servers.owner import OWNER

pytestmark = [pytest.mark.slow, needs_nginx]

CACHE = """
proxy_cache_path FOLDER/cache keys_zone=shared:1m;
server {
    listen 127.0.0.1:PORT;
    location / {
        proxy_pass http://127.0.0.1:APPLICATION;
        proxy_set_header Host $http_host;
        proxy_cache shared;
        # As long as the answer says nothing else.
        proxy_cache_valid any 1h;
        add_header X-Cache $upstream_cache_status always;
    }
}
"""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a bucket behind the cache."""
    folder = tmp_path_factory.mktemp("caches")
    program = [sys.executable, str(HERE / "application.py")]
    bucket = subprocess.check_output(program, env=environment(folder), text=True).split()[0]
    application, port = free_port(), free_port()
    arguments = command("gunicorn", application)
    assert arguments is not None
    configuration = CACHE.replace("FOLDER", str(folder))
    configuration = configuration.replace("PORT", str(port)).replace("APPLICATION", str(application))
    settings = {"FILES_REST_PERMISSION_FACTORY": "owner.permission_factory"}
    with (
        serving("gunicorn", arguments, application, folder, **settings),
        running_nginx(folder, port, configuration) as url,
    ):
        yield f"{url}/files/{bucket}"


@pytest.fixture(scope="module")
def paths(bucket: str) -> dict[str, str]:
    """Give what there is to see in the bucket."""
    first = requests.put(f"{bucket}/secret.txt", data=b"one", headers=OWNER).json()
    requests.put(f"{bucket}/secret.txt", data=b"two", headers=OWNER)
    upload = requests.post(f"{bucket}/secret.bin?uploads&size={6 * 1024**2}&partSize={5 * 1024**2}", headers=OWNER)
    return {
        "bucket": bucket,
        "versions": f"{bucket}?versions",
        "page": f"{bucket}?max-keys=1",
        "uploads": f"{bucket}?uploads",
        "upload": upload.json()["links"]["self"],
        "file": f"{bucket}/secret.txt",
        "download": f"{bucket}/secret.txt?download",
        "version": first["links"]["version"],
    }


KINDS = ["bucket", "versions", "page", "uploads", "upload", "file", "download", "version"]


def asked(url: str, headers: dict[str, str], method: str = "GET") -> requests.Response:
    answer = requests.request(method, url, headers=headers)
    assert answer.headers["X-Cache"] in ("MISS", "BYPASS", "EXPIRED"), answer.headers
    assert answer.headers["Cache-Control"].startswith("private, no-")
    assert {"Authorization", "Cookie"} <= set(answer.headers["Vary"].split(", "))
    return answer


def test_the_cache_keeps_what_says_nothing(bucket: str) -> None:
    url = bucket.replace("/files/", "/elsewhere/")
    assert [requests.get(url).headers["X-Cache"] for _ in range(2)] == ["MISS", "HIT"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_the_owner_has_seen_is_hidden_from_others(paths: dict[str, str], kind: str, method: str) -> None:
    assert asked(paths[kind], OWNER, method).status_code == 200
    answer = asked(paths[kind], {}, method)
    assert answer.status_code == 404
    assert b"secret" not in answer.content


@pytest.mark.parametrize("kind", KINDS)
def test_what_others_may_not_see_is_there_for_the_owner(paths: dict[str, str], kind: str) -> None:
    url = paths[kind] + ("&" if "?" in paths[kind] else "?") + "again"
    assert asked(url, {}).status_code == 404
    assert asked(url, OWNER).status_code == 200


def test_a_page_of_a_listing_that_has_changed_is_the_new_one(bucket: str) -> None:
    def keys() -> list[Any]:
        return [item["key"] for item in requests.get(f"{bucket}?prefix=new", headers=OWNER).json()["contents"]]

    assert keys() == []
    requests.put(f"{bucket}/new", data=b"new", headers=OWNER)
    assert keys() == ["new"]
