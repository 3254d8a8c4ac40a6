"""The conditions of requests that change an object (RFC 9110, section 13)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from werkzeug.http import parse_date, parse_etags

from ..errors import PreconditionFailed
from ..models import ObjectVersion

WRITE_CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since")
"""Headers with which a request that changes an object is conditional."""


def check_write_conditions(
    conditions: Mapping[str, str], obj: ObjectVersion | None, last_modified: datetime | None = None
) -> None:
    """Check the conditions of a request that changes an object (RFC 9110, section 13.2.2).

    A file without a checksum has no entity tag. ``If-Unmodified-Since`` is ignored if it is not a date, or if there is
    no object (section 13.1.4).

    :param conditions: Values of the headers in :data:`WRITE_CONDITIONS`, by name.
    :param obj: The object's head, or the version that the request names; ``None`` if there is none.
    :param last_modified: When it was last modified; by default :attr:`ObjectVersion.last_modified`.
    :raises PreconditionFailed: If a condition does not hold.
    """
    file = obj.file if obj is not None else None
    etag = file.checksum if file is not None else None
    if "If-Match" in conditions:
        expected = parse_etags(conditions["If-Match"])
        if file is None or not (expected.star_tag or (etag is not None and expected.is_strong(etag))):
            raise PreconditionFailed()
    elif obj is not None and file is not None:
        since = parse_date(conditions.get("If-Unmodified-Since"))
        if since is not None and to_the_second(last_modified or obj.last_modified) > since:
            raise PreconditionFailed()
    if "If-None-Match" in conditions and file is not None:
        unwanted = parse_etags(conditions["If-None-Match"])
        if unwanted.star_tag or (etag is not None and unwanted.contains_weak(etag)):
            raise PreconditionFailed()


def check_conditions_without_validators(conditions: Mapping[str, str]) -> None:
    """Check the conditions of a request that changes a bucket, which has neither an entity tag nor a date.

    Of entity tags only ``*`` stands for it (RFC 9110, sections 13.1.1 and 13.1.2); dates are ignored (13.1.4).

    :param conditions: Values of the headers in :data:`WRITE_CONDITIONS`, by name.
    :raises PreconditionFailed: If a condition does not hold.
    """
    if "If-Match" in conditions and not parse_etags(conditions["If-Match"]).star_tag:
        raise PreconditionFailed()
    if "If-None-Match" in conditions and parse_etags(conditions["If-None-Match"]).star_tag:
        raise PreconditionFailed()


def to_the_second(time: datetime) -> datetime:
    """Return a time in whole seconds, as HTTP dates have it (RFC 9110, section 5.6.7).

    :param time: The time.
    """
    return time.replace(microsecond=0)
