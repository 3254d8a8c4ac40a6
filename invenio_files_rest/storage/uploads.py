"""The capability to write a file piece by piece, for uploads that are not one body.

A storage that has it says so with :meth:`~invenio_files_rest.storage.base.FileStorage.capability`::

    uploads = storage.capability(Uploads)
    state = uploads.begin()
    receipts = [uploads.write(state, ExtentWrite(number), stream) for number, stream in enumerate(streams)]
    uri, size, checksum = uploads.finish(state, receipts)

States and receipts are JSON, so the next piece may be written by another process, on another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from _typeshed import SupportsRead

    from ..checksums import MessageDigest

State = dict[str, Any]
"""What the storage needs to find an upload again. ``uri`` is the URI of the file that it becomes."""

Receipt = dict[str, Any]
"""What the storage needs to find the bytes of an extent again. ``size`` is their number."""

WAIT_SECONDS = 5.0
"""Seconds to wait for another writer of the same place."""


class Stored(NamedTuple):
    """A complete file in storage."""

    uri: str
    size: int
    checksum: str | None


class ComeBetween(Exception):  # noqa: N818 (who is told goes on otherwise)
    """Somebody else has written a growing extent, or taken it over, since its writer has last written."""


def always(clear: Callable[[], Any]) -> None:
    """Admit every writer.

    :param clear: Function that removes bytes that do not count.
    """
    clear()


def nothing() -> None:
    """Do nothing, where nothing is to be cleared."""


@dataclass(frozen=True)
class ExtentWrite:
    """A request to write an extent, which is a piece of a file."""

    number: int
    """Number of the extent."""

    offset: int | None = None
    """Its position in the file, in bytes, for a storage that can write it there at once; ``None`` if it is not known.
    There must be no acknowledged bytes at that position."""

    epoch: int = 1
    """Number of the attempt to write this extent; never used twice, but where :meth:`~Uploads.continues` allows it."""

    size: int | None = None
    """Number of bytes that the stream must have, for an extent that is written once. An extent with an offset and
    without a size is one that grows."""

    receipt: Receipt | None = None
    """Receipt of what a growing extent already has."""

    whole: bool = True
    """Whether nothing is left of a stream that raises; otherwise :meth:`~Uploads.kept` finds what came before."""

    digest: MessageDigest | None = None
    """Digest to feed with the bytes."""

    ready: Callable[[Callable[[], Any]], Any] = always
    """Called before the first byte, once there is no other writer of this place, with a function that removes bytes of
    others from there, which are not to be taken for bytes of this writer; with :func:`nothing` where there are none.
    What it raises is passed on."""

    saved: Callable[[Receipt], Any] | None = None
    """Called with a receipt of what is durable so far, by the calling thread, at most every
    :data:`~invenio_files_rest.storage.pieces.SAVE_SECONDS`."""

    timeout: float = WAIT_SECONDS
    """Seconds to wait for another writer of the same place."""

    goes_on: bool = False
    """Whether the receipt of a growing extent is of all that was written in this epoch, where
    :meth:`~Uploads.continues` allows another time."""


class Uploads(Protocol):
    """Uploads to one file, which does not exist before it is finished.

    What a method has done is durable when it returns.
    """

    joins: bool
    """Whether a file can be made of the extents of several uploads."""

    def begin(self, size: int | None = None) -> State:
        """Begin an upload.

        :param size: Size of the file in bytes, if it is known.
        :returns: Its state.
        :raises StorageError: If the storage fails; nothing is left.
        """
        ...

    def write(self, state: State, extent: ExtentWrite, stream: SupportsRead[bytes]) -> Receipt:
        """Write a stream, to its end.

        :param state: State of the upload.
        :param extent: Which extent it is, and how it is to be written.
        :param stream: The bytes.
        :returns: Receipt of the whole extent.
        :raises TimeoutError: If another writer does not stop writing the same place.
        :raises ComeBetween: If the extent goes on, and somebody else has come between. It is as it was.
        :raises UnexpectedFileSizeError: If the stream is not of the size.
        :raises FileNotFoundError: If the upload has been finished or aborted.
        :raises StorageError: If the storage fails.
        """
        ...

    def continues(self, state: State) -> bool:
        """Return whether a growing extent can be written again in the same epoch, where what that has written ends.

        Then :meth:`kept` finds what came before whatever epoch it is told.

        :param state: State of the upload.
        """
        ...

    def kept(
        self,
        state: State,
        number: int,
        receipt: Receipt | None,
        *,
        epoch: int,
        timeout: float = WAIT_SECONDS,
        takes_over: bool = False,
    ) -> Receipt:
        """Make durable what was written of a growing extent by a writer that did not return.

        :param state: State of the upload.
        :param number: Number of the extent.
        :param receipt: Receipt of what is known to be there.
        :param epoch: Epoch of the writer.
        :param timeout: Seconds to wait for a writer that is still there; 0 to try once.
        :param takes_over: Whether the caller has begun an epoch, so that nobody is to go on in that of the writer.
        :returns: Receipt of all that is there.
        :raises TimeoutError: If that was not enough.
        :raises FileNotFoundError: If the upload has been finished or aborted.
        :raises StorageError: If the storage fails, or has less than the receipt says.
        """
        ...

    def drop(self, state: State, receipt: Receipt) -> None:
        """Remove an extent that was replaced by another.

        :param state: State of the upload.
        :param receipt: Receipt of the extent.
        """
        ...

    def finish(
        self,
        state: State,
        receipts: list[Receipt],
        *,
        checksum: str | None = None,
        progress: Callable[[int | None, int], Any] | None = None,
        sources: Sequence[Uploads] | None = None,
    ) -> Stored:
        """Make the file of some extents, and remove all others. A second call finds the file.

        It reads the file for the checksum, unless that is given.

        :param state: State of the upload.
        :param receipts: Receipts of the extents, in the order of their bytes.
        :param checksum: Checksum of the whole file, if it was computed while the bytes came.
        :param progress: Called with the size and the number of bytes that are done.
        :param sources: What stores the bytes of each receipt, where those are of other uploads, which keep them. A
            storage whose :attr:`joins` is not true is never asked for that.
        :returns: The file.
        :raises TimeoutError: If there is still a writer.
        :raises FileNotFoundError: If the upload has been aborted.
        :raises StorageError: If the storage fails; all extents are as before.
        """
        ...

    def to_read(self, state: State, receipts: list[Receipt], checksum: str | None) -> int:
        """Return how many bytes :meth:`finish` would have to read, which takes its time.

        :param state: State of the upload.
        :param receipts: Receipts of the extents, in the order of their bytes.
        :param checksum: Checksum of the whole, where it is known.
        """
        ...

    def abort(self, state: State) -> None:
        """Remove all bytes of an upload, also the finished file. It may be called again.

        :param state: State of the upload.
        """
        ...


def machine() -> str | None:
    """Return an identifier of this machine since it was last started; ``None`` if there is none.

    What a killed process has written may be only in the page cache of its machine: after a power failure the file may
    have its full size, and zeros in place of the bytes.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
