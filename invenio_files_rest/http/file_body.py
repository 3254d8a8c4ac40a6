"""Sending the bytes of a file: with the server's own ``wsgi.file_wrapper``, or chunk by chunk.

:func:`ensure_size` finds a file of the wrong size before its first byte is sent. If a file loses bytes while it is
being sent, the connection is broken. So no client takes a part for the whole file, or the next response for the rest of
it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Protocol

from ..checksums import chunk_size_or_default
from ..errors import StorageError
from .pacing import paced_file

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .observation import Observer


class Preparable(Protocol):
    """A stream that asks another machine for its bytes."""

    def prepare(self, start: int, length: int | None) -> None:
        """Ask for the bytes that are going to be read.

        :param start: Where they begin, in bytes.
        :param length: Their number; ``None`` for all that follow.
        :raises OSError: If there is no such file.
        """
        ...


def ensure_size(stream: IO[bytes], size: int | None) -> None:
    """Check that a file has the right size before it is sent.

    :param stream: The file; its position stays. The size of a stream that cannot seek, or only from its beginning, is
        not checked.
    :param size: Number of bytes that it should have; ``None`` if that is not known.
    :raises StorageError: If it has another size.
    """
    if size is None:
        return
    try:
        position = stream.tell()
        stream.seek(0, os.SEEK_END)
        found = stream.tell()
    # A custom storage's stream may raise anything.
    except Exception:
        return
    # A stream that ignores the second argument of seek() is not at its end, and has something left to read.
    differs = found != size and not stream.read(1)
    stream.seek(position)
    if differs:
        raise StorageError(f"The file {_name(stream)} has {found} bytes, not {size}.")


def _name(stream: Any) -> Any:
    return getattr(stream, "name", stream)


_SYSTEM_FILES = frozenset({io.BufferedRandom, io.BufferedReader, io.FileIO})
"""What :func:`open` returns for a file of the operating system."""


class FilePart:
    """The bytes of a file from a given position, chunk by chunk; it closes the file.

    :param stream: The file. It is moved to the position, by reading if it cannot seek.
    :param start: Where the part begins, in bytes.
    :param length: Number of bytes; ``None`` for all that follow.
    :param chunk_size: Number of bytes to read at a time.
    :param observed: Who is told how many bytes were sent.
    """

    def __init__(
        self,
        stream: IO[bytes],
        start: int,
        length: int | None,
        chunk_size: int | None,
        observed: Observer | None = None,
    ) -> None:
        """Move the file to the beginning of the part."""
        self.stream = stream
        self.start = start
        self.observed = observed
        self._sent = 0
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
        """Read the part. The file is closed at the end, or when the iteration is abandoned.

        :raises StorageError: If the part cannot be read to its end.
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
                self._sent += len(chunk)
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self.observed is not None:
            self.observed.sent(self._sent)
        self.stream.close()


class _ServedFile:
    """A file that the server itself sends, from its current position.

    The server does not report how much it has sent. Therefore the size is checked when it closes the file: an error is
    then an error of the application, and breaks the connection. Servers that send with :meth:`socket.socket.sendfile`
    leave a trace, though: it moves the file behind the last byte that was sent, also where the client has gone.

    :param stream: The file, with a file descriptor.
    :param part: What to send of it.
    :param traced: Whether the server moves the file.
    """

    def __init__(self, stream: IO[bytes], part: FilePart, traced: bool) -> None:
        size = os.fstat(stream.fileno()).st_size
        self._stream = stream
        self._promised = size if part.end is None else min(size, part.end)
        self._observed, self._start = part.observed, part.start
        self._reached = part.start if traced else None

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Move the file."""
        self._reached = self._stream.seek(position, whence)
        return self._reached

    def read(self, size: int = -1) -> bytes:
        """Read the file, where the server cannot send it by itself."""
        data = self._stream.read(size)
        self._reached = self._stream.tell()
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        """Close the file.

        :raises StorageError: If it has lost bytes that were to be sent.
        """
        if self._observed is not None:
            self._observed.sent(None if self._reached is None else self._reached - self._start)
        left = self._promised
        # It may already be closed.
        with suppress(OSError, ValueError):
            left = os.fstat(self._stream.fileno()).st_size
        self._stream.close()
        if left < self._promised:
            raise StorageError(f"The file {_name(self._stream)} has lost bytes while it was sent: {left} are left.")


def served_by_server(environ: WSGIEnvironment, part: FilePart, whole: bool) -> Any:
    """Hand a file over to the server, if it can send files itself (PEP 3333).

    :param environ: Environment of the request.
    :param part: What to send. The server begins at the file's position, and ends after ``Content-Length`` bytes.
    :param whole: Whether that is the whole file.
    :returns: What the application returns to the server; ``None`` if the server cannot send this file itself.
    """
    wrapper = environ.get("wsgi.file_wrapper")
    # uWSGI always sends whole files.
    if wrapper is None or ("uwsgi.version" in environ and not whole):
        return None
    # Of any other file the descriptor may have other bytes than reading it gives, compressed ones say.
    if type(part.stream) not in _SYSTEM_FILES or not isinstance(getattr(part.stream, "raw", part.stream), io.FileIO):
        return None
    # uWSGI sends without a trace.
    served = _ServedFile(paced_file(part.stream), part, traced="uwsgi.version" not in environ)
    return wrapper(served, part.chunk_size)
