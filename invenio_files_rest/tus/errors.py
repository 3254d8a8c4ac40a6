"""What both protocols refuse in their own way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import DigestMismatchError, FilesException, FileSizeError
from ..messages import lazy_gettext as _
from ..services.uploads.errors import UploadLengthMismatch, UploadOffsetMismatch, UploadOverrun

_PROBLEMS = "https://iana.org/assignments/http-problem-types#"


class WithHeaders(FilesException):
    """An error whose answer has headers of its own.

    :param headers: The headers.
    """

    def __init__(self, headers: dict[str, str] | None = None, **kwargs: Any) -> None:
        """Keep the headers."""
        self.headers = headers or {}
        super().__init__(**kwargs)

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Return the headers."""
        return [*super().get_headers(environ, scope), *self.headers.items()]


class UnsupportedVersion(WithHeaders):
    """The client speaks another version of tus, or does not say which."""

    code = 412
    description = _("The version of tus has to be said as Tus-Resumable: 1.0.0.")


class WrongType(FilesException):
    """The body is not of the type that the protocol has."""

    code = 415


class TooLarge(WithHeaders):
    """The upload is larger than the bucket, or its quota, has it."""

    code = 413
    description = FileSizeError.description


class ChecksumMismatch(FilesException):
    """The body does not have the checksum that the request has; nothing of it was kept."""

    code = 460
    description = _("The body does not have the checksum that Upload-Checksum has. Nothing of it was kept.")


class OffsetConflict(WithHeaders):
    """The bytes do not begin where those that are there end."""

    code = 409


class Problem(WithHeaders):
    """An error with a problem type (RFC 9457), which shows what all errors show, too.

    :param name: Name of the type.
    :param title: What kind of problem it is.
    :param code: HTTP status.
    :param members: Other members.
    """

    def __init__(self, name: str, title: str, code: int, members: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Keep what describes it."""
        self.code = code
        self.problem = {"type": _PROBLEMS + name, "title": title, **(members or {})}
        super().__init__(**kwargs)

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        """Return the JSON."""
        return json.dumps({**json.loads(super().get_body(environ, scope)), **self.problem})

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Return the headers."""
        named = dict(super().get_headers(environ, scope))
        return list({**named, "Content-Type": "application/problem+json"}.items())


def _goes_on(offset: int) -> str:
    return _("The upload goes on at offset %(offset)s.", offset=str(offset))


@contextmanager
def errors_of_tus() -> Iterator[None]:
    """Raise what the core refuses as tus has it."""
    try:
        yield
    except FileSizeError as error:
        raise TooLarge(description=error.description) from error
    except DigestMismatchError as error:
        raise ChecksumMismatch() from error
    except UploadOffsetMismatch as error:
        raise OffsetConflict({"Upload-Offset": str(error.offset)}, description=_goes_on(error.offset)) from error


@contextmanager
def errors_of_draft(offset: int | None, limits: str) -> Iterator[None]:
    """Raise what the core refuses as the draft has it.

    :param offset: The offset that the request has.
    :param limits: Value of ``Upload-Limit``.
    """
    try:
        yield
    except FileSizeError as error:
        raise TooLarge({"Upload-Limit": limits}, description=error.description) from error
    except UploadOffsetMismatch as error:
        raise Problem(
            "mismatching-upload-offset",
            "offset from request does not match offset of resource",
            409,
            {"expected-offset": error.offset, "provided-offset": offset},
            headers={"Upload-Offset": str(error.offset), "Upload-Complete": "?0"},
            description=_goes_on(error.offset),
        ) from error
    except UploadOverrun:
        raise
    except UploadLengthMismatch as error:
        raise inconsistent_length() from error


def inconsistent_length() -> Problem:
    """Return the error of two lengths that contradict each other."""
    return Problem(
        "inconsistent-upload-length",
        "inconsistent length values for upload",
        400,
        headers={"Upload-Complete": "?0"},
        description=_("The length of the upload was said to be another one."),
    )


def completed_upload() -> Problem:
    """Return the error of bytes for an upload that is complete."""
    return Problem(
        "completed-upload",
        "upload is already completed",
        400,
        headers={"Upload-Complete": "?0"},
        description=_("The upload is complete, and takes no more bytes."),
    )
