"""Moving a file to another location, while it may be read and new versions may refer to it."""

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
    """Move a file to another location; see :func:`invenio_files_rest.tasks.migrate_file`.

    :param progress_callback: Called with the size of the file and the number of bytes copied so far.
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
    # Makes the storage hash it with the same algorithm.
    copy.checksum = known.checksum
    copy_storage = copy.storage(default_location=location.uri, default_storage_class=known.storage_class)
    release_connection()

    try:
        uri, size, checksum = copy_storage.copy(storage, progress_callback=progress_callback)
    except Exception:
        if not ObjectVersion.refers_to(known.id):
            return None
        raise
    # A storage that copies on the server, such as S3, returns neither size nor checksum.
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
    """While a file was copied, its last version was removed, or moved to another copy."""


def _relink(source: FileInstance, copy: FileInstance) -> None:
    db.session.add(copy)
    ObjectVersion.relink_all(source, copy)
    if not ObjectVersion.refers_to(copy.id):
        raise _UnusedError
    # Nothing refers to it from now on. The sweep leaves it for a while after this, since it may still be being read.
    FileInstance.touch(source.id)
