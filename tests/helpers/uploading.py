"""What the tests of uploads in progress share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from flask import Flask
from invenio_db import db
from sqlalchemy import update

from invenio_files_rest.models import Bucket, Upload
from invenio_files_rest.models.base import utcnow
from invenio_files_rest.signals import file_uploaded


def bucket_size(bucket: Bucket) -> int:
    """Return what is counted in a bucket."""
    db.session.commit()
    db.session.refresh(bucket)
    return int(bucket.size)


def files_in(bucket: Bucket) -> list[str]:
    """Return the names of the files in the location of a bucket."""
    return sorted(name for _, _, names in os.walk(bucket.location.uri) for name in names)


def folders_in(bucket: Bucket) -> list[Path]:
    """Return the folders in the location of a bucket."""
    return [path for path in Path(bucket.location.uri).rglob("*") if path.is_dir()]


@contextmanager
def note_signals() -> Iterator[list[Any]]:
    """Note what is told of new versions."""
    seen: list[Any] = []

    def note(sender: Any, obj: Any) -> None:
        seen.append(obj)

    with file_uploaded.connected_to(note):
        yield seen


def elsewhere(app: Flask, work: Callable[[], Any]) -> Any:
    """Do something as another request does it, with a session of its own, and return its result."""

    def run() -> Any:
        with app.app_context():
            return work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


class Breaking:
    """A body that breaks off.

    :param content: What comes before.
    :param how: Whether reading it then ``raises`` or just ``ends``.
    """

    def __init__(self, content: bytes, how: str) -> None:
        """Begin."""
        self._stream, self._how = BytesIO(content), how

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes."""
        data = self._stream.read(size)
        if not data and self._how == "raises" and size:
            raise ConnectionResetError("The client has gone.")
        return data


def age(upload_id: Any, days: float = 5) -> None:
    """Let an upload have been used last so many days ago, and have expired meanwhile."""
    then = utcnow() - timedelta(days=days)
    values = {"created": then, "updated": then, "expires": then + (timedelta(days=4) if days > 0 else timedelta())}
    db.session.execute(update(Upload).where(Upload.id == upload_id).values(**values))
    db.session.commit()


class Transferred:
    """What this process reads from files and writes to them, whatever the cache of the system has."""

    def __enter__(self) -> Transferred:
        self._begun = self._now()
        return self

    def __exit__(self, *error: Any) -> None:
        self.read, self.written = (after - before for before, after in zip(self._begun, self._now(), strict=True))

    @staticmethod
    def _now() -> list[int]:
        lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return [int(lines["rchar"]), int(lines["wchar"])]
