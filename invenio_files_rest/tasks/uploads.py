"""The task that completes an upload in progress if that takes too long for a request."""

from __future__ import annotations

import uuid

from ..services.uploads.completion import finish_upload
from .declaring import task
from .fixity import progress_updater


@task("complete_upload")
def complete_upload(upload_id: str | uuid.UUID) -> str:
    """Turn an upload that takes no more bytes into a version of its object. A second run changes nothing.

    :param upload_id: Identifier of the upload.
    :returns: Identifier of the version.
    :raises UploadGone: If the upload does not exist.
    :raises UploadClosed: If it has failed.
    """
    return str(finish_upload(uuid.UUID(str(upload_id)), progress=progress_updater))
