"""The response that sends a file: its headers, its conditions, its range, and the file for the server to send.

Where the server brings a ``wsgi.file_wrapper`` (PEP 3333) and the file is one of the operating system, the server sends
it, so that its bytes never pass through Python.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import IO, Any

from flask import Response, current_app, request
from werkzeug.datastructures import Headers
from werkzeug.http import http_date

from ..utils import guess_mimetype
from .disposition import content_disposition
from .file_body import FilePart, ensure_size, served_by_server
from .preconditions import check_preconditions, requested_range
from .talisman import keep_policy

MIMETYPE_WHITELIST = {
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/tiff",
    "text/plain",
}
"""MIME types that a browser may be told of a file that anyone may have uploaded.

A type that a browser runs as a program, e.g. ``text/html`` or ``image/svg+xml``, must not come in: whoever uploads such
a file could act as whoever opens it.
"""

_OTHER_NAMES = {"audio/vnd.wave": "audio/wav", "audio/wave": "audio/wav", "audio/x-wav": "audio/wav"}
"""Other names of types that :data:`MIMETYPE_WHITELIST` has: what ``.wav`` is guessed as depends on the Python."""

_SOURCE_TYPES = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/xhtml+xml",
        "application/xml",
        "image/svg+xml",
    }
)
"""MIME types that are shown as the text that they are written in."""

SECURITY_HEADERS = {
    # No script runs, and nothing else is loaded.
    "Content-Security-Policy": "default-src 'none';",
    # The type is what we say, not what the bytes look like.
    "X-Content-Type-Options": "nosniff",
    # Internet Explorer saves a download before it opens it.
    "X-Download-Options": "noopen",
    # Flash and Acrobat find no policy here.
    "X-Permitted-Cross-Domain-Policies": "none",
    # No other page shows the file as a part of itself.
    "X-Frame-Options": "deny",
    # Old browsers do not show a page that repeats a script of the request.
    "X-XSS-Protection": "1; mode=block",
}
"""What keeps a browser from running a file that anyone may have uploaded."""

_REPR_DIGESTS = {"md5": ("md5", 16), "sha256": ("sha-256", 32), "sha512": ("sha-512", 64)}
"""Algorithms of checksums: the names that RFC 9530 (section 7.2) registers, and the lengths of digests in bytes."""


def sanitize_mimetype(mimetype: str | None, filename: str | None = None) -> str:
    """Return a MIME type that makes no browser run the file.

    :param mimetype: The type of the file.
    :param filename: The name of the file.
    :returns: The type itself where :data:`MIMETYPE_WHITELIST` has it, under the name that it has there, ``text/plain``
        for text of any kind and for a file called ``README``, else ``application/octet-stream``.
    """
    essence = (mimetype or "").partition(";")[0].strip().lower()
    essence = _OTHER_NAMES.get(essence, essence)
    if essence in MIMETYPE_WHITELIST:
        return essence
    if essence.startswith("text/") or essence in _SOURCE_TYPES or (filename or "").lower() == "readme":
        return "text/plain"
    return "application/octet-stream"


def _digest_header(checksum: str | None) -> str | None:
    """Make the value of ``Repr-Digest`` (RFC 9530, section 3) from a checksum."""
    algorithm, _, digest = (checksum or "").partition(":")
    name, length = _REPR_DIGESTS.get(algorithm.lower().replace("-", ""), ("", 0))
    try:
        raw = bytes.fromhex(digest)
    except ValueError:
        return None
    return f"{name}=:{base64.b64encode(raw).decode('ascii')}:" if name and len(raw) == length else None


def _file_headers(
    filename: str | None, mimetype: str | None, as_attachment: bool, trusted: bool
) -> tuple[str, Headers]:
    """Return the MIME type of a file, and the headers that say what a browser may do with it."""
    mimetype = mimetype or guess_mimetype(filename or "")
    headers = Headers()
    if not trusted:
        mimetype = sanitize_mimetype(mimetype, filename=filename)
        headers.extend(SECURITY_HEADERS)
        keep_policy(SECURITY_HEADERS["Content-Security-Policy"], SECURITY_HEADERS["X-Frame-Options"])
    if as_attachment or mimetype == "application/octet-stream":
        headers["Content-Disposition"] = content_disposition("attachment", filename or "")
    else:
        headers["Content-Disposition"] = "inline"
    return mimetype, headers


def _set_caching(response: Response, restricted: bool) -> None:
    if restricted:
        response.cache_control.private = True
        response.cache_control.no_cache = True
        response.vary.update(("Authorization", "Cookie"))
        return
    response.cache_control.public = True
    max_age = current_app.config.get("SEND_FILE_MAX_AGE_DEFAULT")
    if isinstance(max_age, timedelta):
        max_age = max_age.total_seconds()
    if max_age is not None:
        response.cache_control.max_age = int(max_age)
        response.expires = datetime.now(timezone.utc) + timedelta(seconds=int(max_age))


def describing_response(
    filename: str | None,
    mimetype: str | None,
    as_attachment: bool,
    trusted: bool,
    restricted: bool,
    etag: str | None,
    last_modified: datetime | None,
) -> Response:
    """Make a response without a body that says all of a file that does not depend on what is asked for.

    :param filename: Name that the client gets to see; ``None`` where there is none.
    :param mimetype: MIME type; guessed from the name where none is given.
    :param as_attachment: See :func:`send_stream`.
    :param trusted: See :func:`send_stream`.
    :param restricted: See :func:`send_stream`.
    :param etag: See :func:`send_stream`.
    :param last_modified: When the file was last modified, to the second.
    :returns: The response.
    """
    mimetype, headers = _file_headers(filename, mimetype, as_attachment, trusted)
    response = current_app.response_class(mimetype=mimetype, headers=headers, direct_passthrough=True)
    if etag is not None:
        response.set_etag(etag)
        if digest := _digest_header(etag):
            response.headers["Repr-Digest"] = digest
    # None after the date of the answer (RFC 9110, section 8.8.2.1), and no other for it: conditions would not hold.
    if last_modified is not None and last_modified <= datetime.now(timezone.utc):
        response.headers["Last-Modified"] = http_date(last_modified)
    _set_caching(response, restricted)
    return response


def send_stream(
    stream: IO[bytes],
    filename: str | None,
    size: int | None,
    mtime: float | None,
    mimetype: str | None = None,
    restricted: bool = True,
    as_attachment: bool = False,
    etag: str | None = None,
    content_md5: str | None = None,
    chunk_size: int | None = None,
    conditional: bool = True,
    trusted: bool = False,
) -> Response:
    """Make the response that sends a file to the client.

    A file that anyone may have uploaded is a danger to whoever opens it in a browser, which may take it for a page of
    the site. Serve such files from a domain of their own, leave ``trusted`` off, and prefer ``as_attachment``.

    :param stream: The file, at its beginning. It is closed in any case, also after an error.
    :param filename: Name that the client gets to see; ``None`` where there is none.
    :param size: Size of the file in bytes; ``None`` where it is not known, and then no ranges are served.
    :param mtime: When the file was last modified, as a Unix timestamp; ``None`` where it is not known.
    :param mimetype: MIME type; guessed from the name where none is given.
    :param restricted: Whether the file is for who asked: only a cache of his own may keep it, and must ask each time.
        If not, every cache may keep it, for as long as ``SEND_FILE_MAX_AGE_DEFAULT`` says.
    :param as_attachment: Whether the browser shall save the file rather than show it.
    :param etag: Entity tag. Where it is a checksum as ``algorithm:hexdigest``, ``Repr-Digest`` is sent, too.
    :param content_md5: Value of ``Content-MD5``.
    :param chunk_size: Number of bytes to send at a time, where the server does not choose itself.
    :param conditional: Whether to heed the conditions of the request, and its range (RFC 9110, sections 13 and 14).
    :param trusted: Whether the file can do no harm. Only then its own MIME type is sent where it is one that browsers
        run, and none of the headers that keep it from running.
    :returns: The response.
    :raises PreconditionFailed: If a condition of the request does not hold.
    :raises RangeNotSatisfiable: If the file has nothing of the range that is asked for.
    :raises StorageError: If the file is shorter or longer than its size.
    """
    taken = False

    def take() -> IO[bytes]:
        nonlocal taken
        taken = True
        return stream

    try:
        return send_opened(
            take,
            filename,
            size,
            mtime,
            mimetype=mimetype,
            restricted=restricted,
            as_attachment=as_attachment,
            etag=etag,
            content_md5=content_md5,
            chunk_size=chunk_size,
            conditional=conditional,
            trusted=trusted,
        )
    finally:
        if not taken:
            stream.close()


def send_opened(
    open_file: Callable[[], IO[bytes]],
    filename: str | None,
    size: int | None,
    mtime: float | None,
    mimetype: str | None = None,
    restricted: bool = True,
    as_attachment: bool = False,
    etag: str | None = None,
    content_md5: str | None = None,
    chunk_size: int | None = None,
    conditional: bool = True,
    trusted: bool = False,
) -> Response:
    """Make the response that sends a file to the client, and open the file where the answer has bytes of it.

    A client that has the file, one that asks for bytes which it does not have, and one that asks for its headers alone
    get their answers without it.

    :param open_file: Function that opens the file at its beginning; it is closed in any case, also after an error.

    The other parameters are those of :func:`send_stream`.

    :returns: The response.
    :raises PreconditionFailed: If a condition of the request does not hold.
    :raises RangeNotSatisfiable: If the file has nothing of the range that is asked for.
    :raises StorageError: If the file is shorter or longer than its size.
    """
    last_modified = None if mtime is None else datetime.fromtimestamp(int(mtime), timezone.utc)
    response = describing_response(filename, mimetype, as_attachment, trusted, restricted, etag, last_modified)
    ranges_allowed = bool(
        conditional and size is not None and current_app.config.get("FILES_REST_ALLOW_RANGE_REQUESTS")
    )
    if ranges_allowed:
        response.headers["Accept-Ranges"] = "bytes"
    if conditional and not check_preconditions(request, etag, last_modified):
        response.status_code = 304
        return response

    start, length = 0, size
    if ranges_allowed and size is not None and (part := requested_range(request, size, etag, last_modified)):
        start, length = part.start, len(part)
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    elif content_md5:
        response.headers["Content-MD5"] = content_md5
    if length is not None:
        response.content_length = length
    if request.method == "HEAD":
        return response

    stream = open_file()
    try:
        ensure_size(stream, size)
        response.response = _body(stream, start, length, size, chunk_size)
    except BaseException:
        stream.close()
        raise
    return response


def _body(stream: IO[bytes], start: int, length: int | None, size: int | None, chunk_size: int | None) -> Any:
    """Return what the server iterates over, or sends by itself."""
    part = FilePart(stream, start, length, chunk_size)
    return served_by_server(request.environ, part, whole=length == size) or part
