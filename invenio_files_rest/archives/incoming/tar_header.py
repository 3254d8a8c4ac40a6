"""The headers of a TAR (POSIX.1-2001, pax, ustar Interchange Format).

:mod:`tarfile` takes as long for a header as the system does to write a small file. Nearly all headers are of files,
with numbers in octal digits: those are read here, and any other by :mod:`tarfile`.
"""

from __future__ import annotations

import re
import tarfile
from typing import NamedTuple

_NUMBER = rb"(?:[0-7]{7}[ \0]|[0-7]{6}[ \0]{2})"
_LONG_NUMBER = rb"[0-7]{11}[ \0]"
_ORDINARY = re.compile(
    rb"(?P<name>.{100})(?:%(number)b){3}(?P<size>%(long)b)%(long)b(?P<sum>%(number)b)(?P<type>[0x]).{172}"
    rb"(?:\0{8}|%(number)b){2}(?P<prefix>.{155}).{12}" % {b"number": _NUMBER, b"long": _LONG_NUMBER},
    re.DOTALL,
)


class Header(NamedTuple):
    """What is needed of a header."""

    name: str
    """Name of the entry; bytes of it that are not UTF-8 are surrogates."""

    size: int
    """Size in bytes, which may be negative."""

    type: bytes


def parse_header(block: bytes) -> Header:
    """Read a header.

    :param block: Its 512 bytes.
    :raises tarfile.HeaderError: If it is damaged.
    :raises ValueError: If a number in it is none.
    """
    match = _ORDINARY.fullmatch(block)
    if match is None or _sum(block) != _octal(match["sum"]):
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        return Header(info.name, info.size, info.type)
    name, prefix = _text(match["name"]), _text(match["prefix"])
    return Header(f"{prefix}/{name}" if prefix else name, _octal(match["size"]), match["type"])


def _sum(block: bytes) -> int:
    """Return the sum of all bytes, where those of the checksum itself count as spaces."""
    return sum(block) - sum(block[148:156]) + 8 * ord(" ")


def _octal(field: bytes) -> int:
    return int(field.rstrip(b" \0"), 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")
