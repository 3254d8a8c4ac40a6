"""The bytes of a new file, before the database knows it and where it never will."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import current_app

from ..services.presence import ensure_present
from .bucket import Bucket
from .file_instance import FileInstance


def new_contents(bucket: Bucket, stream: Any, size_limit: Any = None, **kwargs: Any) -> FileInstance:
    """Return a new file of a stream's bytes. The database learns of it with the version that refers to it."""
    ensure_present(bucket.location)
    file = FileInstance.new()
    file.set_contents(
        stream,
        size_limit=bucket.size_limit if size_limit is None else size_limit,
        default_location=bucket.location.uri,
        default_storage_class=bucket.default_storage_class,
        **kwargs,
    )
    return file


@contextmanager
def discarded_on_error(file: FileInstance) -> Iterator[None]:
    """Delete the bytes of a file that no version can be made of."""
    try:
        yield
    except BaseException:
        discard_bytes(file)
        raise


def discard_bytes(file: FileInstance) -> None:
    """Delete the bytes of a file that the database does not know, and log where that fails."""
    try:
        file.storage().delete()
    except Exception:
        current_app.logger.exception("The bytes of file %s could not be deleted; the sweep will.", file.id)
