"""Reading objects outside of requests: listings in pages, and the bytes of a version, compared with its row."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import IO, Any

from ..checksums import DEFAULT_CHUNK_SIZE, agree, algorithm_of, new_digest
from ..errors import FileInstanceUnreadableError, StorageError
from ..models import ObjectVersion
from ..models.listing import ListedObject, Listing
from .batches import BATCH
from .presence import ensure_reachable
from .transactions import in_transaction, release_connection

_OPEN_ATTEMPTS = 5
"""Number of times to open a file that is migrated, and removed from its old location, at the same moment."""


def list_objects(
    bucket_id: uuid.UUID, limit: int | None = None, start_after: str = "", **options: Any
) -> Iterator[ListedObject | str]:
    """List objects page by page, with no transaction open between the pages, so that whoever reads may take their time.

    :param bucket_id: Identifier of the bucket.
    :param limit: Largest number of keys and common prefixes; ``None`` for all.
    :param start_after: Key, or common prefix, after which to begin.
    :param options: ``versions``, ``prefix`` and ``delimiter`` of :class:`~invenio_files_rest.models.listing.Listing`.
    :returns: An iterator over the objects and, where there is a delimiter, the common prefixes, in order.
    """
    after: str | None = start_after
    while after is not None and limit != 0:
        size = BATCH if limit is None else min(limit, BATCH)
        listing = Listing(bucket_id, start_after=after, max_keys=size, **options)
        found: list[ListedObject | str] = list(listing)
        release_connection()
        # Sorting keeps the order of versions of the same key.
        yield from sorted([*found, *listing.common_prefixes], key=lambda one: one if isinstance(one, str) else one.key)
        after, limit = listing.next_start_after, None if limit is None else limit - size


def read_version(version: ObjectVersion) -> Generator[bytes, None, None]:
    """Read the bytes of a version block by block; no database connection is in use meanwhile.

    :param version: The version.
    :raises FileInstanceUnreadableError: If its file does not have all its bytes.
    :raises LocationAwayError: If the file is not there because its location is away.
    :raises StorageError: If the file cannot be read or, at the end, if its size or checksum is not that of its row.
    """
    file = version.file
    size, checksum = file.size, file.checksum
    digest = new_digest(algorithm) if (algorithm := algorithm_of(checksum, "")) else None
    read = 0
    with closing(_open(version)) as stream:
        while block := _next_block(stream):
            read += len(block)
            if digest is not None:
                digest.update(block)
            yield block
    if size is not None and read != size:
        raise StorageError(f"The file has {read} bytes, and its row says {size}.")
    if digest is not None and agree(checksum, f"{algorithm}:{digest.hexdigest()}") is False:
        raise StorageError("The bytes of the file have changed: they do not have the checksum of its row.")


def _next_block(stream: IO[bytes]) -> bytes:
    try:
        return stream.read(DEFAULT_CHUNK_SIZE)
    except Exception as error:
        # Each storage has errors of its own.
        raise StorageError(f"The file cannot be read: {error}") from error


def _open(version: ObjectVersion) -> IO[bytes]:
    bucket_id, key, version_id = version.bucket_id, version.key, version.version_id
    for attempt in range(1, _OPEN_ATTEMPTS + 1):
        file = version.file
        if not file.readable:
            raise FileInstanceUnreadableError()
        uri, storage = file.uri, file.storage()
        release_connection()
        try:
            return storage.open()
        except Exception as error:
            current = in_transaction(lambda: ObjectVersion.get(bucket_id, key, version_id))
            if current is None or current.file is None or current.file.uri == uri or attempt == _OPEN_ATTEMPTS:
                ensure_reachable(uri)
                raise StorageError(f"The file cannot be opened: {error}") from error
            version = current
    raise AssertionError("unreachable")
