"""Importing a folder into a bucket."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from flask import current_app

from ..errors import FileSizeError
from ..keys import validate_new_key
from ..models import Bucket, FileInstance, ObjectVersion
from ..models.bucket import open_bucket
from ..models.bulk import add_files
from ..paths import lies_within
from .batch import FILES as BATCH_FILES
from .batch import Batch
from .duplicates import stored_before
from .source_folder import Folder

BATCH_BYTES = 1024**3
"""Size in bytes after which a batch of :func:`populate_from_path` ends."""


def populate_from_path(
    bucket: Bucket | uuid.UUID | str,
    source: str | os.PathLike[str],
    checksum: bool = True,
    key_prefix: str = "",
    chunk_size: int | None = None,
    follow_links: bool = False,
    passed_over: Callable[[str], Any] | None = None,
) -> Iterator[ObjectVersion]:
    """Add a file, or all files below a folder, to a bucket.

    The keys are the paths relative to the folder, with slashes. Links to folders, pipes and other things that are not
    files are skipped. A symbolic link to a file counts as that file if it also lies below the folder.

    If a file with the same bytes is already stored, readable and in a location, it is used, and no second copy is kept.

    Files are added in batches of :data:`BATCH_FILES` files or about :data:`BATCH_BYTES` bytes, each with a fixed number
    of statements, and where the storage can, with one wait for the disk. Memory is constant if the caller commits after
    each version.

    :param bucket: The bucket, or its identifier.
    :param source: Path of the file or folder, which may be a link.
    :param checksum: Whether to store the checksum of each file, and to look for files with the same bytes.
    :param key_prefix: Prefix of each key.
    :param chunk_size: Bytes to read at a time.
    :param follow_links: Whether to follow links that lead out of the folder. Whoever can put a link into the folder can
        then read every file that this process can.
    :param passed_over: Called with a sentence for each link that is not followed; by default it is logged as a warning.
    :returns: An iterator over the new versions, which are added batch by batch. The caller may commit after each.
    :raises OSError: If a file or folder does not exist or cannot be read.
    :raises InvalidKeyError: If a path is too long for a key or cannot be decoded with the file system's encoding, or if
        the prefix has a segment ``.`` or ``..``.
    :raises FileSizeError: If a size limit is exceeded.
    :raises InvalidOperationError: If the bucket is locked, is deleted, or does not exist.
    :raises StorageError: If the storage fails.
    """
    folder = Folder(source, follow_links, passed_over or partial(current_app.logger.warning, "Passed over: %s"))
    names = folder.names()
    target = open_bucket(bucket)
    bucket_id, location = target.id, target.location.uri
    if lies_within(os.path.join(location, "file"), folder.path):
        # Listed first, since the walk would otherwise find the files that it adds.
        names = iter(list(names))
    for batch, files, error in _stored(bucket, folder, names, key_prefix, chunk_size):
        yield from _added(bucket_id, batch, files, checksum)
        if error is not None:
            raise error


def _stored(
    bucket: Bucket | uuid.UUID | str, folder: Folder, names: Iterator[str], key_prefix: str, chunk_size: int | None
) -> Iterator[tuple[Batch, dict[str, FileInstance], Exception | None]]:
    """Store files, and yield batches of them by key, the last one with the error that ended it, if any."""
    error: Exception | None = None
    more = True
    while more and error is None:
        target = open_bucket(bucket)
        files: dict[str, FileInstance] = {}
        with Batch(target) as batch:
            try:
                more = _fill(batch, files, target, folder, names, key_prefix, chunk_size)
            except Exception as caught:
                error = caught
            batch.settle()
        if files or error is not None:
            yield batch, files, error


def _fill(
    batch: Batch,
    files: dict[str, FileInstance],
    target: Bucket,
    folder: Folder,
    names: Iterator[str],
    key_prefix: str,
    chunk_size: int | None,
) -> bool:
    """Store files until the batch is full; return whether there may be more."""
    for name in names:
        if (opened := folder.open(name)) is None:
            continue
        with opened as stream:
            key = validate_new_key(key_prefix + name.replace(os.sep, "/"))
            files[key] = batch.store(
                stream,
                size_limit=target.size_limit_before(-batch.size),
                size=os.fstat(stream.fileno()).st_size,
                chunk_size=chunk_size,
            )
        if len(files) == BATCH_FILES or batch.size >= BATCH_BYTES:
            return True
    return False


def _added(
    bucket_id: uuid.UUID, batch: Batch, files: dict[str, FileInstance], checksum: bool
) -> Iterator[ObjectVersion]:
    """Add a batch of files, and delete the bytes of those that exceed a limit or are already stored."""
    if not files:
        return
    with batch:
        if checksum:
            versions, exceeded = add_files(bucket_id, files, stored_before(files))
        else:
            for file in files.values():
                file.checksum = None
            versions, exceeded = add_files(bucket_id, files)
    batch.discard(used={version.file_id for version in versions})
    yield from versions
    if exceeded is not None:
        raise FileSizeError(description=exceeded.reason)
