"""Steps of two requests to one upload that come between each other."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers.faults import factory_of
from helpers.parts import PARTS as FIXED_PARTS
from helpers.uploading import Breaking, bucket_size, elsewhere
from invenio_db import db
from sqlalchemy import update

from invenio_files_rest.errors import MultipartMissingParts
from invenio_files_rest.models import Bucket, MultipartObject, ObjectVersion, Part, UploadExtent
from invenio_files_rest.services.uploads.errors import UploadOverrun
from invenio_files_rest.services.uploads.plans import APPENDED, FIXED, PARTS
from invenio_files_rest.services.uploads.runs import LEFTOVERS, declare_length
from invenio_files_rest.storage.uploads import Uploads


def end_reading_on_sqlite() -> None:
    """End the transaction of the session where it would keep others from writing."""
    if db.engine.dialect.name == "sqlite":
        db.session.commit()


@pytest.mark.usefixtures("small_parts")
def test_a_part_that_is_being_sent_again_is_missing_though_it_was_seen_before(app: Flask, bucket: Bucket) -> None:
    """MariaDB shows a transaction what it has seen, whatever others have committed in the meantime."""
    upload_id = FIXED.begin(bucket, "key", 10, part_size=4).upload_id
    for number, part in enumerate(FIXED_PARTS):
        FIXED.write(upload_id, number, BytesIO(part))
    upload = MultipartObject.get(bucket, "key", upload_id)
    assert upload is not None
    assert Part.count(upload) == 3
    end_reading_on_sqlite()

    def send_again() -> None:
        with pytest.raises(ConnectionResetError):
            FIXED.write(upload_id, 0, Breaking(b"ab", "raises"))

    elsewhere(app, send_again)
    with pytest.raises(MultipartMissingParts):
        FIXED.close(upload)


def test_a_part_that_came_since_the_upload_was_seen_is_in_the_file(app: Flask, bucket: Bucket) -> None:
    upload = PARTS.begin(bucket, "key", None, protocol="test")
    PARTS.write(upload, 1, BytesIO(b"0123"))
    assert len(PARTS.extents(upload)) == 1
    end_reading_on_sqlite()
    elsewhere(app, lambda: PARTS.write(upload, 2, BytesIO(b"4567")))
    version = PARTS.complete(upload)
    assert Path(db.session.get(ObjectVersion, version).file.uri).read_bytes() == b"01234567"


def test_bytes_that_do_not_count_are_not_taken_for_those_of_the_next_writer(
    app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was killed has left a part of what had to be whole, and the next one has not removed that yet."""
    upload = APPENDED.begin(bucket, "key", None, protocol="test")
    APPENDED.write(upload, 0, BytesIO(b"0123"))
    (whole,) = Path(bucket.location.uri).rglob(".incoming-whole")
    with whole.open("ab") as file:
        file.write(b"damaged")
    # Whoever writes what has to be whole says so before the first byte.
    db.session.execute(update(UploadExtent).values(writer=LEFTOVERS))
    db.session.commit()
    offsets = []

    def asked_before(write: Any, *args: Any) -> Any:
        offsets.append(elsewhere(app, lambda: APPENDED.offset(upload).offset))
        return write(*args)

    factory = factory_of(Uploads, "write", asked_before)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    assert APPENDED.write(upload, 4, BytesIO(b"4567")).offset == 8
    assert offsets == [4]


class Meanwhile(BytesIO):
    """A body during which something else happens.

    :param content: The bytes.
    :param at: How many of them come first.
    :param work: What happens.
    """

    def __init__(self, content: bytes, at: int, work: Callable[[], Any]) -> None:
        """Remember them."""
        super().__init__(content)
        self._at, self._work = at, work

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes, at most those that come first."""
        if self.tell() < self._at:
            return super().read(self._at - self.tell())
        if self.tell() == self._at:
            self._work()
        return super().read(size)


@pytest.mark.parametrize("at", [0, 2, 6])
def test_a_length_that_is_declared_while_bytes_come_holds_for_them(app: Flask, bucket: Bucket, at: int) -> None:
    upload = APPENDED.begin(bucket, "key", None, protocol="test")
    body = Meanwhile(b"0123456789", at, lambda: elsewhere(app, lambda: declare_length(upload, 4)))
    with pytest.raises(UploadOverrun):
        APPENDED.write(upload, 0, body)
    offset = APPENDED.offset(upload).offset
    assert offset <= 4
    assert bucket_size(bucket) == 4
    version = APPENDED.write(upload, offset, BytesIO(b"0123"[offset:])) and APPENDED.complete(upload)
    assert Path(db.session.get(ObjectVersion, version).file.uri).read_bytes() == b"0123"
    assert bucket_size(bucket) == 4
