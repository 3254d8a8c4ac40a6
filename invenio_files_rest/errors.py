"""The errors of this module, each with its HTTP status.

An error raised below a view reaches the client as JSON with its status and its ``description``. What only the operator
may see (a path, a statement, the error of a library) is in ``errors`` of a :class:`StorageError` or in ``__cause__``;
it is logged and never sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invenio_rest.errors import FieldError, RESTException

from .messages import lazy_gettext as _
from .messages import translated


class TranslatedException(RESTException):
    """An error that the client is told in its language. Its own texts are in English, for the log."""

    def get_description(self, environ: Any = None, scope: Any = None) -> str | None:
        """Return the message for the client."""
        return translated(self.description)

    def get_english(self) -> str:
        """Return the message for the log."""
        return str(self.description)

    def get_errors(self) -> Any:
        """Return what is wrong with each argument, for the client."""
        return [_told_in_language(told) for told in super().get_errors() or ()] or None


def _told_in_language(told: dict[str, Any]) -> dict[str, Any]:
    """Return what is wrong with an argument in the client's language; as it is, where it is more than a text."""
    message = told.get("message")
    return told if isinstance(message, list | dict | None) else {**told, "message": translated(message)}


class FilesException(TranslatedException):
    """Base of every error of this module."""

    code = 500

    logged = False
    """Whether it has been logged."""


class StorageError(FilesException):
    """A storage operation failed.

    :param errors: The message for the log; clients see only ``description``.
    """

    errors: Any
    description: str | None = _("The file storage failed.")

    def get_errors(self) -> str:
        """Return the message for the log.

        :returns: The message, or an empty text.
        """
        return str(self.errors or "")

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        """Return the JSON for the client, without the message for the log."""
        hidden, self.errors = self.errors, None
        try:
            return super().get_body(environ, scope)
        finally:
            self.errors = hidden

    def __str__(self) -> str:
        """Return the message for the client and the one for the log."""
        return ": ".join(filter(None, [super().__str__(), self.get_errors()]))


class StorageFullError(StorageError):
    """The storage has no room left (RFC 4918, section 11.5)."""

    code = 507
    description = _("The file storage is full.")


class LocationAwayError(StorageError):
    """The folder of a location is missing, or is another one; its disk may not be mounted."""

    code = 503
    description = _("File storage is offline.")


class StorageBusyError(StorageError):
    """The storage does not answer, or takes nothing at the moment. It may be tried again."""

    code = 503
    description = _("The file storage is busy. Try again later.")
    retry_after = 10
    """Seconds after which to try again."""

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Add ``Retry-After`` (RFC 9110, section 10.2.3)."""
        return [*super().get_headers(environ, scope), ("Retry-After", str(self.retry_after))]


class FileSizeError(StorageError):
    """A file is larger or smaller than allowed."""

    code = 400
    description = _("The size of the file is not allowed.")


class UnexpectedFileSizeError(StorageError):
    """The number of bytes received is not the announced one."""

    code = 400
    description = _("The size of the file does not match the announced size.")


class DigestMismatchError(StorageError):
    """The bytes received do not have the digest that the client sent (RFC 1864, RFC 9530)."""

    code = 400
    description = _("The content does not match its digest.")


class InvalidOperationError(FilesException):
    """The operation is not possible in this state."""

    code = 403


class FileInstanceAlreadySetError(InvalidOperationError):
    """The object version already has a file."""

    description = _("The object version has a file already.")


class FileInstanceUnreadableError(InvalidOperationError):
    """The file does not have all its bytes, or not yet."""

    code = 503
    description = _("File storage is offline.")


class ObjectReplacedError(InvalidOperationError):
    """An object has been replaced or removed while something was done with it."""

    code = 409
    description = _("The object has been replaced meanwhile. Try again.")


class BucketLockedError(InvalidOperationError):
    """The bucket is locked."""

    description = _("Bucket is locked for modifications.")


class BucketDeletedError(InvalidOperationError):
    """The bucket does not exist, or is marked as deleted."""

    code = 404
    description = _("Bucket does not exist.")


class InvalidKeyError(InvalidOperationError, ValueError):
    """The key of an object is too long, cannot be stored, or cannot be named by a URL."""

    code = 400
    description = _("Filename is too long.")

    def __init__(self, errors: Any = None, **kwargs: Any) -> None:
        """Pass the arguments on."""
        super().__init__(errors=errors, **kwargs)  # type: ignore[call-arg]


class InvalidArchiveError(InvalidOperationError):
    """An archive is damaged or unfinished, or has an entry that cannot become an object."""

    code = 400
    description = _("The archive cannot be read.")


class InvalidTagError(InvalidOperationError):
    """The key or the value of a tag is empty or too long."""

    code = 400
    description = _("Too long/short tag key or tag value.")


class DuplicateTagError(InvalidOperationError):
    """A tag is given twice."""

    code = 400
    description = _("Duplicate tag key")


class InvalidArguments(TranslatedException):
    """Arguments of the request are wrong."""

    code = 422
    description = _("Validation error.")


def field_errors(messages: Any, field: str | None = None) -> list[FieldError]:
    """Turn error messages about the arguments of a request into a list of errors.

    :param messages: Messages by location in the request and by argument, as from webargs, or in another nesting: the
        innermost name is that of the argument.
    :param field: Name of the argument; ``None`` if it is not known.
    """
    if isinstance(messages, Mapping):
        return [error for name, inner in messages.items() for error in field_errors(inner, str(name))]
    if isinstance(messages, list | tuple):
        return [error for inner in messages for error in field_errors(inner, field)]
    return [] if messages is None else [FieldError(field, messages if isinstance(messages, str) else str(messages))]


class MissingQueryParameter(FilesException):
    """A required argument of the query string is missing.

    :param arg_name: Name of the argument.
    """

    code = 400
    description = _("Missing required query argument '{arg_name}'")

    def __init__(self, arg_name: str, **kwargs: Any) -> None:
        """Store the argument's name."""
        self.arg_name = arg_name
        super().__init__(**kwargs)

    def get_description(self, environ: Any = None, scope: Any = None) -> str:
        """Return the description, with the argument's name in it."""
        return translated(str(self.description)).format(arg_name=self.arg_name)

    def get_english(self) -> str:
        """Return the same for the log."""
        return super().get_english().format(arg_name=self.arg_name)


class ExhaustedStreamError(FilesException):
    """Something has already read the body of the request."""

    description = _("The body of the request has been consumed already.")


class PreconditionFailed(TranslatedException):
    """A condition of the request does not hold (RFC 9110, section 15.5.13)."""

    code = 412
    description = _("A precondition of the request does not hold.")


class MultipartException(FilesException):
    """Base of the errors of multipart uploads."""


class MultipartAlreadyCompleted(MultipartException):
    """The multipart upload is completed and takes no more parts."""

    code = 403
    description = _("Multipart upload is already completed.")


class MultipartPartsDiffer(MultipartException):
    """Parts that a client has sent to the object store are not what it has said. The upload is gone."""

    code = 400
    description = _("The parts are not those that were announced. The upload has been aborted.")


class MultipartNotCompleted(MultipartException):
    """The multipart upload has to be completed first."""

    code = 400
    description = _("Multipart upload is not completed yet.")


class MultipartInvalidChunkSize(MultipartException):
    """The part size is outside the limits, or a part has the wrong size."""

    code = 400
    description = _("Invalid part size.")


class MultipartInvalidPartNumber(MultipartException):
    """The upload has no part with this number."""

    code = 400
    description = _("Invalid part number.")


class MultipartInvalidSize(MultipartException):
    """The upload's size does not fit its part size and the limits."""

    code = 400
    description = _("Invalid file size.")


class MultipartMissingParts(MultipartException):
    """Parts are missing."""

    code = 400
    description = _("Not all parts have been uploaded.")


class MultipartNoPart(MultipartException):
    """No factory has found a part, or a file, in the request."""

    code = 400
    description = _("No upload part detected in request.")


class MultipartPartBusy(MultipartException):
    """Somebody else is sending the same part."""

    code = 409
    description = _("The part is being uploaded by another request. Try again.")
