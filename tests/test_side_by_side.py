"""The published 6.1 and this version serve one PostgreSQL and one folder, at one time, and 6.1 alone goes on after it.

The published package runs from an environment of its own, which ``run-tests.sh`` makes, and is spoken to over HTTP.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from conftest import temporary_database
from helpers.waiting import wait_until
from servers import HERE, PUBLISHED, command, environment, free_port, needs_published, serving
from sqlalchemy import Engine, create_engine, text

PART = 5 * 1024**2
"""The smallest part that both take."""
PARTS = (b"a" * PART, b"b" * PART, b"the end")
WHOLE = b"".join(PARTS)

pytestmark = [
    needs_published,
    pytest.mark.skipif("TEST_REDIS_URL" not in os.environ, reason="TEST_REDIS_URL is not set; ./run-tests.sh sets it"),
    pytest.mark.slow,
    pytest.mark.timeout(240),
]


PYTHONS = {"6.1": str(PUBLISHED), "ours": sys.executable}
PATHS = {"6.1": str(HERE), "ours": f"{HERE}:{HERE.parents[1]}"}
"""Where each version looks first for modules: neither finds the other."""

BOTH_WAYS = pytest.mark.parametrize(("one", "other"), [("6.1", "ours"), ("ours", "6.1")])


@dataclass
class House:
    """A database and a folder that both serve.

    :ivar bucket: Identifier of a bucket that 6.1 made.
    """

    folder: Path
    settings: dict[str, Any]
    engine: Engine
    bucket: str = ""
    urls: dict[str, str] = field(default_factory=dict)

    def _environment(self, version: str) -> list[str]:
        return ["env", f"PYTHONPATH={PATHS[version]}"]

    def run(self, version: str, action: str) -> str:
        """Run the application as a program, and return what it prints."""
        done = subprocess.run(
            [*self._environment(version), PYTHONS[version], "-W", "ignore", str(HERE / "either.py"), action],
            env=environment(self.folder, **self.settings),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    @contextmanager
    def served(self, version: str) -> Iterator[None]:
        """Serve it with a version; tasks of 6.1, which cannot do them on the spot in a server, have a worker."""
        if version == "ours":
            with self.serving(version, self.settings):
                yield
        else:
            settings = self.with_broker()
            with self.serving(version, settings), self.working(version, settings):
                yield

    @contextmanager
    def serving(self, version: str, settings: dict[str, Any]) -> Iterator[None]:
        """Serve it with a version."""
        port = free_port()
        arguments = command("uwsgi", port, module="either", python=PYTHONS[version])
        assert arguments is not None
        with serving(version, [*self._environment(version), *arguments], port, self.folder, **settings) as server:
            self.urls[version] = server.url
            yield
            del self.urls[version]

    @contextmanager
    def working(self, version: str, settings: dict[str, Any]) -> Iterator[None]:
        """Run a worker of a version."""
        worker = [PYTHONS[version], "-m", "celery", "-A", "either:celery", "worker", "--pool=solo", "--without-mingle"]
        with (
            (self.folder / f"worker-{version}.log").open("wb") as log,
            subprocess.Popen(
                [*self._environment(version), *worker],
                cwd=self.folder,
                env=environment(self.folder, **settings),
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                yield
            finally:
                process.terminate()
                process.wait(60)

    def with_broker(self) -> dict[str, Any]:
        """Return settings with a queue that nobody else uses."""
        redis = os.environ["TEST_REDIS_URL"]
        return {
            **self.settings,
            "BROKER_URL": redis,
            "CELERY_BROKER_URL": redis,
            "CELERY_RESULT_BACKEND": redis,
            "CELERY_TASK_ALWAYS_EAGER": False,
            "CELERY_TASK_DEFAULT_QUEUE": f"side-by-side-{uuid4().hex}",
        }

    def url(self, version: str, key: str = "") -> str:
        return f"{self.urls[version]}/files/{self.bucket}" + (f"/{key}" if key else "")

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def files(self) -> set[str]:
        return {str(path) for path in (self.folder / "location").rglob("*") if path.is_file()}


@contextmanager
def house(folder: Path, how: str) -> Iterator[House]:
    """Let 6.1 make the tables, a location and a bucket, and add what is ours."""
    with temporary_database("postgresql", folder) as url, ExitStack() as stack:
        engine = create_engine(url)
        stack.callback(engine.dispose)
        house = House(folder, {"SQLALCHEMY_DATABASE_URI": url.render_as_string(hide_password=False)}, engine)
        house.run("6.1", how)
        house.bucket = house.run("6.1", "fill")
        house.run("ours", how)
        yield house


@pytest.fixture(scope="module", autouse=True)
def postgresql(database: str) -> None:
    if database != "postgresql":
        pytest.skip("Both serve PostgreSQL.")


@pytest.fixture(scope="module", params=["create", "migrate"], ids=["beside 6.1's tables", "after our migrations"])
def both(postgresql: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Give a house that both serve, and check at the end that it is in order."""
    with house(tmp_path_factory.mktemp("both"), request.param) as house_of_both:
        with house_of_both.served("6.1"), house_of_both.served("ours"):
            yield house_of_both
        assert_order(house_of_both)


def assert_order(house: House) -> None:
    """Check the size of the bucket, heads, and the bytes of every file."""
    wrong = """
        SELECT b.id, b.size, (
            SELECT coalesce(sum(f.size), 0) FROM files_object o JOIN files_files f ON f.id = o.file_id
            WHERE o.bucket_id = b.id
        ) + (
            SELECT coalesce(sum(m.size), 0) FROM files_multipartobject m
            WHERE m.bucket_id = b.id AND NOT m.completed
        ) FROM files_bucket b
    """
    assert [row for row in house.rows(wrong) if str(row[0]) == house.bucket and row[1] != row[2]] == []
    heads = "SELECT bucket_id, key FROM files_object WHERE is_head GROUP BY bucket_id, key HAVING count(*) > 1"
    assert house.rows(heads) == []
    for uri, size, checksum in house.rows("SELECT uri, size, checksum FROM files_files WHERE readable"):
        content = Path(uri).read_bytes()
        assert (len(content), f"md5:{hashlib.md5(content).hexdigest()}") == (size, checksum)


def put(url: str, content: bytes, **headers: str) -> dict[str, Any]:
    answer = requests.put(url, data=content, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def get(url: str, status: int = 200, **query: str) -> requests.Response:
    answer = requests.get(url, params=query, timeout=60)
    assert answer.status_code == status, answer.text
    return answer


def delete(url: str, **query: str) -> None:
    answer = requests.delete(url, params=query, timeout=60)
    assert answer.status_code == 204, answer.text


def listed(house: House, version: str, *flags: str) -> list[tuple[Any, ...]]:
    """Return what a version lists, in its order, but for delete markers, which 6.1 does not show."""
    url = house.url(version) + "".join(f"?{flag}" for flag in flags)
    fields = ("key", "version_id", "size", "checksum", "is_head", "delete_marker", "tags", "mimetype", "created")
    return [tuple(item[name] for name in fields) for item in get(url).json()["contents"] if item["checksum"]]


@pytest.fixture
def key() -> str:
    return f"folder/{uuid4().hex} é.txt"


@BOTH_WAYS
def test_a_file_that_one_stores_is_read_listed_and_replaced_by_the_other(
    both: House, one: str, other: str, key: str
) -> None:
    first = put(both.url(one, key), b"first", **{"X-Invenio-File-Tags": "state=draft&of=both"})
    assert get(both.url(other, key)).content == b"first"
    assert get(both.url(other, key)).headers["ETag"] == get(both.url(one, key)).headers["ETag"]
    second = put(both.url(other, key), b"second")
    assert get(both.url(one, key)).content == b"second"
    assert get(both.url(one, key), versionId=first["version_id"]).content == b"first"
    for flags in ((), ("versions",)):
        assert listed(both, one, *flags) == listed(both, other, *flags)
    versions = {item[1]: item for item in listed(both, other, "versions") if item[0] == key}
    assert {version: item[4] for version, item in versions.items()} == {
        first["version_id"]: False,
        second["version_id"]: True,
    }
    assert versions[first["version_id"]][6] == {"of": "both", "state": "draft"}


@BOTH_WAYS
def test_what_one_deletes_is_gone_for_the_other(both: House, one: str, other: str) -> None:
    # In a bucket of its own, for 6.1 takes the size of what has a delete marker off twice.
    bucket = requests.post(f"{both.urls[one]}/files", timeout=60).json()["id"]
    urls = {name: f"{both.urls[name]}/files/{bucket}/key" for name in (one, other)}
    version = put(urls[one], b"to be deleted")["version_id"]
    before = both.files()
    delete(urls[other])
    for url in urls.values():
        get(url, 404)
        assert get(url, versionId=version).content == b"to be deleted"
    delete(urls[other], versionId=version)
    for url in urls.values():
        get(url, 404, versionId=version)
    if other == "ours":
        # 6.1 has it done before it commits, and may so find the file in use.
        wait_until(lambda: len(before - both.files()) == 1)


@BOTH_WAYS
def test_a_bucket_that_one_makes_is_the_others_too(both: House, one: str, other: str) -> None:
    made = requests.post(f"{both.urls[one]}/files", timeout=60).json()
    address = f"{both.urls[other]}/files/{made['id']}"
    assert requests.head(address, timeout=60).status_code == 200
    put(f"{address}/key", b"content")
    shown = [get(f"{both.urls[name]}/files/{made['id']}").json() for name in (one, other)]
    assert {name: shown[0][name] for name in ("id", "size", "locked", "quota_size", "max_file_size")} == {
        name: shown[1][name] for name in ("id", "size", "locked", "quota_size", "max_file_size")
    }
    assert shown[0]["size"] == 7


def begin(url: str) -> str:
    """Begin an upload, and return its identifier."""
    answer = requests.post(f"{url}?uploads&size={len(WHOLE)}&partSize={PART}", timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def put_part(url: str, upload: str, number: int) -> None:
    query = {"uploadId": upload, "partNumber": str(number)}
    answer = requests.put(url, params=query, data=PARTS[number], timeout=60)
    assert answer.status_code == 200, answer.text


def complete(url: str, upload: str) -> None:
    answer = requests.post(url, params={"uploadId": upload}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["completed"]


@BOTH_WAYS
def test_an_upload_that_one_begins_is_continued_and_completed_by_the_other(
    both: House, one: str, other: str, key: str
) -> None:
    upload = begin(both.url(one, key))
    put_part(both.url(one, key), upload, 1)
    assert upload in [item["id"] for item in get(f"{both.url(other)}?uploads").json()]
    put_part(both.url(other, key), upload, 0)
    parts = [get(both.url(name, key), uploadId=upload).json()["parts"] for name in (one, other)]
    assert [[(part["part_number"], part["checksum"]) for part in found] for found in parts] == [
        [(number, f"md5:{hashlib.md5(PARTS[number]).hexdigest()}") for number in (0, 1)]
    ] * 2
    put_part(both.url(one, key), upload, 2)
    complete(both.url(other, key), upload)
    for name in (one, other):
        assert get(both.url(name, key)).content == WHOLE
        assert upload not in [item["id"] for item in get(f"{both.url(name)}?uploads").json()]


@BOTH_WAYS
def test_an_upload_that_one_begins_is_aborted_by_the_other(both: House, one: str, other: str, key: str) -> None:
    size = get(both.url(one)).json()["size"]
    upload = begin(both.url(one, key))
    put_part(both.url(one, key), upload, 0)
    assert get(both.url(other)).json()["size"] == size + len(WHOLE)
    delete(both.url(other, key), uploadId=upload)
    for name in (one, other):
        get(both.url(name, key), 404, uploadId=upload)
        assert get(both.url(name)).json()["size"] == size


def test_6_1_goes_on_alone_where_ours_has_served(tmp_path: Path) -> None:
    """With an upload that ours has begun and left half-way; tables of ours stay, and 6.1 passes them over."""
    with house(tmp_path, "migrate") as alone:
        with alone.served("ours"):
            old = put(alone.url("ours", "kept"), b"old")
            put(alone.url("ours", "kept"), b"kept")
            put(alone.url("ours", "gone"), b"gone")
            delete(alone.url("ours", "gone"))
            upload = begin(alone.url("ours", "half"))
            put_part(alone.url("ours", "half"), upload, 0)
            put_part(alone.url("ours", "half"), upload, 2)
            expected = listed(alone, "ours", "versions")
        with alone.served("6.1"):
            assert listed(alone, "6.1", "versions") == expected
            assert get(alone.url("6.1", "kept")).content == b"kept"
            put_part(alone.url("6.1", "half"), upload, 1)
            complete(alone.url("6.1", "half"), upload)
            assert get(alone.url("6.1", "half")).content == WHOLE
            delete(alone.url("6.1", "kept"), versionId=old["version_id"])
            put(alone.url("6.1", "kept"), b"of 6.1")
            assert get(alone.url("6.1", "kept")).content == b"of 6.1"
            assert get(alone.url("6.1")).json()["size"] == len(b"keptgoneof 6.1") + len(WHOLE)
        assert_order(alone)


def test_a_worker_of_ours_puts_together_what_6_1_has_completed(tmp_path: Path) -> None:
    """They share the broker, too."""
    with house(tmp_path, "migrate") as shared:
        settings = shared.with_broker()
        with shared.serving("6.1", settings), shared.working("ours", settings):
            upload = begin(shared.url("6.1", "key"))
            for number in range(len(PARTS)):
                put_part(shared.url("6.1", "key"), upload, number)
            complete(shared.url("6.1", "key"), upload)
            assert get(shared.url("6.1", "key")).content == WHOLE
        assert_order(shared)


def test_a_worker_of_6_1_removes_what_ours_has_deleted(tmp_path: Path) -> None:
    with house(tmp_path, "migrate") as shared:
        settings = shared.with_broker()
        with shared.serving("ours", settings), shared.working("6.1", settings):
            put(shared.url("ours", "key"), b"kept")
            version = put(shared.url("ours", "key"), b"to be removed")["version_id"]
            assert len(shared.files()) == 2
            delete(shared.url("ours", "key"), versionId=version)
            wait_until(lambda: len(shared.files()) == 1)
        assert_order(shared)


def test_a_worker_of_6_1_puts_together_what_ours_has_completed(tmp_path: Path) -> None:
    with house(tmp_path, "migrate") as shared:
        settings = shared.with_broker()
        with shared.serving("ours", settings), shared.working("6.1", settings):
            url = shared.url("ours", "key")
            upload = begin(url)
            for number in range(len(PARTS)):
                put_part(url, upload, number)
            complete(url, upload)
            assert get(url).content == WHOLE
        assert shared.rows("SELECT readable, writable FROM files_files") == [(True, False)]
        assert_order(shared)


def test_an_upload_that_a_worker_of_6_1_cannot_put_together_is_put_together_when_asked_again(tmp_path: Path) -> None:
    """It knows of no conditions."""
    with house(tmp_path, "migrate") as shared:
        settings = shared.with_broker()
        with shared.serving("ours", settings):
            url = shared.url("ours", "key")
            upload = begin(url)
            for number in range(len(PARTS)):
                put_part(url, upload, number)
            with shared.working("6.1", settings):
                answer = requests.post(url, params={"uploadId": upload}, headers={"If-None-Match": "*"}, timeout=60)
                assert answer.json()["status"] >= 500
            get(url, 404)
            with shared.working("ours", settings):
                complete(url, upload)
            assert get(url).content == WHOLE
        assert_order(shared)
