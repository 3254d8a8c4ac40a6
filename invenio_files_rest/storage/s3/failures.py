"""Translating errors of boto3 to ``OSError`` or :class:`~invenio_files_rest.errors.StorageError`."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ResponseStreamingError,
    UnseekableStreamError,
)
from botocore.exceptions import ConnectionError as StoreConnectionError

from ...errors import LocationAwayError, StorageBusyError, StorageError, StorageFullError

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_DENIED = frozenset({"401", "403", "AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
_FULL = frozenset({"EntityTooLarge", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"})
# A body that is passed on as it comes cannot be sent again. What gives out the credentials of a machine's role may be
# away, too.
_AWAY = (
    CredentialRetrievalError,
    NoCredentialsError,
    StoreConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
    UnseekableStreamError,
)


def code_of(error: ClientError) -> str:
    """Return the code of an error that the store has answered, e.g. ``NoSuchKey``.

    :param error: The error.
    """
    return str(error.response.get("Error", {}).get("Code", ""))


def _translate(error: Exception) -> Exception:
    if not isinstance(error, ClientError):
        text = f"The object store does not answer: {type(error).__name__}: {error}"
        return StorageBusyError(text) if isinstance(error, _AWAY) else StorageError(text)
    code, status = code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _MISSING:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    text = f"The object store answers {code or status} to {error.operation_name}."
    if code == "NoSuchBucket":
        return LocationAwayError(text)
    if code in _FULL or status == 507:
        return StorageFullError(text)
    # Keys that have expired are renewed by whoever runs the installation; the client may try again.
    if status in (429, 500, 502, 503, 504) or code in _DENIED or code in ("RequestTimeout", "SlowDown"):
        return StorageBusyError(text)
    return StorageError(text)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translate the errors of the store and of boto3 that are raised inside. Their texts have no credentials.

    :raises FileNotFoundError: If there is no such object or upload.
    :raises LocationAwayError: If there is no such bucket.
    :raises StorageFullError: If the store has no room left.
    :raises StorageBusyError: If the store does not answer, or refuses everything at the moment.
    :raises StorageError: Otherwise.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise _translate(error) from error
