"""Checksums of streams, as ``algorithm:hexdigest``."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from .errors import StorageError

if TYPE_CHECKING:
    from _typeshed import SupportsRead

CHECKSUM = re.compile(r"[^:\s]+:[^:\s]+\Z")
"""Form of a checksum: ``algorithm:value``."""

DEFAULT_CHUNK_SIZE = 1024 * 1024
"""Default number of bytes to read at a time."""


class MessageDigest(Protocol):
    """The methods of :mod:`hashlib`'s digests that this module uses."""

    def update(self, data: bytes, /) -> None:
        """Add more bytes."""

    def hexdigest(self) -> str:
        """Return the digest in hexadecimal."""
        ...


class CRC32:
    """A CRC-32 in the manner of a digest, which knows how many bytes it is of."""

    def __init__(self) -> None:
        """Begin with no bytes."""
        self.value, self.size = 0, 0

    def update(self, data: bytes, /) -> None:
        """Add more bytes."""
        self.value = zlib.crc32(data, self.value)
        self.size += len(data)

    def hexdigest(self) -> str:
        """Return it in hexadecimal."""
        return f"{self.value:08x}"


class Digests:
    """Several digests that are fed with the same bytes, the first of which is the result.

    :param first: The digest whose result counts.
    :param others: The other digests.
    """

    def __init__(self, first: MessageDigest, others: Iterable[MessageDigest]) -> None:
        """Remember the digests."""
        self._first = first
        self._all = (first, *others)

    def update(self, data: bytes, /) -> None:
        """Add more bytes to all of them."""
        for digest in self._all:
            digest.update(data)

    def hexdigest(self) -> str:
        """Return the result of the first one in hexadecimal."""
        return self._first.hexdigest()


def chunk_size_or_default(chunk_size: int | None) -> int:
    """Return a chunk size, or the default if none is given.

    :param chunk_size: Number of bytes; ``None`` or 0 for the default.
    """
    return chunk_size or DEFAULT_CHUNK_SIZE


DEFAULT_ALGORITHM = "md5"
"""Algorithm that files are hashed with by default."""

_BUILT_IN = ("md5", "sha256", "sha512", "blake2b")

_PACKAGES = {"blake3": ("blake3", "blake3"), "xxh3": ("xxhash", "xxh3_128")}
"""Algorithms in other packages: package, and name in the package."""

ALGORITHMS = (*_BUILT_IN, *_PACKAGES)
"""Names of the algorithms that :func:`new_digest` supports."""


def new_digest(algorithm: str) -> MessageDigest:
    """Return an empty digest, even if the system forbids the algorithm for security.

    :param algorithm: One of :data:`ALGORITHMS`. ``xxh3`` is XXH3 with 128 bits.
    :raises ValueError: If it is not one of them, or its package is not installed.
    """
    if algorithm in _BUILT_IN:
        return hashlib.new(algorithm, usedforsecurity=False)
    if algorithm not in _PACKAGES:
        raise ValueError(f"There is no checksum algorithm {algorithm!r}; there are {', '.join(ALGORITHMS)}.")
    package, name = _PACKAGES[algorithm]
    try:
        digest: MessageDigest = getattr(import_module(package), name)()
    except ImportError as error:
        raise ValueError(f"The checksum algorithm {algorithm} needs the package {package}.") from error
    return digest


def algorithm_of(checksum: str | None, default: str) -> str:
    """Return the algorithm to compare a checksum with.

    :param checksum: Checksum as ``algorithm:hexdigest``, or ``None`` if there is none yet.
    :param default: What to return if there is none, or it is of an algorithm that is none of ours.
    """
    algorithm = (checksum or "").partition(":")[0]
    return algorithm if algorithm in ALGORITHMS else default


def compute_checksum(
    stream: SupportsRead[bytes],
    algo: str,
    message_digest: MessageDigest,
    chunk_size: int | None = None,
    progress_callback: Callable[[int], Any] | None = None,
) -> str:
    """Compute the checksum of what is left of a stream.

    :param stream: File-like object to read.
    :param algo: Name of the algorithm, which the checksum begins with.
    :param message_digest: Digest to feed, as of :mod:`hashlib`.
    :param chunk_size: Largest number of bytes to read at a time.
    :param progress_callback: Function that is called with the number of bytes read so far.
    :returns: The checksum, as ``algorithm:hexdigest``.
    :raises StorageError: If the stream cannot be read; its cause is kept.
    """
    chunk_size = chunk_size_or_default(chunk_size)
    bytes_read = 0
    while True:
        try:
            chunk = stream.read(chunk_size)
        except Exception as error:
            raise StorageError(f"Cannot read the stream to compute its checksum: {error}") from error
        if not chunk:
            return f"{algo}:{message_digest.hexdigest()}"
        message_digest.update(chunk)
        bytes_read += len(chunk)
        if progress_callback is not None:
            progress_callback(bytes_read)


def compute_md5_checksum(stream: SupportsRead[bytes], **kwargs: Any) -> str:
    """Compute the MD5 checksum of what is left of a stream.

    :param stream: File-like object to read.
    :param kwargs: Passed to :func:`compute_checksum`.
    :returns: The checksum, as ``md5:hexdigest``.
    :raises StorageError: If the stream cannot be read; its cause is kept.
    """
    return compute_checksum(stream, "md5", new_digest("md5"), **kwargs)


def agree(expected: str | None, computed: str | None) -> bool | None:
    """Return whether two checksums are equal.

    :param expected: Checksum as ``algorithm:hexdigest``.
    :param computed: Another one.
    :returns: Whether they are; ``None`` if one is missing, or their algorithms differ. A text that is not a checksum
        equals none.
    """
    if expected is None or computed is None:
        return None
    if CHECKSUM.match(expected) and expected.split(":")[0] != computed.split(":")[0]:
        return None
    return expected == computed
