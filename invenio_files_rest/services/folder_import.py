"""Importing a folder into a bucket."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from flask import current_app

from ..errors import FileSizeError
from ..keys import validate_new_key
from ..models import Bucket, FileInstance, ObjectVersion
from ..models.bucket import open_bucket
from ..models.bulk import add_files
from ..paths import lies_within
from . import deposit
from .duplicates import stored_before
from .source_folder import Folder

BATCH_FILES = 1000
"""Largest number of files in a batch of :func:`populate_from_path`."""

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
    of statements. Memory is constant if the caller commits after each version.

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
    for files, error in _stored(bucket, folder, names, key_prefix, chunk_size):
        yield from _added(bucket_id, files, checksum)
        if error is not None:
            raise error


def _stored(
    bucket: Bucket | uuid.UUID | str, folder: Folder, names: Iterator[str], key_prefix: str, chunk_size: int | None
) -> Iterator[tuple[dict[str, FileInstance], Exception | None]]:
    """Store files, and yield batches of them by key, the last one with the error that ended it, if any."""
    files: dict[str, FileInstance] = {}
    size = 0
    target = open_bucket(bucket)
    try:
        for name in names:
            if (opened := folder.open(name)) is None:
                continue
            with opened as stream:
                key = validate_new_key(key_prefix + name.replace(os.sep, "/"))
                files[key] = file = deposit.store(
                    target,
                    stream,
                    size_limit=target.size_limit_before(-size),
                    size=os.fstat(stream.fileno()).st_size,
                    chunk_size=chunk_size,
                )
            size += file.size or 0
            if len(files) == BATCH_FILES or size >= BATCH_BYTES:
                batch, files, size = files, {}, 0
                yield batch, None
                target = open_bucket(bucket)
    except Exception as error:
        yield files, error
        return
    except BaseException:
        _discard(files)
        raise
    if files:
        yield files, None


def _added(bucket_id: uuid.UUID, files: dict[str, FileInstance], checksum: bool) -> Iterator[ObjectVersion]:
    """Add a batch of files, and delete the bytes of those that exceed a limit or are already stored."""
    if not files:
        return
    try:
        if checksum:
            versions, exceeded = add_files(bucket_id, files, stored_before(files))
        else:
            for file in files.values():
                file.checksum = None
            versions, exceeded = add_files(bucket_id, files)
    except BaseException:
        _discard(files)
        raise
    used = {version.file_id for version in versions}
    _discard({key: file for key, file in files.items() if file.id not in used})
    yield from versions
    if exceeded is not None:
        raise FileSizeError(description=exceeded.reason)


def _discard(files: Mapping[str, FileInstance]) -> None:
    for file in files.values():
        deposit.discard(file)
