"""The mark of a location: a hidden file that distinguishes its folder from the empty mount point of its disk."""

from __future__ import annotations

import errno
import os
import uuid
from contextlib import suppress
from typing import NamedTuple

from .local import sync_above, temporary_name

MARK_NAME = ".invenio-files-location"
"""Name of the mark in the folder."""

_EXPLANATION = (
    "This folder is a location of Invenio-Files-REST, of that name. Without this file the location counts as not\n"
    "mounted, and takes no files.\n"
)
_LONGEST = 1000

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""Errors of file systems without hard links, e.g. FAT and some network file systems."""


class Mark(NamedTuple):
    """The content of a mark."""

    name: str
    """Name that the location had when it was marked."""

    id: uuid.UUID
    """What distinguishes the folder from that of any other location, also of one with the same name elsewhere.

    A mark with the same name is taken over when a location is created, or marked by force, since the database may have
    been made anew.
    """


def read_mark(folder: str) -> Mark | None:
    """Read the mark of a folder.

    :param folder: Path of the folder.
    :returns: The mark; ``None`` if the folder has none, or does not exist.
    :raises OSError: If it cannot be read.
    :raises ValueError: If the file of that name is not a mark.
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


def leave_mark(folder: str, name: str, known: uuid.UUID | None = None, adopt: bool = False) -> Mark:
    """Leave a mark in a folder, durably and atomically.

    :param folder: Path of the folder.
    :param name: Name of the location.
    :param known: Identifier of the mark of the location, even if it had another name then.
    :param adopt: Whether to accept a mark of the same name with another identifier, e.g. after the database was made
        anew.
    :returns: The mark, which may have been there before.
    :raises OSError: If it cannot be written.
    :raises ValueError: If the folder has the mark of another location.
    """
    found = read_mark(folder)
    if found is None:
        mark = Mark(name, uuid.uuid4())
        try:
            _write_new(os.path.join(folder, MARK_NAME), f"{name} {mark.id}\n{_EXPLANATION}".encode())
        except FileExistsError:
            # Another process was faster.
            found = read_mark(folder)
        else:
            return mark
    if found is None or (found.id != known and not (adopt and found.name == name)):
        which = "another location" if found and found.name == name else "the location"
        raise ValueError(f"The folder {folder} has the mark of {which} {found and found.name}.")
    return found


def _write_new(path: str, content: bytes) -> None:
    """Write a new file, durably, which gets its name only when it has all its bytes."""
    temporary = os.path.join(os.path.dirname(path), temporary_name())
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _give_name(temporary, path)
        try:
            sync_above([path])
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def _give_name(temporary: str, path: str) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Not atomic: two processes could both do this at the same moment.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        os.rename(temporary, path)


def remove_mark(folder: str, mark_id: uuid.UUID) -> None:
    """Remove the mark from a folder, if it is that of the location.

    :param folder: Path of the folder.
    :param mark_id: Identifier of the mark.
    :raises OSError: If it cannot be removed.
    :raises ValueError: If the file of that name is not a mark.
    """
    found = read_mark(folder)
    if found is not None and found.id == mark_id:
        os.unlink(os.path.join(folder, MARK_NAME))
