"""The documented helpers: the way out for files, their checksums and paths, and a folder's way into a bucket."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

from .checksums import chunk_size_or_default, compute_checksum, compute_md5_checksum
from .models import Bucket, ObjectVersion
from .models.bucket import open_bucket
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

    :param bucket: The bucket, or its identifier.
    :param source: Path of the file or folder.
    :param checksum: Whether to keep the checksum of each file.
    :param key_prefix: What each key begins with.
    :param chunk_size: Bytes to read at a time.
    :returns: An iterator over the new versions, each added when it is asked for. The caller may commit between two.
    :raises OSError: Where a file or folder cannot be read, or there is none.
    :raises InvalidKeyError: Where a path is too long for a key, or is no text in the file system's encoding.
    :raises FileSizeError: Where a size limit is exceeded.
    :raises InvalidOperationError: Where the bucket is locked or deleted, or there is none.
    :raises StorageError: Where the storage fails.
    """
    source = os.path.abspath(source)
    paths = _files_below(source)
    location = open_bucket(bucket).location.uri
    if lies_within(os.path.join(location, "file"), source):
        # Else the walk would come upon the files that it adds.
        paths = iter(list(paths))
    for path in paths:
        name = os.path.basename(path) if path == source else os.path.relpath(path, source)
        with open(path, "rb") as stream:
            obj = ObjectVersion.create(
                bucket,
                key_prefix + name.replace(os.sep, "/"),
                stream=stream,
                size=os.fstat(stream.fileno()).st_size,
                chunk_size=chunk_size,
            )
        if not checksum:
            obj.file.checksum = None
        yield obj


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
