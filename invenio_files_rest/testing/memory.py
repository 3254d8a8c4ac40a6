"""The smallest storage: the five methods that a backend must implement, and nothing else."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ..storage.base import FileStorage, ProgressCallback

if TYPE_CHECKING:
    from _typeshed import SupportsRead

    from ..limiters import FileSizeLimit


class MemoryStorage(FileStorage):
    """The storage of one file in memory, with only the five methods that a backend must implement.

    :param content: What it holds.
    """

    def __init__(self, content: bytes | None = None) -> None:
        """Remember the content."""
        super().__init__(size=None if content is None else len(content))
        self.content = content

    def open(self, mode: str | None = None) -> io.BytesIO:
        """Open a copy of the content."""
        if self.content is None:
            raise FileNotFoundError("There is no such file.")
        return io.BytesIO(self.content)

    def initialize(self, size: int = 0) -> tuple[str, int, str | None]:
        """Fill it with zeros."""
        self.content, self._size = bytes(size), size
        return "memory:", size, None

    def save(
        self,
        incoming_stream: SupportsRead[bytes],
        size_limit: int | FileSizeLimit | None = None,
        size: int | None = None,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> tuple[str, int, str | None]:
        """Read the stream."""
        target = io.BytesIO()
        written, checksum = self._write_stream(incoming_stream, target, size, size_limit, chunk_size, progress_callback)
        self.content, self._size = target.getvalue(), written
        return "memory:", written, checksum

    def update(
        self,
        incoming_stream: SupportsRead[bytes],
        seek: int = 0,
        size: int | None = None,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> tuple[int, str | None]:
        """Read the stream over a part of the content."""
        with self.open() as target:
            target.seek(seek)
            result = self._write_stream(incoming_stream, target, size, None, chunk_size, progress_callback)
            self.content = target.getvalue()
        return result

    def delete(self) -> bool:
        """Forget the content."""
        self.content = None
        return True
