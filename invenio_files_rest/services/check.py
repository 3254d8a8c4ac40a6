"""The check: every row held against storage, and every size against its sum."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from functools import partial
from itertools import chain

from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from ..errors import BucketDeletedError, StorageError
from ..models import Bucket, FileInstance
from ..models.inventory import buckets_of_wrong_size, recount, stored_files, uris_of
from ..models.location import LocationRow
from ..storage import FileStorage
from ..storage.capabilities import LocalPath, capability_of
from .batches import in_batches
from .finding import Finding
from .fixity import verify_file
from .locations import ensure_kept, in_words
from .presence import AwayLocations, kept_folder
from .transactions import in_transaction

_ONLY_READ = (errno.EACCES, errno.EPERM, errno.EROFS)


def check(checksum: bool, repair: bool) -> Iterator[Finding | None]:
    """Ask every location to keep a file, hold every file against storage, then every bucket's size against its sum.

    :param checksum: Whether to read all bytes and compare checksums.
    :param repair: Whether to correct sizes of buckets.
    """
    away = AwayLocations()
    for location in away.around:
        if (reason := away.reasons.get(location) or _why_unfit(location)) is not None:
            yield Finding("location", location.uri, reason)
    yield from check_files(checksum, away)
    yield from check_sizes(repair)


def _why_unfit(location: LocationRow) -> str | None:
    """Tell why a location keeps no files; ``None`` where it does, nobody has used it yet, or it is only read."""
    folder = kept_folder(location.uri)
    if folder is not None and not os.path.lexists(folder):
        return None
    try:
        ensure_kept(location.uri)
    except SQLAlchemyError:
        raise
    except Exception as error:
        # Each storage has errors of its own.
        if isinstance(error, OSError) and error.errno in _ONLY_READ:
            return None
        return f"No file can be kept in the location {location.name}: {in_words(error)}"
    return None


def check_files(checksum: bool, away: AwayLocations) -> Iterator[Finding | None]:
    """Find the files whose bytes are missing, too few or too many, or not the ones that were stored.

    :param checksum: Whether to read all bytes; otherwise what the last verification of a file has found is told.
    :param away: Locations whose files are passed over.
    """
    for batch in in_batches(stored_files(), FileInstance.id):
        files = [file.twin() for file in batch if not away.have(file.uri)]
        found = [(file, finding) for file in files if (finding := _damage(file)) is not None]
        # What has been removed or moved since its row was read is no problem.
        still_there = in_transaction(partial(uris_of, [file.id for file, _ in found]))
        found = [(file, finding) for file, finding in found if still_there.get(file.id) == file.uri]
        damaged = {file.id for file, _ in found}
        yield from (finding for _, finding in found)
        for file in files:
            if file.id not in damaged:
                yield verify_file(file.id) if checksum and file.readable else None


def _damage(file: FileInstance) -> Finding | None:
    """Hold a file against what storage has of it, without reading it."""
    try:
        size = _stored_size(file.storage(), file.readable)
    except FileNotFoundError:
        return Finding("missing", str(file.id), f"The file {file.uri} is not there.", file.size)
    except (OSError, StorageError) as error:
        current_app.logger.exception("The file %s cannot be opened.", file.id)
        return Finding(
            "unreadable", str(file.id), f"The file {file.uri} cannot be opened.", file.size, error=str(error)
        )
    if size is not None and size != file.size:
        text = f"The file {file.uri} has {size} bytes, not {file.size}."
        return Finding("size", str(file.id), text, file.size)
    if file.last_check is False:
        text = f"The file {file.uri} was found changed on {file.last_check_at:%Y-%m-%d}."
        return Finding("checksum", str(file.id), text, file.size)
    return None


def _stored_size(storage: FileStorage, readable: bool) -> int | None:
    """Return the number of bytes that storage has of a file; ``None`` where it need not have any yet."""
    local = capability_of(storage, LocalPath)
    if local is not None:
        return os.stat(local.path).st_size
    if not readable:
        # An upload in parts, of which not every storage has a file before it is completed.
        return None
    with storage.open() as stream:
        return stream.seek(0, os.SEEK_END)


def check_sizes(repair: bool) -> Iterator[Finding]:
    """Find the buckets whose size is not the sum of their versions and uploads.

    :param repair: Whether to correct it.
    """
    for row in chain.from_iterable(in_batches(buckets_of_wrong_size(), Bucket.id)):
        text = f"The size of the bucket is {row.size}, not {row.sum}."
        if repair:
            try:
                in_transaction(lambda row=row: recount(row.id))  # type: ignore[misc]
            except BucketDeletedError:
                # Somebody has removed it since its row was read.
                continue
        yield Finding("bucket", str(row.id), text, row.size, done=repair)
