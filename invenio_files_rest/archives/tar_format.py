"""TAR in the form that POSIX.1-2001 calls pax, which has names in UTF-8 and sizes of any length."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .formats import Member

_BLOCK = tarfile.BLOCKSIZE


class TarFormat:
    """TAR, without compression."""

    mimetype = "application/x-tar"
    needs_crc = False

    def header_size(self, member: Member) -> int:
        """Return the size of the header of a file, in bytes: a block, and more for a long name or a large file."""
        if len(member.name) <= tarfile.LENGTH_NAME and member.name.isascii() and member.size < 8**11:
            return _BLOCK
        return len(self.header(member, 0))

    def header(self, member: Member, crc: int) -> bytes:
        """Return the header of a file."""
        info = tarfile.TarInfo(member.name)
        info.size, info.mtime = member.size, max(0, int(member.modified.timestamp()))
        return info.tobuf(tarfile.PAX_FORMAT)

    def padding(self, size: int) -> int:
        """Return the number of null bytes that fill the last block of a file."""
        return -size % _BLOCK

    def index_size(self, member: Member, offset: int) -> int:
        """Return the size of the entry of a file in the index, which TAR does not have."""
        return 0

    def index_entry(self, member: Member, offset: int, crc: int) -> bytes:
        """Return the entry of a file in the index: nothing."""
        return b""

    def end(self, count: int, index_at: int, index_size: int) -> bytes:
        """Return the end: two blocks of null bytes."""
        return bytes(2 * _BLOCK)
