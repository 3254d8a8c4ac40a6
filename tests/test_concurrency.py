"""Many clients at once, through the processes and threads of a real server, on each database.

Whatever they do to each other, nobody gets an answer of the server's own fault, and the books are exact.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import tarfile
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from servers import Server, command, free_port, serving
from sqlalchemy import URL, func, select

from invenio_files_rest.errors import InvalidOperationError
from invenio_files_rest.models import Bucket, FileInstance, ObjectVersion
from invenio_files_rest.services.transactions import in_transaction

pytestmark = pytest.mark.slow

CLIENTS = 8
SIZE = 1000
SECONDS = 60


@pytest.fixture(scope="module")
def server(base_app: Any, database_url: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run two processes of four threads, on the database of the application."""
    folder, port = tmp_path_factory.mktemp("concurrency"), free_port()
    arguments = command("gunicorn", port, workers=2, threads=4)
    assert arguments is not None
    settings = {
        "FILES_REST_MULTIPART_CHUNKSIZE_MIN": 4,
        "FILES_REST_TASK_WAIT_INTERVAL": 0.1,
        "SQLALCHEMY_DATABASE_URI": database_url.render_as_string(hide_password=False),
    }
    with serving("gunicorn", arguments, port, folder, **settings) as running:
        yield running


class Client:
    """A connection to the server that counts the answers."""

    def __init__(self, server: Server, answers: Counter[int]) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
        self.answers = answers

    def __call__(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        self.connection.request(method, f"/files/{path}", body, headers)
        response = self.connection.getresponse()
        content = response.read()
        self.answers[response.status] += 1
        assert response.status < 500, content
        return response.status, content, response.headers


class Crowd:
    """Clients who all begin in the same moment."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.answers: Counter[int] = Counter()
        self.done = threading.Event()

    def run(self, *works: Callable[..., Any]) -> list[Any]:
        """Have each work done by a client of its own, and return what they return."""
        barrier = threading.Barrier(len(works))

        def begin(work: Callable[..., Any]) -> Any:
            client = Client(self.server, self.answers)
            try:
                barrier.wait(SECONDS)
                return work(client)
            finally:
                client.connection.close()

        with ThreadPoolExecutor(len(works)) as pool:
            return list(pool.map(begin, works))

    def while_others(self, work: Callable[[], Any], *others: Callable[..., Any]) -> list[Any]:
        """Do a work in this process, again and again, until the clients are done; return what it returns."""
        found: list[Any] = []
        failed: list[BaseException] = []

        def clients() -> None:
            try:
                self.run(*others)
            except BaseException as error:
                failed.append(error)
            finally:
                self.done.set()

        thread = threading.Thread(target=clients)
        thread.start()
        while not found or not self.done.wait(0.05):
            found.append(work())
        thread.join()
        if failed:
            raise failed[0]
        return found


@pytest.fixture
def crowd(server: Server) -> Crowd:
    return Crowd(server)


@pytest.fixture
def bucket_id(db: Any, bucket: Bucket) -> uuid.UUID:
    """Make a bucket, and hold no transaction: its view of the database would be that of now."""
    found = bucket.id
    db.session.commit()
    return found


def writer(bucket: Any, keys: list[str], size: int = SIZE) -> Callable[[Client], Counter[int]]:
    """Return the work of storing one file after another; it returns how they were answered."""

    def work(client: Client) -> Counter[int]:
        return Counter(client("PUT", f"{bucket}/{key}", b"x" * size)[0] for key in keys)

    return work


def check_books(db: Any, *buckets: Any) -> None:
    """Check that each key has one head, and each bucket the size of all its versions, whose files have their bytes."""
    db.session.rollback()
    db.session.expire_all()
    for bucket_id in buckets:
        versions = ObjectVersion.get_by_bucket(bucket_id, versions=True, with_deleted=True).all()
        heads = Counter(version.key for version in versions if version.is_head)
        assert heads == dict.fromkeys({version.key for version in versions}, 1)
        size = db.session.scalar(select(Bucket.size).where(Bucket.id == bucket_id))
        assert size == sum(version.file.size for version in versions if version.file)
        for version in versions:
            assert (version.file is None) == (version.file_id is None)
    for file in FileInstance.query.filter(FileInstance.readable):
        with file.storage().open() as stream:
            assert f"md5:{hashlib.md5(stream.read()).hexdigest()}" == file.checksum
    db.session.rollback()


def test_writers_of_one_key_leave_every_version_and_one_head(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    crowd.run(*[writer(bucket_id, ["key"] * 40)] * CLIENTS)
    assert crowd.answers == {200: 320}
    assert ObjectVersion.get_versions(bucket_id, "key").count() == 320
    check_books(db, bucket_id)


def test_writers_of_distinct_keys_are_all_counted(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    crowd.run(*(writer(bucket_id, [f"{client}/{number}" for number in range(40)]) for client in range(CLIENTS)))
    assert crowd.answers == {200: 320}
    assert db.session.scalar(select(Bucket.size).where(Bucket.id == bucket_id)) == 320 * SIZE
    check_books(db, bucket_id)


def test_a_quota_is_filled_exactly_and_not_a_byte_more(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    Bucket.get(bucket_id).quota_size = CLIENTS * 10 * SIZE // 2
    db.session.commit()
    crowd.run(*(writer(bucket_id, [f"{client}/{number}" for number in range(10)]) for client in range(CLIENTS)))
    assert crowd.answers == {200: 40, 400: 40}
    assert db.session.scalar(select(Bucket.size).where(Bucket.id == bucket_id)) == 40 * SIZE
    check_books(db, bucket_id)


def test_a_quota_has_room_for_whole_archives_alone(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    Bucket.get(bucket_id).quota_size = 3 * 20 * SIZE + 10
    db.session.commit()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number in range(20):
            info = tarfile.TarInfo(f"{number}")
            info.size = SIZE
            archive.addfile(info, io.BytesIO(bytes(SIZE)))
    crowd.run(*[lambda client: client("POST", f"{bucket_id}?extract", packed.getvalue())] * CLIENTS)
    assert crowd.answers == {200: 3, 400: CLIENTS - 3}
    assert db.session.scalar(select(Bucket.size).where(Bucket.id == bucket_id)) == 3 * 20 * SIZE
    assert ObjectVersion.get_by_bucket(bucket_id, versions=True).count() == 60
    assert FileInstance.query.count() == 60
    check_books(db, bucket_id)


def test_readers_see_whole_versions_while_others_write(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    path, size = f"{bucket_id}/key", 300_000
    written = [bytes([65 + number]) * (size + number) for number in range(4 * 15)]
    crowd.run(lambda client: client("PUT", path, written[0]))
    ended: list[int] = []

    def write(number: int) -> Callable[[Client], None]:
        def work(client: Client) -> None:
            for body in written[number::4]:
                client("PUT", path, body)
            ended.append(number)

        return work

    def read(client: Client) -> set[bytes]:
        seen = set()
        while len(ended) < 4:
            status, content, headers = client("GET", path)
            assert status == 200
            assert headers["ETag"] == f'"md5:{hashlib.md5(content).hexdigest()}"'
            seen.add(content)
        return seen

    results = crowd.run(*map(write, range(4)), *[read] * 4)
    seen = set().union(*results[4:])
    assert seen <= set(written)
    assert len(seen) > 1
    assert set(crowd.answers) == {200}


def test_deletions_and_writers_of_one_key_are_all_recorded(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:

    def delete(client: Client) -> None:
        for _ in range(20):
            client("DELETE", f"{bucket_id}/key")

    crowd.run(*[writer(bucket_id, ["key"] * 20)] * 4, *[delete] * 4)
    assert set(crowd.answers) <= {200, 204, 404}
    assert crowd.answers[200] == 80
    versions = ObjectVersion.get_versions(bucket_id, "key").all()
    assert len(versions) == 80 + crowd.answers[204]
    assert sum(version.deleted for version in versions) == crowd.answers[204]
    check_books(db, bucket_id)


def test_versions_are_restored_while_others_write(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    crowd.run(writer(bucket_id, ["key"] * 2))

    def restore() -> Any:
        def work() -> Any:
            oldest = ObjectVersion.get_versions(bucket_id, "key", desc=False).first()
            return oldest.restore().version_id

        return in_transaction(work)

    restored = crowd.while_others(restore, *[writer(bucket_id, ["key"] * 10)] * 4)
    assert set(crowd.answers) == {200}
    assert ObjectVersion.get_versions(bucket_id, "key").count() == 2 + 40 + len(restored)
    check_books(db, bucket_id)


def test_a_version_is_restored_or_removed_but_never_half(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    """Its file stays where it was restored, and goes where it was not."""
    count = 12
    crowd.run(writer(bucket_id, ["key"] * (count + 1)))
    old = [version.version_id for version in ObjectVersion.get_versions(bucket_id, "key", desc=False)][:0:-1]
    old = [version_id for version_id in old if not db.session.get(ObjectVersion, version_id).is_head][:count]
    db.session.rollback()
    pending = iter(old)

    def restore() -> bool:
        version_id = next(pending, None)
        if version_id is None:
            crowd.done.wait()
            return False

        def work() -> bool:
            version = ObjectVersion.get(bucket_id, "key", version_id)
            return version is not None and bool(version.restore())

        try:
            return in_transaction(work)
        except InvalidOperationError:
            return False

    def remove(client: Client) -> None:
        for version_id in old:
            assert client("DELETE", f"{bucket_id}/key?versionId={version_id}")[0] == 204

    crowd.while_others(restore, remove)
    check_books(db, bucket_id)
    assert not FileInstance.query_orphaned().count()


def test_a_snapshot_is_of_one_moment(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:

    def snapshot() -> Any:
        return in_transaction(lambda: db.session.get(Bucket, bucket_id).snapshot(lock=True).id)

    keys = [[f"{client}/{number:02}" for number in range(15)] for client in range(CLIENTS)]
    copies = crowd.while_others(snapshot, *(writer(bucket_id, mine) for mine in keys))
    assert crowd.answers == {200: 15 * CLIENTS}
    for copy in copies:
        copied = {version.key for version in ObjectVersion.get_by_bucket(copy)}
        for mine in keys:
            # What a client wrote last is not there without what it wrote before.
            there = [key in copied for key in mine]
            assert there == sorted(there, reverse=True)
    check_books(db, bucket_id, *copies)


def test_buckets_are_synchronised_both_ways_while_others_write(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    other = Bucket.create()
    db.session.commit()
    ids = [bucket_id, other.id]
    db.session.commit()
    turns = iter(range(1_000_000))

    def sync() -> int:
        source, destination = ids if next(turns) % 2 else ids[::-1]
        work = lambda: len(db.session.get(Bucket, source).sync(db.session.get(Bucket, destination)).changes)  # noqa: E731
        return in_transaction(work)

    writers = [writer(ids[client % 2], [f"{client % 4}/{number}" for number in range(10)]) for client in range(6)]
    crowd.while_others(sync, *writers)
    assert crowd.answers == {200: 60}
    check_books(db, *ids)
    for source, destination in (ids, ids[::-1]):
        in_transaction(
            lambda source=source, destination=destination: db.session.get(Bucket, source).sync(
                db.session.get(Bucket, destination)
            )
        )
    heads = [{v.key: v.file_id for v in ObjectVersion.get_by_bucket(bucket_id)} for bucket_id in ids]
    assert heads[0] == heads[1]
    check_books(db, *ids)


def test_a_version_is_removed_once_and_subtracted_once(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    crowd.run(writer(bucket_id, ["key"] * 10))
    versions = [version.version_id for version in ObjectVersion.get_versions(bucket_id, "key")]
    db.session.rollback()
    for version_id in versions:
        crowd.answers.clear()
        crowd.run(*[lambda client, v=version_id: client("DELETE", f"{bucket_id}/key?versionId={v}")] * 2)
        assert crowd.answers == {204: 1, 404: 1}
        check_books(db, bucket_id)
    assert db.session.scalar(select(Bucket.size).where(Bucket.id == bucket_id)) == 0
    assert not db.session.scalar(select(func.count()).select_from(FileInstance))


def test_one_of_all_who_know_the_head_replaces_it(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    path = f"{bucket_id}/key"

    def put(body: bytes, condition: dict[str, str], client: Client) -> Any:
        return client("PUT", path, body, **condition)

    etags = [headers["ETag"] for _, _, headers in crowd.run(partial(put, b"first", {}))]
    for number in range(10):
        crowd.answers.clear()
        bodies = [f"{number} {who}".encode() for who in range(CLIENTS)]
        condition = {"If-Match": etags[-1]}
        results = crowd.run(*(partial(put, body, condition) for body in bodies))
        assert crowd.answers == {200: 1, 412: CLIENTS - 1}
        etags += [headers["ETag"] for status, _, headers in results if status == 200]
    assert ObjectVersion.get_versions(bucket_id, "key").count() == 11
    check_books(db, bucket_id)


def test_one_of_all_who_ask_for_a_new_object_makes_it(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    for number in range(5):
        crowd.answers.clear()
        path = f"{bucket_id}/{number}"
        works = [lambda client, path=path: client("PUT", path, b"x", **{"If-None-Match": "*"})] * CLIENTS
        crowd.run(*works)
        assert crowd.answers == {200: 1, 412: CLIENTS - 1}
    check_books(db, bucket_id)


def test_an_upload_that_several_complete_becomes_one_version(crowd: Crowd, db: Any, bucket_id: uuid.UUID) -> None:
    for number in range(4):
        path = f"{bucket_id}/{number}"
        begun = crowd.run(lambda client, path=path: client("POST", f"{path}?uploads&size=8&partSize=4"))[0]
        upload = f"{path}?uploadId={json.loads(begun[1])['id']}"
        crowd.run(
            *(
                lambda client, part=part, upload=upload: client("PUT", f"{upload}&partNumber={part}", b"part")
                for part in range(2)
            )
        )
        results = crowd.run(*[lambda client, upload=upload: client("POST", upload)] * 2)
        answers = [json.loads(content) for status, content, _ in results if status == 200]
        # Who comes when it is a version already finds no upload any more.
        assert {status for status, *_ in results} <= {200, 404}
        assert answers
        assert all("object_version" in answer.get("links", {}) for answer in answers), answers
    versions = ObjectVersion.get_by_bucket(bucket_id, versions=True)
    assert [(version.key, version.file.size) for version in versions] == [(str(number), 8) for number in range(4)]
    check_books(db, bucket_id)
