"""ZIP without compression, with ZIP64 where it is needed (APPNOTE.TXT 6.3.10 of PKWARE)."""

from __future__ import annotations

import struct
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .formats import Member

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_TIME = struct.Struct("<2HBl")
_MODE = 0o100644 << 16
_UNIX = 3 << 8
_UTF8 = 1 << 11
_MOST16, _MOST32 = 0xFFFF, 0xFFFFFFFF
"""The numbers that say that the real one is in a record of ZIP64; it has to be one that does not fit."""


class ZipFormat:
    """ZIP. All files are stored as they are, so that every byte of the archive is known without compressing anything.

    Headers have the CRC-32, so that archives can also be unpacked while they come.
    """

    mimetype = "application/zip"
    needs_crc = True

    def header_size(self, member: Member) -> int:
        """Return the size of the header of a file, in bytes."""
        return _LOCAL.size + len(member.name) + len(_dated(member.modified)[2]) + 20 * (member.size >= _MOST32)

    def header(self, member: Member, crc: int) -> bytes:
        """Return the header of a file (section 4.3.7)."""
        name, size = member.name, member.size
        time, date, extra = _dated(member.modified)
        version = 20
        if size >= _MOST32:
            version, extra, size = 45, extra + _zip64(size, size), _MOST32
        header = _LOCAL.pack(b"PK\3\4", version, _UTF8, 0, time, date, crc, size, size, len(name), len(extra))
        return header + name + extra

    def padding(self, size: int) -> int:
        """Return the number of null bytes after a file: none."""
        return 0

    def index_size(self, member: Member) -> int:
        """Return the size of the entry of a file in the central directory, in bytes."""
        numbers = 2 * (member.size >= _MOST32) + (member.offset >= _MOST32)
        extra = len(_dated(member.modified)[2]) + (4 + 8 * numbers if numbers else 0)
        return _CENTRAL.size + len(member.name) + extra

    def index_entry(self, member: Member, crc: int) -> bytes:
        """Return the entry of a file in the central directory (section 4.3.12)."""
        name, size, offset = member.name, member.size, member.offset
        time, date, extra = _dated(member.modified)
        version = 20
        if size >= _MOST32 or offset >= _MOST32:
            version = 45
            extra += _zip64(*[size] * 2 * (size >= _MOST32), *[offset] * (offset >= _MOST32))
            size, offset = min(size, _MOST32), min(offset, _MOST32)
        fields = (_UNIX | version, version, _UTF8, 0, time, date, crc, size, size, len(name), len(extra))
        return _CENTRAL.pack(b"PK\1\2", *fields, 0, 0, 0, _MODE, offset) + name + extra

    def end(self, count: int, index_at: int, index_size: int) -> bytes:
        """Return the end of the central directory (sections 4.3.14 to 4.3.16)."""
        end = b""
        if count >= _MOST16 or index_at >= _MOST32 or index_size >= _MOST32:
            record = (_END64.size - 12, _UNIX | 45, 45, 0, 0, count, count, index_size, index_at)
            end = _END64.pack(b"PK\6\6", *record) + _LOCATOR64.pack(b"PK\6\7", 0, index_at + index_size, 1)
        counted, size, at = min(count, _MOST16), min(index_size, _MOST32), min(index_at, _MOST32)
        return end + _END.pack(b"PK\5\6", 0, 0, counted, counted, size, at, 0)


def _zip64(*numbers: int) -> bytes:
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers)


@lru_cache
def _dated(modified: int) -> tuple[int, int, bytes]:
    """Return time and date of MS-DOS, and Info-ZIP's extended timestamp if that can hold the time, all in UTC.

    MS-DOS has two seconds and the years from 1980 to 2107. Files that were stored together have the same time.
    """
    extended = _TIME.pack(0x5455, 5, 1, modified) if 0 <= modified < 2**31 else b""
    utc = datetime.fromtimestamp(modified, timezone.utc)
    if not 1980 <= utc.year <= 2107:
        return 0, 1 << 5 | 1, extended
    time = utc.hour << 11 | utc.minute << 5 | utc.second // 2
    return time, (utc.year - 1980) << 9 | utc.month << 5 | utc.day, extended
