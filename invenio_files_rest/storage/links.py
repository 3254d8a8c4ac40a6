"""Links in the place of folders of a location, with which operators move files to another disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from .listing import is_prefix
from .local_store import LocalStore


def followed_links(folders: Iterable[str]) -> set[str]:
    """Find the links in locations that lead to folders of no other location, and of no other link.

    If two paths led to the same folder, a file in it would have two names, and the database knows only one of them.

    :param folders: Paths of all locations that are folders on this machine.
    :returns: Paths of the links. Each is in the place of a folder that is shared by several files.
    :raises OSError: If a location cannot be read.
    """
    ways: list[tuple[str, str | None]] = []
    for folder in folders:
        ways.append((os.path.realpath(folder), None))
        ways += ((os.path.realpath(link), link) for link in _links(folder, ""))
    found = {link for _, link in ways if link}
    outer: tuple[str, str | None] = ("\0", None)
    for way in sorted(ways, key=lambda way: way[0].split(os.sep)):
        if f"{way[0]}/".startswith(f"{outer[0]}/"):
            found -= {way[1], outer[1]}
        else:
            outer = way
    return found


def _links(folder: str, names: str) -> Iterator[str]:
    for item in LocalStore().items(folder):
        if not is_prefix(names + item.name):
            continue
        if item.kind == "link":
            yield item.path
        elif item.kind == "folder":
            # It may have been removed meanwhile.
            with suppress(FileNotFoundError):
                yield from _links(item.path, names + item.name)
