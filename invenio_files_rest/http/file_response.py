"""The response that sends a file: its headers, its conditions, its range, and the file for the server to send.

Where the server brings a ``wsgi.file_wrapper`` (PEP 3333) and the file is one of the operating system, the server sends
it, so that its bytes never pass through Python.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import IO, Any

from flask import Response, current_app, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date, quote_etag

from ..errors import FilesException, StorageError
from ..storage.capabilities import Signer
from ..utils import guess_mimetype
from .disposition import content_disposition
from .file_body import FilePart, ensure_size, served_by_server
from .observation import observer
from .pacing import paced_file
from .preconditions import check_preconditions, requested_range
from .signed_redirect import redirect_to
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


@dataclass(frozen=True, kw_only=True)
class Representation:
    """What a response says of a file besides its bytes (RFC 9110, section 8)."""

    filename: str | None = None
    """Name that the client gets to see; ``None`` where there is none."""

    size: int | None = None
    """Size of the file in bytes; ``None`` where it is not known, and then no ranges are served."""

    last_modified: datetime | None = None
    """When it was last modified, to the second; ``None`` where that is not known."""

    mimetype: str | None = None
    """MIME type; guessed from the name where none is given."""

    restricted: bool = True
    """Whether only a cache of who asks may keep the file, and must ask each time."""

    as_attachment: bool = False
    """Whether the browser shall save the file rather than show it."""

    etag: str | None = None
    """Entity tag. Where it is a checksum as ``algorithm:hexdigest``, ``Repr-Digest`` is sent, too."""

    content_md5: str | None = None
    """Value of ``Content-MD5``."""

    trusted: bool = False
    """Whether the file can do no harm, so that nothing keeps browsers from running it."""

    def response(self) -> Response:
        """Make a response without a body that says all that does not depend on what is asked for."""
        mimetype, headers = self._type_and_policy()
        if self.etag is not None:
            headers.append(("ETag", quote_etag(self.etag)))
            if digest := _digest_header(self.etag):
                headers.append(("Repr-Digest", digest))
        # None after the date of the answer (RFC 9110, section 8.8.2.1), and no other for it: conditions would not hold.
        if self.last_modified is not None and self.last_modified <= datetime.now(timezone.utc):
            headers.append(("Last-Modified", http_date(self.last_modified)))
        headers += _caching(self.restricted)
        # A class of the application's own may add to them.
        return current_app.response_class(mimetype=mimetype, headers=Headers(headers), direct_passthrough=True)

    def _type_and_policy(self) -> tuple[str, list[tuple[str, str]]]:
        """Return the MIME type, and the headers that say what a browser may do with the file."""
        mimetype = self.mimetype or guess_mimetype(self.filename or "")
        headers: list[tuple[str, str]] = []
        if not self.trusted:
            mimetype = sanitize_mimetype(mimetype, filename=self.filename)
            headers += SECURITY_HEADERS.items()
            keep_policy(SECURITY_HEADERS["Content-Security-Policy"], SECURITY_HEADERS["X-Frame-Options"])
        if self.as_attachment or mimetype == "application/octet-stream":
            disposition = content_disposition("attachment", self.filename or "")
        else:
            disposition = "inline"
        return mimetype, [*headers, ("Content-Disposition", disposition)]


def md5_of(checksum: str | None) -> str | None:
    """Return the value of ``Content-MD5`` that a checksum gives; ``None`` where it is no MD5.

    :param checksum: Checksum as ``algorithm:hexdigest``.
    """
    algorithm, _, digest = (checksum or "").partition(":")
    return digest if algorithm == "md5" else None


def _caching(restricted: bool) -> list[tuple[str, str]]:
    if restricted:
        return [("Cache-Control", "private, no-cache"), ("Vary", "Authorization, Cookie")]
    max_age = current_app.config.get("SEND_FILE_MAX_AGE_DEFAULT")
    if isinstance(max_age, timedelta):
        max_age = max_age.total_seconds()
    if max_age is None:
        return [("Cache-Control", "public")]
    expires = datetime.now(timezone.utc) + timedelta(seconds=int(max_age))
    return [("Cache-Control", f"public, max-age={int(max_age)}"), ("Expires", http_date(expires))]


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
        representation = Representation(
            filename=filename,
            size=size,
            last_modified=time_of(mtime),
            mimetype=mimetype,
            restricted=restricted,
            as_attachment=as_attachment,
            etag=etag,
            content_md5=content_md5,
            trusted=trusted,
        )
        return send_opened(take, representation, chunk_size=chunk_size, conditional=conditional)
    finally:
        if not taken:
            stream.close()


def time_of(mtime: float | None) -> datetime | None:
    """Return a Unix time as date and time, to the second."""
    return None if mtime is None else datetime.fromtimestamp(int(mtime), timezone.utc)


def send_stored(
    open_file: Callable[[], IO[bytes]],
    representation: Representation,
    chunk_size: int | None = None,
    signer: Signer | None = None,
) -> Response:
    """Make the response that sends a file of a storage, see :func:`send_opened`, whose errors may be any.

    :param open_file: Function that opens the file.
    :param representation: What is said of the file.
    :param chunk_size: Number of bytes to send at a time.
    :param signer: What signs links to the file, if the storage can.
    :raises werkzeug.exceptions.HTTPException: If a condition of the request does not hold, or its range.
    :raises StorageError: If the file cannot be sent.
    """
    try:
        return send_opened(open_file, representation, chunk_size=chunk_size, signer=signer)
    except (FilesException, HTTPException):
        raise
    except Exception as error:
        raise StorageError(f"Cannot send the file: {error}") from error


def send_opened(
    open_file: Callable[[], IO[bytes]],
    representation: Representation,
    *,
    chunk_size: int | None = None,
    conditional: bool = True,
    signer: Signer | None = None,
) -> Response:
    """Make the response that sends a file to the client, and open the file where the answer has bytes of it.

    A client that has the file, one that asks for bytes which it does not have, and one that asks for its headers alone
    get their answers without it.

    :param open_file: Function that opens the file at its beginning; it is closed in any case, also after an error.
    :param representation: What is said of the file.
    :param chunk_size: Number of bytes to send at a time, where the server does not choose itself.
    :param conditional: Whether to heed the conditions of the request, and its range.
    :param signer: What signs links to the file, to one of which a client may be sent.
    :returns: The response.
    :raises PreconditionFailed: If a condition of the request does not hold.
    :raises RangeNotSatisfiable: If the file has nothing of the range that is asked for.
    :raises StorageError: If the file is shorter or longer than its size.
    """
    size, etag, last_modified = representation.size, representation.etag, representation.last_modified
    filename = representation.filename
    response = representation.response()
    ranges_allowed = bool(
        conditional and size is not None and current_app.config.get("FILES_REST_ALLOW_RANGE_REQUESTS")
    )
    if ranges_allowed:
        response.headers["Accept-Ranges"] = "bytes"
    if conditional and not check_preconditions(request, etag, last_modified):
        response.status_code = 304
        return response
    if signer is not None and request.method == "GET" and (elsewhere := redirect_to(signer, response, filename)):
        return elsewhere

    start, length = 0, size
    if ranges_allowed and size is not None and (part := requested_range(request, size, etag, last_modified)):
        start, length = part.start, len(part)
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    elif representation.content_md5:
        response.headers["Content-MD5"] = representation.content_md5
    if length is not None:
        response.content_length = length
    if request.method == "HEAD":
        return response

    stream = open_file()
    try:
        # Asking whether it is a Preparable takes as long as opening it.
        if (prepare := getattr(stream, "prepare", None)) is not None:
            prepare(start, length)
        ensure_size(stream, size)
        response.response = _body(stream, start, length, size, chunk_size)
    except BaseException:
        stream.close()
        raise
    return response


def _body(stream: IO[bytes], start: int, length: int | None, size: int | None, chunk_size: int | None) -> Any:
    """Return what the server iterates over, or sends by itself."""
    observed = observer(request.environ)
    part = FilePart(stream, start, length, chunk_size, observed)
    served = served_by_server(request.environ, part, whole=length == size)
    if served is None:
        part.stream = paced_file(stream)
    if observed is not None:
        observed.sends(length)
    return served or part
