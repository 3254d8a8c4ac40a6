"""Moving a file to another location, while it is read and while versions come to refer to it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from invenio_db import db

from ..checksums import agree
from ..errors import StorageError
from ..models import FileInstance, Location, ObjectVersion
from .deposit import commit_or_discard
from .dispatch import task_named
from .presence import ensure_present
from .transactions import release_connection


def migrate_file(
    src_id: str | uuid.UUID,
    location_name: str,
    post_fixity_check: bool = False,
    progress_callback: Callable[[int | None, int], Any] | None = None,
) -> str | None:
    """Copy a file to another location, and let all versions that refer to it refer to the copy.

    The source stays in use until the copy is there with the same size and checksum; then nothing refers to it, and the
    sweep may remove it. Where the copy fails, nothing is left of it.

    :param src_id: Identifier of the file.
    :param location_name: Name of the location.
    :param post_fixity_check: Whether to send the task ``verify_checksum`` for the copy.
    :param progress_callback: Told the size and the bytes copied so far.
    :returns: Identifier of the copy; ``None`` where there is nothing to do, since the file is gone or no version refers
        to it.
    :raises ValueError: If the location is not known.
    :raises StorageError: If the copy fails, or the location is away.
    """
    location = Location.get_by_name(location_name)
    if location is None:
        raise ValueError(f"Unknown location: {location_name}")
    source = FileInstance.get(src_id)
    if source is None or not source.readable or not ObjectVersion.refers_to(source.id):
        return None
    ensure_present(location)
    known, storage = source.twin(), source.storage()
    copy = FileInstance.new()
    # So that the storage hashes it with the same algorithm.
    copy.checksum = known.checksum
    copy_storage = copy.storage(default_location=location.uri, default_storage_class=known.storage_class)
    release_connection()

    try:
        uri, size, checksum = copy_storage.copy(storage, progress_callback=progress_callback)
    except Exception:
        if not ObjectVersion.refers_to(known.id):
            return None
        raise
    # A storage that copies by itself, within S3 say, returns neither size nor checksum.
    stored = uri, known.size if size is None else size, checksum or known.checksum
    copy.keep(copy_storage, stored, storage_class=known.storage_class)

    def relink() -> None:
        if checksum is None:
            copy.update_checksum()
        if copy.size != known.size or agree(known.checksum, copy.checksum) is False:
            raise StorageError(f"The copy of {known.uri} has {copy.size} bytes and the checksum {copy.checksum}.")
        copy.checksum = known.checksum
        _relink(known, copy.twin())

    try:
        commit_or_discard(copy, relink)
    except _UnusedError:
        return None
    if post_fixity_check:
        task_named("verify_checksum").delay(str(copy.id))
    return str(copy.id)


class _UnusedError(Exception):
    """While a file was copied, the last version that referred to it was removed, or came to refer to another copy."""


def _relink(source: FileInstance, copy: FileInstance) -> None:
    db.session.add(copy)
    ObjectVersion.relink_all(source, copy)
    if not ObjectVersion.refers_to(copy.id):
        raise _UnusedError
    # From now on nothing refers to it, which the sweep leaves alone for a while, since somebody may still read it.
    FileInstance.touch(source.id)
