"""Parts of multipart uploads that clients send to the storage themselves, with ``FILES_REST_S3_DIRECT_UPLOAD``.

Nobody tells us of such a part when it has come. So the storage is asked for its list before the upload is completed,
and again before the file is put together: whoever has a link can send other bytes until it expires.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from flask import current_app

from ...errors import MultipartPartsDiffer
from ...models import MultipartObject, Part
from ...models.base import utcnow
from ...storage.capabilities import DirectParts, capability_of
from ..transactions import in_transaction, release_connection
from .access import held

LINKS = 100
"""Largest number of links that are given out at a time."""


class DirectLink(NamedTuple):
    """Where a client sends a part."""

    part_number: int
    start_byte: int
    end_byte: int
    url: str
    expires: datetime


def _valid() -> timedelta | None:
    valid: timedelta | None = current_app.config["FILES_REST_S3_DIRECT_UPLOAD"]
    return valid


def direct_links(upload: MultipartObject, there: Collection[int] = ()) -> list[DirectLink] | None:
    """Return the links for the first parts that are missing.

    :param upload: The upload.
    :param there: Numbers of the parts that are there.
    :returns: At most :data:`LINKS`; ``None`` if parts come through the application alone.
    :raises StorageError: If the storage fails.
    """
    valid = _valid()
    direct = capability_of(upload.file.storage(), DirectParts) if valid and not upload.completed else None
    if direct is None or valid is None:
        return None
    sizes = _sizes(upload)
    # Of those that have no row the storage knows.
    there = {*there, *(start // upload.chunk_size for start in direct.there(sizes))}
    missing = (number for number in range(upload.last_part_number + 1) if number not in there)
    expires, links = utcnow() + valid, []
    for number in islice(missing, LINKS):
        start = number * upload.chunk_size
        url = direct.link(start, sizes[start], int(valid.total_seconds()))
        if url is not None:
            links.append(DirectLink(number, start, start + sizes[start], url, expires))
    return links


def _sizes(upload: MultipartObject) -> dict[int, int]:
    """Return the sizes of all parts, by where they begin."""
    numbers = range(upload.last_part_number + 1)
    return {number * upload.chunk_size: upload.expected_part_size(number) for number in numbers}


def take_in(upload_id: uuid.UUID, announced: Mapping[int, str]) -> None:
    """Record the parts of an open upload that clients have sent to the storage, and commit.

    :param upload_id: Identifier of the upload.
    :param announced: Checksums that the client says its parts have, by their numbers.
    :raises MultipartPartsDiffer: If one has another, or is not there. Nothing of the upload stays then.
    :raises StorageError: If the storage fails.
    """
    upload = MultipartObject.find(upload_id) if _valid() else None
    direct = None if upload is None or upload.completed else capability_of(upload.file.storage(), DirectParts)
    if upload is None or direct is None:
        return
    sizes, part_size = _sizes(upload), upload.chunk_size
    release_connection()
    found = {start // part_size: f"md5:{md5}" for start, md5 in direct.there(sizes).items()}

    def record() -> bool:
        upload = held(upload_id, ~MultipartObject.completed, model=MultipartObject)
        rows = {part.part_number: part.checksum for part in Part.query_by_multipart(upload)}
        for number in found.keys() - rows.keys():
            Part.put(upload, number, found[number])
        there = {**found, **rows}
        return all(there.get(number) == checksum for number, checksum in announced.items())

    if not in_transaction(record):
        raise MultipartPartsDiffer()


def recorded(upload: MultipartObject) -> dict[int, str]:
    """Return the MD5 of the parts that are recorded with one, by where they begin, if clients may send them directly.

    :param upload: The upload.
    """
    if not _valid():
        return {}
    there = [(part.part_number, (part.checksum or "").partition(":")) for part in Part.query_by_multipart(upload)]
    return {number * upload.chunk_size: digest for number, (algorithm, _, digest) in there if algorithm == "md5"}


def settle(storage: Any, expected: Mapping[int, str]) -> None:
    """Have the storage put a file together of its parts, if clients may have sent it some.

    :param storage: The storage of the file.
    :param expected: The MD5 that parts must have, by where they begin.
    :raises MultipartPartsDiffer: If the storage has others.
    :raises StorageError: If the storage fails.
    """
    direct = capability_of(storage, DirectParts) if expected else None
    if direct is not None:
        direct.settle(expected)
