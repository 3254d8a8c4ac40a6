"""What must always be true of the state: after any sequence of operations, and under any number of writers."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers.uploading import Breaking
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, select, update

from invenio_files_rest.errors import FileSizeError, InvalidOperationError, MultipartMissingParts, ObjectReplacedError
from invenio_files_rest.models import (
    Bucket,
    FileInstance,
    Location,
    MultipartObject,
    ObjectVersion,
    Part,
    Upload,
    UploadExtent,
)
from invenio_files_rest.services.bucket_copies import snapshot_bucket, sync_bucket
from invenio_files_rest.services.buckets import change_bucket
from invenio_files_rest.services.copying import copy_object, move_object
from invenio_files_rest.services.objects import store_object
from invenio_files_rest.services.uploads.errors import UploadIncomplete, UploadLengthMismatch
from invenio_files_rest.services.uploads.plans import APPENDED, PARTS, PLANS

pytestmark = pytest.mark.slow

KEYS = st.sampled_from(["key", "KEY"])
DATA = st.binary(max_size=6)
NUMBER = st.integers(min_value=0, max_value=1000)
COMMIT = st.sampled_from([True, True, True, True, False])


def check_invariants(db: Any) -> None:
    """Check heads, sizes and bytes, by statements of their own."""
    db.session.expire_all()
    versions: dict[Any, list[ObjectVersion]] = defaultdict(list)
    sizes: dict[Any, int] = defaultdict(int)
    for version in ObjectVersion.query:
        versions[version.bucket_id, version.key].append(version)
        sizes[version.bucket_id] += version.file.size if version.file else 0
    for upload in MultipartObject.query:
        sizes[upload.bucket_id] += upload.size
    for free_upload in Upload.query:
        expected = 0
        if free_upload.status == "open":
            there = sum(extent.size for extent in UploadExtent.recorded(free_upload.id))
            expected = there if free_upload.length is None else free_upload.length
        assert free_upload.claimed == expected
        sizes[free_upload.bucket_id] += free_upload.claimed
    for key, these in versions.items():
        heads = [version for version in these if version.is_head]
        assert len(heads) == 1, f"{len(heads)} heads of {key}"
        assert heads[0].created == max(version.created for version in these)
    assert {bucket.id: bucket.size for bucket in Bucket.query} == {
        bucket.id: sizes[bucket.id] for bucket in Bucket.query
    }
    for file in FileInstance.query.filter_by(readable=True):
        data = Path(file.uri).read_bytes()
        assert (len(data), f"md5:{hashlib.md5(data).hexdigest()}") == (file.size, file.checksum)
        assert file.writable is False


class State(RuleBasedStateMachine):
    """Buckets, objects and uploads, changed in any order. Each step is committed or rolled back."""

    app: Flask
    db: Any
    location: Location

    def __init__(self) -> None:
        """Start from nothing but the location."""
        super().__init__()
        self.db.session.rollback()
        for model in (UploadExtent, Upload, Part, MultipartObject, ObjectVersion, FileInstance, Bucket):
            self.db.session.execute(model.__table__.delete())
        self.db.session.commit()
        for path in Path(self.location.uri).iterdir():
            shutil.rmtree(path)
        self.db.session.add(Bucket.create(quota_size=40))
        self.db.session.commit()

    def pick(self, query: Any, number: int) -> Any:
        """Return one of the rows that there are, ``None`` where there is none."""
        rows = query.all()
        return rows[number % len(rows)] if rows else None

    def bucket(self, number: int) -> Bucket:
        return self.pick(Bucket.query.order_by(Bucket.created), number)

    def version(self, number: int) -> ObjectVersion:
        return self.pick(ObjectVersion.query.order_by(ObjectVersion.created, ObjectVersion.version_id), number)

    def upload(self, number: int) -> MultipartObject | None:
        return self.pick(MultipartObject.query.order_by(MultipartObject.created), number)

    def end(self, commit: bool) -> None:
        (self.db.session.commit if commit else self.db.session.rollback)()

    @precondition(lambda self: Bucket.query.count() < 4)
    @rule(quota=st.none() | st.integers(0, 30), commit=COMMIT)
    def add_bucket(self, quota: int | None, commit: bool) -> None:
        Bucket.create(quota_size=quota)
        self.end(commit)

    @rule(number=NUMBER, key=KEYS, data=DATA, commit=COMMIT)
    def create(self, number: int, key: str, data: bytes, commit: bool) -> None:
        bucket = self.bucket(number)
        left = bucket.quota_left
        try:
            version = ObjectVersion.create(bucket, key, stream=BytesIO(data))
        except FileSizeError:
            assert left is not None
            assert len(data) > left
        else:
            assert left is None or len(data) <= left
            assert ObjectVersion.get(bucket, key) == version
        self.end(commit)

    @rule(number=NUMBER, key=KEYS, commit=COMMIT)
    def delete(self, number: int, key: str, commit: bool) -> None:
        bucket = self.bucket(number)
        ObjectVersion.delete(bucket, key)
        assert ObjectVersion.get(bucket, key) is None
        self.end(commit)

    @precondition(lambda self: ObjectVersion.query.count())
    @rule(number=NUMBER, commit=COMMIT)
    def restore(self, number: int, commit: bool) -> None:
        version = self.version(number)
        try:
            version.restore()
        except InvalidOperationError:
            assert version.is_head or version.deleted
        self.end(commit)

    @precondition(lambda self: ObjectVersion.query.filter(ObjectVersion.file_id.isnot(None)).count())
    @rule(number=NUMBER, other=NUMBER, key=KEYS, commit=COMMIT)
    def copy(self, number: int, other: int, key: str, commit: bool) -> None:
        versions = ObjectVersion.query.filter(ObjectVersion.file_id.isnot(None)).order_by(ObjectVersion.version_id)
        copy = self.pick(versions, number).copy(bucket=self.bucket(other), key=key)
        assert ObjectVersion.get(copy.bucket_id, key) == copy
        self.end(commit)

    @precondition(lambda self: ObjectVersion.query.count())
    @rule(number=NUMBER, commit=COMMIT)
    def remove(self, number: int, commit: bool) -> None:
        self.version(number).remove()
        self.end(commit)

    @precondition(lambda self: Bucket.query.count() < 4)
    @rule(number=NUMBER, commit=COMMIT)
    def snapshot(self, number: int, commit: bool) -> None:
        self.bucket(number).snapshot()
        self.end(commit)

    @precondition(lambda self: Bucket.query.count() > 1)
    @rule(number=NUMBER)
    def remove_bucket(self, number: int) -> None:
        self.bucket(number).remove()
        self.end(commit=True)

    @rule(number=NUMBER, other=NUMBER, extras=st.booleans(), commit=COMMIT)
    def sync(self, number: int, other: int, extras: bool, commit: bool) -> None:
        source, destination = self.bucket(number), self.bucket(other)
        source.sync(destination, delete_extras=extras)
        for head in ObjectVersion.get_by_bucket(source):
            assert ObjectVersion.get(destination, head.key).file_id == head.file_id
        if extras:
            keys = {head.key for head in ObjectVersion.get_by_bucket(source)}
            assert {head.key for head in ObjectVersion.get_by_bucket(destination)} == keys
        self.end(commit)

    @rule(number=NUMBER, other=NUMBER, commit=COMMIT)
    def copy_from(self, number: int, other: int, commit: bool) -> None:
        source, destination = self.bucket(number), self.bucket(other)
        ObjectVersion.copy_from(source.id, destination.id)
        for head in ObjectVersion.get_by_bucket(source):
            assert ObjectVersion.get(destination, head.key).file_id == head.file_id
        self.end(commit)

    @precondition(lambda self: ObjectVersion.query.filter(ObjectVersion.file_id.isnot(None)).count())
    @rule(number=NUMBER, other=NUMBER, key=KEYS, moves=st.booleans())
    def copy_or_move(self, number: int, other: int, key: str, moves: bool) -> None:
        versions = ObjectVersion.query.filter(ObjectVersion.file_id.isnot(None)).order_by(ObjectVersion.version_id)
        source, target = self.pick(versions, number), self.bucket(other)
        moves = moves and source.is_head
        is_target = source.is_head and (source.bucket_id, source.key) == (target.id, key)
        bucket_id, old_key, file_id, size = source.bucket_id, source.key, source.file_id, source.file.size
        left = target.quota_left
        try:
            new = (move_object if moves else copy_object)(source, target, key)
        except FileSizeError:
            assert left is not None
            assert size > left
        except InvalidOperationError:
            assert is_target
        else:
            assert not is_target
            assert ObjectVersion.get(target, key) == new
            assert new.file_id == file_id
            assert not moves or ObjectVersion.get(bucket_id, old_key) is None

    @precondition(lambda self: Bucket.query.count() < 4)
    @rule(number=NUMBER, lock=st.booleans())
    def snapshot_over_rest(self, number: int, lock: bool) -> None:
        source = self.bucket(number)
        copy = snapshot_bucket(source.id, lock, lambda bucket: None)
        assert copy.locked is lock
        assert {one.file_id for one in ObjectVersion.get_by_bucket(copy)} == {
            one.file_id for one in ObjectVersion.get_by_bucket(source)
        }
        change_bucket(copy.id, locked=False)

    @rule(number=NUMBER, other=NUMBER, extras=st.booleans())
    def sync_over_rest(self, number: int, other: int, extras: bool) -> None:
        source, destination = self.bucket(number), self.bucket(other)
        left = destination.quota_left
        try:
            sync_bucket(source.id, destination.id, extras)
        except FileSizeError:
            assert left is not None
            return
        for head in ObjectVersion.get_by_bucket(source):
            assert ObjectVersion.get(destination, head.key).file_id == head.file_id

    @rule(number=NUMBER, key=KEYS, size=st.integers(1, 6), commit=COMMIT)
    def begin(self, number: int, key: str, size: int, commit: bool) -> None:
        bucket = self.bucket(number)
        left = bucket.quota_left
        try:
            MultipartObject.create(bucket, key, size, 2)
        except FileSizeError:
            assert left is not None
            assert size > left
        self.end(commit)

    @precondition(lambda self: MultipartObject.query.count())
    @rule(number=NUMBER, parts=st.integers(0, 3), commit=COMMIT)
    def fill_and_merge(self, number: int, parts: int, commit: bool) -> None:
        upload = self.upload(number)
        for part in range(min(parts, upload.last_part_number + 1)):
            data = b"xy"[: upload.expected_part_size(part)]
            (Part.get_or_none(upload, part) or Part.create(upload, part, stream=BytesIO(data))).set_contents(
                BytesIO(data)
            )
        # The bytes of a part are written whether its row is committed or not.
        self.end(commit)
        try:
            upload.complete().merge_parts()
        except MultipartMissingParts:
            self.end(commit=False)
        else:
            self.end(commit=True)

    @precondition(lambda self: MultipartObject.query.count())
    @rule(number=NUMBER, commit=COMMIT)
    def abort(self, number: int, commit: bool) -> None:
        self.upload(number).delete()
        self.end(commit)

    def free_upload(self, number: int) -> Upload | None:
        return self.pick(Upload.query.filter_by(status="open").order_by(Upload.created), number)

    @precondition(lambda self: Upload.query.count() < 4)
    @rule(number=NUMBER, key=KEYS, plan=st.sampled_from([PARTS, APPENDED]), length=st.none() | st.integers(0, 8))
    def begin_upload(self, number: int, key: str, plan: Any, length: int | None) -> None:
        bucket = self.bucket(number)
        left = bucket.quota_left
        try:
            plan.begin(bucket, key, length, protocol="test")
        except FileSizeError:
            assert left is not None
            assert length is not None
            assert length > left

    @precondition(lambda self: Upload.query.filter_by(status="open").count())
    @rule(number=NUMBER, part=st.integers(1, 3), data=DATA, known=st.booleans(), breaks=st.booleans())
    def write_upload(self, number: int, part: int, data: bytes, known: bool, breaks: bool) -> None:
        upload = self.free_upload(number)
        assert upload is not None
        upload_id, plan = upload.id, PLANS[upload.plan]
        place = part if plan is PARTS else APPENDED.offset(upload_id).offset
        stream: Any = Breaking(data, "raises") if breaks else BytesIO(data)
        with suppress(FileSizeError, UploadLengthMismatch, ConnectionResetError):
            plan.write(upload_id, place, stream, size=len(data) + breaks if known else None)

    @precondition(lambda self: Upload.query.filter_by(status="open").count())
    @rule(number=NUMBER)
    def complete_upload(self, number: int) -> None:
        upload = self.free_upload(number)
        assert upload is not None
        with suppress(UploadIncomplete, UploadLengthMismatch):
            PLANS[upload.plan].complete(upload.id)

    @precondition(lambda self: Upload.query.count())
    @rule(number=NUMBER)
    def abort_upload(self, number: int) -> None:
        upload = self.pick(Upload.query.order_by(Upload.created), number)
        PLANS[upload.plan].abort(upload.id)

    @invariant()
    def heads_sizes_and_bytes(self) -> None:
        check_invariants(self.db)


@pytest.mark.timeout(180)
def test_any_sequence_of_operations_keeps_heads_sizes_and_bytes(
    app: Flask, db: Any, database: str, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    machine = type("State", (State,), {"app": app, "db": db, "location": location})
    examples = 25 if database == "sqlite" else 6
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            # Shrinking takes minutes over a database; the steps that fail are printed as they are.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def at_once(app: Flask, db: Any, *works: Callable[[], Any]) -> list[Any]:
    """Run functions in threads that start together, each in a context and session of its own.

    :returns: What each returned.
    """
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        with app.app_context():
            try:
                barrier.wait(10)
                results[number] = work()
            except BaseException as error:
                results[number] = error
            finally:
                db.session.remove()

    db.session.commit()
    threads = [threading.Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.fixture
def bucket_id(bucket: Bucket) -> Any:
    """Return the bucket's identifier, which threads may share."""
    return bucket.id


def repeat(times: int, work: Callable[[int], Any]) -> Callable[[], list[Any]]:
    return lambda: [work(number) for number in range(times)]


def test_eight_writers_of_one_key_leave_one_head_and_the_exact_size(app: Flask, db: Any, bucket_id: Any) -> None:
    def write(number: int) -> None:
        ObjectVersion.create(bucket_id, "key", stream=BytesIO(b"hello"))
        db.session.commit()

    at_once(app, db, *[repeat(20, write)] * 8)
    versions = select(func.count()).select_from(ObjectVersion)
    assert db.session.scalar(versions) == 160
    assert db.session.scalar(versions.where(ObjectVersion.is_head)) == 1
    assert Bucket.get(bucket_id).size == 800
    check_invariants(db)


def test_many_writers_fill_a_quota_and_not_a_byte_more(app: Flask, db: Any, bucket_id: Any) -> None:
    db.session.execute(update(Bucket).values(quota_size=303))

    def write(number: int) -> bool:
        try:
            ObjectVersion.create(bucket_id, f"key {number}", stream=BytesIO(b"hello"))
        except FileSizeError:
            db.session.rollback()
            return False
        db.session.commit()
        return True

    written = at_once(app, db, *[repeat(10, write)] * 8)
    assert sum(map(sum, written)) == 60
    assert Bucket.get(bucket_id).size == 300
    check_invariants(db)


def test_uploads_in_parts_and_at_once_share_a_quota(
    app: Flask, db: Any, bucket_id: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    db.session.execute(update(Bucket).values(quota_size=100))

    def tried(create: Callable[[], Any]) -> bool:
        try:
            create()
        except FileSizeError:
            db.session.rollback()
            return False
        db.session.commit()
        return True

    at_once(
        app,
        db,
        *[repeat(10, lambda n: tried(lambda: MultipartObject.create(bucket_id, "key", 4, 2)))] * 3,
        *[repeat(10, lambda n: tried(lambda: ObjectVersion.create(bucket_id, "key", stream=BytesIO(b"four"))))] * 3,
    )
    assert Bucket.get(bucket_id).size == 100
    check_invariants(db)


def test_a_version_removed_by_two_at_once_is_subtracted_once(app: Flask, db: Any, bucket_id: Any) -> None:
    for _ in range(10):
        ObjectVersion.create(bucket_id, "key", stream=BytesIO(b"kept"))
        version_id = ObjectVersion.create(bucket_id, "key", stream=BytesIO(b"hello")).version_id
        together = threading.Barrier(2)

        def remove(version_id: Any = version_id, together: threading.Barrier = together) -> None:
            version = db.session.get(ObjectVersion, version_id)
            together.wait(10)
            version.remove()
            db.session.commit()

        at_once(app, db, remove, remove)
    assert Bucket.get(bucket_id).size == 40
    check_invariants(db)


def test_an_upload_aborted_by_two_at_once_is_subtracted_once(
    app: Flask, db: Any, bucket_id: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    for _ in range(10):
        upload_id = MultipartObject.create(bucket_id, "key", 5, 2).upload_id
        together = threading.Barrier(2)

        def abort(upload_id: Any = upload_id, together: threading.Barrier = together) -> None:
            upload = db.session.get(MultipartObject, upload_id)
            together.wait(10)
            upload.delete()
            db.session.commit()

        at_once(app, db, abort, abort)
    assert Bucket.get(bucket_id).size == 0
    check_invariants(db)


def test_two_buckets_synced_both_ways_at_once_wait_for_each_other(app: Flask, db: Any, bucket_id: Any) -> None:
    other_id = Bucket.create().id
    for number in range(5):
        ObjectVersion.create(bucket_id, f"one {number}", stream=BytesIO(b"1"))
        ObjectVersion.create(other_id, f"other {number}", stream=BytesIO(b"2"))

    def sync(source: Any, destination: Any) -> Callable[[int], None]:
        def work(number: int) -> None:
            ObjectVersion.create(source, f"new {number}", stream=BytesIO(b"3"))
            db.session.commit()
            Bucket.get(source).sync(Bucket.get(destination))
            db.session.commit()

        return work

    at_once(app, db, repeat(10, sync(bucket_id, other_id)), repeat(10, sync(other_id, bucket_id)))
    check_invariants(db)
    Bucket.get(bucket_id).sync(Bucket.get(other_id))
    db.session.commit()
    heads = [
        {head.key: head.file_id for head in ObjectVersion.get_by_bucket(bucket)} for bucket in (bucket_id, other_id)
    ]
    assert len(heads[0]) == 20
    assert heads[0] == heads[1]


def test_writers_snapshots_and_copies_do_not_disturb_each_other(app: Flask, db: Any, bucket_id: Any) -> None:
    target_id = Bucket.create().id
    for number in range(5):
        ObjectVersion.create(bucket_id, f"key {number}", stream=BytesIO(b"1"))

    def committed(work: Callable[[int], Any]) -> Callable[[], list[Any]]:
        def run(number: int) -> None:
            work(number)
            db.session.commit()

        return repeat(8, run)

    at_once(
        app,
        db,
        committed(lambda n: ObjectVersion.create(bucket_id, f"key {n % 5}", stream=BytesIO(b"22"))),
        committed(lambda n: ObjectVersion.delete(bucket_id, f"key {n % 5}")),
        committed(lambda n: Bucket.get(bucket_id).snapshot()),
        committed(lambda n: ObjectVersion.copy_from(bucket_id, target_id)),
        committed(lambda n: ObjectVersion.copy_from(target_id, bucket_id)),
    )
    check_invariants(db)


def test_an_object_that_is_moved_about_is_seen_once_at_any_moment(app: Flask, db: Any, bucket_id: Any) -> None:
    places = [(bucket_id, "a"), (Bucket.create().id, "b"), (bucket_id, "c")]
    ObjectVersion.create(bucket_id, "a", stream=BytesIO(b"hello"))
    db.session.commit()
    visible = (
        select(func.count()).select_from(ObjectVersion).where(ObjectVersion.is_head, ObjectVersion.file_id.isnot(None))
    )
    moving = threading.Event()

    def move(number: int) -> bool:
        for place in places:
            if (source := ObjectVersion.get(*place)) is not None:
                target, key = places[(places.index(place) + 1 + number % 2) % 3]
                with suppress(ObjectReplacedError):
                    move_object(source, Bucket.get(target), key)
                    return True
        return False

    def moved() -> int:
        done = 0
        while done < 10:
            done += move(done)
        moving.set()
        return done

    def look() -> set[int]:
        seen = set()
        while not moving.is_set():
            seen.add(db.session.scalar(visible))
            db.session.rollback()
        return seen

    assert at_once(app, db, moved, moved, moved, look)[-1] == {1}
    # A first version, and one for each move.
    assert ObjectVersion.query.filter(ObjectVersion.file_id.isnot(None)).count() == 31
    assert FileInstance.query.count() == 1
    check_invariants(db)


def test_copies_moves_and_writers_in_both_directions_do_not_disturb_each_other(
    app: Flask, db: Any, bucket_id: Any
) -> None:
    other_id = Bucket.create().id
    for owner in (bucket_id, other_id):
        ObjectVersion.create(owner, "key", stream=BytesIO(b"first"))

    def to(work: Callable[..., Any], source_id: Any, target_id: Any) -> Callable[[], list[Any]]:
        def run(number: int) -> None:
            source = ObjectVersion.get(source_id, "key")
            if source is not None:
                with suppress(ObjectReplacedError):
                    work(source, Bucket.get(target_id), "key")
            db.session.commit()

        return repeat(8, run)

    def write(number: int) -> None:
        store_object(Bucket.get(bucket_id), "key", BytesIO(b"hello"))

    at_once(
        app,
        db,
        *(
            to(work, *ends)
            for work in (copy_object, move_object)
            for ends in ((bucket_id, other_id), (other_id, bucket_id))
        ),
        repeat(8, write),
        repeat(8, lambda number: sync_bucket(bucket_id, other_id, True)),
    )
    check_invariants(db)


def test_copies_fill_a_quota_and_not_a_byte_more(app: Flask, db: Any, bucket_id: Any) -> None:
    target_id = Bucket.create(quota_size=53).id
    ObjectVersion.create(bucket_id, "key", stream=BytesIO(b"hello"))

    def copied(number: int) -> bool:
        try:
            copy_object(ObjectVersion.get(bucket_id, "key"), Bucket.get(target_id), f"key {number}")
        except FileSizeError:
            return False
        return True

    assert sum(map(sum, at_once(app, db, *[repeat(5, copied)] * 4))) == 10
    assert Bucket.get(target_id).size == 50
    check_invariants(db)
