"""Concatenation: an upload is made of others, whose bytes are claimed once, whoever is killed meanwhile."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers.faults import factory_of, refusing
from helpers.uploading import age, bucket_size, files_in
from invenio_db import db
from sqlalchemy.exc import OperationalError

from invenio_files_rest.errors import FileSizeError, InvalidOperationError, PreconditionFailed
from invenio_files_rest.models import Bucket, ObjectVersion, Upload, UploadExtent
from invenio_files_rest.models.upload import COMPLETING, DONE, FAILED, JOINED
from invenio_files_rest.services.uploads.completion import finish_promptly, finish_upload
from invenio_files_rest.services.uploads.errors import UploadClosed, UploadGone, UploadIncomplete
from invenio_files_rest.services.uploads.joining import join_uploads, joined_before
from invenio_files_rest.services.uploads.plans import APPENDED
from invenio_files_rest.storage.uploads import Uploads
from invenio_files_rest.tasks import remove_expired_multipartobjects

CONTENTS = [b"0123456789" * 100, b"", b"abc" * 1000]
WHOLE = b"".join(CONTENTS)


def partial(bucket: Bucket, content: bytes, key: str | None = None, length: int | None = None) -> Any:
    upload = APPENDED.begin(bucket, key, len(content) if length is None else length, protocol="test")
    if content:
        APPENDED.write(upload, 0, BytesIO(content), size=len(content))
    return upload


def join(bucket: Bucket, sources: list[Any], key: str = "key", **columns: Any) -> Any:
    options: dict[str, Any] = {"meta": {}, "protocol": "test", **columns}
    return join_uploads(bucket, key, sources, lambda upload: None, **options)


def state(upload: Any) -> str:
    db.session.rollback()
    found = Upload.get(upload)
    assert found is not None
    return str(found.status)


@pytest.mark.parametrize("kind", ["folder", "osfs"])
def test_others_become_one_version_in_the_order_that_is_said(bucket: Bucket, kind: str) -> None:
    if kind == "osfs":
        bucket.location.uri = f"osfs://{bucket.location.uri}"
        db.session.commit()
    parts = [partial(bucket, content) for content in CONTENTS]
    final = join(bucket, [*parts, parts[0]], meta={"mimetype": "image/png"}, tags={"one": "1"})
    assert finish_promptly(final, len(WHOLE) + len(CONTENTS[0]) - 1) is None
    version = finish_upload(final)
    assert finish_upload(final) == version
    found = db.session.get(ObjectVersion, version)
    expected = WHOLE + CONTENTS[0]
    assert Path(found.file.uri.removeprefix("osfs://")).read_bytes() == expected
    assert found.file.checksum == f"md5:{hashlib.md5(expected).hexdigest()}"
    assert (found.mimetype, found.get_tags()) == ("image/png", {"one": "1"})
    assert {upload.id: upload.status for upload in Upload.query} == dict.fromkeys([final, *parts], DONE)
    assert UploadExtent.query.count() == 0
    assert bucket_size(bucket) == len(expected)
    assert sum(len(names) for _, _, names in os.walk(bucket.location.uri.removeprefix("osfs://"))) == 1


def test_bytes_are_claimed_once_also_next_to_the_quota(bucket: Bucket) -> None:
    bucket.quota_size = len(WHOLE)
    db.session.commit()
    parts = [partial(bucket, content) for content in CONTENTS]
    assert bucket_size(bucket) == len(WHOLE)
    with pytest.raises(FileSizeError):
        # Twice the same bytes in a file are twice the bytes.
        join(bucket, [parts[0], *parts])
    assert [state(part) for part in parts] == ["open"] * 3
    final = join(bucket, parts)
    assert bucket_size(bucket) == len(WHOLE)
    finish_upload(final)
    assert bucket_size(bucket) == len(WHOLE)


def test_what_is_joined_takes_no_bytes_and_is_joined_once(bucket: Bucket) -> None:
    parts = [partial(bucket, content) for content in CONTENTS]
    final = join(bucket, parts)
    assert (state(final), state(parts[0])) == (COMPLETING, JOINED)
    with pytest.raises(UploadClosed):
        APPENDED.write(parts[0], len(CONTENTS[0]), BytesIO(b"x"))
    with pytest.raises(UploadClosed):
        join(bucket, parts[:1], "other")
    finish_upload(final)
    with pytest.raises(UploadClosed):
        join(bucket, parts[:1], "other")


def test_who_asks_again_for_the_same_finds_what_was_made(bucket: Bucket) -> None:
    parts = [partial(bucket, content) for content in CONTENTS]

    def again(sources: list[Any], key: str = "key", to: Bucket = bucket) -> Any:
        return joined_before(to, key, sources, lambda upload: None)

    assert again(parts) is None
    final = join(bucket, parts)
    for _ in range(2):
        assert again(parts) == final
        assert again(parts, "other") is again(parts[::-1]) is again(parts[:2]) is None
        assert again(parts, to=Bucket.create(bucket.location)) is None
        finish_upload(final)

    def hide(upload: Upload) -> None:
        raise UploadGone()

    with pytest.raises(UploadGone):
        joined_before(bucket, "key", parts, hide)
    APPENDED.abort(final)
    assert again(parts) is None
    assert Upload.query.count() == 0
    assert bucket_size(bucket) == len(WHOLE)


def test_what_is_joined_is_not_ended_before_the_other_has_its_bytes(bucket: Bucket) -> None:
    parts = [partial(bucket, content) for content in CONTENTS]
    final = join(bucket, parts)
    for part in parts:
        with pytest.raises(UploadClosed, match="Another upload"):
            APPENDED.abort(part)
    assert bucket_size(bucket) == len(WHOLE)
    finish_upload(final)
    version = ObjectVersion.get(bucket, "key")
    assert version is not None
    assert Path(version.file.uri).read_bytes() == WHOLE
    for part in parts:
        APPENDED.abort(part)
    assert Path(version.file.uri).read_bytes() == WHOLE
    assert bucket_size(bucket) == len(WHOLE)


def test_what_was_joined_is_forgotten_when_it_expires(bucket: Bucket) -> None:
    parts = [partial(bucket, content) for content in CONTENTS]
    final = join(bucket, parts)
    finish_upload(final)
    assert remove_expired_multipartobjects() == 0
    for upload in (final, *parts):
        age(upload)
    assert remove_expired_multipartobjects() == len(parts) + 1
    assert Upload.query.count() == 0
    assert files_in(bucket) == ["data"]
    assert bucket_size(bucket) == len(WHOLE)


def test_only_what_is_whole_and_no_object_by_itself_is_joined(bucket: Bucket) -> None:
    whole, short, other = partial(bucket, b"12"), partial(bucket, b"1", length=2), partial(bucket, b"12", "key")
    unknown = APPENDED.begin(bucket, None, None, protocol="test")
    elsewhere = partial(Bucket.create(bucket.location), b"12")
    for wrong, why in (
        (short, UploadIncomplete),
        (unknown, UploadIncomplete),
        (other, InvalidOperationError),
        (elsewhere, UploadGone),
    ):
        with pytest.raises(why):
            join(bucket, [whole, wrong])
    assert [state(each) for each in (whole, short, other)] == ["open"] * 3
    age(whole)
    with pytest.raises(UploadGone):
        join(bucket, [whole])
    with pytest.raises(PreconditionFailed):
        join(bucket, [partial(bucket, b"12")], conditions={"If-Match": "*"})


def killed(*args: Any, **kwargs: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("killed_at", ["finish", "record", "abort"])
def test_who_is_killed_loses_nothing_and_the_sweep_goes_on(
    app: Flask, bucket: Bucket, killed_at: str, monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]
) -> None:
    """Before the bytes are put together, before the version is recorded, before what it was made of is removed."""
    parts = [partial(bucket, content) for content in CONTENTS]
    final = join(bucket, parts)
    with monkeypatch.context() as patched, ExitStack() as stack:
        if killed_at == "record":
            stack.enter_context(refusing("INSERT INTO files_files", "WITH ", error=KeyboardInterrupt()))
        else:
            factory = factory_of(Uploads, killed_at, killed)
            patched.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
        with pytest.raises(KeyboardInterrupt):
            finish_upload(final)
    db.session.rollback()
    for part in parts:
        if Upload.get(part) is not None:
            age(part)
    if killed_at != "abort":
        age(final)
    # What is joined has not expired, whatever its age.
    remove_expired_multipartobjects()
    found = ObjectVersion.get(bucket, "key")
    assert found is not None
    assert Path(found.file.uri).read_bytes() == WHOLE
    result = run("files", "sweep", "--delete", "--grace", "0")
    assert result.exit_code == 0, result.output
    assert files_in(bucket) == ["data"]
    assert bucket_size(bucket) == len(WHOLE)


@pytest.mark.parametrize("how", ["aborted", "refused"])
def test_one_that_never_becomes_a_version_takes_the_others_along(bucket: Bucket, how: str) -> None:
    parts = [partial(bucket, content) for content in CONTENTS]
    final = join(bucket, parts, conditions={"If-None-Match": "*"})
    if how == "aborted":
        APPENDED.abort(final)
    else:
        APPENDED.complete(partial(bucket, b"sooner", "key"))
        with pytest.raises(PreconditionFailed):
            finish_upload(final)
        assert state(final) == FAILED
    assert not set(parts) & {upload.id for upload in Upload.query}
    left = 0 if how == "aborted" else 1
    assert files_in(bucket) == ["data"] * left
    assert bucket_size(bucket) == 6 * left


def test_a_failing_database_leaves_the_others_as_they_were(bucket: Bucket) -> None:
    parts = [partial(bucket, content) for content in CONTENTS]
    with refusing("INSERT INTO files_upload"), pytest.raises(OperationalError):
        join(bucket, parts)
    assert [state(part) for part in parts] == ["open"] * 3
    assert bucket_size(bucket) == len(WHOLE)
    finish_upload(join(bucket, parts))
