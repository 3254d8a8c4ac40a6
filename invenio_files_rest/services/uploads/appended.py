"""*Appended*: one run of bytes that grows, in requests that may break off. Its length may be declared late."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from ...errors import FilesException
from ...messages import lazy_gettext as _
from ...messages import lazy_ngettext
from ...models import Upload, UploadExtent
from ...storage.uploads import WAIT_SECONDS, ComeBetween, ExtentWrite, Receipt
from ..transactions import in_transaction, release_connection
from .access import Backend, backend, explained, held_open, use, used_open
from .digests import Following, running
from .errors import UploadIncomplete, UploadLost, UploadOffsetMismatch, UploadOverrun
from .free import FreePlan
from .interface import Progress
from .leases import Lease
from .runs import (
    RUN,
    Grant,
    ensure_current,
    ensure_room,
    give_up,
    is_used_up,
    leave,
    look,
    note,
    of_epoch,
    resume,
    settle,
    take,
    writer_of,
)
from .sources import Source, Touching

if TYPE_CHECKING:
    from _typeshed import SupportsRead


POSTPONED_SHARE = 0.01
"""Share of the time that an upload has after which a request that goes on in the epoch of another postpones its expiry.
One that is soon over spares a statement."""


class Appended(FreePlan):
    """Uploads of one run; see :class:`~invenio_files_rest.services.uploads.interface.Uploading`."""

    name = "appended"

    def write(
        self,
        upload_id: uuid.UUID,
        place: int,
        stream: SupportsRead[bytes],
        *,
        size: int | None = None,
        length: int | None = None,
        whole: bool = False,
        shut: Callable[[], Any] | None = None,
        lossless: bool = False,
        epoch: int | None = None,
    ) -> Progress:
        """Append the bytes of a stream, and commit them.

        If the stream breaks off, the bytes that came are kept, unless ``whole`` is set.

        :param upload_id: Identifier of the upload.
        :param place: Offset in bytes, which has to be the end of the run.
        :param stream: The bytes.
        :param size: Number of bytes in the stream, if the request declares it.
        :param length: Length of the upload, if the request declares it.
        :param whole: Whether to keep nothing of a stream that fails or is too short, as when it has a checksum.
        :param shut: Function that ends a waiting read of the stream, for when another request takes over.
        :param lossless: Whether a read of a stream that breaks off returns what came, however much is asked for.
        :param epoch: Epoch of the run as the caller has found it. Where it is that of the previous request, and of this
            process, this request goes on in it, which spares the commit of a new one.
        :returns: How far the upload has come, and whether the stream broke off.
        :raises UploadOffsetMismatch: If the run ends elsewhere.
        :raises UploadLengthMismatch: If another length was declared before.
        :raises UploadOverrun: If there are more bytes than declared.
        :raises UploadBusy: If another request is still writing.
        :raises UploadLost: If another request has taken over.
        :raises UploadGone: If the upload has been aborted, or has expired.
        :raises UploadClosed: If it takes no more bytes.
        :raises FileSizeError: If a size limit is exceeded.
        :raises StorageError: If the storage fails, or the location is away.
        """
        release_connection()

        def go_on(grant: Grant) -> Progress:
            store = backend(upload_id, grant.state)
            with explained(grant.state["uri"], lambda: held_open(upload_id)):
                grant = settle(upload_id, grant, store, not whole and store.uploads.continues(grant.state))
                if place != grant.size:
                    raise UploadOffsetMismatch(grant.size)
                ensure_room(grant.length, place + (size or 0))
                return _append(upload_id, grant, store, stream, size, whole, shut, lossless)

        resumed = None if whole or epoch is None else resume(upload_id, epoch, place, length)
        if resumed is not None:
            with suppress(_Overtaken):
                return go_on(resumed)
        return go_on(in_transaction(lambda: take(upload_id, place, size, length, whole)))

    def offset(self, upload_id: uuid.UUID, take_over: bool = False) -> Progress:
        """Return how far an upload has come, including bytes that arrived but could not be recorded.

        :param upload_id: Identifier of the upload.
        :param take_over: Whether to stop a request that is still writing, so that the caller can go on. Otherwise only
            the bytes that it has recorded count.
        :raises UploadBusy: If the other request does not stop.
        :raises UploadGone: If there is no such upload, or it has expired.
        :raises UploadClosed: If it takes no more bytes.
        """
        release_connection()
        grant = in_transaction(lambda: take(upload_id, None) if take_over else look(upload_id))
        store = backend(upload_id, grant.state)
        with explained(grant.state["uri"], lambda: held_open(upload_id)):
            if take_over:
                grant = settle(upload_id, grant, store)
            elif grant.left_by is not None:
                with suppress(TimeoutError):
                    receipt = store.uploads.kept(grant.state, RUN, grant.receipt, epoch=grant.left_by, timeout=0)
                    grant = grant._replace(size=in_transaction(lambda: note(upload_id, grant, receipt)))
        return Progress(grant.size, grant.length)

    def missing(self, upload_id: uuid.UUID) -> list[int]:
        """Return the number of the run if it is shorter than the upload."""
        upload = Upload.get(upload_id)
        size = sum(extent.size for extent in UploadExtent.recorded(upload_id))
        return [] if upload is None or size == upload.length else [RUN]

    def chosen(self, upload: Upload, extents: list[UploadExtent], numbers: list[int] | None) -> list[UploadExtent]:
        """Return the extents that the file consists of.

        :param upload: The upload.
        :param extents: The recorded extents.
        :param numbers: Not used: clients do not name extents of a run.
        :raises UploadIncomplete: If bytes are missing.
        """
        size = extents[0].size if extents else 0
        if upload.length is not None and size != upload.length:
            raise UploadIncomplete(
                [],
                description=lazy_ngettext(
                    "%(num)s byte of the upload is missing.",
                    "%(num)s bytes of the upload are missing.",
                    upload.length - size,
                ),
            )
        return extents


def _append(
    upload_id: uuid.UUID,
    grant: Grant,
    store: Backend,
    stream: SupportsRead[bytes],
    size: int | None,
    whole: bool,
    shut: Callable[[], Any] | None,
    lossless: bool,
) -> Progress:
    """Write a stream at the end of the run, and record it."""
    algorithm, empty = store.new_digest()
    digest = None
    if algorithm is not None and empty is not None:
        digest = Following(empty) if grant.size == 0 else running.take(upload_id, grant.size, algorithm, keep=whole)

    def admit(clear: Callable[[], Any]) -> None:
        if grant.is_resumed:
            # It raises where somebody has come between; who comes later finds what is written here.
            clear()
            watched.enter_context(lease)
        elif grant.is_clean and grant.length is not None:
            # Asked under the lock: who begins an epoch later waits for it, and finds what is written here.
            in_transaction(lambda: ensure_current(upload_id, grant))
            clear()
        else:
            in_transaction(lambda: claim_body(clear))

    def claim_body(clear: Callable[[], Any]) -> None:
        upload = held_open(upload_id)
        extent = of_epoch(upload_id, grant.epoch)
        clear()
        extent.writer = writer_of(grant.epoch, whole)
        if upload.length is None and size is not None:
            upload.claim(grant.size + size, grant.size + size)
        source.claimed = upload.claimed - grant.size

    def claim(wanted: int, needed: int) -> int:
        def more() -> int:
            upload = held_open(upload_id)
            of_epoch(upload_id, grant.epoch)
            ensure_room(upload.length, grant.size + needed)
            if upload.length is None:
                upload.claim(grant.size + wanted, grant.size + needed)
            return int(upload.claimed) - grant.size

        return in_transaction(more)

    def is_left(receipt: Receipt) -> bool:
        """Tell whether the next request may go on in this epoch."""
        is_unfinished = grant.length is not None and receipt["size"] < grant.length
        return is_unfinished and not whole and not source.broken and store.uploads.continues(grant.state)

    def record(receipt: Receipt, ended: bool) -> datetime:
        upload = used_open(upload_id) if grant.length is None else None
        if upload is not None:
            expires: datetime = upload.expires
        elif grant.expires is None or receipt["size"] == grant.length or is_used_up(grant.expires, POSTPONED_SHARE):
            expires = use(upload_id)
        else:
            expires = grant.expires
        size, length = receipt["size"], grant.length if upload is None else upload.length
        ensure_room(length, size)
        arrived: dict[str, Any] = {"offset": 0, "size": size, "receipt": receipt, "digests": None}
        if ended:
            if not is_left(receipt):
                arrived["writer"] = None
            # Where more is to come, they are not waited for.
            if algorithm is not None and digest is not None and length in (None, size):
                arrived["digests"] = {algorithm: digest.hexdigest()}
        if not UploadExtent.arrived(upload_id, RUN, grant.epoch, by_itself=upload is None, **arrived):
            raise UploadLost()
        if ended and upload is not None and length is None:
            upload.claim(size, 0)
        return expires

    def recorded(receipt: Receipt, ended: bool) -> datetime:
        try:
            return in_transaction(lambda: record(receipt, ended))
        except UploadLost:
            # The upload may be gone. Asked in another transaction, since this one may have locked the extent before the
            # upload, as nobody else does.
            in_transaction(lambda: held_open(upload_id))
            raise

    def saved(receipt: Receipt) -> None:
        try:
            recorded(receipt, ended=False)
        except SQLAlchemyError:
            current_app.logger.exception("The progress of the upload %s could not be recorded.", upload_id)

    with ExitStack() as watched:
        lease = Lease(upload_id, RUN, grant.epoch, shut)
        if not grant.is_resumed:
            # Before it is known to be current, one that has been lost would end the body of who begins a new epoch.
            watched.enter_context(lease)
        source = Source(
            Touching(stream, lambda: use(upload_id)),
            lease,
            size=size,
            limit=None if grant.length is None else grant.length - grant.size,
            claim=claim if grant.length is None else None,
            salvage=not whole,
            lossless=lossless,
        )
        try:
            extent = ExtentWrite(
                RUN,
                grant.size,
                epoch=grant.epoch,
                receipt=grant.receipt,
                whole=whole,
                ready=admit,
                digest=digest,
                saved=None if whole else saved,
                # Who waits does so in an epoch of its own, so that the other one is told to stop.
                timeout=0 if grant.is_resumed else WAIT_SECONDS,
                goes_on=grant.is_resumed,
            )
            receipt = store.uploads.write(grant.state, extent, _Whole(source) if whole else source)
        except Exception as error:
            if algorithm is not None and digest is not None and not source.received:
                running.put(upload_id, grant.size, algorithm, digest)
            if grant.is_resumed and isinstance(error, ComeBetween | TimeoutError) and not source.received:
                raise _Overtaken() from error
            give_up(upload_id, grant.epoch)
            raise
        try:
            expires = recorded(receipt, ended=True)
        except UploadOverrun:
            give_up(upload_id, grant.epoch)
            raise
    if algorithm is not None and digest is not None:
        running.put(upload_id, receipt["size"], algorithm, digest)
    if is_left(receipt):
        leave(upload_id, grant._replace(receipt=receipt, size=receipt["size"]), expires)
    if isinstance(source.error, FilesException):
        # Refused by us, as opposed to a broken connection.
        raise source.error
    return Progress(receipt["size"], grant.length, source.broken, source.error, expires)


class _Overtaken(Exception):  # noqa: N818 (the request goes on in a new epoch)
    """Somebody else has come between, or still writes, and nothing of this request has been read."""


class _Whole:
    """A source that fails at its end if bytes are missing."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        if not data and self._source.broken:
            raise UploadIncomplete([], description=_("The body broke off."))
        return data
