"""The documented helpers: the way out for files, their checksums and paths, and a folder's way into a bucket."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice

from .checksums import chunk_size_or_default, compute_checksum, compute_md5_checksum
from .errors import FileSizeError
from .keys import validate_new_key
from .models import Bucket, FileInstance, ObjectVersion, discard_bytes
from .models.bucket import open_bucket
from .models.bulk import add_files
from .models.contents import new_contents
from .redirects import create_file_streaming_redirect_response
from .responses import MIMETYPE_WHITELIST, sanitize_mimetype, send_stream
from .storage.paths import lies_within, make_path

__all__ = (
    "MIMETYPE_WHITELIST",
    "chunk_size_or_default",
    "compute_checksum",
    "compute_md5_checksum",
    "create_file_streaming_redirect_response",
    "make_path",
    "populate_from_path",
    "sanitize_mimetype",
    "send_stream",
)

BATCH_FILES = 1000
"""Largest number of files that :func:`populate_from_path` adds at a time."""

BATCH_BYTES = 1024**3
"""Number of bytes after which a batch of :func:`populate_from_path` ends."""


def populate_from_path(
    bucket: Bucket | uuid.UUID | str,
    source: str | os.PathLike[str],
    checksum: bool = True,
    key_prefix: str = "",
    chunk_size: int | None = None,
) -> Iterator[ObjectVersion]:
    """Add a file, or all files below a folder, to a bucket.

    The keys are the paths from the folder on, with slashes. What a symbolic link leads to is taken where it is a file;
    links to folders, pipes and other things that are no files are passed over.

    Files are added in batches, of :data:`BATCH_FILES` or some :data:`BATCH_BYTES`, each with a fixed number of
    statements and in memory that does not grow with their number, where the caller commits between two.

    :param bucket: The bucket, or its identifier.
    :param source: Path of the file or folder.
    :param checksum: Whether to keep the checksum of each file.
    :param key_prefix: What each key begins with.
    :param chunk_size: Bytes to read at a time.
    :returns: An iterator over the new versions, each added with its batch. The caller may commit between two.
    :raises OSError: Where a file or folder cannot be read, or there is none.
    :raises InvalidKeyError: Where a path is too long for a key, or is no text in the file system's encoding, or the
        prefix has a segment ``.`` or ``..``.
    :raises FileSizeError: Where a size limit is exceeded.
    :raises InvalidOperationError: Where the bucket is locked or deleted, or there is none.
    :raises StorageError: Where the storage fails.
    """
    source = os.path.abspath(source)
    paths = _files_below(source)
    target = open_bucket(bucket)
    bucket_id, location = target.id, target.location.uri
    if lies_within(os.path.join(location, "file"), source):
        # Else the walk would come upon the files that it adds.
        paths = iter(list(paths))
    names = ((key_prefix + _name(path, source), path) for path in paths)
    for files, error in _stored(bucket, names, chunk_size):
        if not checksum:
            for file in files.values():
                file.checksum = None
        yield from _added(bucket_id, files)
        if error is not None:
            raise error


def _name(path: str, source: str) -> str:
    name = os.path.basename(path) if path == source else os.path.relpath(path, source)
    return name.replace(os.sep, "/")


def _stored(
    bucket: Bucket | uuid.UUID | str, paths: Iterator[tuple[str, str]], chunk_size: int | None
) -> Iterator[tuple[dict[str, FileInstance], Exception | None]]:
    """Store files, and return them in batches by their keys; with the last batch comes the error that ended it."""
    files: dict[str, FileInstance] = {}
    size = 0
    target = open_bucket(bucket)
    try:
        for key, path in paths:
            with open(path, "rb") as stream:
                files[validate_new_key(key)] = file = new_contents(
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
        _discard(files.values())
        raise
    if files:
        yield files, None


def _added(bucket_id: uuid.UUID, files: dict[str, FileInstance]) -> Iterator[ObjectVersion]:
    """Add a batch of files; the bytes of those that a limit refuses are deleted."""
    if not files:
        return
    try:
        versions, exceeded = add_files(bucket_id, files)
    except BaseException:
        _discard(files.values())
        raise
    _discard(islice(files.values(), len(versions), None))
    yield from versions
    if exceeded is not None:
        raise FileSizeError(description=exceeded.reason)


def _discard(files: Iterable[FileInstance]) -> None:
    for file in files:
        discard_bytes(file)


def _files_below(source: str) -> Iterator[str]:
    """Return the paths of the files below a folder, in order; of a file, its own."""
    if os.path.isfile(source):
        yield source
        return

    def fail(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(source, onerror=fail):
        folders.sort()
        yield from filter(os.path.isfile, (os.path.join(folder, name) for name in sorted(names)))
