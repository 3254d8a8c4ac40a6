"""Which files and folders in a location are of our making."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from typing import NamedTuple

from ..errors import StorageError
from ..storage.local import TEMPORARY_PREFIX
from .places import FILE_NAME, Item, Place

_HEX = frozenset("0123456789abcdef")


class Entry(NamedTuple):
    """A file or a folder of our making."""

    path: str
    """Its path in its file system."""

    below: str
    """Its path below the location."""

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


def walk(place: Place, before: float) -> Iterator[Entry]:
    """Find the files and the empty folders that storage has made in a location, and that are not young.

    Only a file that lies where storage puts one is found: in a folder whose path below the location is an identifier.
    All others, and all links, are none of our business. Whoever takes an entry may remove it.

    :param place: The location.
    :param before: Unix time that what is found was last changed before.
    :raises StorageError: Where nobody can tell how old a file is.
    """
    yield from _walk(place, place.folder, "", before)


def _walk(place: Place, folder: str, below: str, before: float) -> Generator[Entry, None, bool]:
    """Find them in a folder, and tell whether that has nothing else in it."""
    identifier = below.replace("/", "")
    file_id = uuid.UUID(identifier) if len(identifier) == 36 else None
    is_empty = True
    try:
        for item in place.items(folder):
            if item.kind == "folder" and _begins_an_identifier(identifier + item.name):
                inner = yield from _folder(place, item, f"{below}{item.name}/", before)
                is_empty = is_empty and inner
            else:
                is_empty = False
                if file_id and item.kind == "file":
                    yield from _file(item, file_id, below + item.name, before)
    except FileNotFoundError:
        # Somebody removed it meanwhile.
        return True
    return is_empty


def _folder(place: Place, item: Item, below: str, before: float) -> Generator[Entry, None, bool]:
    """Find them in a folder, and the folder itself where it is empty or will be; tell whether it is."""
    try:
        # Before what is in it is removed, which would make it young again.
        changed = item.status().modified
    except FileNotFoundError:
        return True
    inner = yield from _walk(place, item.path, below, before)
    if not inner or changed is None or changed >= before:
        return False
    identifier = below.replace("/", "")
    yield Entry(item.path, below, "folder", uuid.UUID(identifier) if len(identifier) == 36 else None, 0)
    return True


def _file(item: Item, file_id: uuid.UUID, below: str, before: float) -> Iterator[Entry]:
    is_temporary = item.name.startswith(TEMPORARY_PREFIX)
    if not is_temporary and item.name != FILE_NAME:
        return
    try:
        size, changed = item.status()
    except FileNotFoundError:
        return
    if changed is None:
        raise StorageError("The storage does not tell when a file was changed.")
    if changed < before:
        yield Entry(item.path, below, "temporary" if is_temporary else "file", file_id, size)
