"""Finding the files and folders that storage has made in a location."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Container, Generator, Iterator
from contextlib import suppress
from posixpath import dirname, join

from ..errors import StorageError
from .capabilities import Entry
from .local import TEMPORARY_PREFIX
from .store import Item, Store

FILE_NAME = "data"
"""Name of a file in its folder."""

_HEX = frozenset("0123456789abcdef")


def _begins_an_identifier(text: str) -> bool:
    return len(text) <= 36 and all(
        character == "-" if position in (8, 13, 18, 23) else character in _HEX
        for position, character in enumerate(text)
    )


def is_prefix(text: str) -> bool:
    """Return whether a folder is shared by several files, by the names that lead to it.

    :param text: The names of the folders below the location, joined together.
    """
    return len(text) < 36 and _begins_an_identifier(text)


def identifier_of(below: str) -> uuid.UUID | None:
    """Return the identifier of the file that a folder belongs to.

    :param below: Path of the folder below its location.
    :returns: The identifier; ``None`` if the folder is shared by several files, or not made by the storage.
    """
    text = below.replace("/", "")
    return uuid.UUID(text) if len(text) == 36 and _begins_an_identifier(text) else None


class Listing:
    """The files of a location, folder by folder; see :class:`~invenio_files_rest.storage.capabilities.Listable`.

    Only a file that lies where storage puts one is found: in a folder whose path below the location is an identifier.
    All others are none of our business, and neither are links, but those that stand for a folder which is for several
    files.

    :param find: Function that returns the store in which a URI is, and the path there.
    """

    def __init__(self, find: Callable[[str], tuple[Store, str]]) -> None:
        """Keep the function."""
        self._find = find
        self._opened: dict[str, tuple[Store, str]] = {}

    def _store(self, uri: str) -> tuple[Store, str]:
        """Return the store that has a location, and the path of a file directly in it."""
        if uri not in self._opened:
            self._opened[uri] = self._find(f"{uri}/{FILE_NAME}")
        return self._opened[uri]

    def walk(self, uri: str, before: float, followed: Container[str] = ()) -> Iterator[Entry]:
        """Find the files, what was left behind, and the empty folders that are not young."""
        store, path = self._store(uri)
        if not store.has_folder(dirname(path)):
            raise FileNotFoundError("The location is not there.")
        yield from _Walk(store, uri, before, followed).into(dirname(path), "")

    def remove(self, uri: str, entry: Entry) -> None:
        """Remove a file with the folders that only it needed, or an empty folder."""
        store, _ = self._store(uri)
        if entry.kind != "folder":
            store.file(entry.path).remove(clean_dir=True)
            return
        # Somebody else may have removed it.
        with suppress(FileNotFoundError):
            store.remove_folder(entry.path)


class _Walk:
    """One way through the folders of a location."""

    def __init__(self, store: Store, uri: str, before: float, followed: Container[str]) -> None:
        self._store = store
        self._uri = uri
        self._before = before
        self._followed = followed

    def into(self, folder: str, below: str) -> Generator[Entry, None, bool]:
        """Find what is in a folder, and tell whether that has nothing else in it."""
        names, file_id = below.replace("/", ""), identifier_of(below)
        is_empty = True
        try:
            for item in self._store.items(folder):
                if item.kind == "folder" and _begins_an_identifier(names + item.name):
                    inner = yield from self._folder(item, f"{below}{item.name}/")
                    is_empty = is_empty and inner
                elif item.kind == "link" and is_prefix(names + item.name):
                    is_empty = False
                    if item.path in self._followed:
                        yield from self.into(item.path, f"{below}{item.name}/")
                    else:
                        yield Entry(item.path, below + item.name, "link", None, 0)
                else:
                    is_empty = False
                    if file_id and item.kind == "file":
                        yield from self._file(item, file_id, below + item.name)
        except FileNotFoundError:
            # Somebody removed it meanwhile.
            return True
        return is_empty

    def _folder(self, item: Item, below: str) -> Generator[Entry, None, bool]:
        """Find what is in a folder, and the folder itself where it is empty or will be; tell whether it is."""
        try:
            # Before what is in it is removed, which would make it young again.
            changed = item.status().modified
        except FileNotFoundError:
            return True
        inner = yield from self.into(item.path, below)
        if not inner or changed is None or changed >= self._before:
            return False
        yield Entry(item.path, below, "folder", identifier_of(below), 0)
        return True

    def _file(self, item: Item, file_id: uuid.UUID, below: str) -> Iterator[Entry]:
        is_temporary = item.name.startswith(TEMPORARY_PREFIX)
        if not is_temporary and item.name != FILE_NAME:
            return
        try:
            size, changed = item.status()
        except FileNotFoundError:
            return
        if changed is None:
            raise StorageError("The storage does not tell when a file was changed.")
        if changed >= self._before:
            return
        if is_temporary:
            yield Entry(item.path, below, "temporary", file_id, size)
            return
        given = join(self._uri, below)
        others = self._store.uris(self._uri, below, item.path) - {given}
        yield Entry(item.path, below, "file", file_id, size, (given, *sorted(others)))
