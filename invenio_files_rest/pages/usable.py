"""Which buckets somebody may use, newest first, a page at a time."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain
from typing import Any

from flask import g
from invenio_access.permissions import superuser_access

from ..http.arguments import is_uuid
from ..models import Bucket
from ..models.grants import granted_arguments
from ..permissions import BucketRead, BucketUpdate, permission_factory, permitted_actions
from ..proxies import current_files_rest

PAGE_SIZE = 20
"""Number of buckets on a page."""

MOST_ASKED = 200
"""Number of buckets of which a page asks whether one may use them, at most."""

_MOST_GRANTS = 1000
"""Number of grants that are read, at most, to ask of no other buckets than theirs."""


@dataclass
class Usable:
    """A bucket, and what one may do with it."""

    bucket: Bucket
    readable: bool
    writable: bool


def access_to(bucket: Bucket) -> Usable:
    """Tell what the current identity may do with a bucket.

    :param bucket: The bucket.
    """
    return _access_to([bucket])[0]


def _access_to(buckets: Collection[Bucket]) -> list[Usable]:
    return [
        Usable(bucket, "bucket-read" in actions, "bucket-update" in actions)
        for bucket, actions in zip(buckets, permitted_actions(buckets, ("bucket-read", "bucket-update")), strict=True)
    ]


def may_create() -> bool:
    """Tell whether the current identity may create buckets."""
    return _can(current_files_rest.permission_factory(None, "location-update"))


def _can(permission: Any) -> bool:
    return permission is None or bool(permission.can())


def usable_buckets(before: uuid.UUID | None) -> tuple[list[Usable], uuid.UUID | None]:
    """Return a page of the buckets that the current identity may use.

    :param before: Identifier of the bucket that the page goes on after.
    :returns: The buckets, and what the next page goes on after; ``None`` where there is none. Of many buckets that one
        may not use, a page may have less than there is room for, or none.
    """
    usable: list[Usable] = []
    last = None
    buckets = list(Bucket.newest(MOST_ASKED + 1, before=before, among=_granted()))
    asked = buckets[:MOST_ASKED]
    pages = (asked[start : start + PAGE_SIZE] for start in range(0, len(asked), PAGE_SIZE))
    for access in chain.from_iterable(map(_access_to, pages)):
        if len(usable) == PAGE_SIZE:
            return usable, last
        if access.readable or access.writable:
            usable.append(access)
        last = access.bucket.id
    return usable, last if len(buckets) > len(asked) else None


def _granted() -> Collection[uuid.UUID] | None:
    """Return the buckets that grants of Invenio-Access name; ``None`` where others may be usable, too.

    This spares asking of all the buckets that there are. Whether a grant counts is for the permission to say.
    """
    if current_files_rest.permission_factory is not permission_factory:
        return None
    actions = [action(None).value for action in (BucketRead, BucketUpdate)]
    granted = granted_arguments(g.identity.provides, [superuser_access.value, *actions], _MOST_GRANTS + 1)
    if len(granted) > _MOST_GRANTS or None in granted:
        return None
    return {uuid.UUID(argument) for argument in granted if argument and is_uuid(argument)}
