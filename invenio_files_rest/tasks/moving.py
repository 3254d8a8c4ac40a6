"""Moving bytes: from the parts of an upload to a version, from one location to another."""

from __future__ import annotations

import uuid
from functools import partial

from invenio_db import db
from sqlalchemy.orm import joinedload

from ..checksums import agree
from ..errors import InvalidOperationError, MultipartNotCompleted, StorageError
from ..http.preconditions import PreconditionFailed, check_write_conditions
from ..models import FileInstance, Location, MultipartObject, ObjectVersion
from ..services.presence import ensure_present
from ..services.recording import recorded
from ..services.transactions import in_transaction, release_connection
from ..signals import file_uploaded, notify
from .fixity import progress_updater, verify_checksum
from .sending import task


@task("merge_multipartobject", throws=(PreconditionFailed,))
def merge_multipartobject(
    upload_id: str | uuid.UUID,
    version_id: str | uuid.UUID | None = None,
    conditions: dict[str, str] | None = None,
) -> str:
    """Make an object version of a completed multipart upload.

    The file is read once, from its beginning to its end; then one short transaction makes it a version. A second run
    finds the version there, and leaves it.

    :param upload_id: Identifier of the upload.
    :param version_id: Identifier for the version; one that follows from the upload's where none is given.
    :param conditions: What has to be true of the object when the version becomes its head; see
        :func:`~invenio_files_rest.http.preconditions.write_conditions`.
    :returns: Identifier of the version.
    :raises MultipartNotCompleted: Where the upload is not completed, or has been opened again meanwhile.
    :raises InvalidOperationError: Where there is no such upload.
    :raises PreconditionFailed: Where a condition does not hold. The upload is open again then, with all its parts.
    """
    upload_id = uuid.UUID(str(upload_id))
    version_id = uuid.UUID(str(version_id)) if version_id else MultipartObject.version_id_of(upload_id)
    # Together with its file: one that is loaded later may have gone, with the upload.
    with_file = [joinedload(MultipartObject.file)]
    upload = db.session.get(MultipartObject, upload_id, options=with_file, populate_existing=True)
    if upload is None:
        return _merged(version_id)
    upload.ensure_completed()
    storage, parts = upload.file.storage(), upload.parts_there()
    release_connection()
    try:
        checksum = storage.checksum(progress_callback=progress_updater)
    except FileNotFoundError:
        if db.session.get(MultipartObject, upload_id) is None:
            return _merged(version_id)
        raise

    precondition = partial(check_write_conditions, conditions) if conditions else None

    def become_version() -> ObjectVersion | None:
        held = MultipartObject.hold(upload_id)
        if held is None:
            return None
        held.ensure_completed()
        if held.parts_there() != parts:
            # Others opened it, sent a part again and completed it: the checksum may be that of other bytes.
            raise MultipartNotCompleted()
        return held.become_version(checksum, version_id, precondition)

    try:
        version = in_transaction(become_version)
    except PreconditionFailed:
        in_transaction(lambda: MultipartObject.reopen(upload_id))
        raise
    if version is None:
        return _merged(version_id)
    notify(file_uploaded, version)
    return str(version.version_id)


def _merged(version_id: uuid.UUID) -> str:
    """Return the identifier of a version that an earlier run has made."""
    if db.session.get(ObjectVersion, version_id) is None:
        raise InvalidOperationError(description="The upload does not exist.")
    return str(version_id)


@task("migrate_file", ignore_result=True)
def migrate_file(src_id: str | uuid.UUID, location_name: str, post_fixity_check: bool = False) -> str | None:
    """Copy a file to another location, and let all versions that refer to it refer to the copy.

    The source stays in use until the copy is there with the same size and checksum; then nothing refers to it, and the
    sweep may remove it. Where the copy fails, nothing is left of it.

    :param src_id: Identifier of the file.
    :param location_name: Name of the location.
    :param post_fixity_check: Whether to send :func:`verify_checksum` for the copy.
    :returns: Identifier of the copy; ``None`` where there is nothing to do, since the file is gone or no version refers
        to it.
    :raises ValueError: Where the location is not known.
    :raises StorageError: Where the copy fails, or the location is away.
    """
    location = Location.get_by_name(location_name)
    if location is None:
        raise ValueError(f"Unknown location: {location_name}")
    source = FileInstance.get(src_id)
    if source is None or not source.readable or not _is_used(source.id):
        return None
    ensure_present(location)
    known, storage = source.twin(), source.storage()
    copy = FileInstance.new()
    # So that the storage hashes it with the same algorithm.
    copy.checksum = known.checksum
    copy_storage = copy.storage(default_location=location.uri, default_storage_class=known.storage_class)
    release_connection()

    try:
        uri, size, checksum = copy_storage.copy(storage, progress_callback=progress_updater)
    except Exception:
        if not _is_used(known.id):
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
        recorded(copy, relink)
    except _UnusedError:
        return None
    if post_fixity_check:
        verify_checksum.delay(str(copy.id))
    return str(copy.id)


class _UnusedError(Exception):
    """While a file was copied, the last version that referred to it was removed, or came to refer to another copy."""


def _is_used(file_id: uuid.UUID) -> bool:
    return ObjectVersion.query.filter_by(file_id=file_id).limit(1).first() is not None


def _relink(source: FileInstance, copy: FileInstance) -> None:
    db.session.add(copy)
    ObjectVersion.relink_all(source, copy)
    if not _is_used(copy.id):
        raise _UnusedError
    # From now on nothing refers to it, which the sweep leaves alone for a while, since somebody may still read it.
    FileInstance.touch(source.id)
