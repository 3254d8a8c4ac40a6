"""Files that are stored already, so that nobody needs a second copy of their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from ..checksums import DEFAULT_CHUNK_SIZE
from ..errors import StorageError
from ..models import FileInstance, Location

CANDIDATES = 3
"""How many files of one checksum and size are compared at most, for any number may be stored."""


def stored_before(files: Mapping[str, FileInstance]) -> dict[str, FileInstance]:
    """Find files that can take the place of files that have just been stored.

    Such a file is one of the others, or a readable one in a location that is known not to be damaged. Two files may
    have the same checksum, and a file may have gone or changed since its checksum was computed: so the bytes are
    compared.

    :param files: The new files, which the database does not know, by any name.
    :returns: The files that can take the place of some of them, by the names of those.
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
