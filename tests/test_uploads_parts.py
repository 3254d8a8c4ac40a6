"""*Any parts*: extents with numbers and sizes of their own, in any order."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers.faults import factory_of, losing_a_commit
from helpers.uploading import Breaking, bucket_size, files_in, folders_in, note_signals
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invenio_db import db
from sqlalchemy.exc import OperationalError

from invenio_files_rest.errors import FileSizeError, InvalidOperationError, PreconditionFailed, UnexpectedFileSizeError
from invenio_files_rest.models import Bucket, ObjectVersion, Upload, UploadExtent
from invenio_files_rest.services.uploads.errors import (
    UploadClosed,
    UploadGone,
    UploadIncomplete,
    UploadInvalidPart,
    UploadLengthMismatch,
)
from invenio_files_rest.services.uploads.interface import Extent
from invenio_files_rest.services.uploads.plans import PARTS
from invenio_files_rest.storage.uploads import Uploads


def begin(bucket: Bucket, length: int | None = None, key: str | None = "key", **about: Any) -> Any:
    return PARTS.begin(bucket, key, length, protocol="test", **about)


def put(upload: Any, number: int, data: bytes, **kwargs: Any) -> Extent:
    return PARTS.write(upload, number, BytesIO(data), **{"size": len(data), **kwargs})


def content(version: Any) -> bytes:
    return Path(db.session.get(ObjectVersion, version).file.uri).read_bytes()


def md5(data: bytes) -> dict[str, str]:
    return {"md5": hashlib.md5(data).hexdigest()}


def test_parts_of_any_size_in_any_order_become_a_version(bucket: Bucket) -> None:
    upload = begin(bucket, tags={"one": "1"})
    parts = {3: b"three", 1: b"1", 2: b"", 4: b"and four"}
    for number, data in parts.items():
        assert put(upload, number, data)[2:] == (len(data), md5(data))
    assert [(part.number, part.size) for part in PARTS.extents(upload)] == [(1, 1), (2, 0), (3, 5), (4, 8)]
    assert PARTS.missing(upload) == []
    with note_signals() as seen:
        version = PARTS.complete(upload)
        assert PARTS.complete(upload) == version
    assert [obj.version_id for obj in seen] == [version]
    assert content(version) == b"1threeand four"
    found = db.session.get(ObjectVersion, version)
    assert found.file.checksum == f"md5:{hashlib.md5(b'1threeand four').hexdigest()}"
    assert found.get_tags() == {"one": "1"}
    assert files_in(bucket) == ["data"]
    assert bucket_size(bucket) == 14


def test_numbers_may_have_gaps(bucket: Bucket) -> None:
    upload = begin(bucket)
    for number in (10000, 7, 500):
        put(upload, number, str(number).encode())
    assert content(PARTS.complete(upload)) == b"750010000"


@pytest.mark.parametrize("number", [0, -1, 10001])
def test_numbers_out_of_bounds_are_refused(bucket: Bucket, number: int) -> None:
    upload = begin(bucket)
    with pytest.raises(UploadInvalidPart):
        put(upload, number, b"x")
    assert UploadExtent.query.count() == 0
    assert bucket_size(bucket) == 0


def test_equal_parts_land_where_they_belong(bucket: Bucket) -> None:
    upload = begin(bucket)
    assert [put(upload, number, b"0123").offset for number in (2, 1, 4)] == [4, 0, 12]
    assert put(upload, 5, b"45").offset == 16
    assert put(upload, 3, b"longer").offset is None
    assert content(PARTS.complete(upload)) == b"01230123longer012345"


def test_a_part_that_is_sent_again_takes_the_place_of_the_one_before(bucket: Bucket) -> None:
    upload = begin(bucket)
    for data in (b"first", b"second one", b"3"):
        put(upload, 1, data)
        assert bucket_size(bucket) == len(data)
    put(upload, 2, b"end")
    assert sorted(files_in(bucket)) == [".incoming-1-3", ".incoming-whole"]
    assert content(PARTS.complete(upload)) == b"3end"


def test_a_part_that_is_sent_again_as_it_was_stays_where_it_is(bucket: Bucket) -> None:
    upload = begin(bucket)
    put(upload, 1, b"0123")
    before = PARTS.extents(upload)
    assert put(upload, 1, b"0123").size == 4
    assert PARTS.extents(upload) == before
    assert files_in(bucket) == [".incoming-whole"]
    assert bucket_size(bucket) == 4


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("size", [8, None])
@pytest.mark.parametrize("how", ["raises", "ends"])
def test_a_part_that_breaks_leaves_what_was_there(bucket: Bucket, again: bool, size: int | None, how: str) -> None:
    if how == "ends" and size is None:
        pytest.skip("Nobody can tell that from the end.")
    upload = begin(bucket)
    put(upload, 2, b"second")
    if again:
        put(upload, 1, b"first")
    before = bucket_size(bucket)
    with pytest.raises((ConnectionResetError, UnexpectedFileSizeError)):
        PARTS.write(upload, 1, Breaking(b"broken", how), size=size)
    assert [part.number for part in PARTS.extents(upload)] == ([1, 2] if again else [2])
    assert bucket_size(bucket) == before
    assert content(PARTS.complete(upload)) == (b"firstsecond" if again else b"second")


def test_the_client_names_the_parts_that_it_wants(bucket: Bucket) -> None:
    upload = begin(bucket)
    for number in (1, 2, 3):
        put(upload, number, str(number).encode())
    with pytest.raises(UploadIncomplete, match="2 parts are missing: 4, 5") as error:
        PARTS.complete(upload, [1, 4, 5])
    assert error.value.missing == [4, 5]
    for wrong in ([2, 1], [1, 1]):
        with pytest.raises(UploadInvalidPart, match="ascending"):
            PARTS.complete(upload, wrong)
    assert content(PARTS.complete(upload, [1, 3])) == b"13"
    assert files_in(bucket) == ["data"]
    assert bucket_size(bucket) == 2


def test_an_upload_without_parts_becomes_nothing(bucket: Bucket) -> None:
    upload = begin(bucket)
    for numbers in (None, []):
        with pytest.raises(UploadIncomplete):
            PARTS.complete(upload, numbers)
    put(upload, 1, b"")
    assert content(PARTS.complete(upload)) == b""


def test_an_upload_without_a_key_becomes_no_object(bucket: Bucket) -> None:
    upload = begin(bucket, key=None)
    put(upload, 1, b"x")
    with pytest.raises(InvalidOperationError):
        PARTS.complete(upload)


def test_parts_have_not_more_than_the_length_that_was_said(bucket: Bucket) -> None:
    upload = begin(bucket, 10)
    put(upload, 1, b"0123456")
    for size in (4, None):
        with pytest.raises(UploadLengthMismatch):
            put(upload, 2, b"0123", size=size)
    with pytest.raises(UploadLengthMismatch):
        PARTS.complete(upload)
    assert bucket_size(bucket) == 10
    put(upload, 2, b"789", size=None)
    assert content(PARTS.complete(upload)) == b"0123456789"
    assert bucket_size(bucket) == 10


def test_several_digests_of_a_part_are_computed(bucket: Bucket) -> None:
    upload = begin(bucket)
    assert put(upload, 1, b"x", algorithms=("md5", "sha256")).digests == {
        **md5(b"x"),
        "sha256": hashlib.sha256(b"x").hexdigest(),
    }


def test_parts_fill_the_quota_and_not_a_byte_more(bucket: Bucket) -> None:
    bucket.quota_size = 10
    upload = begin(bucket)
    put(upload, 1, b"0123")
    put(upload, 2, b"456789", size=None)
    for size in (None, 1):
        with pytest.raises(FileSizeError, match="quota"):
            put(upload, 3, b"x", size=size)
    assert bucket_size(bucket) == 10
    # Both are on the disk until the new one is there.
    with pytest.raises(FileSizeError, match="quota"):
        put(upload, 1, b"0")
    assert [part.size for part in PARTS.extents(upload)] == [4, 6]
    assert content(PARTS.complete(upload)) == b"0123456789"
    assert bucket_size(bucket) == 10


def test_a_condition_that_does_not_hold_leaves_the_upload_open(bucket: Bucket) -> None:
    upload = begin(bucket, conditions={"If-None-Match": "*"})
    put(upload, 1, b"x")
    version = ObjectVersion.create(bucket, "key", stream=BytesIO(b"before"))
    db.session.commit()
    with pytest.raises(PreconditionFailed):
        PARTS.complete(upload)
    put(upload, 2, b"y")
    db.session.get(ObjectVersion, version.version_id).remove()
    db.session.commit()
    assert content(PARTS.complete(upload)) == b"xy"


def test_a_storage_that_fails_leaves_an_upload_to_be_completed(
    app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(bucket)
    put(upload, 1, b"x")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(5, "The disk has failed.")

    with monkeypatch.context() as patch:
        factory = factory_of(Uploads, "finish", fail)
        patch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
        with pytest.raises(OSError, match="The disk has failed"):
            PARTS.complete(upload)
    assert bucket_size(bucket) == 1
    with pytest.raises(UploadClosed):
        put(upload, 2, b"y")
    assert content(PARTS.complete(upload)) == b"x"


def test_an_aborted_upload_leaves_nothing(bucket: Bucket) -> None:
    upload = begin(bucket)
    for number, data in enumerate([b"0123", b"longer", b"4"], start=1):
        put(upload, number, data)
    PARTS.abort(upload)
    assert (files_in(bucket), folders_in(bucket), bucket_size(bucket)) == ([], [], 0)
    assert (Upload.query.count(), UploadExtent.query.count()) == (0, 0)
    with pytest.raises(UploadGone):
        put(upload, 1, b"x")


@pytest.mark.parametrize("base", ["mem", "temp", "osfs"])
def test_parts_come_to_storages_of_pyfilesystem(bucket: Bucket, base: str, tmp_path: Path) -> None:
    bucket.location.uri = f"osfs://{tmp_path}/osfs" if base == "osfs" else f"{base}://{tmp_path.name}"
    upload = begin(bucket)
    for number in (3, 1, 2):
        put(upload, number, bytes([48 + number]) * number)
    version = db.session.get(ObjectVersion, PARTS.complete(upload))
    with version.file.storage().open() as file:
        assert file.read() == b"122333"


@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_parts_become_what_they_are_together(app: Flask, bucket: Bucket, data: st.DataObject) -> None:
    before = bucket_size(bucket)
    upload = begin(bucket)
    parts: dict[int, bytes] = {}
    for _ in range(data.draw(st.integers(1, 8))):
        number = data.draw(st.integers(1, 6), "number")
        body = bytes([data.draw(st.integers(0, 255))]) * data.draw(st.sampled_from([4, 4, 4, 0, 1, 70_000]))
        if data.draw(st.sampled_from([False, False, False, True]), "breaks"):
            with pytest.raises(ConnectionResetError):
                PARTS.write(upload, number, Breaking(body, "raises"), size=data.draw(st.sampled_from([None, 100_000])))
        else:
            put(upload, number, body, size=data.draw(st.sampled_from([None, len(body)]), "size"))
            parts[number] = body
        assert bucket_size(bucket) - before == sum(map(len, parts.values()))
    if not parts:
        PARTS.abort(upload)
        return
    whole = b"".join(parts[number] for number in sorted(parts))
    version = PARTS.complete(upload)
    assert content(version) == whole
    assert db.session.get(ObjectVersion, version).file.checksum == f"md5:{hashlib.md5(whole).hexdigest()}"
    assert bucket_size(bucket) - before == len(whole)


def test_a_part_without_digests_that_is_sent_anew_is_the_new_one(bucket: Bucket) -> None:
    upload = begin(bucket)
    put(upload, 1, b"old.", algorithms=())
    put(upload, 1, b"new.", algorithms=())
    assert content(PARTS.complete(upload)) == b"new."


def test_a_part_is_counted_though_the_answer_to_its_commit_was_lost(bucket: Bucket) -> None:
    upload = begin(bucket)
    with losing_a_commit(3), pytest.raises(OperationalError):
        put(upload, 1, b"0123")
    assert bucket_size(bucket) == 4
    assert content(PARTS.complete(upload)) == b"0123"
