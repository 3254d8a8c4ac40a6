"""Object stores that fail: requests are tried again, then answered clearly, and nothing half-done can be read."""

from __future__ import annotations

import hashlib
import io
import logging
import random
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from helpers.rest import error, put, url
from helpers.s3 import Store
from helpers.s3_proxy import Fault, FaultyProxy
from private_servers.object_stores import SeaweedFS

from invenio_files_rest.errors import LocationAwayError, StorageBusyError, StorageError, StorageFullError
from invenio_files_rest.models import Bucket
from invenio_files_rest.services.uploads.plans import APPENDED
from invenio_files_rest.storage.base import FileStorage
from invenio_files_rest.storage.uploads import ExtentWrite, Uploads
from invenio_files_rest.testing.streams import GeneratedStream

pytestmark = pytest.mark.slow

MIB = 1024**2
TIMEOUT = 1.0
"""Seconds to wait for the store, less than the proxy takes when it is slow."""


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def proxy(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """Put a proxy before the store, whose client tries again at once."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *args: 0.01)
    with FaultyProxy(store.settings["endpoint_url"]) as proxy:
        yield proxy


@pytest.fixture
def storage(store: Store, proxy: FaultyProxy) -> FileStorage:
    """Make the storage of a file behind the proxy."""
    return store.maker(endpoint_url=proxy.url, attempts=3, timeout=TIMEOUT)(str(uuid4()))


def read(storage: FileStorage) -> bytes:
    with storage.open() as file:
        return file.read()


@pytest.mark.parametrize(
    ("size", "how"),
    [
        *((10, how) for how in ("503 SlowDown", "500 InternalError", "reset", "lost", "slow")),
        *((11 * MIB, how) for how in ("503 SlowDown", "reset", "lost")),
    ],
)
def test_a_fault_that_passes_is_not_noticed(storage: FileStorage, proxy: FaultyProxy, how: str, size: int) -> None:
    content = noise(size)
    proxy.fail(Fault("PUT", "", how, times=1), Fault("POST", "uploadId", how, times=1))
    assert storage.save(io.BytesIO(content), size=size)[1] == size
    proxy.fail(Fault("GET", "", how, times=1))
    assert read(storage) == content


def test_reading_goes_on_where_a_connection_broke(storage: FileStorage, proxy: FaultyProxy) -> None:
    content = noise(3 * MIB)
    storage.save(io.BytesIO(content), size=len(content))
    proxy.fail(Fault("GET", "", "short", times=2))
    assert read(storage) == content
    assert proxy.seen == ["GET"] * 3


def test_a_store_that_keeps_breaking_off_is_busy(storage: FileStorage, proxy: FaultyProxy) -> None:
    storage.save(io.BytesIO(noise(MIB)), size=MIB)
    proxy.fail(Fault("GET", "", "short"))
    with pytest.raises(StorageBusyError):
        read(storage)


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("503 SlowDown", StorageBusyError),
        ("403 ExpiredToken", StorageBusyError),
        ("reset", StorageBusyError),
        ("507 InsufficientStorage", StorageFullError),
        ("403 QuotaExceeded", StorageFullError),
        ("404 NoSuchBucket", LocationAwayError),
    ],
)
def test_a_fault_that_stays_is_told_and_nothing_is_left(
    storage: FileStorage, proxy: FaultyProxy, store: Store, how: str, kind: type[StorageError]
) -> None:
    for size in (10, 11 * MIB):
        proxy.fail(Fault("PUT", "", how))
        with pytest.raises(kind):
            storage.save(io.BytesIO(noise(size)), size=size)
        assert store.names() == store.unfinished() == []
        assert proxy.seen.count("PUT") <= 3 * 3


@pytest.mark.every_store
@pytest.mark.parametrize("size", [10, 11 * MIB])
def test_a_byte_that_changes_on_its_way_to_the_store_is_noticed_and_nothing_is_left(
    storage: FileStorage, proxy: FaultyProxy, store: Store, size: int
) -> None:
    proxy.fail(Fault("PUT", "", "flipped", times=1))
    with pytest.raises(StorageBusyError, match="other bytes than were sent"):
        storage.save(io.BytesIO(noise(size)), size=size)
    assert store.names() == store.unfinished() == []
    # Of a store whose entity tags are none, a setting has them left alone.
    proxy.fail(Fault("PUT", "", "flipped", times=1))
    store.maker(endpoint_url=proxy.url, compare_tags=False)("other").save(io.BytesIO(noise(size)), size=size)
    assert store.names() == ["other/data"]


@pytest.mark.parametrize("extent", [ExtentWrite(0, size=6 * MIB), ExtentWrite(0, size=9), ExtentWrite(0, 0)])
@pytest.mark.parametrize("digest", [None, "md5", "sha256"])
def test_a_byte_of_a_part_that_changes_is_noticed_and_the_part_can_be_sent_again(
    storage: FileStorage, proxy: FaultyProxy, extent: ExtentWrite, digest: str | None
) -> None:
    content = noise(6 * MIB if extent.size is None else extent.size)
    uploads = storage.capability(Uploads)
    assert uploads is not None
    state = uploads.begin()
    proxy.fail(Fault("PUT", "", "flipped", times=1))
    for epoch in (1, 2):
        fed = digest and hashlib.new(digest)
        write = replace(extent, epoch=epoch, digest=fed)
        if epoch == 1:
            with pytest.raises(StorageBusyError, match="other bytes than were sent"):
                uploads.write(state, write, io.BytesIO(content))
        else:
            receipt = uploads.write(state, write, io.BytesIO(content))
            assert fed is None or fed.digest() == hashlib.new(fed.name, content).digest()
    assert uploads.finish(state, [receipt]).checksum == f"md5:{hashlib.md5(content).hexdigest()}"


def test_entity_tags_of_a_store_that_encrypts_with_keys_of_its_own_say_nothing() -> None:
    from invenio_files_rest.storage.s3.objects import has_md5

    assert has_md5({})
    assert has_md5({"ServerSideEncryption": "AES256"})
    assert not has_md5({"ServerSideEncryption": "aws:kms"})
    assert not has_md5({"SSECustomerAlgorithm": "AES256"})


@pytest.mark.parametrize(
    ("written", "tells_md5"),
    [
        (str.upper, True),
        (lambda tag: tag.strip('"'), True),
        (lambda tag: '"CKih16GjycICEAE="', False),
        (lambda tag: f'"{"0" * 32}-1"', False),
        (lambda tag: None, False),
    ],
    ids=["upper case", "no quotes", "no hexadecimal", "of parts", "none"],
)
def test_entity_tags_are_compared_as_stores_write_them_where_they_are_an_md5(
    storage: FileStorage,
    proxy: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
    written: Callable[[str], str | None],
    tells_md5: bool,
) -> None:
    def told(self: S3Object, operation: str, **kwargs: Any) -> dict[str, Any]:
        answer = call(self, operation, **kwargs)
        tag = written(answer.pop("ETag"))
        return answer if tag is None else answer | {"ETag": tag}

    from invenio_files_rest.storage.s3.objects import S3Object

    call = S3Object.call
    monkeypatch.setattr(S3Object, "call", told)
    storage.save(io.BytesIO(b"bytes"), size=5)
    monkeypatch.undo()
    assert read(storage) == b"bytes"
    monkeypatch.setattr(S3Object, "call", lambda *args, **kwargs: told(*args, **kwargs) if "Body" in kwargs else {})
    proxy.fail(Fault("PUT", "", "flipped", times=1))
    with pytest.raises(StorageBusyError) if tells_md5 else nullcontext():
        storage.save(io.BytesIO(b"other"), size=5)


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("how", ["503 SlowDown", "reset"])
def test_a_large_part_that_the_store_refuses_can_be_sent_again(
    storage: FileStorage, proxy: FaultyProxy, epoch: int, how: str
) -> None:
    content = noise(6 * MIB)
    uploads = storage.capability(Uploads)
    assert uploads is not None
    state = uploads.begin()
    extent = ExtentWrite(1, size=len(content), epoch=epoch)
    proxy.fail(Fault("PUT", "", how))
    with pytest.raises(StorageBusyError):
        uploads.write(state, extent, io.BytesIO(content))
    proxy.fail()
    receipt = uploads.write(state, replace(extent, epoch=epoch + 1), io.BytesIO(content))
    assert uploads.finish(state, [receipt]).checksum == f"md5:{hashlib.md5(content).hexdigest()}"


def test_a_part_that_has_vanished_is_told_and_can_be_sent_again(storage: FileStorage, store: Store) -> None:
    uploads = storage.capability(Uploads)
    assert uploads is not None
    state = uploads.begin()
    first = uploads.write(state, ExtentWrite(1, size=5 * MIB), io.BytesIO(noise(5 * MIB)))
    lost = {**first, "pieces": [["part", 3, 5 * MIB, '"gone"']]}
    with pytest.raises(StorageError, match="not in the store"):
        uploads.finish(state, [first, lost])
    with pytest.raises(FileNotFoundError):
        storage.open()
    second = uploads.write(state, ExtentWrite(2, size=3), io.BytesIO(b"two"))
    assert uploads.finish(state, [first, second]).size == 5 * MIB + 3


@pytest.mark.parametrize("fault", [Fault("PUT", "partNumber=1", "503 SlowDown"), Fault("PUT", "aside", "lost")])
def test_what_is_kept_of_a_run_that_the_store_has_refused_has_no_gap_and_nothing_twice(
    store: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """The request that has failed could not tell the database, either."""
    from invenio_files_rest.storage.s3 import memory

    if fault.contains == "aside":
        monkeypatch.setattr(memory, "budget", memory.Budget(4 * MIB))
        monkeypatch.setattr(memory, "PATIENCE", 0)
    content = noise(12 * MIB)
    uploads = store.maker(endpoint_url=proxy.url, attempts=2, compare_tags=False)(str(uuid4())).capability(Uploads)
    assert uploads is not None
    state = uploads.begin()
    proxy.fail(fault._replace(times=2))
    with pytest.raises(StorageBusyError):
        uploads.write(state, ExtentWrite(0, 0, whole=False), io.BytesIO(content))
    kept = uploads.kept(state, 0, None, epoch=1)
    rest = uploads.write(
        state, ExtentWrite(0, kept["size"], receipt=kept, epoch=3), io.BytesIO(content[kept["size"] :])
    )
    assert rest["size"] == len(content)
    assert uploads.finish(state, [rest]).checksum == f"md5:{hashlib.md5(content).hexdigest()}"
    assert [name.rpartition("/")[2] for name in store.names()] == ["data"]
    assert memory.budget.take_within(0, memory.budget.size)
    memory.budget.give_back(memory.budget.size)


@pytest.mark.parametrize("ends", [False, True])
def test_a_run_goes_on_with_numbers_of_parts_that_nobody_before_it_can_still_be_sending(
    store: Store, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is recorded in the middle of a request is not all that it sends."""
    monkeypatch.setattr("invenio_files_rest.storage.s3.runs.SAVE_SECONDS", 0)
    uploads = store.maker()(str(uuid4())).capability(Uploads)
    assert uploads is not None
    state, told = uploads.begin(), []
    content = noise(16 * MIB)
    sent = uploads.write(state, ExtentWrite(0, 0, saved=told.append), io.BytesIO(content))
    before = sent if ends else told[0]
    rest = io.BytesIO(content[before["size"] :] + bytes(6 * MIB))
    after = uploads.write(state, ExtentWrite(0, before["size"], receipt=before, epoch=2), rest)
    numbers = [[number for kind, number, *_ in receipt["pieces"] if kind == "part"] for receipt in (sent, after)]
    known = len([piece for piece in before["pieces"] if piece[0] == "part"])
    assert numbers[1][known:]
    assert set(numbers[1][known:]).isdisjoint(numbers[0])
    assert uploads.finish(state, [after]).checksum == f"md5:{hashlib.md5(content + bytes(6 * MIB)).hexdigest()}"


@pytest.mark.usefixtures("allow_all")
class TestOverRest:
    @pytest.fixture(autouse=True)
    def behind_the_proxy(self, store: Store, proxy: FaultyProxy) -> None:
        store.settings |= {"endpoint_url": proxy.url, "attempts": 2, "timeout": TIMEOUT}

    @pytest.mark.parametrize(("how", "status"), [("503 SlowDown", 503), ("507 InsufficientStorage", 507)])
    def test_the_client_learns_what_to_do_and_the_log_why_once(
        self,
        client: FlaskClient,
        s3_bucket: Bucket,
        proxy: FaultyProxy,
        caplog: pytest.LogCaptureFixture,
        how: str,
        status: int,
    ) -> None:
        proxy.fail(Fault("PUT", "", how))
        with caplog.at_level(logging.ERROR):
            answer = client.put(url(s3_bucket, "a.txt"), data=b"some")
        shown = error(answer, status)
        assert how.split()[1] not in shown["message"]
        assert ("Retry-After" in answer.headers) == (status == 503)
        assert caplog.text.count(f"The object store answers {how.split()[1]} to PutObject.") >= 1
        assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
        proxy.fail()
        assert client.get(url(s3_bucket, "a.txt")).status_code == 404
        put(client, s3_bucket, "a.txt", b"some")

    def test_a_download_from_a_store_that_is_away_is_503(
        self, client: FlaskClient, s3_bucket: Bucket, proxy: FaultyProxy
    ) -> None:
        put(client, s3_bucket, "a.txt", b"some")
        proxy.fail(Fault("GET", "", "reset"))
        answer = client.get(url(s3_bucket, "a.txt"))
        assert error(answer, 503)
        assert answer.headers["Retry-After"]

    def test_a_run_goes_on_after_the_store_was_away(
        self, client: FlaskClient, s3_bucket: Bucket, proxy: FaultyProxy
    ) -> None:
        content = noise(12 * MIB)
        upload = APPENDED.begin(s3_bucket, "a.bin", len(content), protocol="test")
        APPENDED.write(upload, 0, io.BytesIO(content[: 6 * MIB]))
        proxy.fail(Fault("PUT", "", "reset"))
        with pytest.raises(StorageBusyError):
            APPENDED.write(upload, 6 * MIB, io.BytesIO(content[6 * MIB :]))
        proxy.fail()
        at = APPENDED.offset(upload, take_over=True).offset
        assert at == 6 * MIB
        APPENDED.write(upload, at, io.BytesIO(content[at:]))
        APPENDED.complete(upload)
        shown = client.get(url(s3_bucket, "a.bin"))
        assert hashlib.md5(shown.data).digest() == hashlib.md5(content).digest()


class TestMemory:
    def test_many_uploads_share_the_memory_of_the_process(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        from invenio_files_rest.storage.s3 import memory

        monkeypatch.setattr(memory, "budget", memory.Budget(24 * MIB))
        make = store.maker(parallel_parts=3)
        names = [str(uuid4()) for _ in range(8)]
        # Loading what boto3 knows of S3 takes some, once.
        make("first").save(io.BytesIO(b"first"))
        threads = [
            threading.Thread(target=lambda name=name: make(name).save(GeneratedStream(12 * MIB))) for name in names
        ]
        tracemalloc.start()
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert [make(name)._object.size() for name in names] == [12 * MIB] * 8
        # The budget, and for each upload the blocks that its threads hand on.
        assert peak < (24 + 8 * 3) * MIB

    def test_who_finds_no_memory_in_time_is_told_to_try_again(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from invenio_files_rest.storage.s3 import memory

        monkeypatch.setattr(memory, "budget", memory.Budget(5 * MIB))
        monkeypatch.setattr(memory, "WAIT_SECONDS", 0.1)
        memory.budget.take(5 * MIB)
        with pytest.raises(StorageBusyError):
            store.maker()("file").save(GeneratedStream(3 * MIB))
        assert store.names() == []
        memory.budget.give_back(5 * MIB)
        monkeypatch.undo()
        monkeypatch.setattr(memory, "budget", memory.Budget(5 * MIB))
        for _ in range(3):
            store.maker()("file").save(GeneratedStream(11 * MIB))


class _Slow(GeneratedStream):
    """A body of which most comes slowly, and the rest when all may go on."""

    def __init__(self, size: int, go_on: threading.Event) -> None:
        super().__init__(size)
        self._go_on = go_on
        self.has_come = threading.Event()
        self._until = 0.0

    def read(self, size: int = -1, /) -> bytes:
        if not self.position:
            self._until = time.monotonic() + 1.1
        if self.position > MIB // 2:
            time.sleep(max(0, self._until - time.monotonic()))
        if self.position >= 4 * MIB:
            self.has_come.set()
            self._go_on.wait(120)
        return super().read(size)


def test_many_slow_uploads_starve_neither_each_other_nor_a_fast_one(store: Store) -> None:
    """60 in one process, which would take 300 MiB if each kept in memory what it has to send at once."""
    from invenio_files_rest.storage.s3 import memory

    make, go_on = store.maker(), threading.Event()
    slow = {str(uuid4()): _Slow(5 * MIB + 1, go_on) for _ in range(60)}
    make("first").save(io.BytesIO(b"first"))
    with ThreadPoolExecutor(len(slow)) as pool:
        try:
            saved = [pool.submit(make(name).save, stream, size=stream.size) for name, stream in slow.items()]
            assert all(stream.has_come.wait(60) for stream in slow.values())
            assert sum("aside" in name for name in store.names()) > 60
            begun = time.monotonic()
            make("fast").save(GeneratedStream(12 * MIB))
            assert time.monotonic() - begun < memory.WAIT_SECONDS
        finally:
            go_on.set()
        checksums = {future.result()[2] for future in saved}
    assert len(checksums) == 1
    name = next(iter(slow))
    assert checksums == {make(name).checksum()}
    assert sorted(store.names()) == sorted(f"{name}/data" for name in (*slow, "first", "fast"))
    assert store.unfinished() == []
    assert memory.budget.take_within(10, memory.BYTES)
    memory.budget.give_back(memory.BYTES)


class TestScarceMemory:
    """Of 11 MiB, which is less than two parts of 8 MiB."""

    @pytest.fixture(autouse=True)
    def budget(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        from invenio_files_rest.storage.s3 import memory

        monkeypatch.setattr(memory, "budget", memory.Budget(11 * MIB))
        monkeypatch.setattr(memory, "WAIT_SECONDS", 5)
        yield
        assert memory.budget.take_within(0, 11 * MIB)

    def test_a_slow_upload_keeps_no_more_than_the_smallest_part_needs(self, store: Store) -> None:
        class Slow(GeneratedStream):
            begun, go_on = threading.Event(), threading.Event()

            def read(self, size: int = -1, /) -> bytes:
                if self.position > MIB:
                    self.begun.set()
                    self.go_on.wait(60)
                return super().read(size)

        make = store.maker(part_size=8 * MIB)
        slow, fast = make("slow"), make("fast")
        thread = threading.Thread(target=lambda: slow.save(Slow(9 * MIB)))
        thread.start()
        try:
            assert Slow.begun.wait(30)
            fast.save(GeneratedStream(12 * MIB))
        finally:
            Slow.go_on.set()
            thread.join()
        assert [len(read(storage)) for storage in (slow, fast)] == [9 * MIB, 12 * MIB]

    def test_what_was_put_aside_is_sent_with_the_rest_though_the_store_fails_once(
        self, store: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from invenio_files_rest.storage.s3 import memory

        storage = store.maker(endpoint_url=proxy.url, attempts=3)("file")
        content = noise(6 * MIB)
        memory.budget.take(9 * MIB)
        monkeypatch.setattr(memory, "PATIENCE", 0)
        proxy.fail(Fault("PUT", "aside", "lost", times=1), Fault("PUT", "partNumber", "503 SlowDown", times=1))
        try:
            storage.save(io.BytesIO(content))
            assert proxy.seen.count("DELETE") >= 4
            proxy.fail(Fault("PUT", "aside", "503 SlowDown"))
            with pytest.raises(StorageBusyError):
                store.maker(endpoint_url=proxy.url, attempts=1)("other").save(io.BytesIO(content))
        finally:
            memory.budget.give_back(9 * MIB)
        assert read(storage) == content
        assert store.names() == ["file/data"]

    def test_a_run_that_will_be_very_long_needs_no_more(self, store: Store) -> None:
        uploads = store.maker()("file").capability(Uploads)
        assert uploads is not None
        state = uploads.begin(200 * 1024 * MIB)
        run = uploads.write(state, ExtentWrite(0, 0, whole=False), GeneratedStream(12 * MIB))
        assert run["size"] == 12 * MIB
        uploads.abort(state)

    def test_a_part_that_was_not_sent_any_more_gives_its_memory_back(self, store: Store) -> None:
        from invenio_files_rest.storage.s3.bodies import Buffer
        from invenio_files_rest.storage.s3.writing import PartSender

        target, before = store.maker()("file")._object, threading.Event()
        sender, body = PartSender(target, "none"), Buffer(target, MIB)
        sender._pool.submit(before.wait, 60)
        body.write(b"some")
        sender.send(1, body)
        threading.Timer(0.1, before.set).start()
        sender.close()

    @pytest.mark.parametrize("gib", [1, 300, 600])
    def test_parts_that_are_sent_early_leave_enough_numbers_for_the_rest(self, store: Store, gib: int) -> None:
        from invenio_files_rest.storage.s3.writing import MOST_PARTS, ObjectWriter

        writer = ObjectWriter(store.maker(part_size=8 * MIB)("file")._object, gib * 1024 * MIB)
        while writer._left:
            assert writer._number <= MOST_PARTS
            writer._left -= min(writer._buffer._needed, writer._left)
            writer._number += 1
            writer._buffer = writer._new_buffer()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Make a folder whose path leaves room for the names of sockets, of which systems take some 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="s3-") as folder:
        yield Path(folder)


def test_an_upload_ends_right_though_the_store_is_killed_and_started_again(short_path: Path) -> None:
    """The one of SeaweedFS, which one process makes anew in seconds."""
    server = SeaweedFS(short_path)
    if not server.installed():
        pytest.skip("The program weed is not there: no store is killed.")
    pytest.importorskip("boto3", reason="the extra s3 is not installed")
    from invenio_files_rest.storage.s3 import S3FileStorage, S3Location
    from invenio_files_rest.storage.s3.client import client_of

    content, folder = noise(16 * MIB), "s3://files/some"
    server.start()
    try:
        location = S3Location(
            folder,
            endpoint_url=f"http://127.0.0.1:{server.port}",
            region_name="us-east-1",
            access_key_id="test",
            secret_access_key="testsecret",
            part_size=5 * MIB,
            attempts=1,
        )
        storage = S3FileStorage(f"{folder}/{uuid4()}/data", location)
        wait_for(lambda: client_of(location).create_bucket(Bucket="files"))
        other = S3FileStorage(f"{folder}/{uuid4()}/data", location)
        other.save(io.BytesIO(b"other"))
        uploads = storage.capability(Uploads)
        assert uploads is not None
        state = uploads.begin()
        run = uploads.write(state, ExtentWrite(0, 0, whole=False), io.BytesIO(content[: 6 * MIB]))
        server.stop()
        rest = io.BytesIO(content[6 * MIB :])
        with pytest.raises(StorageBusyError):
            uploads.write(state, ExtentWrite(0, 6 * MIB, epoch=2, receipt=run, whole=False), rest)
        server.serve()
        # It serves before it knows again where its bytes are.
        wait_for(lambda: read(other))
        run = uploads.kept(state, 0, run, epoch=2)
        assert run["size"] == 6 * MIB
        rest = io.BytesIO(content[run["size"] :])
        run = uploads.write(state, ExtentWrite(0, run["size"], epoch=3, receipt=run, whole=False), rest)
        assert uploads.finish(state, [run]).checksum == f"md5:{hashlib.md5(content).hexdigest()}"
        assert read(storage) == content
    finally:
        server.stop()


def wait_for(action: Callable[[], object], seconds: float = 30) -> None:
    """Do something as soon as the store can."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            action()
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
