"""The body of a request as the bytes of an upload: how much of it is wanted, and what becomes of one that breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import UploadLengthMismatch, UploadLost
from .leases import Lease

if TYPE_CHECKING:
    from _typeshed import SupportsRead

PIECE = 64 * 1024
"""Bytes that are read at a time of a body of which is kept what comes.

A server that finds a body broken may lose what it has read of it in the same call: uWSGI does, and gunicorn in chunks.
"""

MIB = 1024**2
FIRST_CLAIM, LARGEST_CLAIM = 8 * MIB, 1024 * MIB
"""Bytes that are claimed at once for a body of unknown length: the first time, and doubled each time, at most."""


class Source:
    """A stream that ends where it has to.

    :param stream: The body.
    :param lease: Right to write what comes.
    :param size: Number of bytes that the body shall have, where that is known.
    :param limit: Number of bytes that it may have, where the length of the upload is known.
    :param claim: Function that claims more: it is given how many bytes are wanted in all, and how many are needed, and
        returns how many are claimed. ``None`` where nothing needs to be claimed.
    :param salvage: Whether the stream just ends where reading it fails; :attr:`error` tells why.
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
    ) -> None:
        """Begin with nothing received."""
        self._stream = stream
        self._lease = lease
        self._size = size
        self._limit = limit
        self.claimed = 0
        """Number of bytes that are claimed for the body; set before it is read."""
        self._claim = claim
        self._step = FIRST_CLAIM
        self._salvage = salvage
        self.received = 0
        """Number of bytes that have come."""
        self.error: Exception | None = None
        """Why reading failed, where it did and the stream just ended."""

    @property
    def broken(self) -> bool:
        """Whether the body has not come to its end."""
        return self.error is not None or (self._size is not None and self.received < self._size)

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; negative for as many as come.
        :raises UploadLost: If another request has taken over.
        :raises UploadLengthMismatch: If there are more bytes than the upload has room for.
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
            wanted = min(wanted, PIECE)
        if self._limit is not None:
            room = self._limit - self.received
            if room <= 0:
                if self._stream.read(1):
                    raise UploadLengthMismatch(description="There are more bytes than the length of the upload.")
                return b""
            wanted = min(wanted, room)
        if self._claim is not None:
            room = self.claimed - self.received
            if room <= 0:
                # Only a body that goes on needs more.
                data = self._stream.read(1)
                if data:
                    needed = self.received + 1
                    self.claimed = self._claim(self.claimed + self._step, needed)
                    self._step = min(2 * self._step, LARGEST_CLAIM)
                return data
            wanted = min(wanted, room)
        data = self._stream.read(wanted)
        if not data and self._lease.lost:
            # That is why it has ended.
            raise UploadLost()
        return data
