"""The header fields of both protocols, as what they say."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from typing import Any, NoReturn
from urllib.parse import parse_qs

from flask import abort, request

from ..messages import lazy_gettext as _

_WHOLE = re.compile("[0-9]{1,18}")

_INTEGER = re.compile("([0-9]{1,15})(?:;.*)?")
"""A non-negative Integer as an Item (RFC 9651, section 3.3.1)."""

_BOOLEAN = re.compile(r"\?([01])(?:;.*)?")
"""A Boolean as an Item (RFC 9651, section 3.3.6)."""

_CHECKSUM = re.compile("([a-z0-9_-]+) ([A-Za-z0-9+/]+=*)")

CHECKSUM_ALGORITHMS = ("sha1", "md5", "sha256", "sha512")
"""Names of the algorithms of tus's checksums, which are those of :mod:`hashlib`."""

FINAL = "final;"
"""What ``Upload-Concat`` begins with where an upload is made of others."""


def _refuse(description: str) -> NoReturn:
    abort(400, description=description)


def whole_number(name: str) -> int | None:
    """Return a number of tus, ``None`` where the request has none.

    :param name: Name of the header.
    :raises werkzeug.exceptions.BadRequest: If it is no number.
    """
    value = request.headers.get(name)
    if value is None:
        return None
    if not _WHOLE.fullmatch(value):
        _refuse(_("%(name)s has to be a number in the digits 0 to 9.", name=name))
    return int(value)


def integer(name: str) -> int | None:
    """Return a number of the draft, ``None`` where the request has none that makes sense, which is ignored.

    :param name: Name of the header.
    """
    found = _INTEGER.fullmatch(request.headers.get(name, ""))
    return int(found[1]) if found else None


def boolean(name: str) -> bool | None:
    """Return a truth value of the draft, ``None`` where the request has none that makes sense, which is ignored.

    :param name: Name of the header.
    """
    found = _BOOLEAN.fullmatch(request.headers.get(name, ""))
    return found[1] == "1" if found else None


def metadata() -> dict[str, bytes]:
    """Return the pairs of ``Upload-Metadata``.

    :raises werkzeug.exceptions.BadRequest: If it cannot be read, or a key is there twice.
    """
    pairs: dict[str, bytes] = {}
    header = request.headers.get("Upload-Metadata", "")
    for pair in header.split(",") if header.strip() else ():
        name, _space, value = pair.strip(" ").partition(" ")
        if not name or not name.isascii():
            _refuse(_("Upload-Metadata has to be a list of pairs: a name in ASCII, a space, and a value in base64."))
        if name in pairs:
            _refuse(_("Upload-Metadata has %(name)s twice.", name=name))
        try:
            pairs[name] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            _refuse(_("The value of %(name)s in Upload-Metadata is not in base64.", name=name))
    return pairs


def text_of(pairs: dict[str, bytes], *names: str) -> str | None:
    """Return a text of ``Upload-Metadata``, ``None`` where there is none.

    :param pairs: What :func:`metadata` returned.
    :param names: The names that it may have, of which the first counts.
    :raises werkzeug.exceptions.BadRequest: If it is not in UTF-8.
    """
    for name in names:
        if pairs.get(name):
            try:
                return pairs[name].decode()
            except UnicodeDecodeError:
                _refuse(_("The value of %(name)s in Upload-Metadata is not in UTF-8.", name=name))
    return None


def checksum() -> dict[str, bytes]:
    """Return the digest of the body that ``Upload-Checksum`` has, by the name of its algorithm; none without it.

    :raises werkzeug.exceptions.BadRequest: If it cannot be read, or its algorithm is another one than
        :data:`CHECKSUM_ALGORITHMS`.
    """
    header = request.headers.get("Upload-Checksum")
    if header is None:
        return {}
    found = _CHECKSUM.fullmatch(header)
    if found is None:
        _refuse(_("Upload-Checksum has to be the name of an algorithm, a space, and a digest in base64."))
    if found[1] not in CHECKSUM_ALGORITHMS:
        known = ", ".join(CHECKSUM_ALGORITHMS)
        _refuse(_("The algorithm of Upload-Checksum has to be one of %(known)s.", known=known))
    try:
        return {found[1]: base64.b64decode(found[2], validate=True)}
    except (binascii.Error, ValueError):
        _refuse(_("The digest in Upload-Checksum is not in base64."))


def joined(header: str) -> list[uuid.UUID]:
    """Return the identifiers of the uploads that an upload is made of.

    :param header: Value of ``Upload-Concat``.
    :raises werkzeug.exceptions.BadRequest: If it names none, or something else.
    """
    found: list[Any] = []
    for url in header.removeprefix(FINAL).split():
        try:
            found += map(uuid.UUID, parse_qs(url.partition("?")[2])["uploadId"])
        except (KeyError, ValueError):
            _refuse(_("Upload-Concat has to name the URLs of uploads of this bucket."))
    if not found:
        _refuse(_("Upload-Concat names no uploads."))
    return found
