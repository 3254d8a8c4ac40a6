"""Which files and folders in a location are of our making."""

from __future__ import annotations

import uuid
from collections.abc import Container, Generator, Iterator
from typing import NamedTuple

from ..errors import StorageError
from .listing import FILE_NAME, Item, Place
from .local import TEMPORARY_PREFIX

_HEX = frozenset("0123456789abcdef")


class Entry(NamedTuple):
    """A file or a folder of our making."""

    path: str
    """Its path in its file system."""

    below: str
    """Its path below the location."""

    kind: str
    """``file``, ``temporary`` for one that is or was being written, ``folder`` for one with nothing in it, ``link`` for
    one that stands for a folder and is not followed."""

    file_id: uuid.UUID | None
    """Identifier of the file that the folder is for; ``None`` for a folder that is for several."""

    size: int


def _begins_an_identifier(text: str) -> bool:
    return len(text) <= 36 and all(
        character == "-" if position in (8, 13, 18, 23) else character in _HEX
        for position, character in enumerate(text)
    )


def is_prefix(text: str) -> bool:
    """Tell whether a folder is for several files, by the names that lead to it.

    :param text: The names of the folders below the location, joined.
    """
    return len(text) < 36 and _begins_an_identifier(text)


def walk(place: Place, before: float, followed: Container[str] = ()) -> Iterator[Entry]:
    """Find the files and the empty folders that storage has made in a location, and that are not young.

    Only a file that lies where storage puts one is found: in a folder whose path below the location is an identifier.
    All others are none of our business, and neither are links, but those that stand for a folder which is for several
    files. Whoever takes an entry may remove it, unless it is a link.

    :param place: The location.
    :param before: Unix time that what is found was last changed before.
    :param followed: Paths of the links to follow; asked once there is one.
    :raises StorageError: If nobody can tell how old a file is.
    """
    yield from _walk(place, place.folder, "", before, followed)


def _walk(
    place: Place, folder: str, below: str, before: float, followed: Container[str]
) -> Generator[Entry, None, bool]:
    """Find them in a folder, and tell whether that has nothing else in it."""
    identifier = below.replace("/", "")
    file_id = uuid.UUID(identifier) if len(identifier) == 36 else None
    is_empty = True
    try:
        for item in place.items(folder):
            if item.kind == "folder" and _begins_an_identifier(identifier + item.name):
                inner = yield from _folder(place, item, f"{below}{item.name}/", before, followed)
                is_empty = is_empty and inner
            elif item.kind == "link" and is_prefix(identifier + item.name):
                is_empty = False
                if item.path in followed:
                    yield from _walk(place, item.path, f"{below}{item.name}/", before, followed)
                else:
                    yield Entry(item.path, below + item.name, "link", None, 0)
            else:
                is_empty = False
                if file_id and item.kind == "file":
                    yield from _file(item, file_id, below + item.name, before)
    except FileNotFoundError:
        # Somebody removed it meanwhile.
        return True
    return is_empty


def _folder(
    place: Place, item: Item, below: str, before: float, followed: Container[str]
) -> Generator[Entry, None, bool]:
    """Find them in a folder, and the folder itself where it is empty or will be; tell whether it is."""
    try:
        # Before what is in it is removed, which would make it young again.
        changed = item.status().modified
    except FileNotFoundError:
        return True
    inner = yield from _walk(place, item.path, below, before, followed)
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
