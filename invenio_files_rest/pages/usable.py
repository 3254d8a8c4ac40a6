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

_ACTIONS = (
    *(_READ, _WRITE, "bucket-read-versions", "object-read", "object-read-version"),
    *("object-delete", "object-delete-version"),
)


@dataclass
class Usable:
    """A bucket, and what one may do with it."""

    bucket: Bucket
    actions: set[str]
    """Those of the actions that were asked for that one has been allowed, on the bucket."""

    @property
    def readable(self) -> bool:
        """Whether one may list its objects."""
        return _READ in self.actions

    @property
    def writable(self) -> bool:
        """Whether one may store objects, as far as it is for permissions to say."""
        return _WRITE in self.actions

    @property
    def changeable(self) -> bool:
        """Whether one may store objects now: a bucket that is locked takes none."""
        return self.writable and not self.bucket.locked

    def may(self, *actions: str) -> bool:
        """Tell whether one may do something with its objects. A permission factory of one's own may refuse some.

        :param actions: Names of all actions that it takes.
        """
        return self.actions.issuperset(actions)


def access_to(bucket: Bucket) -> Usable:
    """Tell what the current identity may do with a bucket.

    :param bucket: The bucket.
    """
    return Usable(bucket, permitted_actions([bucket], _ACTIONS)[0])


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
    return [Usable(*found) for found in buckets], following
