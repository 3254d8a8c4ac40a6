"""The documented helpers: the way out for files, their checksums and paths, and a folder's way into a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from .checksums import chunk_size_or_default, compute_checksum, compute_md5_checksum
from .models import ObjectVersion
from .responses import (
    MIMETYPE_WHITELIST,
    create_file_streaming_redirect_response,
    sanitize_mimetype,
    send_stream,
)
from .storage.paths import make_path

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
    bucket: Any, source: str, checksum: bool = True, key_prefix: str = "", chunk_size: int | None = None
) -> Iterator[ObjectVersion]:
    """Add a file, or all files below a folder, to a bucket.

    The keys are the paths from the folder on, with slashes. What a symbolic link leads to is taken where it is a file;
    links to folders are passed over, so that nothing outside the folder is walked through.

    :param bucket: The bucket, or its identifier.
    :param source: Path of the file or folder.
    :param checksum: Whether to keep the checksum of each file.
    :param key_prefix: What each key begins with.
    :param chunk_size: Bytes to read at a time.
    :returns: An iterator over the new versions, each added when it is asked for.
    """

    def add(path: str, key: str) -> ObjectVersion:
        with open(path, "rb") as stream:
            obj = ObjectVersion.create(bucket, key, stream=stream, size=os.path.getsize(path), chunk_size=chunk_size)
        if not checksum:
            obj.file.checksum = None
        return obj

    if os.path.isfile(source):
        yield add(source, key_prefix + os.path.basename(source))
        return
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            yield add(path, key_prefix + os.path.relpath(path, source).replace(os.sep, "/"))
