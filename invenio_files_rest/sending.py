"""How the bytes of a file leave: through the server's own ``wsgi.file_wrapper``, or chunk by chunk."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from .checksums import chunk_size_or_default

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


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
        self._left = length
        if start and not self._seek(start):
            while start and (skipped := stream.read(min(start, self.chunk_size))):
                start -= len(skipped)

    def _seek(self, position: int) -> bool:
        try:
            self.stream.seek(position)
        except (AttributeError, io.UnsupportedOperation):
            return False
        return True

    def __iter__(self) -> Iterator[bytes]:
        """Read the part; at its end, or when the reader goes away, the file is closed."""
        try:
            while self._left is None or self._left > 0:
                wanted = self.chunk_size if self._left is None else min(self._left, self.chunk_size)
                if not (chunk := self.stream.read(wanted)):
                    return
                if self._left is not None:
                    self._left -= len(chunk)
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()


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
    try:
        part.stream.fileno()
    except (AttributeError, OSError):
        return None
    return wrapper(part.stream, part.chunk_size)
