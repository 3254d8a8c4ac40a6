"""Why an upload in progress refuses what it is asked for."""

from __future__ import annotations

from typing import Any

from ...errors import FilesException, InvalidOperationError


class UploadException(FilesException):
    """Base of the errors of uploads in progress."""


class UploadGone(UploadException, InvalidOperationError):  # noqa: N818 (as its siblings)
    """There is no such upload, or no more."""

    code = 404
    description = "The upload does not exist any more, or has expired."


class UploadClosed(UploadException):
    """The upload takes no more bytes: it is being completed, is done, or has failed."""

    code = 409
    description = "The upload takes no more bytes."


class UploadOffsetMismatch(UploadException):
    """The bytes do not begin where those that are there end.

    :param offset: Where these end, in bytes.
    """

    code = 409
    description = "The upload goes on at another offset."

    def __init__(self, offset: int, **kwargs: Any) -> None:
        """Keep the offset."""
        self.offset = offset
        super().__init__(**kwargs)


class UploadBusy(UploadException):
    """Somebody else writes the same place, and has not stopped yet. It may be tried again."""

    code = 423
    description = "The upload is being written by another request. Try again."
    retry_after = 1
    """Seconds after which to try again."""


class UploadLost(UploadException):
    """Another request has taken over what this one was writing."""

    code = 409
    description = "Another request has taken over."


class UploadLengthMismatch(UploadException):
    """The length is not the one that was said before, or there are more bytes than it says."""

    code = 400
    description = "The length of the upload is another one."


class UploadInvalidPart(UploadException):
    """The upload has no part of this number."""

    code = 400
    description = "Invalid part number."


class UploadIncomplete(UploadException):
    """Bytes are missing.

    :param missing: Numbers of the parts that are; nothing for a run that has not come to its end.
    """

    code = 400
    description = "The upload is not complete."

    def __init__(self, missing: list[int], **kwargs: Any) -> None:
        """Keep the numbers."""
        self.missing = missing
        super().__init__(**kwargs)


class UploadsUnsupported(UploadException):
    """The storage of the bucket takes whole files, and fixed parts, alone."""

    code = 501
    description = "The storage of this bucket does not take uploads of this kind."


class TooManyUploads(UploadException):
    """The bucket has as many open uploads as it may have."""

    code = 429
    description = "The bucket has too many open uploads. Complete or abort one of them."
