"""The order of an object's versions: the order of their commits, whatever the clocks of the hosts say.

Whoever creates a head has locked the bucket, reads the times of the previous head, and gets later ones from here.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Interval, case, func, literal

from .base import UTCTimestamp, utcnow

CLOCKS_APART = timedelta(minutes=1)
"""How far apart the clocks of hosts may be with heads still having different dates. It is also how far the date of a
head lies ahead at most, if new heads come faster than one per second."""

_SECOND = timedelta(seconds=1)


class Times(NamedTuple):
    """The times of a new head."""

    created: datetime
    """When the version was created; later than the previous head."""

    updated: datetime
    """When it became the head; see :func:`head_since`."""


def next_times(before: Collection[Any] = ()) -> Times:
    """Return the times of a new head.

    :param before: The previous heads, or anything with their ``created`` and ``updated``.
    """
    now = utcnow()
    created = max((head.created for head in before), default=None)
    if created is None:
        return Times(now, now)
    # A time without microseconds may come from a column without them, as 6.1 created them on MySQL.
    made = max(now, created + (timedelta.resolution if created.microsecond else _SECOND))
    return Times(made, max(made, head_since(max(head.updated for head in before))))


def next_times_in_sql(now: Any, created: Any, updated: Any) -> tuple[Any, Any]:
    """Return what :func:`next_times` does as expressions of PostgreSQL, whose ``greatest`` and ``least`` ignore nulls.

    :param now: Expression for the time.
    :param created: Column of the previous heads with their ``created``.
    :param updated: Column of the previous heads with their ``updated``.
    """
    created, updated = func.max(created), func.max(updated)
    whole, second = func.date_trunc("second", updated), _interval(_SECOND)
    step = case((created == func.date_trunc("second", created), second), else_=_interval(timedelta.resolution))
    made = _time(func.greatest, now, created.op("+")(step))
    ahead = func.least(whole.op("+")(second), now.op("+")(_interval(CLOCKS_APART)))
    return made, _time(func.greatest, made, updated, case((updated.is_not(None), ahead)))


def _interval(length: timedelta) -> Any:
    return literal(length, Interval())


def _time(function: Any, *values: Any) -> Any:
    return function(*values, type_=UTCTimestamp())


def head_since(previous: datetime) -> datetime:
    """Return the time at which a version becomes the head, which is its date in HTTP (RFC 9110, section 8.8.2).

    HTTP dates have whole seconds. So that two heads never share a date, it is at least a second after the previous one,
    and may lie in the future; it is not sent to clients before it has passed.

    :param previous: When the previous head became the head.
    :returns: The time. It is ahead by a second if two heads were created within one second, by up to
        :data:`CLOCKS_APART` after many, and by as much as the clock of the host that created the previous head.
    """
    now = utcnow()
    return max(now, previous, min(previous.replace(microsecond=0) + _SECOND, now + CLOCKS_APART))
