"""The order of an object's versions: that of their commits, whatever the clocks of the hosts say.

Whoever makes a head holds the bucket, reads the times of the head before, and takes later ones from here.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .base import utcnow

CLOCKS_APART = timedelta(minutes=1)
"""How far apart the clocks of hosts may be for dates of heads to differ from each other, and how far dates of heads run
ahead at most where an object has more heads than there are seconds."""

_SECOND = timedelta(seconds=1)


class Times(NamedTuple):
    """The times that a new head bears."""

    created: datetime
    """When the version was made; later than that of the head before."""

    updated: datetime
    """When it became the head; see :func:`head_since`."""


def next_times(before: Collection[Any] = ()) -> Times:
    """Return the times of a version that is made the head.

    :param before: The heads before, or what has their ``created`` and ``updated``.
    :returns: The times.
    """
    now = utcnow()
    created = max((head.created for head in before), default=None)
    if created is None:
        return Times(now, now)
    # A time without microseconds may come of a column without them, as MySQL has where it is as 6.1 made it.
    made = max(now, created + (timedelta.resolution if created.microsecond else _SECOND))
    return Times(made, max(made, head_since(max(head.updated for head in before))))


def head_since(previous: datetime) -> datetime:
    """Return the time at which a version becomes the head, which HTTP dates are made of (RFC 9110, section 8.8.2).

    It is a second later than that of the head before where a date could else not tell the two apart. So it may lie
    ahead, and nobody is told it before it has come: whoever knows a date has seen one head, and no other.

    :param previous: When the head before became the head.
    :returns: The time. It lies ahead by a second where two heads were made within one, by up to :data:`CLOCKS_APART`
        after many, and by as much as the clock of the host that made the head before.
    """
    now = utcnow()
    return max(now, previous, min(previous.replace(microsecond=0) + _SECOND, now + CLOCKS_APART))
