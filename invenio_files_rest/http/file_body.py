"""How the bytes of a file leave: through the server's own ``wsgi.file_wrapper``, or chunk by chunk.

A file that has not the bytes that its response has promised is found before the first of them, by :func:`ensure_size`;
one that loses bytes while it is sent breaks the connection. So no client takes a part for the whole, or what follows on
the connection for the rest.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from ..checksums import chunk_size_or_default
from ..errors import StorageError
from .pacing import paced_file

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def ensure_size(stream: IO[bytes], size: int | None) -> None:
    """Refuse to send a file that is shorter or longer than it should be.

    :param stream: The file, which stays where it stands. One that cannot seek, or from its beginning alone, tells
        nothing of its size.
    :param size: Number of bytes that it should have; ``None`` where that is not known.
    :raises StorageError: If it has not so many.
    """
    if size is None:
        return
    try:
        position = stream.tell()
        stream.seek(0, os.SEEK_END)
        found = stream.tell()
    # Anybody's stream, which may raise anything.
    except Exception:
        return
    # One that does not know whence it is to seek stands elsewhere, and has something to read there.
    differs = found != size and not stream.read(1)
    stream.seek(position)
    if differs:
        raise StorageError(f"The file {_name(stream)} has {found} bytes, not {size}.")


def _name(stream: Any) -> Any:
    return getattr(stream, "name", stream)


_SYSTEM_FILES = frozenset({io.BufferedRandom, io.BufferedReader, io.FileIO})
"""What :func:`open` returns for a file of the operating system."""


class FilePart:
    """The bytes of a file from one position on, chunk by chunk; it closes the file.

    :param stream: The file, which is moved to the position: by reading, where it cannot seek.
    :param start: Where the part begins, in bytes.
    :param length: Number of bytes; ``None`` for all that follow.
    :param chunk_size: Number of bytes to read at a time.
    """

    def __init__(self, stream: IO[bytes], start: int, length: int | None, chunk_size: int | None) -> None:
        """Move to the beginning of the part."""
        self.stream = stream
        self.chunk_size = chunk_size_or_default(chunk_size)
        self.end = None if length is None else start + length
        self._left = length
        if start and not self._seek(start):
            while start and (skipped := stream.read(min(start, self.chunk_size))):
                start -= len(skipped)

    def _seek(self, position: int) -> bool:
        try:
            self.stream.seek(position)
        except Exception:
            return False
        return True

    def __iter__(self) -> Iterator[bytes]:
        """Read the part; at its end, or when the reader goes away, the file is closed.

        :raises StorageError: If it cannot be read to its end.
        """
        try:
            while self._left is None or self._left > 0:
                wanted = self.chunk_size if self._left is None else min(self._left, self.chunk_size)
                try:
                    chunk = self.stream.read(wanted)
                except Exception as error:
                    raise StorageError(f"The file {_name(self.stream)} cannot be read: {error}") from error
                if not chunk and self._left is None:
                    return
                if not chunk:
                    raise StorageError(f"The file {_name(self.stream)} ended {self._left} bytes too early.")
                if self._left is not None:
                    self._left -= len(chunk)
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()


class _ServedFile:
    """A file that the server sends by itself, from where it stands.

    The server tells nobody how far it came. So it is seen when it closes the file, where it takes an error for the
    application's and breaks the connection.

    :param stream: The file, of the operating system.
    :param end: Where the last byte to send ends; ``None`` where the file itself says so.
    """

    def __init__(self, stream: IO[bytes], end: int | None) -> None:
        size = os.fstat(stream.fileno()).st_size
        self._stream = stream
        self._promised = size if end is None else min(size, end)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        """Close the file.

        :raises StorageError: If it has lost bytes that were to be sent.
        """
        left = self._promised
        # It may be closed already.
        with suppress(OSError, ValueError):
            left = os.fstat(self._stream.fileno()).st_size
        self._stream.close()
        if left < self._promised:
            raise StorageError(f"The file {_name(self._stream)} has lost bytes while it was sent: {left} are left.")


def served_by_server(environ: WSGIEnvironment, part: FilePart, whole: bool) -> Any:
    """Hand a file over to the server, where it can send one by itself (PEP 3333).

    :param environ: Environment of the request.
    :param part: What to send. The server begins where the file stands, and ends after ``Content-Length`` bytes.
    :param whole: Whether that is the file from its first byte to its last.
    :returns: What the application returns to the server; ``None`` where the server has no way, or not for this file.
    """
    wrapper = environ.get("wsgi.file_wrapper")
    # uWSGI sends every file from its first byte to its last.
    if wrapper is None or ("uwsgi.version" in environ and not whole):
        return None
    # Of any other file the descriptor may have other bytes than reading it gives, compressed ones say.
    if type(part.stream) not in _SYSTEM_FILES or not isinstance(getattr(part.stream, "raw", part.stream), io.FileIO):
        return None
    return wrapper(_ServedFile(paced_file(part.stream), part.end), part.chunk_size)
