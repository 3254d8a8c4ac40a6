"""The pump: copying a stream to a file, hashed on the way, in bounded memory.

A long stream is read by the caller's thread, to which the input of a WSGI server belongs, while two others hash and
write. Hashing and writing release the interpreter's lock, so the slowest of the three sets the pace. A short stream
starts no threads, which would cost more than they save; nor does one that is only written to a file of this machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

from ..checksums import DEFAULT_CHUNK_SIZE, MessageDigest, chunk_size_or_default
from ..errors import DigestMismatchError, FileSizeError, UnexpectedFileSizeError
from ..messages import lazy_gettext as _
from .failures import translated_errors

if TYPE_CHECKING:
    from _typeshed import SupportsRead, SupportsWrite

    from ..limiters import FileSizeLimit

INLINE_BYTES = 2 * DEFAULT_CHUNK_SIZE
"""Number of bytes that are hashed and written before the threads are started."""

_QUEUED_BLOCKS = 4


def check_sizelimit(size_limit: int | FileSizeLimit | None, bytes_written: int, total_size: int | None = None) -> None:
    """Check that a file does not exceed its limit.

    :param size_limit: Largest size allowed, in bytes, or a limit with its reason; ``None`` for no limit.
    :param bytes_written: Number of bytes so far.
    :param total_size: Not used; only the number of bytes counts.
    :raises FileSizeError: If there are more; its description is the reason of the limit.
    """
    limit = getattr(size_limit, "limit", size_limit)
    if limit is not None and bytes_written > limit:
        reason = getattr(size_limit, "reason", None)
        raise FileSizeError(description=reason or _("File size limit exceeded."))


def check_size(bytes_written: int, total_size: int | None) -> None:
    """Check that a file has the announced size.

    :param bytes_written: Number of bytes of the file.
    :param total_size: Announced size in bytes; ``None`` if none was.
    :raises UnexpectedFileSizeError: If the two differ.
    """
    if total_size is not None and bytes_written != total_size:
        is_smaller = bytes_written < total_size
        raise UnexpectedFileSizeError(
            description=_("File is smaller than expected.") if is_smaller else _("File is bigger than expected.")
        )


class VerifiedStream:
    """A stream that compares what is read through it with digests.

    The digests are compared when the stream ends: at the read that returns nothing, or, if the size is given, at the
    read that returns the last byte. So a wrong digest is an error of the source, and the storage removes what it has.

    :param stream: File-like object to read.
    :param digests: Expected digests, raw, by the names that :mod:`hashlib` has for the algorithms.
    :param size: Size of the stream in bytes, if known.
    :raises ValueError: If :mod:`hashlib` does not know an algorithm.
    """

    def __init__(self, stream: SupportsRead[bytes], digests: dict[str, bytes], size: int | None = None) -> None:
        """Remember the stream, and start the digests."""
        self._stream = stream
        self._expected = [(hashlib.new(name, usedforsecurity=False), digest) for name, digest in digests.items()]
        self._size = size
        self._bytes_read = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes, and compare the digests if they are the last ones.

        :param size: Largest number of bytes to read; negative for all.
        :returns: The bytes; none at the end of the stream.
        :raises DigestMismatchError: If a digest is not the expected one.
        """
        data = self._stream.read(size)
        self._bytes_read += len(data)
        for digest, _value in self._expected:
            digest.update(data)
        if size < 0 or (size > 0 and not data) or self._bytes_read == self._size:
            self._verify()
        return data

    def _verify(self) -> None:
        if any(digest.digest() != expected for digest, expected in self._expected):
            raise DigestMismatchError()


class _Worker(Thread):
    """A thread that calls a function with each block.

    :param work: The function. After its first error it is not called again, and blocks are discarded.
    """

    def __init__(self, work: Callable[[bytes], Any]) -> None:
        super().__init__(name="files-rest-pump", daemon=True)
        self._work = work
        self._blocks: Queue[bytes | None] = Queue(_QUEUED_BLOCKS)
        self._error: BaseException | None = None
        self._abandoned = False
        self.start()

    def run(self) -> None:
        while (block := self._blocks.get()) is not None:
            if self._error is None and not self._abandoned:
                try:
                    self._work(block)
                except BaseException as error:
                    self._error = error

    def put(self, block: bytes) -> None:
        """Pass a block to the thread; wait if it already holds too many."""
        if self._error is not None:
            raise self._error
        self._blocks.put(block)

    def finish(self) -> None:
        """Wait until all blocks are done, and raise the error of the function."""
        self._blocks.put(None)
        self.join()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """End the thread; the blocks that it still holds are discarded."""
        self._abandoned = True
        if self.is_alive():
            self._blocks.put(None)
            self.join()


def _blocks(source: SupportsRead[bytes], block_size: int, least: int, check: Callable[[int], None]) -> Iterator[bytes]:
    """Read a source to its end in blocks of some size, of which the last may be smaller, however short reads are."""
    total = 0
    while True:
        parts: list[bytes] = []
        held = 0
        while held < least and (data := source.read(block_size - held)):
            held += len(data)
            total += len(data)
            check(total)
            parts.append(data)
        if held:
            yield parts[0] if len(parts) == 1 else b"".join(parts)
        if held < least:
            return


def pump(
    source: SupportsRead[bytes],
    destination: SupportsWrite[bytes],
    message_digest: MessageDigest | None = None,
    *,
    size: int | None = None,
    size_limit: int | FileSizeLimit | None = None,
    chunk_size: int | None = None,
    least: int | None = None,
    at_once: bool = False,
    progress_callback: Callable[[int | None, int], Any] | None = None,
) -> int:
    """Copy a source to a destination, to the source's end.

    Only this thread reads the source. At most some seven chunks are held in memory.

    :param source: File-like object to read. Reads may return less than asked for; no bytes mean its end.
    :param destination: File-like object to write to.
    :param message_digest: Digest to feed with the bytes.
    :param size: Number of bytes that the source must have; ``None`` if that is not known.
    :param size_limit: Largest number of bytes that it may have. Nothing beyond the limit is written.
    :param chunk_size: Largest number of bytes to pass on at a time.
    :param least: Number of bytes to pass on before more are waited for; by default as many.
    :param at_once: Whether the destination takes bytes at once, as the page cache does. Then this thread writes them
        where it has no digest to compute; to pass them on would take longer.
    :param progress_callback: Function that is called with the size, ``None`` if it is not known, and the number of
        bytes so far; at the end they are equal.
    :returns: Number of bytes copied.
    :raises FileSizeError: As soon as the limit is exceeded.
    :raises UnexpectedFileSizeError: If the source has not as many bytes as announced.
    :raises StorageFullError: If the destination has no space left.
    :raises Exception: What reading the source raises, unchanged.
    """

    def check(total: int) -> None:
        check_sizelimit(size_limit, total, size)
        if size is not None and total > size:
            check_size(total, size)

    def write(block: bytes) -> None:
        with translated_errors():
            destination.write(block)

    if size is not None:
        check_sizelimit(size_limit, size, size)
    consumers: list[Callable[[bytes], Any]] = [write]
    # One that follows in a thread of its own needs none of these.
    followers: list[Callable[[bytes], Any]] = []
    if message_digest is not None:
        (followers if getattr(message_digest, "follows", False) else consumers).append(message_digest.update)
    needs_threads = len(consumers) > 1 or not at_once
    workers: list[_Worker] = []
    done = 0
    try:
        block_size = chunk_size_or_default(chunk_size)
        for block in _blocks(source, block_size, least or block_size, check):
            if needs_threads and not workers and done >= INLINE_BYTES:
                for consumer in consumers:
                    workers.append(_Worker(consumer))
                consumers = [worker.put for worker in workers]
            for consumer in (*followers, *consumers):
                consumer(block)
            done += len(block)
            if progress_callback is not None:
                progress_callback(size, done)
        check_size(done, size)
        for worker in workers:
            worker.finish()
        if progress_callback is not None and (size is None or not done):
            progress_callback(done, done)
    except BaseException:
        for worker in workers:
            worker.abandon()
        raise
    return done
