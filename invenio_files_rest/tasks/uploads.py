"""The end of an upload in progress, where it takes too long for a request."""

from __future__ import annotations

import uuid

from ..services.uploads.completion import finish_upload
from .declaring import task
from .fixity import progress_updater


@task("complete_upload")
def complete_upload(upload_id: str | uuid.UUID) -> str:
    """Make an object version of an upload that takes no more bytes. A second run finds it there, and leaves it.

    :param upload_id: Identifier of the upload.
    :returns: Identifier of the version.
    :raises UploadGone: If there is no such upload.
    :raises UploadClosed: If it has failed.
    """
    return str(finish_upload(uuid.UUID(str(upload_id)), progress=progress_updater))
