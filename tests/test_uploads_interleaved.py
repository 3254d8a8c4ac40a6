"""Steps of two requests to one upload that come between each other."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from helpers.parts import PARTS as FIXED_PARTS
from helpers.uploading import Breaking, elsewhere
from invenio_db import db

from invenio_files_rest.errors import MultipartMissingParts
from invenio_files_rest.models import Bucket, MultipartObject, ObjectVersion, Part
from invenio_files_rest.services.uploads.plans import FIXED, PARTS


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
