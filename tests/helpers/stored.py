"""What the tests of tasks and of operations share: files of several kinds and ages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

from blinker import NamedSignal
from click.testing import Result
from invenio_db import db
from sqlalchemy import update

from invenio_files_rest.models import Bucket, FileInstance, ObjectVersion

CONTENT = b"content"


def ago(**kwargs: float) -> datetime:
    """Return a time in the past."""
    return datetime.now(timezone.utc) - timedelta(**kwargs)


def store(bucket: Bucket, key: str = "key", content: bytes = CONTENT) -> ObjectVersion:
    """Store an object, and commit."""
    version = ObjectVersion.create(bucket, key, stream=BytesIO(content))
    db.session.commit()
    return version


def orphan(bucket: Bucket, **columns: Any) -> FileInstance:
    """Store a file that no version refers to, and commit."""
    file = FileInstance.create()
    file.set_contents(BytesIO(CONTENT), default_location=bucket.location.uri)
    db.session.commit()
    if columns:
        # Not by way of the object, whose change would be noted as of now.
        db.session.execute(update(FileInstance).where(FileInstance.id == file.id).values(**columns))
        db.session.commit()
    return file


def findings(result: Result) -> list[dict[str, Any]]:
    """Return the lines of a command's JSON."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def kinds(result: Result) -> list[str]:
    """Return what a command has found, in words, and ``summary``."""
    return [finding["kind"] for finding in findings(result)]


def damage(file: FileInstance, content: bytes | None = b"damaged") -> None:
    """Change the bytes of a file, or remove them."""
    path = Path(file.uri)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


@contextmanager
def received(signal: NamedSignal) -> Iterator[list[Any]]:
    """Collect the objects that a signal is sent for."""
    found: list[Any] = []

    def receive(app: Any, obj: Any) -> None:
        found.append(obj)

    with signal.connected_to(receive):
        yield found
