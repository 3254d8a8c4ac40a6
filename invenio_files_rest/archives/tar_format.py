"""TAR in the form that POSIX.1-2001 calls pax, which has names in UTF-8 and sizes of any length."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .formats import Member

_BLOCK = tarfile.BLOCKSIZE
_MOST = 8**11
"""The smallest number that does not fit into a field of size or time."""

_EMPTY = tarfile.TarInfo().tobuf(tarfile.PAX_FORMAT)
_MODE, _REST = _EMPTY[100:124], _EMPTY[156:]
"""The fields of every header between those for the name, the size, the time and the sum of all bytes."""

_SUM = sum(_MODE) + sum(_REST) + 8 * ord(" ")
"""Sum of the bytes of these fields, and of that for the sum, which is taken for spaces (ustar Interchange Format)."""


class TarFormat:
    """TAR, without compression."""

    mimetype = "application/x-tar"
    needs_crc = False

    def header_size(self, member: Member) -> int:
        """Return the size of the header of a file, in bytes: a block, and more for a long name or a large file."""
        return _BLOCK if _is_simple(member) else len(self.header(member, 0))

    def header(self, member: Member, crc: int) -> bytes:
        """Return the header of a file, as :mod:`tarfile` makes it in ten times the time."""
        name, modified = member.name, max(0, member.modified)
        if _is_simple(member):
            numbers = b"%011o\0%011o\0" % (member.size, modified)
            return b"%s%s%s%06o\0 %s" % (
                name.ljust(tarfile.LENGTH_NAME, b"\0"),
                _MODE,
                numbers,
                _SUM + sum(name) + sum(numbers),
                _REST,
            )
        info = tarfile.TarInfo(name.decode())
        info.size, info.mtime = member.size, modified
        return info.tobuf(tarfile.PAX_FORMAT)

    def padding(self, size: int) -> int:
        """Return the number of null bytes that fill the last block of a file."""
        return -size % _BLOCK

    def index_size(self, member: Member) -> int:
        """Return the size of the entry of a file in the index, which TAR does not have."""
        return 0

    def index_entry(self, member: Member, crc: int) -> bytes:
        """Return the entry of a file in the index: nothing."""
        return b""

    def end(self, count: int, index_at: int, index_size: int) -> bytes:
        """Return the end: two blocks of null bytes."""
        return bytes(2 * _BLOCK)


def _is_simple(member: Member) -> bool:
    """Return whether a header of one block has room for all of a file."""
    name, size, modified = member[:3]
    return len(name) <= tarfile.LENGTH_NAME and name.isascii() and size < _MOST and modified < _MOST
