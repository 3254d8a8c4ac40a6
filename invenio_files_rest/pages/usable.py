"""What somebody may do with a bucket, as pages show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..models import Bucket
from ..permissions import permitted_actions
from ..permissions.usable import Place
from ..permissions.usable import usable_buckets as usable
from ..proxies import current_files_rest

PAGE_SIZE = 20
"""Number of buckets on a page."""

MOST_ASKED = 200
"""Number of buckets of which a page asks whether one may use them, at most."""

_READ, _WRITE = "bucket-read", "bucket-update"


@dataclass
class Usable:
    """A bucket, and what one may do with it."""

    bucket: Bucket
    readable: bool
    writable: bool


def _shown(bucket: Bucket, actions: set[str]) -> Usable:
    return Usable(bucket, _READ in actions, _WRITE in actions)


def access_to(bucket: Bucket) -> Usable:
    """Tell what the current identity may do with a bucket.

    :param bucket: The bucket.
    """
    return _shown(bucket, permitted_actions([bucket], (_READ, _WRITE))[0])


def may_create() -> bool:
    """Tell whether the current identity may create buckets."""
    return _can(current_files_rest.permission_factory(None, "location-update"))


def _can(permission: Any) -> bool:
    return permission is None or bool(permission.can())


def usable_buckets(before: Place | None) -> tuple[list[Usable], Place | None]:
    """Return a page of the buckets that the current identity may use.

    :param before: The place that the page goes on after.
    :returns: The buckets, and what the next page goes on after; ``None`` where there is none. Of many buckets that one
        may not use, a page may have less than there is room for, or none.
    """
    buckets, following = usable(before, PAGE_SIZE, MOST_ASKED, (_READ, _WRITE))
    return [_shown(*found) for found in buckets], following
