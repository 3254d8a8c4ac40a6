"""The entries of a ZIP, whose directory stands at its end (APPNOTE.TXT 6.3.10 of PKWARE).

:mod:`zipfile` reads the whole directory into memory. Here it is read entry by entry.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

from ...errors import InvalidArchiveError
from ...messages import lazy_gettext, lazy_ngettext
from ...services.extraction import Entry
from .decompression import BLOCK, FREE_BYTES
from .names import key_of, refused

MAGIC = (b"PK\3\4", b"PK\5\6")
"""What a ZIP begins with; the second is that of an empty one."""

_MAGIC_CENTRAL = b"PK\1\2"
_END = struct.Struct("<4s4H2LH")
_LOCATOR64 = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 0xFFFF
_MOST32 = 0xFFFFFFFF
_ENCRYPTED, _UTF8 = 1 | 1 << 13, 1 << 11
_STORED, _DEFLATED = 0, 8
_UNIX = 3
_KINDS = {stat.S_IFLNK: lazy_gettext("a symbolic link"), stat.S_IFIFO: lazy_gettext("a pipe")}


class _Directory(NamedTuple):
    start: int
    size: int
    entries: int
    """Their number."""
    shift: int
    """How far all is from where it says that it is, e.g. behind a program that unpacks it."""


class _Member(NamedTuple):
    name: str
    raw_name: bytes
    method: int
    crc: int
    packed: int
    size: int
    offset: int


class ZipReader:
    """The entries of a ZIP.

    :param file: The archive, which can seek.
    :param size: Its size in bytes.
    :param most: Largest number of entries, folders included.
    :param expansion: How many times as long as the archive the files may be together.
    """

    def __init__(self, file: IO[bytes], size: int, most: int, expansion: int) -> None:
        """Begin."""
        self._file, self._size, self._most = file, size, most
        self._left = max(FREE_BYTES, expansion * size)
        self._expansion = expansion
        self._block, self._block_at = b"", 0

    def __iter__(self) -> Iterator[Entry]:
        """Return the files, each of which has to be read before the next one is asked for.

        :raises InvalidArchiveError: If the archive is damaged or has an entry that is refused.
        """
        directory = self._directory()
        if directory.entries > self._most:
            raise InvalidArchiveError(
                description=lazy_ngettext(
                    "The archive has %(num)s entry, and no more than %(most)s are taken.",
                    "The archive has %(num)s entries, and no more than %(most)s are taken.",
                    directory.entries,
                    most=self._most,
                )
            )
        position, end = directory.start, directory.start + directory.size
        for _ in range(directory.entries):
            member, position = self._member(position, end)
            if member is None:
                continue
            self._left -= member.size
            if self._left < 0:
                raise InvalidArchiveError(
                    description=lazy_gettext(
                        "%(name)r: the archive expands to more than %(expansion)s times its size.",
                        name=member.name,
                        expansion=self._expansion,
                    )
                )
            data_at = self._data_at(member, directory)
            yield Entry(key_of(member.name), member.size, _Content(self._file, member, data_at))
        # Without ZIP64, programs that do not heed it count to 65,535 and begin again.
        if position + 4 <= end and self._read_entry(position, 4, end) == _MAGIC_CENTRAL:
            raise InvalidArchiveError(
                description=lazy_ngettext(
                    "The directory of the ZIP has more than the %(num)s entry that it says.",
                    "The directory of the ZIP has more than the %(num)s entries that it says.",
                    directory.entries,
                )
            )

    def _directory(self) -> _Directory:
        tail_at = max(0, self._size - _END.size - _LONGEST_COMMENT)
        tail = self._read(tail_at, self._size - tail_at)
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) - at < _END.size:
            raise InvalidArchiveError(description=lazy_gettext("The archive is no ZIP, or ends before its end."))
        _, disk, first_disk, here, count, size, start, _ = _END.unpack_from(tail, at)
        end_at = tail_at + at
        if _MOST32 in (size, start) or count == 0xFFFF:
            locator = self._read(max(0, end_at - _LOCATOR64.size), _LOCATOR64.size)
            if locator.startswith(b"PK\6\7"):
                end_at = _LOCATOR64.unpack(locator)[2]
                record = self._read(end_at, _END64.size)
                if not record.startswith(b"PK\6\6"):
                    raise _damaged()
                _, _, _, _, disk, first_disk, here, count, size, start = _END64.unpack(record)
        shift = end_at - size - start
        if disk or first_disk or here != count or shift < 0 or size < count * _CENTRAL.size:
            raise _damaged()
        return _Directory(start + shift, size, count, shift)

    def _member(self, position: int, end: int) -> tuple[_Member | None, int]:
        """Read an entry of the directory; return the file, if it is one, and where the next entry begins."""
        if position + _CENTRAL.size > end:
            raise _damaged()
        fields = _CENTRAL.unpack(self._read_entry(position, _CENTRAL.size, end))
        magic, made_by, _, flags, method, _, _, crc, packed, size = fields[:10]
        name_size, extra_size, comment_size, _, _, attributes, offset = fields[10:]
        following = position + _CENTRAL.size + name_size + extra_size + comment_size
        if magic != _MAGIC_CENTRAL or following > end:
            raise _damaged()
        rest = self._read_entry(position + _CENTRAL.size, name_size + extra_size, end)
        raw_name, extra = rest[:name_size], _extra_fields(rest[name_size:])
        name = _decoded(raw_name, flags, extra)
        kind = stat.S_IFMT(attributes >> 16) if made_by >> 8 == _UNIX else 0
        if name.endswith("/") or kind == stat.S_IFDIR:
            if size:
                raise refused(name, lazy_gettext("it is a folder, and it has bytes"))
            return None, following
        if kind not in (0, stat.S_IFREG):
            raise refused(
                name,
                lazy_gettext(
                    "it is %(kind)s, and only files and folders are taken",
                    kind=_KINDS.get(kind, lazy_gettext("a device")),
                ),
            )
        if flags & _ENCRYPTED:
            raise refused(name, lazy_gettext("it is encrypted"))
        if method not in (_STORED, _DEFLATED):
            raise refused(name, lazy_gettext("it is compressed in another way than deflate"))
        numbers = [size, packed, offset]
        large = extra.get(1, b"")
        for place, number in enumerate(numbers):
            if number == _MOST32 and len(large) >= 8:
                numbers[place], large = int.from_bytes(large[:8], "little"), large[8:]
        size, packed, offset = numbers
        if method == _STORED and size != packed:
            raise _damaged(name)
        return _Member(name, raw_name, method, crc, packed, size, offset), following

    def _data_at(self, member: _Member, directory: _Directory) -> int:
        """Return where the bytes of a file begin, by the header before them."""
        at = member.offset + directory.shift
        header = self._read(at, _LOCAL.size) if at + _LOCAL.size <= self._size else b""
        if not header.startswith(b"PK\3\4"):
            raise _damaged(member.name)
        *_, name_size, extra_size = _LOCAL.unpack(header)
        if self._read(at + _LOCAL.size, name_size + extra_size)[:name_size] != member.raw_name:
            raise _damaged(member.name)
        start = at + _LOCAL.size + name_size + extra_size
        if start + member.packed > directory.start:
            raise _damaged(member.name)
        return start

    def _read_entry(self, position: int, size: int, end: int) -> bytes:
        """Read from the directory, a block at a time: where files are in an object store, each jump is a request."""
        start = position - self._block_at
        if not 0 <= start <= len(self._block) - size:
            self._block, start = self._read(position, max(size, min(BLOCK, end - position))), 0
            self._block_at = position
        return self._block[start : start + size]

    def _read(self, position: int, size: int) -> bytes:
        if position + size > self._size:
            raise _damaged()
        self._file.seek(position)
        data = self._file.read(size)
        while len(data) < size:
            more = self._file.read(size - len(data))
            if not more:
                raise _damaged()
            data += more
        return data


class _Content:
    """The bytes of a file, which are compared with their checksum at their end."""

    def __init__(self, file: IO[bytes], member: _Member, start: int) -> None:
        self._file, self._member = file, member
        self._position, self._packed, self._left, self._crc = start, member.packed, member.size, 0
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == _DEFLATED else None

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._read(min(size, BLOCK) if size >= 0 else BLOCK)
        except zlib.error as error:
            raise _damaged(self._member.name) from error
        self._crc = zlib.crc32(data, self._crc)
        self._left -= len(data)
        if self._left < 0 or (not data and size and (self._left or self._crc != self._member.crc)):
            raise _damaged(self._member.name)
        return data

    def _read(self, size: int) -> bytes:
        if self._inflater is None:
            return self._next(size)
        data, waiting = b"", self._inflater.unconsumed_tail
        while not data and not self._inflater.eof:
            waiting = waiting or self._next(BLOCK)
            if not waiting:
                raise _damaged(self._member.name)
            data, waiting = self._inflater.decompress(waiting, size), b""
            waiting = self._inflater.unconsumed_tail
        return data

    def _next(self, size: int) -> bytes:
        self._file.seek(self._position)
        data = self._file.read(min(size, self._packed))
        self._position += len(data)
        self._packed -= len(data)
        return data


def _extra_fields(data: bytes) -> dict[int, bytes]:
    fields, start = {}, 0
    while start + 4 <= len(data):
        kind, size = struct.unpack_from("<2H", data, start)
        fields[kind] = data[start + 4 : start + 4 + size]
        start += 4 + size
    return fields


def _decoded(name: bytes, flags: int, extra: dict[int, bytes]) -> str:
    """Return a name: in UTF-8 as far as possible, since many programs do not say so, and else in that of MS-DOS."""
    unicode_path = extra.get(0x7075, b"")
    if unicode_path[:1] == b"\1" and unicode_path[1:5] == zlib.crc32(name).to_bytes(4, "little"):
        name, flags = unicode_path[5:], flags | _UTF8
    try:
        return name.decode()
    except UnicodeDecodeError:
        if flags & _UTF8:
            raise refused(name.decode("utf-8", "backslashreplace"), lazy_gettext("the name is not in UTF-8")) from None
        return name.decode("cp437")


def _damaged(name: str | None = None) -> InvalidArchiveError:
    if name is None:
        return InvalidArchiveError(description=lazy_gettext("The ZIP is damaged."))
    return InvalidArchiveError(description=lazy_gettext("%(name)r: the ZIP is damaged.", name=name))
