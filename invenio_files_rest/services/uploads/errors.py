"""The errors of uploads in progress."""

from __future__ import annotations

from typing import Any

from ...errors import FilesException, InvalidOperationError
from ...messages import Message, as_message
from ...messages import lazy_gettext as _


class UploadException(FilesException):
    """Base of the errors of uploads in progress."""


class UploadGone(UploadException, InvalidOperationError):  # noqa: N818 (as its siblings)
    """There is no such upload, or no more."""

    code = 404
    description = _("The upload does not exist any more, or has expired.")


class UploadExpired(UploadGone):
    """Nobody has gone on with the upload for too long."""

    code = 410
    description = _("The upload has expired.")


class UploadClosed(UploadException):
    """The upload takes no more bytes: it is being completed, is done, or has failed."""

    code = 409
    description = _("The upload takes no more bytes.")


class UploadOffsetMismatch(UploadException):
    """The bytes do not begin where the upload ends.

    :param offset: Where the upload ends, in bytes.
    """

    code = 409
    description = _("The upload goes on at another offset.")

    def __init__(self, offset: int, **kwargs: Any) -> None:
        """Store the offset."""
        self.offset = offset
        super().__init__(**kwargs)


class UploadBusy(UploadException):
    """Another request is writing to the same place and has not stopped yet. It may be tried again."""

    code = 423
    description = _("The upload is being written by another request. Try again.")
    retry_after = 1
    """Seconds after which to try again."""


class UploadLost(UploadException):
    """Another request has taken over what this one was writing."""

    code = 409
    description = _("Another request has taken over.")


class UploadLengthMismatch(UploadException):
    """The length is not the one declared before, or not that of the bytes."""

    code = 400
    description = _("The length of the upload is another one.")


class UploadOverrun(UploadLengthMismatch):
    """There are more bytes than the length of the upload."""

    code = 413
    description = _("There are more bytes than the length of the upload.")


class UploadInvalidPart(UploadException):
    """The upload cannot have a part with this number."""

    code = 400
    description = _("Invalid part number.")


class UploadIncomplete(UploadException):
    """Bytes are missing.

    :param missing: Numbers of the missing parts; empty for a run.
    """

    code = 400
    description = _("The upload is not complete.")

    def __init__(self, missing: list[int], **kwargs: Any) -> None:
        """Store the numbers."""
        self.missing = missing
        super().__init__(**kwargs)


class UploadsUnsupported(UploadException):
    """The storage of the bucket supports only whole files and fixed parts."""

    code = 501
    description = _("The storage of this bucket does not take uploads of this kind.")


class TooManyUploads(UploadException):
    """The bucket already has the largest number of open uploads."""

    code = 429
    description = _("The bucket has too many open uploads. Complete or abort one of them.")


def why_it_failed(reason: str | None) -> Message:
    """Return the message for an upload that has failed.

    :param reason: What was noted of it, in English.
    """
    return _("The upload has failed: %(reason)s", reason=as_message(reason))
