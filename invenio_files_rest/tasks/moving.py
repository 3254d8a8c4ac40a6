"""Moving bytes by workers: from the parts of an upload to a version, from one location to another."""

from __future__ import annotations

import uuid

from ..errors import PreconditionFailed
from ..services import moving
from ..services.uploads.plans import FIXED
from .declaring import task
from .fixity import progress_updater


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
        :func:`~invenio_files_rest.services.conditions.check_write_conditions`.
    :returns: Identifier of the version.
    :raises MultipartNotCompleted: If the upload is not completed, or has been opened again meanwhile.
    :raises UploadGone: If there is no such upload.
    :raises PreconditionFailed: If a condition does not hold. The upload is open again then, with all its parts.
    """
    version = uuid.UUID(str(version_id)) if version_id else None
    upload = uuid.UUID(str(upload_id))
    return str(FIXED.finish(upload, version_id=version, conditions=conditions, progress=progress_updater))


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
    :raises ValueError: If the location is not known.
    :raises StorageError: If the copy fails, or the location is away.
    """
    return moving.migrate_file(src_id, location_name, post_fixity_check, progress_callback=progress_updater)
