"""Request bodies for tests: large ones, short reads, and broken connections."""

from __future__ import annotations

import io

MIB = 1024 * 1024


class GeneratedStream:
    """A stream of any size that takes no memory, and has short reads like a socket.

    :param size: Number of bytes.
    :param fail_at: Number of bytes after which reading fails, as when a client goes away.
    """

    def __init__(self, size: int, fail_at: int | None = None) -> None:
        """Start at the first byte."""
        self.size = size
        self.fail_at = fail_at
        self.position = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return fewer bytes than asked for."""
        if self.fail_at is not None and self.position >= self.fail_at:
            raise ConnectionResetError("The client has gone.")
        left = self.size - self.position
        length = min(left, 60_000 if size < 0 else min(size, 60_000))
        start, self.position = self.position, self.position + length
        return bytes(length) if start % 2 else b"\1" * length


class BreakingStream:
    """A stream that has some bytes, and then fails.

    :param content: The bytes.
    """

    def __init__(self, content: bytes) -> None:
        """Begin at the first byte."""
        self._stream = io.BytesIO(content)

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes, or fail if there are no more."""
        data = self._stream.read(size)
        if not data:
            raise ConnectionResetError("The client has gone.")
        return data


class EndingStream(BreakingStream):
    """The same stream, which ends instead of failing."""

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes; none at the end."""
        return self._stream.read(size)
