"""The entries of an archive of whatever kind, as its first bytes tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

from flask import current_app

from ...errors import InvalidArchiveError
from ...messages import lazy_gettext as _
from ...services.extraction import Entry
from .decompression import decompressed
from .tar_reader import TarReader
from .zip_reader import MAGIC, ZipReader

if TYPE_CHECKING:
    from _typeshed import SupportsRead


def entries_of_stream(stream: SupportsRead[bytes]) -> Iterable[Entry]:
    """Return the files of a TAR while it comes, be it compressed or not.

    :param stream: The TAR.
    """
    config = current_app.config
    content = decompressed(stream, config["FILES_REST_ARCHIVE_MAX_EXPANSION"])
    return TarReader(content, config["FILES_REST_ARCHIVE_MAX_ENTRIES"])


def entries_of_file(file: IO[bytes], size: int) -> Iterable[Entry]:
    """Return the files of a TAR or a ZIP.

    :param file: The archive.
    :param size: Its size in bytes.
    :raises InvalidArchiveError: If it is a ZIP in a storage whose files cannot seek.
    """
    first = file.read(4)
    if not file.seekable():
        if first in MAGIC:
            raise InvalidArchiveError(description=_("A ZIP can be read only from a storage whose files can seek."))
        return entries_of_stream(_Begun(first, file))
    file.seek(0)
    if first not in MAGIC:
        return entries_of_stream(file)
    config = current_app.config
    return ZipReader(file, size, config["FILES_REST_ARCHIVE_MAX_ENTRIES"], config["FILES_REST_ARCHIVE_MAX_EXPANSION"])


class _Begun:
    def __init__(self, first: bytes, file: IO[bytes]) -> None:
        self._first, self._file = first, file

    def read(self, size: int = -1, /) -> bytes:
        first, self._first = self._first, b""
        return first or self._file.read(size)
