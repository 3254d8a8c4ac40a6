"""The conditions of requests that change an object (RFC 9110, section 13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from werkzeug.http import parse_date, parse_etags

from ..errors import PreconditionFailed
from ..models import ObjectVersion

TagsPrecondition = Callable[[Mapping[str, str]], None]
"""Function that raises an error if tags are not what the client expects."""

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
    if obj is not None and obj.file is not None:
        check_validators(conditions, last_modified or obj.last_modified, obj.file.checksum)
    elif "If-Match" in conditions:
        raise PreconditionFailed()


def check_validators(conditions: Mapping[str, str], last_modified: datetime | None, *etags: str | None) -> None:
    """Check the conditions of a request that changes what there is (RFC 9110, section 13.2.2).

    :param conditions: Values of the headers in :data:`WRITE_CONDITIONS`, by name.
    :param last_modified: When it was last modified; ``None`` where it has no date.
    :param etags: Its strong entity tags, without quotes; any of them stands for it. ``None`` is none.
    :raises PreconditionFailed: If a condition does not hold.
    """
    known = [etag for etag in etags if etag is not None]
    if "If-Match" in conditions:
        expected = parse_etags(conditions["If-Match"])
        if not (expected.star_tag or any(map(expected.is_strong, known))):
            raise PreconditionFailed()
    elif last_modified is not None:
        since = parse_date(conditions.get("If-Unmodified-Since"))
        if since is not None and to_the_second(last_modified) > since:
            raise PreconditionFailed()
    if "If-None-Match" in conditions:
        unwanted = parse_etags(conditions["If-None-Match"])
        if unwanted.star_tag or any(map(unwanted.contains_weak, known)):
            raise PreconditionFailed()


def check_conditions_without_validators(conditions: Mapping[str, str]) -> None:
    """Check the conditions of a request that changes a bucket, which has neither an entity tag nor a date.

    Of entity tags only ``*`` stands for it (RFC 9110, sections 13.1.1 and 13.1.2); dates are ignored (13.1.4).

    :param conditions: Values of the headers in :data:`WRITE_CONDITIONS`, by name.
    :raises PreconditionFailed: If a condition does not hold.
    """
    check_validators(conditions, None)


def to_the_second(time: datetime) -> datetime:
    """Return a time in whole seconds, as HTTP dates have it (RFC 9110, section 5.6.7).

    :param time: The time.
    """
    return time.replace(microsecond=0)
