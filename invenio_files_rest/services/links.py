"""The links that the sweep follows. They are collected when it meets the first one, since most locations have none."""

from __future__ import annotations

import os
from functools import cached_property

from ..paths import local_folder
from ..storage.links import followed_links
from .locations import in_words
from .presence import AwayLocations
from .transactions import in_transaction


class Links:
    """The links in all locations that are followed: those to folders that no other location or link leads to."""

    def __contains__(self, path: object) -> bool:
        """Return whether a link is followed."""
        return path in self._followed[0]

    @property
    def why_not(self) -> str:
        """Why the others are not followed, in a sentence."""
        return self._followed[1]

    @cached_property
    def _followed(self) -> tuple[set[str], str]:
        locations = in_transaction(AwayLocations)
        if locations.reasons:
            # A link in one of them could lead to the same folder.
            names = ", ".join(location.name for location in locations.reasons)
            return set(), f"No link is followed while a location is away: {names}."
        # A location that has no folder but is not away has never had a file.
        folders = [path for row in locations.around if (path := local_folder(row.uri)) and os.path.isdir(path)]
        try:
            return followed_links(folders), "The link leads to where another location or link does."
        except OSError as error:
            return set(), f"No link is followed, since a location cannot be looked at: {in_words(error)}"
