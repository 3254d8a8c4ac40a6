"""Locations, made, marked and removed: what the command line, the administration and Python have in common.

Each function commits. What it refuses is a ``ValueError`` with a message for whoever runs the installation.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from io import BytesIO
from typing import Any

from flask import current_app
from invenio_db import db
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ..errors import StorageError
from ..models import FileInstance, Location, LocationMark
from ..models.inventory import is_in_use
from ..paths import local_path
from ..storage.local import folder_made
from ..storage.marks import leave_mark, remove_mark
from .presence import kept_folder, storage_for
from .transactions import in_transaction, release_connection

_PROBE = b"Whether a file is kept."

_LOOKED_AT = 100
"""How many files are looked for in a folder that is to be marked."""


def create_location(
    name: str, uri: str, default: bool = False, change: Callable[[Location], Any] | None = None
) -> Location:
    """Create a location, once it has shown that it keeps files. A folder is made where it is not there, and marked.

    :param name: Name of the location.
    :param uri: Its URI, or the path of a folder.
    :param default: Whether to make it the default location, and no other.
    :param change: Called with the location in the transaction that adds it.
    :returns: The location.
    :raises ValueError: If the name is taken, it or the URI is not allowed, or no file is kept there.
    :raises sqlalchemy.exc.SQLAlchemyError: If the database fails.
    """
    # Refused before anything is made.
    Location(name=name, uri=uri, default=default)
    if Location.get_by_name(name) is not None:
        raise ValueError(f"Location {name} already exists.")
    release_connection()
    folder = kept_folder(uri)

    def record() -> Location:
        location = Location(name=name, uri=uri, default=default)
        db.session.add(location)
        if change is not None:
            change(location)
        # From here on nobody else has the name, so that the mark of that name in the folder is ours.
        db.session.flush()
        if folder is not None:
            location.marking = LocationMark(uri=uri, mark=leave_mark(folder, location.name, adopt=True).id)
        return location

    try:
        with nullcontext() if folder is None else folder_made(folder):
            ensure_kept(uri)
            location = in_transaction(record)
    except IntegrityError as error:
        raise ValueError(f"Location {name} already exists.") from error
    except (SQLAlchemyError, ValueError):
        raise
    except Exception as error:
        raise ValueError(f"No file can be kept in {uri}: {in_words(error)}") from error
    if default:
        in_transaction(lambda: Location.make_default(location.id))
    return location


def mark_location(location: Location, force: bool = False) -> None:
    """Mark the folder of a location, so that it is not taken for the location while its disk is not mounted.

    :param location: The location.
    :param force: Whether to do so although none of its files is in the folder, also where that has a mark of its name.
    :raises ValueError: If it is no folder, the folder has none of its files, or it has the mark of another location.
    :raises OSError: If the mark cannot be written.
    """
    uri, name, known = location.uri, location.name, location.mark
    folder = kept_folder(uri)
    if folder is None:
        raise ValueError(f"Location {name} is no folder of this machine, and has no mark.")
    files = [path for file in FileInstance.uris_below(uri, _LOOKED_AT) if (path := local_path(file)) is not None]
    ours = force or any(map(os.path.lexists, files))
    if files and not ours:
        raise ValueError(f"The folder {folder} has none of the files of location {name}. Its disk may not be mounted.")
    location_id = location.id
    release_connection()
    with folder_made(folder):
        mark = leave_mark(folder, name, known, adopt=ours)
        in_transaction(lambda: db.session.merge(LocationMark(location_id=location_id, uri=uri, mark=mark.id)))


def remove_location(location: Location) -> None:
    """Remove a location that nothing uses, and its mark. Its folder stays.

    :param location: The location.
    :raises ValueError: If a bucket belongs to it, or a file lies in it.
    """
    name, uri, mark, location_id = location.name, location.uri, location.mark, location.id

    def remove() -> None:
        if is_in_use(location_id, uri):
            raise ValueError(f"Location {name} is in use: it has buckets or files.")
        db.session.delete(db.session.get_one(Location, location_id))

    try:
        in_transaction(remove)
    except IntegrityError as error:
        raise ValueError(f"Location {name} is in use.") from error
    if mark is not None and (folder := kept_folder(uri)) is not None:
        try:
            remove_mark(folder, mark)
        except (OSError, ValueError):
            current_app.logger.exception("The mark of the location %s could not be removed from %s.", name, folder)


def ensure_kept(uri: str) -> None:
    """Check that a location keeps a file: one is stored, opened anew, read and removed, by the configured storage.

    :param uri: URI of the location.
    :raises StorageError: If the file is not there, or is another one, when it is opened again; or the storage fails.
    :raises OSError: If it cannot be stored.
    """
    file = FileInstance.new()
    storage = storage_for(file, uri)
    file.keep(storage, storage.save(BytesIO(_PROBE), size=len(_PROBE)))
    kept = False
    try:
        with suppress(FileNotFoundError), closing(file.storage().open()) as stream:
            kept = stream.read() == _PROBE
    finally:
        file.storage().delete()
    if not kept:
        raise StorageError("a file that was stored there is not there when it is opened again.")


def in_words(error: Exception) -> str:
    """Return what an error of a storage says to whoever runs the installation.

    :param error: The error.
    """
    return error.get_errors() if isinstance(error, StorageError) else str(error) or type(error).__name__
