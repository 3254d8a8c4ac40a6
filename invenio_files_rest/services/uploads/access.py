"""Access to an upload: its row, locked while it is changed, and the storage of its bytes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from ...checksums import MessageDigest
from ...errors import FilesException
from ...models import Bucket, FileInstance, Upload
from ...models.base import Held, utcnow
from ...models.upload import FAILED, OPEN
from ...storage.capabilities import capability_of
from ...storage.uploads import State, Uploads
from ..presence import ensure_reachable
from ..transactions import in_transaction
from .errors import UploadBusy, UploadClosed, UploadExpired, UploadGone, UploadsUnsupported, why_it_failed


class Backend(NamedTuple):
    """The storage of an upload."""

    uploads: Uploads
    new_digest: Callable[[], tuple[str | None, MessageDigest | None]]
    """Function that returns the name of the algorithm that the file is hashed with, and an empty digest."""


def backend_of(file: FileInstance, **kwargs: Any) -> Backend:
    """Return the storage of an upload.

    :param file: The resulting file.
    :param kwargs: Passed to the storage factory.
    :raises UploadsUnsupported: If the storage does not support uploads of this kind.
    """
    storage = file.storage(**kwargs)
    uploads = capability_of(storage, Uploads)
    if uploads is None:
        raise UploadsUnsupported()
    return Backend(uploads, storage._init_hash)


def uploads_of(bucket: Bucket) -> Uploads | None:
    """Return the capability of a bucket's storage to take uploads in progress, where it has that.

    :param bucket: The bucket.
    """
    new = {"default_location": bucket.location.uri, "default_storage_class": bucket.default_storage_class}
    try:
        return backend_of(FileInstance.new(), **new).uploads
    except UploadsUnsupported:
        return None


def backend(upload_id: uuid.UUID, state: State) -> Backend:
    """Return the storage of an upload that has begun.

    :param upload_id: Identifier of the upload.
    :param state: Its state.
    :raises UploadsUnsupported: If the storage no longer supports uploads of this kind.
    """
    return backend_of(FileInstance(id=upload_id, uri=state["uri"], size=0))


def held(upload_id: uuid.UUID, *conditions: Any, model: type[Held] = Upload) -> Any:
    """Hold an upload until the end of the transaction.

    :param upload_id: Its identifier.
    :param conditions: What has to be true of it.
    :param model: What its row is.
    :raises UploadGone: If there is none of which the conditions are true.
    """
    upload = model.hold(upload_id, *conditions)
    if upload is None:
        raise UploadGone()
    return upload


def held_open(upload_id: uuid.UUID) -> Upload:
    """Lock an open upload until the end of the transaction.

    :param upload_id: Its identifier.
    :raises UploadGone: If it does not exist, or has expired.
    :raises UploadClosed: If it takes no more bytes.
    """
    upload: Upload = held(upload_id)
    ensure_open(upload)
    return upload


def used_open(upload_id: uuid.UUID) -> Upload:
    """Lock an open upload as :func:`held_open` does, and postpone its expiry.

    :param upload_id: Its identifier.
    """
    now, expires = utcnow(), Upload.next_expiry()
    upload: Upload | None = Upload.hold(upload_id, Upload.status == OPEN, Upload.expires >= now, expires=expires)
    return upload or held_open(upload_id)


def ensure_open(upload: Upload) -> None:
    """Check that an upload is open.

    :param upload: The upload.
    :raises UploadExpired: If it has expired.
    :raises UploadClosed: If it takes no more bytes. If it failed, the description says why.
    """
    if upload.status == FAILED:
        raise UploadClosed(description=why_it_failed(upload.reason))
    if upload.status != OPEN:
        raise UploadClosed()
    if upload.expires < utcnow():
        raise UploadExpired()


def use(upload_id: uuid.UUID) -> datetime:
    """Lock an open upload as :func:`used_open` does, without reading it.

    :param upload_id: Its identifier.
    :returns: When it expires.
    """
    return Upload.use(upload_id) or held_open(upload_id).expires


@contextmanager
def explained(uri: str, check_open: Callable[[], Any], busy: type[FilesException] = UploadBusy) -> Iterator[None]:
    """Tell clients why storage could not do with an upload what it was asked for.

    :param uri: URI of the file that the upload becomes.
    :param check_open: Raises, in a transaction, where the upload takes no bytes any more: it may have been aborted.
    :param busy: Error for who has waited in vain for somebody else to stop writing.
    :raises LocationAwayError: If the location is away.
    """
    try:
        yield
    except TimeoutError as error:
        raise busy() from error
    except OSError:
        in_transaction(check_open)
        in_transaction(lambda: ensure_reachable(uri))
        raise
