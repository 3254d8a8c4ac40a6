"""*Any parts*: parts of any size that arrive in any order and are joined in the order of their numbers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from ...messages import lazy_gettext as _
from ...messages import lazy_ngettext
from ...models import Upload, UploadExtent
from ...storage.uploads import ExtentWrite, Receipt, State
from ..transactions import commit_or_undo, in_transaction, release_connection
from .access import backend, explained, held_open
from .digests import Digests
from .errors import UploadIncomplete, UploadInvalidPart, UploadLengthMismatch, UploadLost, UploadOverrun
from .free import FreePlan
from .interface import Extent
from .leases import Lease
from .sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import SupportsRead

FIRST = 1
"""Number of the first part."""


class Grant(NamedTuple):
    """What a request needs for writing a part."""

    epoch: int
    state: State
    offset: int | None
    """Where the part will probably begin in the file."""

    length: int | None
    kept: int
    """Size in bytes of the part with this number that is there already, and stays until the new one is complete."""

    claimed: int


def _take(upload_id: uuid.UUID, number: int, size: int | None) -> Grant:
    """Lock the upload, begin a new epoch of a part, and claim its size."""
    upload = held_open(upload_id)
    if not FIRST <= number <= current_app.config["FILES_REST_MULTIPART_MAX_PARTS"]:
        raise UploadInvalidPart()
    extent = UploadExtent.take(upload_id, number)
    kept = extent.size or 0
    if upload.length is not None and size is not None:
        others = UploadExtent.total(upload_id) - kept
        if others + size > upload.length:
            raise UploadOverrun()
    _claim(upload, extent, kept + (size or 0), kept + (size or 0))
    offset = None
    if extent.receipt is None and size:
        # A part that is there already is not overwritten, since it counts until the new one is complete.
        if upload.part_size is None:
            upload.part_size = size
        if size <= upload.part_size:
            offset = (number - FIRST) * upload.part_size
    upload.used()
    return Grant(extent.epoch, upload.state, offset, upload.length, kept, extent.claimed)


def _claim(upload: Upload, extent: UploadExtent, wanted: int, needed: int) -> None:
    """Change what a part has claimed; if the length of the upload is known, everything is claimed already."""
    if upload.length is None:
        others = upload.claimed - extent.claimed
        upload.claim(others + wanted, others + needed)
        extent.claimed = upload.claimed - others


def _of_epoch(upload_id: uuid.UUID, number: int, epoch: int) -> UploadExtent:
    extent = UploadExtent.of_epoch(upload_id, number, epoch)
    if extent is None:
        raise UploadLost()
    return extent


class AnyParts(FreePlan):
    """Uploads of parts of any size; see :class:`~invenio_files_rest.services.uploads.interface.Uploading`."""

    name = "parts"

    def write(
        self,
        upload_id: uuid.UUID,
        place: int,
        stream: SupportsRead[bytes],
        *,
        size: int | None = None,
        algorithms: Iterable[str] = ("md5",),
        shut: Callable[[], Any] | None = None,
    ) -> Extent:
        """Write a part, whole or not at all, and commit. It replaces an earlier part with the same number.

        :param upload_id: Identifier of the upload.
        :param place: Number of the part, from 1 to ``FILES_REST_MULTIPART_MAX_PARTS``.
        :param stream: The bytes.
        :param size: Number of bytes, if known.
        :param algorithms: Names of the digests to compute.
        :param shut: Function that ends a waiting read of the stream, for when another request takes over.
        :returns: The part.
        :raises UploadInvalidPart: If the number is out of range.
        :raises UploadOverrun: If it would exceed the length of the upload.
        :raises UploadBusy: If another request is still writing it.
        :raises UploadLost: If another request has begun to write it.
        :raises UploadGone: If the upload has been aborted, or has expired.
        :raises UploadClosed: If it takes no more bytes.
        :raises UnexpectedFileSizeError: If the stream does not have the given size.
        :raises FileSizeError: If a size limit is exceeded.
        :raises StorageError: If the storage fails, or the location is away.
        """
        release_connection()
        grant = in_transaction(lambda: _take(upload_id, place, size))
        store = backend(upload_id, grant.state)
        digests = Digests(algorithms)

        def check() -> None:
            if UploadExtent.epochs([upload_id]).get((upload_id, place)) != grant.epoch:
                held_open(upload_id)
                raise UploadLost()

        def claim(wanted: int, needed: int) -> int:
            def more() -> int:
                upload, extent = held_open(upload_id), _of_epoch(upload_id, place, grant.epoch)
                _claim(upload, extent, grant.kept + wanted, grant.kept + needed)
                return int(extent.claimed) - grant.kept

            return in_transaction(more)

        with explained(grant.state["uri"], lambda: held_open(upload_id)), _given_back(upload_id, place, grant):
            with Lease(upload_id, place, grant.epoch, shut) as lease:
                source = Source(
                    stream,
                    lease,
                    size=size,
                    limit=grant.length,
                    claim=claim if grant.length is None else None,
                )
                source.claimed = grant.claimed - grant.kept
                extent = ExtentWrite(
                    place,
                    grant.offset,
                    epoch=grant.epoch,
                    size=size,
                    ready=lambda clear: (in_transaction(check), clear()),
                    digest=digests,
                )
                receipt = store.uploads.write(grant.state, extent, source)
            return self._record(upload_id, place, grant, receipt, digests.named())

    @staticmethod
    def _record(upload_id: uuid.UUID, number: int, grant: Grant, receipt: Receipt, digests: dict[str, str]) -> Extent:
        store = backend(upload_id, grant.state)

        def record() -> Receipt | None:
            """Record the part, and return the receipt that is no longer needed: that of the old or of the new part."""
            upload, extent = held_open(upload_id), _of_epoch(upload_id, number, grant.epoch)
            replaced = extent.receipt
            _claim(upload, extent, receipt["size"], 0)
            upload.used()
            if replaced is not None and digests and (extent.size, extent.digests) == (receipt["size"], digests):
                # Sent again, since the client did not get our response. The old one may lie in its final place.
                return receipt
            if (
                upload.length is not None
                and UploadExtent.total(upload_id) - grant.kept + receipt["size"] > upload.length
            ):
                raise UploadOverrun()
            extent.offset, extent.size, extent.receipt, extent.digests = grant.offset, receipt["size"], receipt, digests
            return replaced

        unneeded = commit_or_undo(record, lambda: store.uploads.drop(grant.state, receipt))
        if unneeded is not None:
            store.uploads.drop(grant.state, unneeded)
        return Extent(number, grant.offset, receipt["size"], digests)

    def missing(self, upload_id: uuid.UUID) -> list[int]:
        """Return an empty list, since only the client knows which parts there will be."""
        return []

    def chosen(self, upload: Upload, extents: list[UploadExtent], numbers: list[int] | None) -> list[UploadExtent]:
        """Return the extents that the file consists of.

        :param upload: The upload.
        :param extents: The recorded extents.
        :param numbers: Numbers of the parts named by the client, in order; ``None`` for all.
        :raises UploadInvalidPart: If the numbers are not in order.
        :raises UploadIncomplete: If a named part is missing, or there are no parts.
        :raises UploadLengthMismatch: If their total size is not the length of the upload.
        """
        if numbers is not None:
            if any(after <= before for before, after in pairwise(numbers)):
                raise UploadInvalidPart(description=_("The parts are not named in ascending order."))
            there = {extent.number: extent for extent in extents}
            if missing := [number for number in numbers if number not in there]:
                named = ", ".join(map(str, missing[:100]))
                raise UploadIncomplete(
                    missing,
                    description=lazy_ngettext(
                        "%(num)s part is missing: %(named)s",
                        "%(num)s parts are missing: %(named)s",
                        len(missing),
                        named=named,
                    ),
                )
            extents = [there[number] for number in numbers]
        if not extents:
            raise UploadIncomplete([FIRST], description=_("The upload has no parts."))
        if upload.length is not None and sum(extent.size for extent in extents) != upload.length:
            raise UploadLengthMismatch(description=_("The parts have not the length of the upload."))
        return extents


@contextmanager
def _given_back(upload_id: uuid.UUID, number: int, grant: Grant) -> Iterator[None]:
    """Give back what was claimed for a part where it does not come."""

    def give_back() -> None:
        upload = Upload.hold(upload_id)
        extent = upload and UploadExtent.of_epoch(upload_id, number, grant.epoch)
        if upload is not None and extent is not None:
            # It may be there, if only the answer to the commit was lost.
            _claim(upload, extent, extent.size or 0, 0)

    try:
        yield
    except Exception:
        try:
            in_transaction(give_back)
        except SQLAlchemyError:
            current_app.logger.exception("What a part of the upload %s has claimed could not be given back.", upload_id)
        raise
