"""Conditional requests and ranges (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from werkzeug.http import parse_date, unquote_etag

from ..errors import PreconditionFailed, TranslatedException
from ..messages import lazy_gettext as _
from ..services.conditions import WRITE_CONDITIONS

if TYPE_CHECKING:
    from flask import Request

    from ..models import ObjectVersion


_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,300})-([0-9]{0,300})\s*", re.IGNORECASE | re.ASCII)


class RangeNotSatisfiable(TranslatedException):
    """The file has no bytes in the requested range (RFC 9110, section 15.5.17).

    :param size: Size of the file in bytes.
    """

    code = 416
    description = _("The file has no bytes in this range.")

    def __init__(self, size: int, **kwargs: Any) -> None:
        """Store the size."""
        self.size = size
        super().__init__(**kwargs)

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Return the headers, with the size in ``Content-Range``."""
        return [*super().get_headers(environ, scope), ("Content-Range", f"bytes */{self.size}")]


def check_preconditions(request: Request, etag: str | None, last_modified: datetime | None) -> bool:
    """Evaluate the conditions of a request for a file (RFC 9110, section 13.2.2).

    :param request: The request.
    :param etag: Strong entity tag of the file, without quotes.
    :param last_modified: When the file was last modified, to the second.
    :returns: Whether to send the file; ``False`` if the client already has it.
    :raises PreconditionFailed: If the file is not the one that the client expects.
    """
    if "If-Match" in request.headers:
        expected = request.if_match
        if not (expected.star_tag or (etag is not None and expected.is_strong(etag))):
            raise PreconditionFailed()
    elif (since := request.if_unmodified_since) is not None and last_modified is not None and last_modified > since:
        raise PreconditionFailed()
    if "If-None-Match" in request.headers:
        known = request.if_none_match
        return not (known.star_tag or (etag is not None and known.contains_weak(etag)))
    since = request.if_modified_since
    return since is None or last_modified is None or last_modified > since


def write_conditions(request: Request) -> dict[str, str]:
    """Return the conditions of a request that changes an object, to be checked later or in another process.

    :param request: The request.
    :returns: The values of its headers in :data:`WRITE_CONDITIONS`, by name.
    """
    headers = request.headers
    return {name: headers[name] for name in WRITE_CONDITIONS if name in headers}


def last_modified_of(request: Request, obj: ObjectVersion) -> datetime:
    """Return when the requested object or version was last modified (RFC 9110, section 8.8.2).

    An object is modified when a version becomes its head. A version, requested with ``versionId``, never changes after
    it was created.

    :param request: The request.
    :param obj: The head, or the version.
    """
    return obj.created if "versionId" in request.args else obj.last_modified


def requested_range(request: Request, size: int, etag: str | None, last_modified: datetime | None) -> range | None:
    """Return the range of bytes that a request asks for (RFC 9110, section 14.2).

    A request for several ranges, or with an invalid one, gets the whole file.

    :param request: The request.
    :param size: Size of the file in bytes.
    :param etag: Strong entity tag of the file, without quotes.
    :param last_modified: When the file was last modified, to the second.
    :returns: The range; ``None`` for the whole file.
    :raises RangeNotSatisfiable: If the file has no bytes in the range.
    """
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if request.method != "GET" or match is None or not _if_range_holds(request, etag, last_modified):
        return None
    first, last = match.groups()
    if not first:
        if not last:
            return None
        if int(last) == 0:
            raise RangeNotSatisfiable(size)
        # Every suffix of an empty file is the whole file.
        return range(max(0, size - int(last)), size) or None
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise RangeNotSatisfiable(size)
    return range(int(first), min(size, int(last) + 1) if last else size)


def _if_range_holds(request: Request, etag: str | None, last_modified: datetime | None) -> bool:
    """Return whether the client has a part of the current file, by ``If-Range`` (RFC 9110, section 13.1.5)."""
    value = request.headers.get("If-Range")
    if value is None:
        return True
    if (date := parse_date(value)) is not None:
        return date == last_modified
    tag, weak = unquote_etag(value)
    return not weak and tag is not None and tag == etag
