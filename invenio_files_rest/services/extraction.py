"""Storing the files of an archive as objects: all of them in one transaction at the end, or none.

While the archive comes, the bytes of its files go to storage, and are made durable some hundred at a time; then their
rows are committed, to which nothing refers yet. If the process is killed before the end, the sweep removes them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from flask import current_app

from ..errors import FilesException, FileSizeError, InvalidArchiveError
from ..keys import validate_new_key
from ..limiters import FileSizeLimit
from ..messages import lazy_gettext as _
from ..models import Bucket, FileInstance, ObjectVersion
from ..models.additions import add_file_rows, add_objects
from ..models.base import utcnow
from ..models.bucket import open_bucket
from ..models.inventory import delete_unused
from ..models.manifest import Listed, Manifest
from ..signals import file_uploaded, notify
from . import deposit
from .batch import FILES, Batch
from .transactions import commit_or_undo, in_transaction, release_connection
from .validation import minsize_validator

BATCH_BYTES = 64 * 1024**2
"""Size in bytes after which a batch ends."""


class Entry(NamedTuple):
    """A file in an archive."""

    name: str
    """Its path in the archive, with slashes."""

    size: int
    """Its size in bytes."""

    stream: Any
    """Object with ``read(n)``, which is read before the next entry is asked for."""


def extract(
    bucket: Bucket,
    entries: Iterable[Entry],
    prefix: str = "",
    tags: Mapping[str, str] | None = None,
    if_absent: bool = False,
    remove_archive: Callable[[], Any] | None = None,
) -> Manifest:
    """Store the files of an archive as objects, and commit.

    :param bucket: The bucket.
    :param entries: The files, which are read while no transaction is open.
    :param prefix: What each key begins with.
    :param tags: Tags of each version.
    :param if_absent: Whether none of the objects may exist.
    :param remove_archive: Called at the beginning of the transaction that adds the objects.
    :returns: The new objects, in the order of the archive. The caller closes it.
    :raises FilesException: If an entry is refused; the description names it. Nothing has been stored then.
    :raises PreconditionFailed: If an object exists that must not.
    :raises BucketLockedError: If the bucket is locked.
    :raises BucketDeletedError: If it is deleted.
    :raises StorageError: If the storage fails, or the bucket's location is away.
    """
    bucket_id = bucket.id
    with Manifest() as manifest:
        try:
            _store(bucket_id, entries, prefix, manifest)
        except BaseException:
            _remove(manifest)
            raise

        def add() -> None:
            if remove_archive is not None:
                remove_archive()
            add_objects(bucket_id, manifest.size, manifest.batches(), tags or {}, if_absent)

        commit_or_undo(add, partial(_remove, manifest))
        _tell(manifest)
        return manifest


def _store(bucket_id: uuid.UUID, entries: Iterable[Entry], prefix: str, manifest: Manifest) -> None:
    """Store the bytes of the files, and commit their rows."""
    waiting = iter(entries)
    more = True
    while more:
        bucket = open_bucket(bucket_id)
        limit = bucket.size_limit_before(-manifest.size)
        batch = Batch(bucket)
        release_connection()
        with batch:
            listed, more = _store_batch(batch, waiting, prefix, limit, manifest)
            batch.settle()
        for one in listed:
            manifest.add(one)
        # If nobody knows whether this has committed, they are removed as the others are: rows first, then bytes.
        in_transaction(partial(add_file_rows, batch.rows))
        _check_limit(bucket_id, manifest)


def _store_batch(
    batch: Batch, entries: Iterable[Entry], prefix: str, limit: FileSizeLimit | None, manifest: Manifest
) -> tuple[list[Listed], bool]:
    """Store files until the batch is full; return them, and whether there may be more."""
    listed: list[Listed] = []
    for entry in entries:
        try:
            key = validate_new_key(prefix + entry.name)
            if not manifest.claim(key):
                raise InvalidArchiveError(
                    description=_("Another file of the archive has the key %(key)r, too.", key=key)
                )
            minsize_validator(entry.size)
            row = batch.store_row(entry.stream, size=entry.size, size_limit=limit)
        except InvalidArchiveError:
            raise
        except FilesException as error:
            raise named(error, entry.name) from error
        listed.append(Listed(key, uuid.uuid4(), row["id"], row["uri"], row["size"], row["checksum"]))
        if len(listed) == FILES or batch.size >= BATCH_BYTES:
            return listed, True
    return listed, False


def _check_limit(bucket_id: uuid.UUID, manifest: Manifest) -> None:
    """Look early whether the files so far exceed a limit of the bucket. Under its lock that is looked at again."""
    last = manifest.last
    if last is None:
        return
    bucket = open_bucket(bucket_id)
    limit = bucket.size_limit_before(last.size - manifest.size)
    release_connection()
    if limit is not None and last.size > limit:
        raise named(FileSizeError(description=limit.reason), last.key)


def named(error: FilesException, name: str) -> FilesException:
    """Add the name of an entry to an error that is the client's fault.

    :param error: The error.
    :param name: The name.
    """
    if error.code < 500:
        error.description = _("%(name)r: %(reason)s", name=name, reason=error.description)
    return error


def _remove(manifest: Manifest) -> None:
    """Delete the rows and the bytes of files to which nothing refers."""
    for batch in manifest.batches():
        file_ids = [one.file_id for one in batch]
        try:
            # What has been changed this very moment, too.
            before = utcnow() + timedelta(days=1)
            removed = in_transaction(partial(delete_unused, file_ids, before))
        except Exception:
            current_app.logger.exception("%d files of an archive could not be removed; the sweep will.", len(batch))
            continue
        for one in batch:
            if one.file_id in removed:
                deposit.discard(FileInstance(id=one.file_id, uri=one.uri, size=one.size, checksum=one.checksum))


def _tell(manifest: Manifest) -> None:
    """Send the signal of each new version, if anybody listens."""
    if not file_uploaded.receivers:
        return
    for batch in manifest.batches():
        versions = in_transaction(partial(ObjectVersion.get_many, [one.version_id for one in batch]))
        for one in batch:
            if (version := versions.get(one.version_id)) is not None:
                notify(file_uploaded, version)
