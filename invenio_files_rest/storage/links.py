"""Links that stand for folders of a location, as whoever runs the machine puts them there to have room elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from .leftovers import is_prefix
from .listing import Place


def followed_links(places: Iterable[Place]) -> set[str]:
    """Find the links in locations that lead to folders of no other location, and of no other link.

    Where two ways lead to one folder, a file in it would have two names, of which the database knows one alone.

    :param places: All locations that are folders of this machine.
    :returns: Paths of the links. They stand where folders of our making do that are for several files.
    :raises OSError: If a location cannot be looked at, so that nobody can tell.
    """
    ways: list[tuple[str, str | None]] = []
    for place in places:
        ways.append((os.path.realpath(place.folder), None))
        ways += ((os.path.realpath(link), link) for link in _links(place, place.folder, ""))
    found = {link for _, link in ways if link}
    outer: tuple[str, str | None] = ("\0", None)
    for way in sorted(ways, key=lambda way: way[0].split(os.sep)):
        if f"{way[0]}/".startswith(f"{outer[0]}/"):
            found -= {way[1], outer[1]}
        else:
            outer = way
    return found


def _links(place: Place, folder: str, identifier: str) -> Iterator[str]:
    for item in place.items(folder):
        if not is_prefix(identifier + item.name):
            continue
        if item.kind == "link":
            yield item.path
        elif item.kind == "folder":
            # Somebody may remove it meanwhile.
            with suppress(FileNotFoundError):
                yield from _links(place, item.path, identifier + item.name)
