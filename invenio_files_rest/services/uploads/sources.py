"""Reading the body of a request for an upload: how much of it to read, and what to do if it breaks off."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from ..transactions import in_transaction
from .errors import UploadLost, UploadOverrun
from .leases import Lease

if TYPE_CHECKING:
    from _typeshed import SupportsRead

PIECE = 64 * 1024
"""Largest number of bytes to read at a time if the bytes of a broken body are kept.

When a body breaks off, a server may lose what it has read in the same call: uWSGI does, and gunicorn for chunked
bodies.
"""

MIB = 1024**2
LARGEST_PIECE = MIB
"""Largest number of bytes to read at a time otherwise. Servers take as long for each read as for many bytes."""

QUICK_SECONDS = 0.05
"""Time that a read may take before smaller ones are made: of a slow client, what is there is to be kept soon."""

TOUCH_SECONDS = 60.0
"""Interval in seconds at which an upload that takes bytes is marked as being in use."""

FIRST_CLAIM, LARGEST_CLAIM = 8 * MIB, 1024 * MIB
"""Bytes to claim at a time for a body of unknown length: at first, and at most after being doubled each time."""


class Touching:
    """A stream that has something done every minute while it is read, e.g. to show that an upload is in use.

    :param stream: The stream.
    :param touch: What is done, in a transaction. A failure of the database is only logged.
    """

    def __init__(self, stream: SupportsRead[bytes], touch: Callable[[], Any]) -> None:
        """Begin the first minute."""
        self._stream = stream
        self._touch = touch
        self._since = time.monotonic()

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; negative for any number.
        """
        data = self._stream.read(size)
        if time.monotonic() - self._since > TOUCH_SECONDS:
            self._since = time.monotonic()
            try:
                in_transaction(self._touch)
            except SQLAlchemyError:
                current_app.logger.exception("That an upload is in use could not be recorded.")
        return data


class Source:
    """A body that is read no further than the upload has room and claimed bytes for.

    :param stream: The body.
    :param lease: The right to write the bytes.
    :param size: Number of bytes in the body, if known.
    :param limit: Largest number of bytes that it may have, if the length of the upload is known.
    :param claim: Function that claims more bytes: it takes the wanted and the needed total, and returns the total that
        is claimed. ``None`` if nothing needs to be claimed.
    :param salvage: Whether the stream just ends if reading it fails; :attr:`error` then has the reason.
    :param lossless: Whether a read returns what came before the body broke off.
    """

    def __init__(
        self,
        stream: SupportsRead[bytes],
        lease: Lease,
        *,
        size: int | None,
        limit: int | None = None,
        claim: Callable[[int, int], int] | None = None,
        salvage: bool = False,
        lossless: bool = False,
    ) -> None:
        """Start with nothing received."""
        self._stream = stream
        self._lease = lease
        self._size = size
        self._limit = limit
        self.claimed = 0
        """Number of bytes claimed for the body; set before it is read."""
        self._claim = claim
        self._step = FIRST_CLAIM
        self._salvage = salvage
        self._piece = self._largest_piece = LARGEST_PIECE if lossless else PIECE
        self.received = 0
        """Number of bytes received."""
        self.error: Exception | None = None
        """Why reading failed, if it did and the stream therefore ended."""

    @property
    def broken(self) -> bool:
        """Whether the body broke off."""
        return self.error is not None or (self._size is not None and self.received < self._size)

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; negative for any number.
        :raises UploadLost: If another request has taken over.
        :raises UploadOverrun: If there are more bytes than the upload has room for.
        :raises FileSizeError: If a size limit is exceeded.
        """
        if self.error is not None:
            return b""
        try:
            data = self._read(size)
        except Exception as error:
            if self._lease.lost and not isinstance(error, UploadLost):
                error = UploadLost()
            if not self._salvage:
                raise error
            self.error = error
            return b""
        self.received += len(data)
        return data

    def _read(self, size: int) -> bytes:
        if self._lease.lost:
            raise UploadLost()
        wanted = MIB if size < 0 else size
        if self._salvage:
            wanted = min(wanted, self._piece)
        if self._limit is not None:
            room = self._limit - self.received
            if room <= 0:
                if self._stream.read(1):
                    raise UploadOverrun()
                return b""
            wanted = min(wanted, room)
        if self._claim is not None:
            room = self.claimed - self.received
            if room <= 0:
                # Read a byte first, since a body that has ended needs no more.
                data = self._stream.read(1)
                if data:
                    needed = self.received + 1
                    self.claimed = self._claim(self.claimed + self._step, needed)
                    self._step = min(2 * self._step, LARGEST_CLAIM)
                return data
            wanted = min(wanted, room)
        begun = time.monotonic()
        data = self._stream.read(wanted)
        is_quick = time.monotonic() - begun < QUICK_SECONDS
        self._piece = min(2 * self._piece, self._largest_piece) if is_quick else PIECE
        if not data and self._lease.lost:
            # It has ended because we shut it.
            raise UploadLost()
        return data
