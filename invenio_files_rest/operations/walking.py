"""Which files and folders in a location are of our making."""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from typing import NamedTuple

from ..storage.local import TEMPORARY_PREFIX

FILE_NAME = "data"
"""Name of a file in its folder."""

_HEX = frozenset("0123456789abcdef")


class Entry(NamedTuple):
    """A file or a folder of our making."""

    path: str
    kind: str
    """``file``, ``temporary`` for one that is or was being written, ``folder`` for one with nothing in it."""

    file_id: uuid.UUID | None
    """Identifier of the file that the folder is for; ``None`` for a folder that is for several."""

    size: int


def _begins_an_identifier(text: str) -> bool:
    return len(text) <= 36 and all(
        character == "-" if position in (8, 13, 18, 23) else character in _HEX
        for position, character in enumerate(text)
    )


def walk(folder: str, before: float) -> Iterator[Entry]:
    """Find the files and the empty folders that storage has made in a location, and that are not young.

    Only a file that lies where storage puts one is found: in a folder whose path below the location is an identifier.
    All others, and all links, are none of our business. Whoever takes an entry may remove it.

    :param folder: Path of the location.
    :param before: Unix time that what is found was last changed before.
    """
    yield from _walk(folder, "", before)


def _walk(folder: str, identifier: str, before: float) -> Generator[Entry, None, bool]:
    """Find them in a folder, and tell whether it is to be removed itself, for it is empty or will be."""
    file_id = uuid.UUID(identifier) if len(identifier) == 36 else None
    try:
        # Before what is in it is removed, which would make it young again.
        is_empty = bool(identifier) and os.stat(folder).st_mtime < before
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and _begins_an_identifier(identifier + entry.name):
                    inner = yield from _walk(entry.path, identifier + entry.name, before)
                    is_empty = is_empty and inner
                else:
                    is_empty = False
                    if file_id and entry.is_file(follow_symlinks=False):
                        yield from _file(entry, file_id, before)
    except FileNotFoundError:
        # Somebody removed it meanwhile.
        return True
    if is_empty:
        yield Entry(folder, "folder", file_id, 0)
    return is_empty


def _file(entry: os.DirEntry[str], file_id: uuid.UUID, before: float) -> Iterator[Entry]:
    is_temporary = entry.name.startswith(TEMPORARY_PREFIX)
    if not is_temporary and entry.name != FILE_NAME:
        return
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    if status.st_mtime < before:
        yield Entry(entry.path, "temporary" if is_temporary else "file", file_id, status.st_size)
