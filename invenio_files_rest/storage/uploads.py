"""The capability to take a file piece by piece, for uploads that are not one body.

A storage that has it says so with :meth:`~invenio_files_rest.storage.base.FileStorage.capability`::

    uploads = storage.capability(Uploads)
    state = uploads.begin()
    receipts = [uploads.write(state, ExtentWrite(number), stream) for number, stream in enumerate(streams)]
    uri, size, checksum = uploads.finish(state, receipts)

What it returns is JSON, so that the next piece may come to another process, on another machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from _typeshed import SupportsRead

    from ..checksums import MessageDigest

State = dict[str, Any]
"""What the storage needs to find an upload again. ``uri`` is that of the file that it becomes."""

Receipt = dict[str, Any]
"""What the storage needs to find the bytes of an extent again. ``size`` is their number."""

WAIT_SECONDS = 5.0
"""Seconds to wait for whoever writes the same place."""


class Stored(NamedTuple):
    """A file that is there as a whole."""

    uri: str
    size: int
    checksum: str | None


def always() -> None:
    """Admit whoever writes."""


@dataclass(frozen=True)
class ExtentWrite:
    """One writing of an extent, a piece of a file."""

    number: int
    """Number of the extent."""

    offset: int | None = None
    """Where it belongs in the file, in bytes, for a storage that can write it there at once. Nothing that has been
    acknowledged may lie there. ``None`` where nobody knows."""

    epoch: int = 1
    """How often somebody has begun to write this extent; never the same twice."""

    size: int | None = None
    """Number of bytes that the stream must have, of an extent that is written once. Without a size and with an offset
    the extent is one that grows."""

    receipt: Receipt | None = None
    """Of what an extent that grows has already."""

    whole: bool = True
    """Whether nothing stays of a stream that raises; otherwise what came stays to be :meth:`~Uploads.kept`."""

    digest: MessageDigest | None = None
    """Digest to feed with the bytes."""

    ready: Callable[[], Any] = always
    """Called when nobody else writes this place any more, and before the first byte. What it raises is passed on."""

    saved: Callable[[Receipt], Any] | None = None
    """Called every :data:`~invenio_files_rest.storage.pieces.SAVE_SECONDS` at most, by the thread that writes, with a
    receipt of what is durable so far."""

    timeout: float = WAIT_SECONDS
    """Seconds to wait for whoever writes the same place."""


class Uploads(Protocol):
    """Uploads to one file, which nobody sees before it is finished.

    All that a method has returned is durable.
    """

    def begin(self, size: int | None = None) -> State:
        """Begin an upload.

        :param size: Size of the file in bytes, where it is known.
        :returns: Its state.
        :raises StorageError: If the storage fails; then nothing is left.
        """
        ...

    def write(self, state: State, extent: ExtentWrite, stream: SupportsRead[bytes]) -> Receipt:
        """Write a stream, to its end.

        :param state: State of the upload.
        :param extent: What it is a part of, and how it is written.
        :param stream: The bytes.
        :returns: Receipt of the whole extent.
        :raises TimeoutError: If somebody else keeps writing the same place.
        :raises UnexpectedFileSizeError: If the stream is not of the size.
        :raises FileNotFoundError: If the upload has been finished or aborted.
        :raises StorageError: If the storage fails.
        """
        ...

    def kept(
        self, state: State, number: int, receipt: Receipt | None, *, epoch: int, timeout: float = WAIT_SECONDS
    ) -> Receipt:
        """Make durable what somebody has written of an extent that grows, and could not tell.

        :param state: State of the upload.
        :param number: Number of the extent.
        :param receipt: What is known of the extent.
        :param epoch: The epoch of who has written it.
        :param timeout: Seconds to wait for whoever writes it still; 0 to ask once.
        :returns: Receipt of all that is there.
        :raises TimeoutError: If that was not enough.
        :raises FileNotFoundError: If the upload has been finished or aborted.
        :raises StorageError: If the storage fails, or has less than the receipt says.
        """
        ...

    def drop(self, state: State, receipt: Receipt) -> None:
        """Forget an extent that was replaced by another.

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
    ) -> Stored:
        """Make the file of some extents; none of the others stays. A second run finds the file, and reads it.

        :param state: State of the upload.
        :param receipts: Receipts of the extents, in the order of their bytes.
        :param checksum: Checksum of the whole, where somebody has computed it while the bytes came.
        :param progress: Called with the size and the number of bytes that are done.
        :returns: The file.
        :raises TimeoutError: If somebody writes still.
        :raises FileNotFoundError: If the upload has been aborted.
        :raises StorageError: If the storage fails; then all extents are there as before.
        """
        ...

    def abort(self, state: State) -> None:
        """Remove all bytes of an upload, the finished file among them. Doing it twice is no error.

        :param state: State of the upload.
        """
        ...


def machine() -> str | None:
    """Return what tells this machine, since it was started, from all others; ``None`` where that is not known.

    What a process that was killed has written is in the memory of the machine on which it ran, and nowhere else for
    certain: after a power failure a file may have its size, and holes for bytes.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
