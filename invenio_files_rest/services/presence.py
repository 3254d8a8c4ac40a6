"""Whether a location is there, or away because its disk is not mounted.

A location with a mark is there if its folder has that mark. A location without a mark is there if its folder exists; a
missing folder may be created as long as the database has no files in it. A location that is not a folder on this
machine always counts as there: only its storage knows.
"""

from __future__ import annotations

import os

from flask import current_app

from ..errors import LocationAwayError
from ..models.file_instance import FileInstance
from ..models.location import Location, LocationRow
from ..paths import local_folder, local_path
from ..storage import FileStorage
from ..storage.marks import read_mark


def why_away(location: Location | LocationRow) -> str | None:
    """Return why a location is away.

    :param location: The location.
    :returns: The reason, for the log; ``None`` if the location is there, or the first upload may create its folder.
    """
    folder = local_folder(location.uri)
    if folder is None:
        return None
    if location.mark is None:
        if os.path.isdir(folder) or kept_folder(location.uri) is None or not FileInstance.uris_below(location.uri, 1):
            return None
        return f"The folder {folder} of the location {location.name} is not there. Its disk may not be mounted."
    try:
        found = read_mark(folder)
        if found is not None and found.id == location.mark:
            return None
        reason = f"has the mark of another location, {found.name}" if found else "is not there, or has not its mark"
    except (OSError, ValueError) as error:
        reason = f"has no mark that can be read ({error})"
    if kept_folder(location.uri) is None:
        return None
    return (
        f"The folder {folder} of the location {location.name} {reason}. Its disk may not be mounted; where this is the "
        f"right folder, run: files location mark {location.name}"
    )


def kept_folder(uri: str) -> str | None:
    """Return the folder on this machine in which storage keeps the files of a location.

    :param uri: URI of the location.
    :returns: Its path; ``None`` if there is no such folder, for instance because a storage factory gives the URI
        another meaning.
    """
    folder = local_folder(uri)
    if folder is None:
        return None
    try:
        path = _path_of(storage_for(FileInstance.new(), uri))
    except Exception:
        # Each storage has errors of its own; they are raised when a file is stored.
        return None
    return folder if path is not None and path.startswith(folder.rstrip("/") + "/") else None


def storage_for(file: FileInstance, uri: str) -> FileStorage:
    """Return the storage of a new file in a location.

    :param file: The file.
    :param uri: URI of the location.
    """
    storage_class = current_app.config["FILES_REST_DEFAULT_STORAGE_CLASS"]
    return file.storage(default_location=uri, default_storage_class=storage_class)


def _path_of(storage: FileStorage) -> str | None:
    """Return the path of a file that does not exist."""
    try:
        return storage.local_path()
    except Exception:
        # The storage may open a file system at the folder of the file, which does not exist.
        url = getattr(storage, "fileurl", None)
        path = None if url is None else local_path(url)
        return None if path is None else os.path.abspath(path)


def ensure_present(location: Location | LocationRow) -> None:
    """Check that a location is there.

    :param location: The location.
    :raises LocationAwayError: If it is away.
    """
    if (reason := why_away(location)) is not None:
        raise LocationAwayError(reason)


def ensure_reachable(uri: str | None) -> None:
    """Check that a file is not in a location that is away.

    :param uri: URI of the file.
    :raises LocationAwayError: If it is.
    """
    location = Location.of_uri(uri, Location.rows())
    if location is not None:
        ensure_present(location)


class AwayLocations:
    """The locations that are away during an operation, which skips their files."""

    def __init__(self) -> None:
        """Look at all locations."""
        self.around = Location.rows()
        """All locations."""
        self.reasons = {location: reason for location in self.around if (reason := why_away(location)) is not None}
        """The locations that are away, with the reasons."""
        self.passed_over: set[LocationRow] = set()
        """The locations whose files have been skipped."""

    def have(self, uri: str | None) -> bool:
        """Return whether a file lies in one of them, and has to be skipped.

        :param uri: URI of the file.
        """
        location = Location.of_uri(uri, self.around) if self.reasons else None
        if location not in self.reasons:
            return False
        self.passed_over.add(location)
        return True
