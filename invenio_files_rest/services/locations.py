"""Creating, marking and removing locations, for the command line, the administration and Python.

The functions that change a location commit. They refuse with a ``ValueError`` whose message is for the operator.
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
from ..messages import lazy_gettext as _
from ..models import FileInstance, Location, LocationMark
from ..models.inventory import is_in_use
from ..paths import local_path
from ..storage.local import folder_made
from ..storage.marks import leave_mark, remove_mark
from .presence import kept_folder, storage_for
from .transactions import in_transaction, release_connection

_PROBE = b"Whether a file is kept."

_LOOKED_AT = 100
"""Number of files to look for in a folder before it is marked."""


def create_location(
    name: str, uri: str, default: bool = False, change: Callable[[Location], Any] | None = None
) -> Location:
    """Create a location, after testing that files can be stored there. Its folder is created if missing, and marked.

    :param name: Name of the location.
    :param uri: Its URI, or the path of a folder.
    :param default: Whether to make it the only default location.
    :param change: Called with the location in the transaction that adds it.
    :returns: The location.
    :raises ValueError: If the name is taken, if the name or the URI is not allowed, or if no file can be stored there.
    :raises sqlalchemy.exc.SQLAlchemyError: If the database fails.
    """
    # Validates the values before anything is created.
    Location(name=name, uri=uri, default=default)
    if Location.get_by_name(name) is not None:
        raise ValueError(_("Location %(name)s already exists.", name=name))
    release_connection()
    folder = kept_folder(uri)

    def record() -> Location:
        location = Location(name=name, uri=uri, default=default)
        db.session.add(location)
        if change is not None:
            change(location)
        # From here on the name is taken by this location, so a mark with this name in the folder is its own.
        db.session.flush()
        if folder is not None:
            location.marking = LocationMark(uri=uri, mark=leave_mark(folder, location.name, adopt=True).id)
        return location

    try:
        with nullcontext() if folder is None else folder_made(folder):
            ensure_kept(uri)
            location = in_transaction(record)
    except IntegrityError as error:
        raise ValueError(_("Location %(name)s already exists.", name=name)) from error
    except (SQLAlchemyError, ValueError):
        raise
    except Exception as error:
        raise ValueError(_("No file can be kept in %(uri)s: %(cause)s", uri=uri, cause=in_words(error))) from error
    if default:
        in_transaction(lambda: Location.make_default(location.id))
    return location


def mark_location(location: Location, force: bool = False) -> None:
    """Mark the folder of a location, so that an empty mount point is not mistaken for it.

    :param location: The location.
    :param force: Whether to mark the folder even if it has none of the location's files, and to adopt a mark with the
        location's name.
    :raises ValueError: If the location is not a folder, or the folder has none of its files or another location's mark.
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
    """Remove an unused location and its mark. Its folder stays.

    :param location: The location.
    :raises ValueError: If it has buckets or files.
    """
    name, uri, mark, location_id = location.name, location.uri, location.mark, location.id

    def remove() -> None:
        if is_in_use(location_id, uri):
            raise ValueError(_("Location %(name)s is in use: it has buckets or files.", name=name))
        db.session.delete(db.session.get_one(Location, location_id))

    try:
        in_transaction(remove)
    except IntegrityError as error:
        raise ValueError(_("Location %(name)s is in use.", name=name)) from error
    if mark is not None and (folder := kept_folder(uri)) is not None:
        try:
            remove_mark(folder, mark)
        except (OSError, ValueError):
            current_app.logger.exception("The mark of the location %s could not be removed from %s.", name, folder)


def ensure_kept(uri: str) -> None:
    """Check that files can be stored in a location: store one, read it back and remove it.

    :param uri: URI of the location.
    :raises StorageError: If the storage fails, or the file cannot be read back.
    :raises OSError: If the file cannot be stored.
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
    """Return the message of a storage error for operators.

    :param error: The error.
    """
    return error.get_errors() if isinstance(error, StorageError) else str(error) or type(error).__name__
