"""Tasks that turn completed multipart uploads into versions, and move files to other locations."""

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
    """Turn a completed multipart upload into a version of its object.

    The file is read once from beginning to end, and then recorded in one short transaction. A second run finds the
    version and changes nothing.

    :param upload_id: Identifier of the upload.
    :param version_id: Identifier for the version; by default one derived from the upload's.
    :param conditions: Conditions on the object when the version becomes its head; see
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
    """Copy a file to another location, and make all its versions refer to the copy.

    The source stays in use until the copy is complete, with the same size and checksum. After that nothing refers to
    the source, and the sweep may remove it. If copying fails, nothing is left of the copy.

    :param src_id: Identifier of the file.
    :param location_name: Name of the location.
    :param post_fixity_check: Whether to send :func:`verify_checksum` for the copy.
    :returns: Identifier of the copy; ``None`` if there was nothing to do, because the file does not exist or no version
        refers to it.
    :raises ValueError: If the location is unknown.
    :raises StorageError: If the copy fails, or the location is away.
    """
    return moving.migrate_file(src_id, location_name, post_fixity_check, progress_callback=progress_updater)
