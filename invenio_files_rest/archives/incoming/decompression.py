"""Streams that may be compressed, as their first bytes tell, read in bounded memory and with bounded expansion."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import InvalidArchiveError
from ...messages import lazy_gettext as _

if TYPE_CHECKING:
    from _typeshed import SupportsRead

BLOCK = 64 * 1024
"""Number of bytes that are read from the compressed stream at a time, and largest number that are made of them."""

XZ_MEMORY = 128 * 1024**2
"""Bytes of memory that decompressing xz may take; ``xz -9`` needs half of that."""

FREE_BYTES = 16 * 1024**2
"""Number of bytes that may come of any stream, however small it is."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class _Gzip:
    """A decompressor of gzip with the interface of those of :mod:`bz2` and :mod:`lzma`."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _xz() -> Any:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


_FORMATS: dict[bytes, tuple[str, Callable[[], _Decompressor]]] = {
    b"\x1f\x8b": ("gzip", _Gzip),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
    b"\xfd7zXZ\0": ("xz", _xz),
}
"""Names and decompressors of the formats, by the bytes that a stream begins with."""


class Plain:
    """A stream whose first bytes have been looked at.

    :param stream: The rest of the stream.
    :param first: The first bytes.
    """

    def __init__(self, stream: SupportsRead[bytes], first: bytes) -> None:
        """Begin with the first bytes."""
        self._stream, self._first = stream, first

    def read(self, size: int = -1) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; there may be fewer, and none only at the end.
        """
        if self._first:
            data, self._first = self._first[:size], self._first[size:]
            return data
        return self._stream.read(size)


class Decompressed:
    """A compressed stream, as its content. Several streams after another are one.

    :param stream: The compressed stream.
    :param name: Name of the format.
    :param make: Makes a decompressor.
    :param most: How many times as long as the compressed bytes the others may be.
    """

    def __init__(self, stream: SupportsRead[bytes], name: str, make: Callable[[], _Decompressor], most: int) -> None:
        """Begin."""
        self._stream, self._name, self._make, self._most = stream, name, make, most
        self._decompressor: _Decompressor | None = make()
        self._waiting = b""
        self._ended = False
        self._came = self._made = 0

    def read(self, size: int = BLOCK) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; there may be fewer, and none only at the end.
        :raises InvalidArchiveError: If the stream is damaged or ends too early, needs too much memory, or expands too
            much.
        """
        if size == 0:
            return b""
        try:
            data = self._read(min(size, BLOCK) if size >= 0 else BLOCK)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, lzma.LZMAError) and "emory" in str(error):
                raise InvalidArchiveError(
                    description=_("The archive needs too much memory to be decompressed.")
                ) from error
            raise InvalidArchiveError(
                description=_("The compression of the archive (%(name)s) is damaged.", name=self._name)
            ) from error
        self._made += len(data)
        if self._made > FREE_BYTES and self._made > self._most * self._came:
            raise InvalidArchiveError(
                description=_("The archive expands to more than %(most)s times its size.", most=self._most)
            )
        return data

    def _read(self, size: int) -> bytes:
        while True:
            if self._decompressor is None:
                # xz fills streams up with null bytes; tar(1) has none of gzip's.
                self._waiting = self._waiting.lstrip(b"\0") or self._more()
                if not self._waiting:
                    return b""
                self._decompressor = self._make()
                continue
            data = self._decompressor.decompress(self._waiting, size)
            self._waiting = b""
            if self._decompressor.eof:
                self._waiting, self._decompressor = self._decompressor.unused_data, None
            if data:
                return data
            if self._decompressor is not None:
                self._waiting = self._more()
                if not self._waiting:
                    raise EOFError

    def _more(self) -> bytes:
        data = self._stream.read(BLOCK)
        self._came += len(data)
        return data


def decompressed(stream: SupportsRead[bytes], most: int) -> Plain | Decompressed:
    """Return the content of a stream that may be compressed.

    :param stream: The stream.
    :param most: How many times as long as the compressed bytes the others may be.
    """
    first = b""
    while len(first) < 6 and (data := stream.read(6 - len(first))):
        first += data
    plain = Plain(stream, first)
    for magic, (name, make) in _FORMATS.items():
        if first.startswith(magic):
            return Decompressed(plain, name, make, most)
    return plain
