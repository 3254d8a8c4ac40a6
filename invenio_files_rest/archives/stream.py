"""An archive as a file that can seek, whose bytes are made when they are read."""

from __future__ import annotations

import io
import uuid
import zlib
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import reduce
from typing import IO

from flask import Flask

from ..errors import StorageError
from ..http.file_body import ensure_size
from ..models.bucket_state import Entry, StoredEntry
from ..services.crcs import keep_crcs
from ..services.transactions import in_transaction
from .layout import Layout, Page, Placed, digest_of, marks, place

BLOCK = 1024 * 1024
"""Number of bytes of a file that are read at a time. A file that is not larger is read once, even if its CRC-32 is not
known yet."""

SMALL = 64 * 1024
"""Size in bytes of the files that are joined with those beside them, rather than passed on by themselves."""


class ArchiveStream(io.RawIOBase):
    """An archive. One of its files is open at a time, and no connection to the database is in use while it is read.

    :param app: The application, in whose context it is read.
    :param layout: The layout.
    :param on_close: Called when it is closed.
    """

    def __init__(self, app: Flask, layout: Layout, on_close: Callable[[], None]) -> None:
        """Store the arguments."""
        super().__init__()
        self.name = f"archive of bucket {layout.state.bucket_id}"
        self._app, self._layout, self._on_close = app, layout, on_close
        self._position = 0
        self._pieces: Generator[bytes | Iterator[bytes], None, None] | None = None
        self._blocks: Iterator[bytes] = iter(())
        self._rest = b""
        self._new_crcs: dict[uuid.UUID, int] = {}

    def readable(self) -> bool:
        """Return whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Return whether it can seek: yes."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position.

        :param offset: The position in bytes, from where ``whence`` says.
        :param whence: As of :meth:`io.IOBase.seek`.
        """
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._layout.size}[whence]
        self._stop()
        self._position, self._rest, self._blocks = base + offset, b"", iter(())
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes to read, there may be fewer of them; negative for all.
        :raises StorageError: If a file is missing, or has another size than it should have; or if the archive has
            changed, because a version has been removed permanently.
        """
        if size == 0:
            return b""
        found: list[bytes] = []
        length = 0
        while (size < 0 or length < size) and (piece := self._next()):
            # Large blocks of files are passed on as they are, rather than joined with what is before them.
            if found and 0 <= size < length + len(piece):
                self._rest = piece
                break
            found.append(piece)
            length += len(piece)
        data = b"".join(found) if len(found) > 1 else found[0] if found else b""
        if 0 <= size < len(data):
            data, self._rest = data[:size], data[size:]
        self._position += len(data)
        return data

    def _next(self) -> bytes:
        """Return the bytes that follow; none at the end."""
        piece, self._rest = self._rest, b""
        # The context of the application costs as much as reading a block, which does not need it.
        piece = piece or next(self._blocks, b"")
        if not piece:
            with self._app.app_context():
                piece = self._advance()
        return piece

    def _advance(self) -> bytes:
        """Make the bytes that follow, up to the beginning of a large file; none at the end."""
        if self._pieces is None:
            self._pieces = self._from(self._position)
        made: list[bytes] = []
        length = 0
        while length < BLOCK and (piece := next(self._pieces, None)) is not None:
            if isinstance(piece, bytes):
                made.append(piece)
                length += len(piece)
            else:
                self._blocks = piece
                if length:
                    break
                if first := next(piece, b""):
                    return first
        return b"".join(made)

    def close(self) -> None:
        """Close it."""
        if not self.closed:
            super().close()
            try:
                self._stop()
            finally:
                self._on_close()

    def _stop(self) -> None:
        pieces, self._pieces = self._pieces, None
        if pieces is not None:
            with self._app.app_context():
                pieces.close()

    def _from(self, start: int) -> Generator[bytes | Iterator[bytes], None, None]:
        """Make the bytes from a position on; those of a large file as an iterator, to be exhausted before going on."""
        layout = self._layout
        end_at = layout.index_at + layout.index_size
        if start < layout.index_at:
            offsets = [page.position.offset for page in layout.pages]
            for page in layout.pages[bisect_right(offsets, start) - 1 :]:
                yield from self._files(page, start)
        if start < end_at and layout.index_size:
            offsets = [layout.index_at + page.position.index_offset for page in layout.pages]
            for page, offset in list(zip(layout.pages, offsets, strict=True))[
                max(0, bisect_right(offsets, start) - 1) :
            ]:
                yield self._index(page)[max(0, start - offset) :]
        yield layout.end[max(0, start - end_at) :]

    def _placed(self, page: Page, entries: list[Entry]) -> list[Placed]:
        """Return where the files of a page are.

        :raises StorageError: If they are no longer those of the archive.
        """
        if digest_of(marks(entries)) != page.digest:
            raise StorageError(
                f"Versions of bucket {self._layout.state.bucket_id} have been removed while it was sent."
            )
        return place(self._layout.form, page.position, entries)[0]

    def _stored(self, page: Page) -> list[StoredEntry]:
        return in_transaction(lambda: self._layout.state.stored(page.after, page.last))

    def _files(self, page: Page, start: int) -> Iterator[bytes | Iterator[bytes]]:
        """Make headers and bytes of the files of a page, without what is before the start."""
        form = self._layout.form
        found = self._stored(page)
        try:
            for stored, placed in zip(found, self._placed(page, [one.entry for one in found]), strict=True):
                member, offset = placed
                data_at = offset + form.header_size(member)
                padding = form.padding(member.size)
                if data_at + member.size + padding <= start:
                    continue
                if member.size <= (SMALL if stored.crc is not None or not form.needs_crc else BLOCK):
                    data = _whole(stored)
                    crc = self._crc_of(stored, data) if form.needs_crc else 0
                    pieces = form.header(member, crc), data, bytes(padding)
                    if start <= offset:
                        yield from pieces
                    else:
                        yield b"".join(pieces)[start - offset :]
                    continue
                if data_at > start:
                    crc = self._crc_of(stored) if form.needs_crc else 0
                    header = form.header(member, crc)[max(0, start - offset) :]
                skipped = max(0, start - data_at)
                with _opened(stored) as file:
                    if data_at > start:
                        yield header
                    file.seek(min(skipped, member.size))
                    yield _blocks(file, member.size - skipped, stored)
                yield bytes(padding)[max(0, skipped - member.size) :]
        finally:
            self._keep_crcs()

    def _index(self, page: Page) -> bytes:
        """Make the entries of the files of a page in the index."""
        found = in_transaction(lambda: self._layout.state.indexed(page.after, page.last))
        placed = self._placed(page, [one.entry for one in found])
        crcs = [one.crc for one in found]
        if None in crcs:
            try:
                crcs = [self._crc_of(stored) for stored in self._stored(page)]
            finally:
                self._keep_crcs()
        entry = self._layout.form.index_entry
        return b"".join(entry(member, offset, crc or 0) for (member, offset), crc in zip(placed, crcs, strict=True))

    def _crc_of(self, stored: StoredEntry, data: bytes | None = None) -> int:
        """Return the CRC-32 of a file; the first time, of its bytes, which are read unless they are given."""
        if stored.crc is not None:
            return stored.crc
        crc = self._new_crcs.get(stored.file.id)
        if crc is None:
            crc = self._new_crcs[stored.file.id] = _read_crc(stored) if data is None else zlib.crc32(data)
            if (stored.entry.size or 0) > BLOCK:
                # If the client has gone in the meantime, it need not be read again.
                self._keep_crcs()
        return crc

    def _keep_crcs(self) -> None:
        crcs, self._new_crcs = self._new_crcs, {}
        keep_crcs(crcs)


def _opened(stored: StoredEntry) -> closing[IO[bytes]]:
    """Open a file, if it has the size of its row."""
    file = stored.file.storage().open(mode="rb")
    try:
        ensure_size(file, stored.entry.size)
    except BaseException:
        file.close()
        raise
    return closing(file)


def _exactly(file: IO[bytes], size: int, stored: StoredEntry) -> bytes:
    """Read so many bytes of a file.

    :raises StorageError: If it ends before.
    """
    data = file.read(size)
    while len(data) < size:
        more = file.read(size - len(data))
        if not more:
            raise StorageError(f"The file {stored.file.uri} ended {size - len(data)} bytes too early.")
        data += more
    return data


def _whole(stored: StoredEntry) -> bytes:
    """Read a file.

    :raises StorageError: If it has not the size of its row.
    """
    with closing(stored.file.storage().open(mode="rb")) as file:
        data = _exactly(file, stored.entry.size or 0, stored)
        if file.read(1):
            raise StorageError(f"The file {stored.file.uri} has more than {len(data)} bytes.")
        return data


def _blocks(file: IO[bytes], left: int, stored: StoredEntry) -> Iterator[bytes]:
    """Read so many bytes of a file, block by block."""
    while left > 0:
        data = _exactly(file, min(left, BLOCK), stored)
        left -= len(data)
        yield data


def _read_crc(stored: StoredEntry) -> int:
    with _opened(stored) as file:
        return reduce(lambda crc, data: zlib.crc32(data, crc), _blocks(file, stored.entry.size or 0, stored), 0)
