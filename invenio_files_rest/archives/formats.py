"""What the formats of archives have in common, and their names."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from .tar_format import TarFormat
from .zip_format import ZipFormat


class Member(NamedTuple):
    """A file in an archive."""

    name: bytes
    """Its path in the archive, in UTF-8."""

    size: int
    """Its size in bytes."""

    modified: int
    """When it was last modified, as Unix time."""

    offset: int
    """Where in the archive its header is, in bytes."""

    file_id: str = ""
    """Identifier of the file, in hexadecimal."""

    uri: str | None = None

    crc: int | None = None
    """CRC-32 of the file, if it is known."""

    version_id: str = ""
    """Identifier of the version, in hexadecimal: a file that moves gets another row, to which the version refers."""


class Format(Protocol):
    """A format: for each file a header, its bytes and padding; then an index of all files; then an end.

    All sizes are known without the bytes of the files.
    """

    mimetype: str
    needs_crc: bool

    def header_size(self, member: Member) -> int:
        """Return the size of the header of a file, in bytes."""
        ...

    def header(self, member: Member, crc: int) -> bytes:
        """Return the header of a file."""
        ...

    def padding(self, size: int) -> int:
        """Return the number of null bytes after so many bytes of a file."""
        ...

    def index_size(self, member: Member) -> int:
        """Return the size of the entry of a file in the index, in bytes."""
        ...

    def index_entry(self, member: Member, crc: int) -> bytes:
        """Return the entry of a file in the index."""
        ...

    def end(self, count: int, index_at: int, index_size: int) -> bytes:
        """Return the end of an archive with so many files."""
        ...


FORMATS: dict[str, Format] = {"tar": TarFormat(), "zip": ZipFormat()}
"""The formats by their names, which are the extensions of files, too."""
