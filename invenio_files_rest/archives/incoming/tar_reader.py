"""The entries of a TAR while it comes: ustar, pax (POSIX.1-2001, pax) and GNU's long names.

:mod:`tarfile` reads headers of any size into memory. Here they are limited, and what is no file or folder is refused.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...errors import InvalidArchiveError
from ...messages import lazy_gettext as _
from ...services.extraction import Entry
from .buffer import Buffered
from .names import key_of, refused
from .tar_header import Header, parse_header

if TYPE_CHECKING:
    from _typeshed import SupportsRead

LARGEST_HEADER = 64 * 1024
"""Largest size of an extended header or a long name, in bytes."""

_BLOCK = tarfile.BLOCKSIZE
_FILES = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE}
_LONG = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
_KINDS = {
    tarfile.LNKTYPE: _("a hard link"),
    tarfile.SYMTYPE: _("a symbolic link"),
    tarfile.CHRTYPE: _("a device"),
    tarfile.BLKTYPE: _("a device"),
    tarfile.FIFOTYPE: _("a pipe"),
    tarfile.GNUTYPE_SPARSE: _("a sparse file"),
}


class _File:
    """The bytes of an entry.

    :param stream: The archive.
    :param size: Number of bytes.
    :param name: Name of the entry.
    """

    def __init__(self, stream: Buffered, size: int, name: str) -> None:
        self._stream, self.left, self._name = stream, size, name

    def read(self, size: int = -1) -> bytes:
        wanted = self.left if size < 0 else min(size, self.left)
        data = self._stream.read(wanted) if wanted else b""
        if wanted and not data:
            raise InvalidArchiveError(description=_("The archive ends before its end, in %(name)r.", name=self._name))
        self.left -= len(data)
        return data


class TarReader:
    """The entries of a TAR.

    :param stream: The archive, without compression.
    :param most: Largest number of entries, folders included.
    """

    def __init__(self, stream: SupportsRead[bytes], most: int) -> None:
        """Begin."""
        self._stream, self._most = Buffered(stream), most
        # An entry has two headers before it at most.
        self._most_headers = 3 * most
        self._after = ""

    def __iter__(self) -> Iterator[Entry]:
        """Return the files, each of which has to be read before the next one is asked for.

        :raises InvalidArchiveError: If the archive is damaged, ends too early, or has an entry that is refused.
        """
        extended: dict[str, str] = {}
        while (header := self._header()) is not None:
            if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                extended |= self._records(header)
                continue
            if header.type == tarfile.XGLTYPE:
                if {"path", "size"} & {*self._records(header)}:
                    raise refused(header.name, _("a header for all entries gives them a name or a size"))
                continue
            if header.type in _LONG:
                text = self._text(header)
                if header.type == tarfile.GNUTYPE_LONGNAME:
                    extended["path"] = text.rstrip("\0")
                continue
            yield from self._entry(header, extended)
            extended = {}
        if extended:
            raise self._damaged()
        self._drain()

    def _header(self) -> Header | None:
        """Read the next header; ``None`` at the end."""
        block = self._exactly(_BLOCK)
        if block.count(0) == _BLOCK:
            return None
        try:
            header = parse_header(block)
        except (tarfile.HeaderError, ValueError) as error:
            raise self._damaged() from error
        if header.size < 0:
            raise self._damaged()
        self._most_headers -= 1
        if self._most_headers < 0:
            raise self._too_many()
        self._after = header.name
        return header

    def _entry(self, header: Header, extended: dict[str, str]) -> Iterator[Entry]:
        name = extended.get("path", header.name)
        self._most -= 1
        if self._most < 0:
            raise self._too_many()
        if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
            shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            raise refused(shown, _("the name is not in UTF-8"))
        if "sparse" in extended:
            raise refused(name, _("it is a sparse file, and only files and folders are taken"))
        if header.type == tarfile.DIRTYPE:
            # Its size is that which it may have, and no bytes follow (POSIX.1-2001, pax, ustar Interchange Format).
            return
        if header.type not in _FILES:
            kind = _KINDS.get(header.type, _("of an unknown kind"))
            raise refused(name, _("it is %(kind)s, and only files and folders are taken", kind=kind))
        size = self._size(extended["size"], name) if "size" in extended else header.size
        if name.endswith("/"):
            if size:
                raise refused(name, _("it is a folder, and it has bytes"))
            return
        file = _File(self._stream, size, name)
        yield Entry(key_of(name), size, file)
        self._skip(file.left, -size % _BLOCK)

    def _size(self, text: str, name: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise refused(name, _("its size is no number"))
        return int(text)

    def _records(self, header: Header) -> dict[str, str]:
        """Read an extended header: lines of their length in decimal, a space, and ``key=value`` (pax Header Block).

        :returns: ``path`` and ``size`` where they are given, and ``sparse`` where the entry is a sparse file.
        """
        data = self._bytes(header)
        records: dict[str, str] = {}
        while data.strip(b"\0"):
            length, _, _ = data.partition(b" ")
            if not length.isdigit() or len(length) > 6 or not len(length) + 2 < int(length) <= len(data):
                raise self._damaged()
            line, data = data[len(length) + 1 : int(length)], data[int(length) :]
            key, equals, value = line.partition(b"=")
            if not equals or not value.endswith(b"\n"):
                raise self._damaged()
            # Of several headers before an entry, which could have any number of records, no others are kept.
            if key in (b"path", b"size"):
                records[key.decode()] = value[:-1].decode("utf-8", "surrogateescape")
            elif key.startswith(b"GNU.sparse.") or key == b"SCHILY.realsize":
                records["sparse"] = ""
        return records

    def _text(self, header: Header) -> str:
        return self._bytes(header).decode("utf-8", "surrogateescape")

    def _bytes(self, header: Header) -> bytes:
        if header.size > LARGEST_HEADER:
            raise refused(header.name, _("a header of an entry has more than %(most)s bytes", most=LARGEST_HEADER))
        data = self._exactly(header.size)
        self._skip(0, -header.size % _BLOCK)
        return data

    def _exactly(self, size: int) -> bytes:
        parts, left = [], size
        while left:
            data = self._stream.read(left)
            if not data:
                raise InvalidArchiveError(
                    description=_("The archive ends before its end, after %(name)r.", name=self._after)
                    if self._after
                    else _("The archive ends before its end.")
                )
            parts.append(data)
            left -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _skip(self, *sizes: int) -> None:
        left = sum(sizes)
        while left:
            left -= len(self._exactly(min(left, 64 * 1024)))

    def _drain(self) -> None:
        """Read what follows the end, so that digests and checksums of the whole stream are compared."""
        while self._stream.read(64 * 1024):
            pass

    def _damaged(self) -> InvalidArchiveError:
        if not self._after:
            return InvalidArchiveError(
                description=_("The body is not a TAR, be it compressed with gzip, bzip2, xz or not.")
            )
        return InvalidArchiveError(description=_("The archive is damaged after %(after)r.", after=self._after))

    def _too_many(self) -> InvalidArchiveError:
        return InvalidArchiveError(description=_("The archive has too many entries: see %(after)r.", after=self._after))
