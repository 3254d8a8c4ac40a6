"""Guessing MIME types from file names. It imports only the standard library, so that tests can run it on any Python."""

from __future__ import annotations

import mimetypes

_ENCODING_MIMETYPES = {
    "br": "application/x-brotli",
    "bzip2": "application/x-bzip2",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}


def guess_mimetype(filename: str) -> str:
    """Guess a MIME type from the last extension of a file name.

    The name is treated as a path, never as a URL: ``data:image/png,a.html`` is HTML. A compressed file has the type of
    its compression: ``data.tar.gz`` is a gzip file, not a tar archive.

    :param filename: Name of the file.
    :returns: The MIME type, by default ``application/octet-stream``.
    """
    mimetype, encoding = _guess_file_type(filename)
    if encoding:
        mimetype = _ENCODING_MIMETYPES.get(encoding)
    return mimetype or "application/octet-stream"


def _guess_file_type(path: str) -> tuple[str | None, str | None]:
    """Return the MIME type of a path, and its encoding."""
    if hasattr(mimetypes, "guess_file_type"):
        guessed: tuple[str | None, str | None] = mimetypes.guess_file_type(path)
        return guessed
    # Before Python 3.13, a path is parsed as a URL unless it begins with a slash.
    return mimetypes.guess_type(f"/{path}")
