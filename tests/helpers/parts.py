"""What the tests of multipart uploads share."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from invenio_db import db
from sqlalchemy import func, select, update

from helpers.rest import url
from invenio_files_rest.models import MultipartObject, Part
from invenio_files_rest.models.base import utcnow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

CONTENT = b"0123456789"
"""A file of two parts of four bytes, and a last one of two."""

PARTS = [b"0123", b"4567", b"89"]


def checksum(content: bytes) -> str:
    """Return what the server says of bytes."""
    return f"md5:{hashlib.md5(content).hexdigest()}"


class Upload:
    """An upload over REST.

    :param answer: What its beginning was answered with.
    """

    def __init__(self, client: FlaskClient, bucket: Any, key: str, answer: dict[str, Any]) -> None:
        """Keep the arguments."""
        self.client, self.bucket, self.key, self.answer = client, bucket, key, answer
        self.id = answer["id"]

    def url(self, **query: Any) -> str:
        """Return the path of the upload."""
        return url(self.bucket, self.key, uploadId=self.id, **query)

    def put(self, number: int, data: bytes, **kwargs: Any) -> TestResponse:
        """Send a part."""
        return self.client.put(self.url(partNumber=number), data=data, **kwargs)

    def put_all(self, parts: list[bytes] = PARTS) -> None:
        """Send all parts."""
        for number, data in enumerate(parts):
            assert self.put(number, data).status_code == 200

    def parts(self) -> dict[int, str]:
        """Return the checksums of the parts that are there."""
        response = self.client.get(self.url())
        assert response.status_code == 200
        return {part["part_number"]: part["checksum"] for part in response.json["parts"]}

    def complete(self) -> TestResponse:
        """Complete it."""
        return self.client.post(self.url())

    def abort(self) -> TestResponse:
        """Abort it."""
        return self.client.delete(self.url())

    def row(self) -> MultipartObject:
        """Return its row."""
        db.session.rollback()
        return MultipartObject.query.filter_by(upload_id=self.id).one()


def initiate(client: FlaskClient, bucket: Any, key: str, size: Any, part_size: Any) -> TestResponse:
    """Ask for an upload."""
    return client.post(url(bucket, key, uploads=True, size=size, partSize=part_size))


def begin(client: FlaskClient, bucket: Any, key: str = "a.txt", size: int = 10, part_size: int = 4) -> Upload:
    """Begin an upload."""
    response = initiate(client, bucket, key, size, part_size)
    assert response.status_code == 200, response.text
    return Upload(client, bucket, key, dict(response.json))


def bucket_size(bucket: Any) -> int:
    """Return what is counted in a bucket."""
    db.session.commit()
    db.session.refresh(bucket)
    return int(bucket.size)


def part_count() -> int:
    """Return the number of rows of parts."""
    db.session.commit()
    return int(db.session.scalar(select(func.count()).select_from(Part)) or 0)


def age(upload_id: Any, days: float = 5, parts: bool = True) -> None:
    """Let an upload have been begun, and used last, so many days ago."""
    then = utcnow() - timedelta(days=days)
    values = {"created": then, "updated": then}
    db.session.execute(update(MultipartObject).where(MultipartObject.upload_id == upload_id).values(**values))
    if parts:
        db.session.execute(update(Part).where(Part.upload_id == upload_id).values(**values))
    db.session.commit()


@contextmanager
def storage_class(app: Any, monkeypatch: Any, kind: type) -> Iterator[None]:
    """Store files with a class of the test's."""
    from invenio_files_rest.storage import pyfs_storage_factory

    def factory(**kwargs: Any) -> Any:
        return pyfs_storage_factory(**kwargs, filestorage_class=kind)

    with monkeypatch.context() as patch:
        patch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
        yield
