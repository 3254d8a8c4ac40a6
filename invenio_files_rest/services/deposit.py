"""The only way to store new files: first the bytes in storage, then the row in the database, or neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from flask import current_app

from ..models import Bucket, FileInstance
from ..storage import FileStorage
from .presence import ensure_present
from .transactions import commit_or_undo

T = TypeVar("T")


def prepare(bucket: Bucket, size_limit: Any = None) -> Callable[..., FileInstance]:
    """Prepare to store a new file in a bucket.

    :param bucket: The bucket.
    :param size_limit: Largest size allowed, in bytes, or a :class:`~invenio_files_rest.limiters.FileSizeLimit`; by
        default the tightest limit of the bucket.
    :returns: Function that stores a stream as the file and returns the file. It takes the stream, and other arguments
        of :meth:`.FileStorage.save`. It does not use the database; the file gets its row with the version that refers
        to it.
    :raises LocationAwayError: If the bucket's location is away.
    """
    limit = bucket.size_limit if size_limit is None else size_limit
    file, storage, storage_class = _new_file(bucket)

    def store(stream: Any, **kwargs: Any) -> FileInstance:
        return file.fill(storage, stream, storage_class=storage_class, size_limit=limit, **kwargs)

    return store


def store(bucket: Bucket, stream: Any, size_limit: Any = None, **kwargs: Any) -> FileInstance:
    """Store a stream as a new file of a bucket; the file has no row yet.

    :param bucket: The bucket.
    :param stream: Object with ``read(n)``.
    :param size_limit: See :func:`prepare`.
    :param kwargs: Other arguments of :meth:`.FileStorage.save`.
    """
    return prepare(bucket, size_limit)(stream, **kwargs)


def prepare_room(bucket: Bucket, size: int) -> Callable[[], FileInstance]:
    """Prepare to store a new file in a bucket whose bytes arrive in parts.

    :param bucket: The bucket.
    :param size: Size of the file, in bytes.
    :returns: Function that reserves room for the file and returns the file. It does not use the database.
    :raises LocationAwayError: If the bucket's location is away.
    """
    file, storage, storage_class = _new_file(bucket)
    return lambda: file.make_room(storage, size, storage_class=storage_class)


def _new_file(bucket: Bucket) -> tuple[FileInstance, FileStorage, str]:
    """Return a new file, its storage and its storage class, after checking that the bucket's location is there."""
    ensure_present(bucket.location)
    file, storage_class = FileInstance.new(), bucket.default_storage_class
    storage = file.storage(default_location=bucket.location.uri, default_storage_class=storage_class)
    return file, storage, storage_class


def commit_or_discard(file: FileInstance, work: Callable[[], T]) -> T:
    """Do and commit the work that records a file, and delete the file's bytes if that fails.

    :param file: The file, whose bytes are in storage.
    :param work: See :func:`~invenio_files_rest.services.transactions.commit_or_undo`.
    :returns: What the work returned.
    """
    return commit_or_undo(work, lambda: discard(file))


@contextmanager
def discarded_on_error(file: FileInstance) -> Iterator[None]:
    """Delete the bytes of a file if the block, in which it is recorded within the caller's transaction, fails.

    :param file: The file.
    """
    try:
        yield
    except BaseException:
        discard(file)
        raise


def discard(file: FileInstance) -> None:
    """Delete the bytes of a file that has no row; a failure is only logged.

    :param file: The file.
    """
    try:
        file.storage().delete()
    except Exception:
        current_app.logger.exception("The bytes of file %s could not be deleted; the sweep will.", file.id)
