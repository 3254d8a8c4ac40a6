"""Finding files that are already stored, so that their bytes are not kept twice."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from ..checksums import DEFAULT_CHUNK_SIZE
from ..errors import StorageError
from ..models import FileInstance, Location

CANDIDATES = 3
"""Largest number of files of one checksum and size to compare, since many may be stored."""


def stored_before(files: Mapping[str, FileInstance]) -> dict[str, FileInstance]:
    """Find files that can replace files that have just been stored.

    Such a file is another one of the new files, or a readable file in a location that is not known to be damaged. The
    bytes are compared, since different files may have the same checksum, and a file may have been changed or deleted
    since its checksum was computed.

    :param files: The new files, which have no rows yet, by name.
    :returns: The replacements, by the names of the files that they can replace.
    """
    locations = Location.rows()
    known: dict[tuple[str | None, int | None], list[FileInstance]] = {}
    for file in FileInstance.intact({file.checksum for file in files.values() if file.checksum}, CANDIDATES):
        if Location.of_uri(file.uri, locations) is not None:
            known.setdefault((file.checksum, file.size), []).append(file)
    found = {}
    for name, file in files.items():
        if file.checksum is None:
            continue
        candidates = known.setdefault((file.checksum, file.size), [])
        for candidate in candidates:
            if _same_bytes(file, candidate):
                found[name] = candidate
                break
        else:
            candidates.append(file)
    return found


def _same_bytes(one: FileInstance, other: FileInstance) -> bool:
    try:
        with closing(one.storage().open()) as left, closing(other.storage().open()) as right:
            while True:
                block = left.read(DEFAULT_CHUNK_SIZE)
                if block != right.read(len(block) or 1):
                    return False
                if not block:
                    return True
    except (OSError, StorageError):
        return False
