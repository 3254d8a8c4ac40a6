"""*Appended*: a run that grows in requests that may break, whose length may be declared late."""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from helpers.faults import factory_of, refusing
from helpers.uploading import Breaking, Transferred, age, bucket_size, files_in, folders_in, note_signals
from helpers.waiting import SECONDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invenio_db import db

from invenio_files_rest.checksums import new_digest
from invenio_files_rest.errors import (
    BucketLockedError,
    DigestMismatchError,
    FileSizeError,
    InvalidKeyError,
    LocationAwayError,
    PreconditionFailed,
    StorageFullError,
)
from invenio_files_rest.models import Bucket, ObjectVersion, Upload, UploadExtent
from invenio_files_rest.services.transactions import release_connection
from invenio_files_rest.services.uploads.digests import running
from invenio_files_rest.services.uploads.errors import (
    TooManyUploads,
    UploadClosed,
    UploadGone,
    UploadIncomplete,
    UploadLengthMismatch,
    UploadOffsetMismatch,
    UploadsUnsupported,
)
from invenio_files_rest.services.uploads.plans import APPENDED
from invenio_files_rest.services.uploads.recent import KEPT
from invenio_files_rest.services.uploads.runs import declare_length
from invenio_files_rest.storage import VerifiedStream
from invenio_files_rest.storage.part_files import PartFiles
from invenio_files_rest.storage.uploads import Uploads
from invenio_files_rest.tasks import complete_upload, remove_expired_multipartobjects
from invenio_files_rest.testing.storage import MemoryStorage

CONTENT = b"0123456789"


def begin(bucket: Bucket, length: int | None = None, key: str | None = "key", **about: Any) -> Any:
    return APPENDED.begin(bucket, key, length, protocol="test", **about)


def append(upload: Any, offset: int, data: bytes, **kwargs: Any) -> Any:
    return APPENDED.write(upload, offset, BytesIO(data), **{"size": len(data), **kwargs})


def content(version: Any) -> bytes:
    return Path(db.session.get(ObjectVersion, version).file.uri).read_bytes()


def row(upload: Any) -> Upload:
    db.session.rollback()
    found = Upload.get(upload)
    assert found is not None
    return found


def test_a_run_in_several_requests_becomes_a_version(bucket: Bucket) -> None:
    upload = begin(bucket, 10, tags={"one": "1"})
    assert append(upload, 0, CONTENT[:4])[:4] == (4, 10, False, None)
    assert append(upload, 4, CONTENT[4:])[:4] == (10, 10, False, None)
    with note_signals() as seen:
        version = APPENDED.complete(upload)
        assert APPENDED.complete(upload) == version
    found = db.session.get(ObjectVersion, version)
    assert [obj.version_id for obj in seen] == [version]
    assert (found.key, found.is_head, found.file.size, found.get_tags()) == ("key", True, 10, {"one": "1"})
    assert found.file.checksum == f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert (found.file.readable, found.file.writable) == (True, False)
    assert content(version) == CONTENT
    assert files_in(bucket) == ["data"]
    assert bucket_size(bucket) == 10


def test_an_upload_is_no_object_and_no_file_before_its_end(bucket: Bucket) -> None:
    upload = begin(bucket, 10)
    append(upload, 0, CONTENT)
    assert ObjectVersion.query.count() == 0
    assert "data" not in files_in(bucket)
    assert bucket_size(bucket) == 10


def test_bytes_go_on_where_those_that_are_there_end(bucket: Bucket) -> None:
    upload = begin(bucket)
    append(upload, 0, CONTENT[:4])
    for offset in (0, 3, 5):
        with pytest.raises(UploadOffsetMismatch) as error:
            append(upload, offset, b"x")
        assert error.value.offset == 4
    assert APPENDED.offset(upload)[:4] == (4, None, False, None)
    append(upload, 4, CONTENT[4:])
    assert content(APPENDED.complete(upload)) == CONTENT


def test_no_connection_is_held_while_bytes_come(bucket: Bucket) -> None:
    release_connection()
    idle = db.engine.pool.checkedout()
    seen: list[int] = []

    class Watching(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            # The thread that looks after leases has one for a moment.
            deadline = time.monotonic() + SECONDS
            while db.engine.pool.checkedout() > idle and time.monotonic() < deadline:
                time.sleep(0.01)
            seen.append(db.engine.pool.checkedout())
            return super().read(size)

    upload = begin(bucket)
    APPENDED.write(upload, 0, Watching(CONTENT), size=10)
    APPENDED.write(upload, 10, Watching(CONTENT))
    assert seen
    assert max(seen) <= idle


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("how", ["raises", "ends"])
def test_what_came_before_the_connection_broke_is_kept(bucket: Bucket, announced: bool, how: str) -> None:
    upload = begin(bucket, 10)
    progress = APPENDED.write(upload, 0, Breaking(CONTENT[:7], how), size=10 if announced else None)
    if how == "ends" and not announced:
        # Nobody can tell that from the end.
        assert progress[:4] == (7, 10, False, None)
    else:
        assert progress[:3] == (7, 10, True)
        assert isinstance(progress.error, ConnectionResetError) is (how == "raises")
    assert APPENDED.offset(upload).offset == 7
    append(upload, 7, CONTENT[7:])
    assert content(APPENDED.complete(upload)) == CONTENT


@pytest.mark.parametrize("how", ["raises", "ends", "wrong"])
def test_a_request_that_has_to_be_whole_counts_as_a_whole_or_not_at_all(bucket: Bucket, how: str) -> None:
    upload = begin(bucket, 10)
    append(upload, 0, CONTENT[:2])
    stream: Any = Breaking(CONTENT[2:7], how)
    failure: Any = {"raises": ConnectionResetError, "ends": UploadIncomplete}.get(how)
    if how == "wrong":
        stream, failure = VerifiedStream(BytesIO(b"x" * 8), {"sha1": b"1" * 20}, 8), DigestMismatchError
    with pytest.raises(failure):
        APPENDED.write(upload, 2, stream, size=8, whole=True)
    assert APPENDED.offset(upload).offset == 2
    APPENDED.write(upload, 2, BytesIO(CONTENT[2:]), size=8, whole=True)
    assert content(APPENDED.complete(upload)) == CONTENT


def test_the_length_is_declared_late(bucket: Bucket) -> None:
    upload = begin(bucket)
    append(upload, 0, CONTENT[:4])
    declare_length(upload, 10)
    declare_length(upload, 10)
    assert APPENDED.offset(upload)[:4] == (4, 10, False, None)
    assert bucket_size(bucket) == 10
    for length in (9, 11):
        with pytest.raises(UploadLengthMismatch):
            declare_length(upload, length)
    with pytest.raises(UploadIncomplete, match="6 bytes"):
        APPENDED.complete(upload)
    append(upload, 4, CONTENT[4:], length=10)
    assert content(APPENDED.complete(upload)) == CONTENT


def test_the_length_is_declared_with_the_last_bytes(bucket: Bucket) -> None:
    upload = begin(bucket)
    append(upload, 0, CONTENT[:4])
    assert append(upload, 4, CONTENT[4:], length=10)[:4] == (10, 10, False, None)
    assert APPENDED.missing(upload) == []


def test_no_length_is_shorter_than_what_is_there(bucket: Bucket) -> None:
    upload = begin(bucket)
    append(upload, 0, CONTENT[:4])
    with pytest.raises(UploadLengthMismatch):
        declare_length(upload, 3)


def test_an_upload_whose_length_nobody_said_is_as_long_as_it_is(bucket: Bucket) -> None:
    upload = begin(bucket)
    append(upload, 0, CONTENT)
    assert APPENDED.missing(upload) == [0]
    assert content(APPENDED.complete(upload)) == CONTENT


@pytest.mark.parametrize("size", [None, 12])
def test_more_bytes_than_the_length_are_refused(bucket: Bucket, size: int | None) -> None:
    upload = begin(bucket, 10)
    append(upload, 0, CONTENT[:4])
    with pytest.raises(UploadLengthMismatch):
        APPENDED.write(upload, 4, BytesIO(CONTENT[4:] + b"more"), size=size)
    # Those that belong to it are none the worse for it.
    assert APPENDED.offset(upload).offset == (10 if size is None else 4)
    assert bucket_size(bucket) == 10


def test_an_empty_upload_becomes_an_empty_file(bucket: Bucket) -> None:
    version = APPENDED.complete(begin(bucket, 0))
    assert content(version) == b""
    assert db.session.get(ObjectVersion, version).file.checksum == f"md5:{hashlib.md5().hexdigest()}"


def test_progress_is_recorded_while_bytes_come(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invenio_files_rest.storage.part_files.SAVE_SECONDS", 0)
    upload, seen = begin(bucket), []
    sent = bytes(range(256)) * 20_000

    class Watching(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            seen.append(db.session.query(UploadExtent.size).scalar())
            db.session.commit()
            return super().read(size)

    assert APPENDED.write(upload, 0, Watching(sent)).offset == len(sent)
    sizes = [size for size in seen if size is not None]
    assert sizes == sorted(sizes)
    assert 0 < sizes[0] < sizes[-1] <= len(sent)
    assert content(APPENDED.complete(upload)) == sent


def test_an_error_of_the_database_meanwhile_does_not_end_the_upload(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invenio_files_rest.storage.part_files.SAVE_SECONDS", 0)
    upload = begin(bucket)

    class Meanwhile(BytesIO):
        """The database is away as long as bytes come."""

        def read(self, size: int | None = -1, /) -> bytes:
            begins, data = not self.tell(), super().read(size)
            if begins:
                stack.enter_context(refusing())
            if not data:
                stack.close()
            return data

    with ExitStack() as stack:
        assert APPENDED.write(upload, 0, Meanwhile(bytes(2_000_000)), size=2_000_000).offset == 2_000_000
    assert APPENDED.offset(upload).offset == 2_000_000


# Quota


def test_a_length_over_the_quota_is_refused_at_the_beginning(bucket: Bucket) -> None:
    bucket.quota_size = 9
    with pytest.raises(FileSizeError, match="quota"):
        begin(bucket, 10)
    assert files_in(bucket) == []
    assert folders_in(bucket) == []
    upload = begin(bucket)
    with pytest.raises(FileSizeError, match="quota"):
        declare_length(upload, 10)
    assert bucket_size(bucket) == 0


def test_bytes_of_unknown_number_fill_the_quota_exactly(bucket: Bucket) -> None:
    bucket.quota_size = 20
    upload = begin(bucket)
    assert APPENDED.write(upload, 0, BytesIO(CONTENT))[:4] == (10, None, False, None)
    assert bucket_size(bucket) == 10
    assert APPENDED.write(upload, 10, BytesIO(CONTENT))[:4] == (20, None, False, None)
    with pytest.raises(FileSizeError, match="quota"):
        APPENDED.write(upload, 20, BytesIO(b"x"))
    assert APPENDED.write(upload, 20, BytesIO(b""))[:4] == (20, None, False, None)
    assert bucket_size(bucket) == 20
    assert content(APPENDED.complete(upload)) == CONTENT * 2
    assert bucket_size(bucket) == 20


def test_what_fits_into_the_quota_is_kept_of_bytes_that_do_not(bucket: Bucket) -> None:
    bucket.quota_size = 7
    upload = begin(bucket)
    with pytest.raises(FileSizeError, match="quota"):
        APPENDED.write(upload, 0, BytesIO(CONTENT))
    assert APPENDED.offset(upload).offset == 7
    assert bucket_size(bucket) == 7
    with pytest.raises(FileSizeError, match="quota"):
        append(upload, 7, CONTENT)
    bucket.quota_size = 10
    db.session.commit()
    append(upload, 7, CONTENT[7:])
    assert content(APPENDED.complete(upload)) == CONTENT


def test_the_largest_size_of_a_file_holds_for_all_requests_together(bucket: Bucket) -> None:
    bucket.max_file_size = 15
    upload = begin(bucket)
    APPENDED.write(upload, 0, BytesIO(CONTENT))
    for size in (None, 10):
        with pytest.raises(FileSizeError, match="Maximum"):
            APPENDED.write(upload, APPENDED.offset(upload).offset, BytesIO(CONTENT), size=size)
    assert bucket_size(bucket) == 15


def test_claims_grow_with_the_bytes_and_go_back_at_the_end(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invenio_files_rest.services.uploads.sources.FIRST_CLAIM", 100)
    monkeypatch.setattr("invenio_files_rest.services.uploads.sources.LARGEST_CLAIM", 400)
    seen: list[int] = []
    bucket_id = bucket.id

    class Watching(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            seen.append(db.session.query(Bucket.size).filter_by(id=bucket_id).scalar())
            db.session.commit()
            return super().read(size)

    upload = begin(bucket)
    APPENDED.write(upload, 0, Watching(bytes(1000)))
    assert list(dict.fromkeys(seen)) == [0, 100, 300, 700, 1100]
    assert bucket_size(bucket) == 1000


# Ends


def test_an_aborted_upload_leaves_nothing(bucket: Bucket) -> None:
    upload = begin(bucket, 10)
    append(upload, 0, CONTENT[:4])
    APPENDED.abort(upload)
    assert (files_in(bucket), folders_in(bucket), bucket_size(bucket)) == ([], [], 0)
    assert UploadExtent.query.count() == 0
    for call in (APPENDED.abort, APPENDED.offset, APPENDED.complete, lambda upload: append(upload, 4, b"4")):
        with pytest.raises(UploadGone):
            call(upload)


def test_what_became_of_an_upload_stays_when_that_is_aborted_later(bucket: Bucket) -> None:
    upload = begin(bucket)
    append(upload, 0, CONTENT)
    version = APPENDED.complete(upload)
    APPENDED.abort(upload)
    assert content(version) == CONTENT
    # As a task that is delivered late.
    assert complete_upload(str(upload)) == str(version)
    assert bucket_size(bucket) == 10


def test_an_upload_that_is_done_takes_no_more(bucket: Bucket) -> None:
    upload = begin(bucket)
    append(upload, 0, CONTENT)
    APPENDED.complete(upload)
    with pytest.raises(UploadClosed):
        append(upload, 10, b"x")
    with pytest.raises(UploadClosed):
        declare_length(upload, 11)


def test_an_expired_upload_takes_no_more(bucket: Bucket) -> None:
    upload = begin(bucket)
    append(upload, 0, CONTENT[:4])
    age(upload)
    for call in (APPENDED.offset, APPENDED.complete, lambda upload: append(upload, 4, b"4")):
        with pytest.raises(UploadGone):
            call(upload)


def test_whoever_goes_on_puts_off_the_expiry(bucket: Bucket) -> None:
    upload = begin(bucket)
    age(upload, days=-1)
    before = row(upload).expires
    append(upload, 0, CONTENT)
    assert row(upload).expires > before


@pytest.mark.parametrize(
    ("conditions", "before", "after", "holds"),
    [
        ({"If-None-Match": "*"}, None, b"after!", False),
        ({"If-None-Match": "*"}, None, None, True),
        ({"If-Match": "*"}, b"before", None, True),
        ({"If-Match": f'"md5:{hashlib.md5(b"before").hexdigest()}"'}, b"before", b"after!", False),
        ({"If-Match": f'"md5:{hashlib.md5(b"before").hexdigest()}"'}, b"before", b"before", True),
        ({"If-Unmodified-Since": "Wed, 01 Jan 2020 00:00:00 GMT"}, None, b"after!", False),
        ({}, None, b"after!", True),
    ],
)
def test_conditions_are_judged_when_the_upload_ends(
    bucket: Bucket, conditions: dict[str, str], before: bytes | None, after: bytes | None, holds: bool
) -> None:
    def store(data: bytes | None) -> None:
        if data is not None:
            ObjectVersion.create(bucket, "key", stream=BytesIO(data))
            db.session.commit()

    store(before)
    upload = begin(bucket, 10, conditions=conditions)
    append(upload, 0, CONTENT)
    store(after)
    size = bucket_size(bucket)
    if holds:
        assert content(APPENDED.complete(upload)) == CONTENT
        return
    with pytest.raises(PreconditionFailed):
        APPENDED.complete(upload)
    found = row(upload)
    assert (found.status, found.reason) == ("failed", PreconditionFailed.description)
    with pytest.raises(UploadClosed, match="precondition"):
        append(upload, 10, b"x")
    assert ".incoming-whole" not in files_in(bucket)
    assert bucket_size(bucket) == size - 10


def test_an_upload_whose_conditions_do_not_hold_is_not_begun(bucket: Bucket) -> None:
    with pytest.raises(PreconditionFailed):
        begin(bucket, 10, conditions={"If-Match": "*"})
    assert folders_in(bucket) == []


def test_an_upload_to_a_location_that_is_away_waits_for_it(bucket: Bucket) -> None:
    upload = begin(bucket, 10)
    append(upload, 0, CONTENT[:4])
    ObjectVersion.create(bucket, "other", stream=BytesIO(b"kept"))
    db.session.commit()
    folder = Path(bucket.location.uri)
    away = folder.rename(folder.with_name("away"))
    for call in (
        lambda: begin(bucket, 10),
        lambda: append(upload, 4, CONTENT[4:]),
        lambda: APPENDED.offset(upload, take_over=True) and append(upload, 4, b"4"),
    ):
        with pytest.raises(LocationAwayError):
            call()
    away.rename(folder)
    append(upload, 4, CONTENT[4:])
    away = folder.rename(folder.with_name("away"))
    with pytest.raises(LocationAwayError):
        APPENDED.complete(upload)
    away.rename(folder)
    assert content(APPENDED.complete(upload)) == CONTENT


def test_conditions_are_judged_again_when_the_version_is_recorded(
    app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(bucket, 10, conditions={"If-None-Match": "*"})
    append(upload, 0, CONTENT)
    bucket_id = bucket.id

    def meanwhile(finish: Any, *args: Any, **kwargs: Any) -> Any:
        ObjectVersion.create(bucket_id, "key", stream=BytesIO(b"faster"))
        db.session.commit()
        return finish(*args, **kwargs)

    factory = factory_of(Uploads, "finish", meanwhile)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    with note_signals() as seen, pytest.raises(PreconditionFailed):
        APPENDED.complete(upload)
    assert seen == []
    assert row(upload).status == "failed"
    assert ObjectVersion.get(bucket_id, "key").file.size == 6
    assert files_in(bucket) == ["data"]
    assert bucket_size(bucket) == 6


@pytest.mark.parametrize("unlocked", [True, False])
def test_an_upload_to_a_bucket_that_was_locked_meanwhile_waits_until_it_expires(
    bucket: Bucket, unlocked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(bucket, 10)
    append(upload, 0, CONTENT)
    bucket.locked = True
    db.session.commit()
    with pytest.raises(BucketLockedError):
        APPENDED.abort(upload)
    for _ in range(2):
        with pytest.raises(BucketLockedError, match="kept"):
            APPENDED.complete(upload)
    assert row(upload).status == "completing"
    assert bucket_size(bucket) == 10
    bucket.locked = not unlocked
    db.session.commit()
    # Whoever unlocks the bucket after that time does not lose it, either. It has been hashed.
    age(upload)
    monkeypatch.setattr(PartFiles, "_read_again", None)
    assert remove_expired_multipartobjects() == (0 if unlocked else 1)
    if unlocked:
        head = ObjectVersion.get(bucket, "key")
        assert head is not None
        assert content(head.version_id) == CONTENT
        assert row(upload).reason is None
    else:
        assert Upload.query.count() == 0
        assert (files_in(bucket), bucket_size(bucket)) == ([], 0)


def test_an_upload_that_is_aborted_while_it_is_completed_becomes_nothing(
    app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(bucket, 10)
    append(upload, 0, CONTENT)

    def meanwhile(finish: Any, *args: Any, **kwargs: Any) -> Any:
        stored = finish(*args, **kwargs)
        APPENDED.abort(upload)
        return stored

    factory = factory_of(Uploads, "finish", meanwhile)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    with pytest.raises(UploadGone):
        APPENDED.complete(upload)
    assert (files_in(bucket), folders_in(bucket), bucket_size(bucket)) == ([], [], 0)
    assert ObjectVersion.query.count() == 0


# Beginnings


def test_a_bucket_has_so_many_open_uploads_and_not_more(
    app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_UPLOADS_MAX_OPEN", 2)
    first, _ = begin(bucket), begin(bucket)
    with pytest.raises(TooManyUploads):
        begin(bucket, 10)
    assert bucket_size(bucket) == 0
    assert len(files_in(bucket)) == 2
    append(first, 0, CONTENT)
    APPENDED.complete(first)
    begin(bucket)


def test_a_key_that_cannot_be_is_refused_before_anything_is_made(bucket: Bucket) -> None:
    with pytest.raises(InvalidKeyError):
        begin(bucket, key="x" * 256)
    assert folders_in(bucket) == []


def test_a_locked_bucket_takes_no_upload(bucket: Bucket) -> None:
    bucket.locked = True
    with pytest.raises(BucketLockedError):
        begin(bucket)
    assert folders_in(bucket) == []


def test_a_storage_without_the_capability_takes_none(
    app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = app.extensions["invenio-files-rest"]
    for factory in (lambda **kwargs: MemoryStorage(), lambda **kwargs: object()):
        monkeypatch.setattr(state, "storage_factory", factory)
        with pytest.raises(UploadsUnsupported):
            begin(bucket)
    assert bucket_size(bucket) == 0


# Digests


LONG = bytes(range(256)) * 32768
"""More than all else that is read meanwhile."""


def test_a_run_that_one_process_has_taken_is_not_read_again(bucket: Bucket) -> None:
    third = len(LONG) // 3
    upload = begin(bucket)
    append(upload, 0, LONG[:third])
    APPENDED.write(upload, third, Breaking(LONG[third : 2 * third], "raises"), size=len(LONG) - third)
    append(upload, 2 * third, LONG[2 * third :])
    with Transferred() as transferred:
        version = APPENDED.complete(upload)
    assert transferred.read < len(LONG) // 2
    assert db.session.get(ObjectVersion, version).file.checksum == f"md5:{hashlib.md5(LONG).hexdigest()}"


def test_a_run_whose_beginning_this_process_knows_no_more_is_read_once(bucket: Bucket) -> None:
    """As one whose beginning another process has taken."""
    upload = begin(bucket)
    append(upload, 0, LONG[:1000])
    for _ in range(KEPT):
        running.put(uuid4(), 1, "md5", new_digest("md5"))
    append(upload, 1000, LONG[1000:])
    with Transferred() as transferred:
        version = APPENDED.complete(upload)
    assert len(LONG) <= transferred.read < 1.5 * len(LONG)
    assert db.session.get(ObjectVersion, version).file.checksum == f"md5:{hashlib.md5(LONG).hexdigest()}"


def test_files_are_hashed_with_the_algorithm_of_the_settings(
    app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_CHECKSUM_ALGORITHM", "sha256")
    upload = begin(bucket)
    append(upload, 0, CONTENT)
    version = APPENDED.complete(upload)
    assert db.session.get(ObjectVersion, version).file.checksum == f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def test_a_full_disk_leaves_what_was_acknowledged(bucket: Bucket, small_disk: Path) -> None:
    bucket.location.uri = str(small_disk)
    db.session.commit()
    upload = begin(bucket)
    append(upload, 0, CONTENT[:4])
    filler, rest = small_disk / "filler", bytes(1024**2)
    with suppress(OSError):
        filler.write_bytes(bytes(9 * 1024**2))
    with pytest.raises(StorageFullError):
        append(upload, 4, rest)
    filler.unlink()
    offset = APPENDED.offset(upload).offset
    assert offset >= 4
    assert bucket_size(bucket) == offset
    append(upload, offset, rest[offset - 4 :])
    assert content(APPENDED.complete(upload)) == CONTENT[:4] + rest


@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_run_that_is_cut_anywhere_is_what_was_sent(bucket: Bucket, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 300_000), "size")
    sent = bytes(range(256)) * (size // 256 + 1)
    sent = sent[:size]
    late = data.draw(st.booleans(), "late")
    before = bucket_size(bucket)
    upload = begin(bucket, None if late else size)
    offset = 0
    for _ in range(6):
        cut = data.draw(st.integers(offset, size), "cut")
        how = data.draw(st.sampled_from(["raises", "ends", "whole"]), "how")
        announced = data.draw(st.sampled_from([None, size - offset]), "announced")
        if how == "whole":
            APPENDED.write(upload, offset, BytesIO(sent[offset:cut]), size=cut - offset)
        else:
            APPENDED.write(upload, offset, Breaking(sent[offset:cut], how), size=announced)
        offset = APPENDED.offset(upload, take_over=data.draw(st.booleans())).offset
        assert offset == cut
        assert bucket_size(bucket) - before == (offset if late else size)
    if late:
        declare_length(upload, size)
    APPENDED.write(upload, offset, BytesIO(sent[offset:]))
    version = APPENDED.complete(upload)
    assert content(version) == sent
    assert db.session.get(ObjectVersion, version).file.checksum == f"md5:{hashlib.md5(sent).hexdigest()}"
    assert bucket_size(bucket) - before == size
