"""The one way in for bytes: to storage first, then to the database; both keep a file, or neither does."""

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
    """Find out where a new file of a bucket goes.

    :param bucket: The bucket.
    :param size_limit: Largest size allowed, in bytes, or a :class:`~invenio_files_rest.limiters.FileSizeLimit`; the
        tightest limit of the bucket where none is given.
    :returns: Function that stores a stream as the file, and returns it. It takes the stream and what
        :meth:`.FileStorage.save` takes besides. It asks the database nothing, which learns of the file with the version
        that refers to it.
    :raises LocationAwayError: If the bucket's location is away.
    """
    limit = bucket.size_limit if size_limit is None else size_limit
    file, storage, storage_class = _new_file(bucket)

    def store(stream: Any, **kwargs: Any) -> FileInstance:
        return file.fill(storage, stream, storage_class=storage_class, size_limit=limit, **kwargs)

    return store


def store(bucket: Bucket, stream: Any, size_limit: Any = None, **kwargs: Any) -> FileInstance:
    """Store a stream as a new file of a bucket, of which the database does not know yet.

    :param bucket: The bucket.
    :param stream: Object with ``read(n)``.
    :param size_limit: See :func:`prepare`.
    :param kwargs: What :meth:`.FileStorage.save` takes besides.
    """
    return prepare(bucket, size_limit)(stream, **kwargs)


def prepare_room(bucket: Bucket, size: int) -> Callable[[], FileInstance]:
    """Find out where a new file of a bucket goes that arrives in parts.

    :param bucket: The bucket.
    :param size: Size of the file, in bytes.
    :returns: Function that makes room for the file, asks the database nothing, and returns the file.
    :raises LocationAwayError: If the bucket's location is away.
    """
    file, storage, storage_class = _new_file(bucket)
    return lambda: file.make_room(storage, size, storage_class=storage_class)


def _new_file(bucket: Bucket) -> tuple[FileInstance, FileStorage, str]:
    """Return a new file, its storage and its storage class, where the bucket's location is there."""
    ensure_present(bucket.location)
    file, storage_class = FileInstance.new(), bucket.default_storage_class
    storage = file.storage(default_location=bucket.location.uri, default_storage_class=storage_class)
    return file, storage, storage_class


def commit_or_discard(file: FileInstance, work: Callable[[], T]) -> T:
    """Do and commit the work that makes a file known, and delete its bytes where that failed.

    :param file: The file, whose bytes are in storage.
    :param work: See :func:`~invenio_files_rest.services.transactions.commit_or_undo`.
    :returns: What the work returned.
    """
    return commit_or_undo(work, lambda: discard(file))


@contextmanager
def discarded_on_error(file: FileInstance) -> Iterator[None]:
    """Delete the bytes of a file that no version can be made of, within the caller's transaction.

    :param file: The file.
    """
    try:
        yield
    except BaseException:
        discard(file)
        raise


def discard(file: FileInstance) -> None:
    """Delete the bytes of a file that the database does not know, and log where that fails.

    :param file: The file.
    """
    try:
        file.storage().delete()
    except Exception:
        current_app.logger.exception("The bytes of file %s could not be deleted; the sweep will.", file.id)
