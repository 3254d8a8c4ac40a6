"""An archive as a file that can seek, whose bytes are made when they are read."""

from __future__ import annotations

import io
import uuid
import zlib
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from functools import reduce
from typing import IO

from flask import Flask

from ..errors import StorageError
from ..services.crcs import keep_crcs
from ..services.transactions import in_transaction
from .files import Files, exactly
from .formats import Member
from .layout import Layout, Page, digest_of, marks, place

BLOCK = 1024 * 1024
"""Number of bytes of a file that are read at a time. A file that is not larger is read once, even if its CRC-32 is not
known yet."""

SMALL = 64 * 1024
"""Size in bytes of the files that are joined with those beside them, rather than passed on by themselves."""

Piece = bytes | Iterator[bytes]
"""Bytes of an archive, or those of a large file, block by block."""


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
        self._files = Files(app)
        self._position = 0
        self._pieces: Generator[Piece, None, None] | None = None
        self._blocks: Iterator[bytes] = iter(())
        self._rest = b""
        self._new_crcs: dict[str, int] = {}

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
        if size < 0:
            return b"".join(iter(lambda: self.read(BLOCK), b""))
        if size == 0:
            return b""
        data = self._rest or self._next()
        data, self._rest = (data[:size], data[size:]) if len(data) > size else (data, b"")
        self._position += len(data)
        return data

    def _next(self) -> bytes:
        """Make the bytes that follow; none at the end."""
        if self._pieces is None:
            self._pieces = self._from(self._position)
        while not (data := next(self._blocks, b"")):
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._blocks = iter((piece,)) if isinstance(piece, bytes) else piece
        return data

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
            pieces.close()

    def _from(self, start: int) -> Generator[Piece, None, None]:
        """Make the bytes from a position on."""
        layout = self._layout
        end_at = layout.index_at + layout.index_size
        if start < layout.index_at:
            offsets = [page.position.offset for page in layout.pages]
            for page in layout.pages[bisect_right(offsets, start) - 1 :]:
                yield from self._page(page, start)
        if start < end_at and layout.index_size:
            offsets = [layout.index_at + page.position.index_offset for page in layout.pages]
            for page, offset in list(zip(layout.pages, offsets, strict=True))[
                max(0, bisect_right(offsets, start) - 1) :
            ]:
                yield self._index(page)[max(0, start - offset) :]
        yield layout.end[max(0, start - end_at) :]

    def _members(self, page: Page) -> list[Member]:
        """Return the files of a page.

        :raises StorageError: If they are no longer those of the archive.
        """
        if page.members is not None:
            return page.members
        layout = self._layout
        with self._app.app_context():
            entries = in_transaction(lambda: layout.state.between(page.after, page.last, layout.form.needs_crc))
        if digest_of(marks(entries)) != page.digest:
            raise StorageError(f"Versions of bucket {layout.state.bucket_id} have been removed while it was sent.")
        return place(layout.form, page.position, entries)[0]

    def _page(self, page: Page, start: int) -> Iterator[Piece]:
        """Make headers and bytes of the files of a page, without what is before the start."""
        form = self._layout.form
        members = self._members(page)
        if start > page.position.offset:
            members = members[bisect_right([member.offset for member in members], start) - 1 :]
        self._files.expect(members)
        # Short ones are joined with those beside them; the others are passed on as they are.
        made: list[bytes] = []
        length = 0
        try:
            for member in members:
                size = member.size
                # Only the first one has any.
                skipped = max(0, start - member.offset)
                padding = bytes(form.padding(size))
                if size <= (SMALL if member.crc is not None or not form.needs_crc else BLOCK):
                    data = self._files.read(member)
                    header = form.header(member, self._crc_of(member, data))
                    if size <= SMALL or skipped:
                        made += [header, data, padding] if not skipped else [(header + data + padding)[skipped:]]
                        length += len(header) + size
                        if length > BLOCK - 2 * SMALL:
                            yield b"".join(made)
                            made, length = [], 0
                        continue
                    yield b"".join((*made, header))
                    yield data
                else:
                    header_size = form.header_size(member)
                    before = min(size, max(0, skipped - header_size))
                    header = form.header(member, self._crc_of(member))[skipped:] if skipped < header_size else b""
                    with closing(self._files.open(member)) as file:
                        yield b"".join((*made, header))
                        file.seek(before)
                        yield _blocks(file, size - before, member)
                    padding = padding[max(0, skipped - header_size - size) :]
                made, length = [padding], len(padding)
            yield b"".join(made)
        finally:
            self._keep_crcs()

    def _index(self, page: Page) -> bytes:
        """Make the entries of the files of a page in the index."""
        members = self._members(page)
        if any(member.crc is None for member in members):
            # They have been made since.
            members = self._members(replace(page, members=None))
            self._files.expect(member for member in members if member.crc is None)
        try:
            entry = self._layout.form.index_entry
            return b"".join([entry(member, self._crc_of(member)) for member in members])
        finally:
            self._keep_crcs()

    def _crc_of(self, member: Member, data: bytes | None = None) -> int:
        """Return the CRC-32 of a file; the first time, of its bytes, which are read unless they are given."""
        if member.crc is not None or not self._layout.form.needs_crc:
            return member.crc or 0
        crc = self._new_crcs.get(member.file_id)
        if crc is None:
            crc = self._new_crcs[member.file_id] = self._read_crc(member) if data is None else zlib.crc32(data)
            if member.size > BLOCK:
                # If the client has gone in the meantime, it need not be read again.
                self._keep_crcs()
        return crc

    def _read_crc(self, member: Member) -> int:
        with closing(self._files.open(member)) as file:
            return reduce(lambda crc, data: zlib.crc32(data, crc), _blocks(file, member.size, member), 0)

    def _keep_crcs(self) -> None:
        crcs, self._new_crcs = self._new_crcs, {}
        if crcs:
            with self._app.app_context():
                keep_crcs({uuid.UUID(file_id): crc for file_id, crc in crcs.items()})


def _blocks(file: IO[bytes], left: int, member: Member) -> Iterator[bytes]:
    """Read so many bytes of a file, block by block."""
    while left > 0:
        data = exactly(file, min(left, BLOCK), member)
        left -= len(data)
        yield data
