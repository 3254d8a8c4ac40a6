"""Limits on the size of a file: the quota of its bucket and the bucket's maximum file size."""

from __future__ import annotations

from functools import total_ordering
from typing import TYPE_CHECKING, Any

from .messages import lazy_gettext as _

if TYPE_CHECKING:
    from .models import Bucket


@total_ordering
class FileSizeLimit:
    """A limit in bytes, with its reason.

    Limits compare like their numbers, so that ``min()`` returns the tightest one.

    :param limit: Largest size allowed, in bytes; ``None`` for no limit.
    :param reason: Message for the client that exceeds it.
    """

    def __init__(self, limit: int | None, reason: str) -> None:
        """Store limit and reason."""
        self.limit = limit
        self.reason = reason

    @staticmethod
    def _bytes(value: Any) -> Any:
        return value.limit if isinstance(value, FileSizeLimit) else value

    def __hash__(self) -> int:
        """Return the hash of the number, consistent with the comparison."""
        return hash(self.limit)

    def __lt__(self, other: FileSizeLimit | int) -> bool:
        """Return whether this limit is tighter."""
        return bool(self.limit < self._bytes(other))

    def __eq__(self, other: object) -> bool:
        """Return whether both limits have the same number of bytes."""
        return bool(self.limit == self._bytes(other))

    def __repr__(self) -> str:
        """Return a text with limit and reason."""
        return f"FileSizeLimit({self.limit}, {self.reason!r})"


def file_size_limiters(bucket: Bucket) -> list[FileSizeLimit]:
    """Return the limits on the next file in a bucket: what is left of its quota, and its maximum file size.

    :param bucket: The bucket.
    :returns: Two limits; ``limit`` is ``None`` if the bucket has no such limit.
    """
    return [
        FileSizeLimit(bucket.quota_left, _("Bucket quota exceeded.")),
        FileSizeLimit(bucket.max_file_size, _("Maximum file size exceeded.")),
    ]
