"""Which buckets somebody may use, newest first, a page at a time."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import NamedTuple

from flask import g
from invenio_access.permissions import superuser_access

from ..messages import lazy_gettext as _
from ..models import Bucket
from ..models.grants import granted_arguments
from . import action_name, decides_by_bucket, permitted_actions

_MOST_GRANTS = 1000
"""Number of grants that are read, at most, to ask of no other buckets than theirs."""

_PLACE = re.compile("([0-9]{1,17})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Place:
    """A place in the order of all buckets. It tells no more of them than who names it knows."""

    created: datetime
    """When the bucket at this place was created."""

    id: uuid.UUID
    """Its identifier."""

    def __str__(self) -> str:
        """Return it as links have it: the microseconds since 1970, and the identifier."""
        return f"{(self.created - _EPOCH) // timedelta(microseconds=1)}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Return the place that a link has.

        :param text: The text.
        :raises ValueError: If it is none.
        """
        match = _PLACE.fullmatch(text)
        if match is None:
            raise ValueError(_("Not a place in a list of buckets: take it from the link to the next page."))
        return cls(_EPOCH + timedelta(microseconds=int(match[1])), uuid.UUID(match[2]))


class Usable(NamedTuple):
    """A bucket, and what one may do with it."""

    bucket: Bucket
    actions: set[str]
    """Names of those actions that are permitted."""


def usable_buckets(
    before: Place | None, size: int, most: int, actions: Collection[str]
) -> tuple[list[Usable], Place | None]:
    """Return a page of the buckets on which the current identity may do something.

    It takes three statements, however many buckets there are, as long as no permission factory of one's own decides.

    :param before: The place that the page goes on after.
    :param size: Number of buckets on a page.
    :param most: Number of buckets of which to ask, at most.
    :param actions: Names of the actions, of which one is enough.
    :returns: The buckets; and what the next page goes on after, ``None`` where there is none. Of many buckets that one
        may not use, a page may have less than there is room for, or none.
    """
    usable: list[Usable] = []
    last = None
    after = None if before is None else (before.created, before.id)
    buckets = list(Bucket.newest(most + 1, before=after, among=_granted(actions)))
    asked = buckets[:most]
    at_once = most if decides_by_bucket() else size
    parts = (asked[start : start + at_once] for start in range(0, len(asked), at_once))
    for access in chain.from_iterable(_access_to(part, actions) for part in parts):
        if len(usable) == size:
            return usable, last
        if access.actions:
            usable.append(access)
        last = Place(access.bucket.created, access.bucket.id)
    return usable, last if len(buckets) > len(asked) else None


def _access_to(buckets: Collection[Bucket], actions: Collection[str]) -> list[Usable]:
    return list(map(Usable, buckets, permitted_actions(buckets, actions)))


def _granted(actions: Collection[str]) -> Collection[uuid.UUID] | None:
    """Return the buckets that grants of Invenio-Access name; ``None`` where others may be usable, too.

    This spares asking of all the buckets that there are. Whether a grant counts is for the permission to say.
    """
    if not decides_by_bucket():
        return None
    names = [superuser_access.value, *map(action_name, actions)]
    granted = granted_arguments(g.identity.provides, names, _MOST_GRANTS + 1)
    if len(granted) > _MOST_GRANTS or None in granted:
        return None
    return {bucket_id for argument in granted if argument and (bucket_id := _as_uuid(argument))}


def _as_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
