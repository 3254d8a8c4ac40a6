"""The mark of a location: a hidden file by which its folder is told from the place where its disk would be mounted."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from typing import NamedTuple

from .local import sync_above

MARK_NAME = ".invenio-files-location"
"""Name of the mark in the folder."""

_EXPLANATION = (
    "This folder is a location of Invenio-Files-REST, of that name. Without this file the location counts as not\n"
    "mounted, and takes no files.\n"
)
_LONGEST = 1000


class Mark(NamedTuple):
    """What a mark says."""

    name: str
    """Name that the location had when it was marked."""

    id: uuid.UUID
    """What tells the folder from that of any other location, also one of the same name in another installation."""


def read_mark(folder: str) -> Mark | None:
    """Read the mark of a folder.

    :param folder: Path of the folder.
    :returns: The mark; ``None`` where the folder has none, or is not there.
    :raises OSError: Where it cannot be read.
    :raises ValueError: Where the file of that name is no mark.
    """
    path = os.path.join(folder, MARK_NAME)
    try:
        with open(path, "rb") as file:
            name, _, identifier = file.read(_LONGEST).partition(b"\n")[0].decode("ascii").partition(" ")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not the mark of a location.") from error
    try:
        return Mark(name, uuid.UUID(identifier))
    except ValueError as error:
        raise ValueError(f"{path} is not the mark of a location.") from error


def leave_mark(folder: str, name: str, known: uuid.UUID | None = None) -> Mark:
    """Leave a mark in a folder, durably.

    One that is there is kept where it is of the same name: a database that was made anew finds its folder again.

    :param folder: Path of the folder.
    :param name: Name of the location.
    :param known: Identifier of the mark that the location has, also under another name.
    :returns: The mark.
    :raises OSError: Where it cannot be written.
    :raises ValueError: Where the folder has the mark of another location.
    """
    mark = Mark(name, uuid.uuid4())
    path = os.path.join(folder, MARK_NAME)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        found = read_mark(folder)
        if found is None or (found.name != name and found.id != known):
            raise ValueError(f"The folder {folder} has the mark of the location {found and found.name}.") from None
        return found
    try:
        try:
            os.write(file, f"{name} {mark.id}\n{_EXPLANATION}".encode())
            os.fsync(file)
        finally:
            os.close(file)
        sync_above([path])
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
    return mark


def remove_mark(folder: str, mark_id: uuid.UUID) -> None:
    """Remove a mark from a folder, where it is that of the location.

    :param folder: Path of the folder.
    :param mark_id: Identifier of the mark.
    :raises OSError: Where it cannot be removed.
    :raises ValueError: Where the file of that name is no mark.
    """
    found = read_mark(folder)
    if found is not None and found.id == mark_id:
        os.unlink(os.path.join(folder, MARK_NAME))
