"""The row of a growing run: who may write it, how far it has come, and which bytes could not be recorded."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import NamedTuple

from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from ...models import Upload, UploadExtent
from ...models.base import utcnow
from ...storage.uploads import Receipt, State, machine
from ..transactions import in_transaction, release_connection
from .access import Backend, held_open, used_open
from .errors import UploadLengthMismatch, UploadLost, UploadOffsetMismatch, UploadOverrun
from .recent import Recent

RUN = 0
"""Number of its single extent."""


class Grant(NamedTuple):
    """What a request needs for continuing a run."""

    epoch: int
    state: State
    receipt: Receipt | None
    size: int
    length: int | None
    left_by: int | None
    """An epoch on this machine that may have written more than is recorded."""

    is_clean: bool = False
    """Whether what lies behind the run needs not be kept, and the extent names a writer already whose bytes are."""

    expires: datetime | None = None
    """When the upload expires at the earliest, for a request that goes on in the epoch of the previous one. Somebody
    else may have begun another meanwhile."""

    @property
    def is_resumed(self) -> bool:
        """Whether the epoch is that of the previous request."""
        return self.expires is not None


_continued: Recent[uuid.UUID, Grant] = Recent()
"""Runs of which this process has recorded all that it wrote, and whose epoch is still its own unless somebody else has
begun another."""

LEFTOVERS = "-"
"""The ``writer`` of a run behind which bytes may lie that do not count."""


def writer_of(epoch: int, whole: bool) -> str:
    """Return the ``writer`` of an epoch on this machine.

    :param epoch: The epoch.
    :param whole: Whether unrecorded bytes of it are not to be kept.
    """
    here = None if whole else machine()
    return f"{here}/{epoch}" if here else LEFTOVERS


def _left_by(writer: str | None) -> int | None:
    here, _, epoch = (writer or "").partition("/")
    return int(epoch) if epoch and here == machine() else None


def _size(extent: UploadExtent | None) -> int:
    return 0 if extent is None else extent.size or 0


def _declare(upload: Upload, length: int, size: int) -> None:
    """Set the length of an upload, which is locked."""
    if upload.length not in (None, length) or length < size:
        raise UploadLengthMismatch()
    if upload.length is None:
        upload.length = length
        upload.claim(length, length)


def ensure_room(length: int | None, size: int) -> None:
    """Check that a run is not longer than the declared length.

    :param length: The length in bytes; ``None`` if none was declared.
    :param size: Size of the run in bytes.
    :raises UploadOverrun: If it is longer.
    """
    if length is not None and size > length:
        raise UploadOverrun()


def declare_length(upload_id: uuid.UUID, length: int) -> None:
    """Declare the length of an upload, and commit. Declaring it again changes nothing.

    :param upload_id: Identifier of the upload.
    :param length: Its length in bytes.
    :raises UploadLengthMismatch: If another length was declared before, or if more bytes have arrived.
    :raises FileSizeError: If a size limit is exceeded.
    """

    def declare() -> None:
        upload = held_open(upload_id)
        _declare(upload, length, _size(UploadExtent.one(upload_id, RUN)))

    release_connection()
    in_transaction(declare)


def take(
    upload_id: uuid.UUID, offset: int | None, size: int | None = None, length: int | None = None, whole: bool = False
) -> Grant:
    """Begin a new epoch of a run, and lock the upload until the end of the transaction.

    :param upload_id: Identifier of the upload.
    :param offset: Where the request continues, in bytes; ``None`` if it only asks for the offset.
    :param size: Number of bytes in the request, if known.
    :param length: Length of the upload, if the request declares it.
    :param whole: Whether nothing is to be kept of a body that breaks off.
    :raises UploadOffsetMismatch: If the run certainly ends elsewhere.
    :raises UploadLengthMismatch: If another length was declared before.
    :raises UploadOverrun: If there are more bytes than declared.
    """
    upload = used_open(upload_id)
    extent = UploadExtent.held(upload_id, RUN)
    recorded, left_by = _size(extent), _left_by(extent.writer)
    if length is not None:
        _declare(upload, length, recorded)
    if offset is not None and (offset < recorded or (offset > recorded and left_by is None)):
        # Checked first, so that a current writer is not disturbed: the run may have grown since, but never shrinks.
        raise UploadOffsetMismatch(recorded)
    if offset == recorded:
        ensure_room(upload.length, offset + (size or 0))
    extent.epoch += 1
    is_clean = extent.writer is None and offset is not None
    if is_clean:
        extent.writer = writer_of(extent.epoch, whole)
    elif extent.writer is not None and left_by is None:
        # Of another machine, say.
        extent.writer = LEFTOVERS
    return Grant(extent.epoch, upload.state, extent.receipt, recorded, upload.length, left_by, is_clean)


def leave(upload_id: uuid.UUID, grant: Grant, expires: datetime) -> None:
    """Leave a run to the next request: where it comes to this process, it goes on in the same epoch.

    :param upload_id: Identifier of the upload.
    :param grant: State of the run, of which all is recorded. The extent still names its writer.
    :param expires: When the upload expires.
    """
    _continued.put(upload_id, grant._replace(left_by=None, is_clean=True, expires=expires))


def resume(upload_id: uuid.UUID, epoch: int, offset: int, length: int | None) -> Grant | None:
    """Go on in the epoch of the previous request, which spares the commit of a new one.

    :param upload_id: Identifier of the upload.
    :param epoch: Epoch of the run as the request has found it.
    :param offset: Where the request continues, in bytes.
    :param length: Length of the upload, if the request declares it.
    :returns: State of the run as that request has left it; ``None`` if it was not of this process, or the upload nears
        its expiry: nothing postpones that before a minute of the body has come.
    """
    grant = _continued.take(upload_id)
    if grant is None or epoch != grant.epoch or offset != grant.size or length not in (None, grant.length):
        return None
    return None if grant.expires is None or is_used_up(grant.expires, 0.5) else grant


def is_used_up(expires: datetime, share: float) -> bool:
    """Tell whether a share of the time that an upload has since its last use is over.

    :param expires: When it expires.
    :param share: The share.
    """
    anew = Upload.next_expiry()
    return anew - expires > (anew - utcnow()) * share


def ensure_current(upload_id: uuid.UUID, grant: Grant) -> None:
    """Check that an epoch has not ended. Whoever has the lock in storage loses nothing if it ends later.

    :param upload_id: Identifier of the upload.
    :param grant: State of the run.
    :raises UploadLost: If it has ended.
    :raises UploadGone: If the upload has been aborted, or has expired.
    :raises UploadClosed: If it takes no more bytes.
    """
    if UploadExtent.epochs({upload_id}).get((upload_id, RUN)) != grant.epoch:
        held_open(upload_id)
        raise UploadLost()


def of_epoch(upload_id: uuid.UUID, epoch: int) -> UploadExtent:
    """Return the extent of a run. The transaction has locked the upload.

    :param upload_id: Identifier of the upload.
    :param epoch: Epoch of the caller.
    :raises UploadLost: If that epoch has ended.
    """
    extent = UploadExtent.of_epoch(upload_id, RUN, epoch)
    if extent is None:
        raise UploadLost()
    return extent


def settle(upload_id: uuid.UUID, grant: Grant, store: Backend, continues: bool = False) -> Grant:
    """Record what another request has written but could not record, and commit.

    :param upload_id: Identifier of the upload.
    :param grant: State of the run.
    :param store: Storage of the upload.
    :param continues: Whether the caller goes on as that request would have. Where there is nothing to record, the
        extent may then name that one instead of the caller.
    :returns: New state of the run.
    :raises TimeoutError: If the other request is still writing.
    :raises UploadOverrun: If it has written more than the length that was declared afterwards.
    """
    if grant.left_by is None:
        return grant
    receipt = store.uploads.kept(grant.state, RUN, grant.receipt, epoch=grant.left_by, takes_over=True)
    if continues and receipt["size"] == grant.size:
        return grant._replace(is_clean=True)

    def record() -> None:
        upload, extent = held_open(upload_id), of_epoch(upload_id, grant.epoch)
        ensure_room(upload.length, receipt["size"])
        if receipt["size"] != extent.size:
            extent.size, extent.receipt, extent.digests = receipt["size"], receipt, None
        extent.offset, extent.writer = 0, None

    try:
        in_transaction(record)
    except UploadOverrun:
        give_up(upload_id, grant.epoch)
        raise
    return grant._replace(receipt=receipt, size=receipt["size"])


def look(upload_id: uuid.UUID) -> Grant:
    """Return the state of a run without disturbing a request that is writing it.

    :param upload_id: Identifier of the upload.
    """
    upload = held_open(upload_id)
    extent = UploadExtent.one(upload_id, RUN)
    if extent is None:
        return Grant(0, upload.state, None, 0, upload.length, None)
    return Grant(extent.epoch, upload.state, extent.receipt, _size(extent), upload.length, _left_by(extent.writer))


def note(upload_id: uuid.UUID, grant: Grant, receipt: Receipt) -> int:
    """Record what has arrived in an epoch that may continue to write.

    :param upload_id: Identifier of the upload.
    :param grant: State of the run.
    :param receipt: Receipt of the bytes that have arrived.
    :returns: How far the run has come, in bytes.
    """
    held_open(upload_id)
    extent = UploadExtent.of_epoch(upload_id, RUN, grant.epoch)
    if extent is None:
        return grant.size
    if receipt["size"] > (extent.size or 0):
        extent.offset, extent.size, extent.receipt, extent.digests = 0, receipt["size"], receipt, None
    return extent.size or 0


def give_up(upload_id: uuid.UUID, epoch: int) -> None:
    """Note that unrecorded bytes of an epoch cannot be trusted, and release what it has claimed.

    :param upload_id: Identifier of the upload.
    :param epoch: The epoch.
    """

    def give_back() -> None:
        upload = Upload.hold(upload_id)
        extent = upload and UploadExtent.of_epoch(upload_id, RUN, epoch)
        if upload is not None and extent is not None:
            extent.writer = LEFTOVERS
            if upload.length is None:
                upload.claim(extent.size or 0, 0)

    try:
        in_transaction(give_back)
    except SQLAlchemyError:
        current_app.logger.exception("The end of a request to the upload %s could not be recorded.", upload_id)
