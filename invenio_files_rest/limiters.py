"""Limits on the size of a file, as the bucket's quota and its maximum file size set them."""

from __future__ import annotations

from functools import total_ordering
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import Bucket


@total_ordering
class FileSizeLimit:
    """A limit in bytes, and why it is there.

    A limit compares like its number, so that ``min()`` of several finds the one that binds.

    :param limit: Largest size allowed, in bytes; ``None`` for no limit.
    :param reason: What to tell whoever exceeds it.
    """

    def __init__(self, limit: int | None, reason: str) -> None:
        """Keep limit and reason."""
        self.limit = limit
        self.reason = reason

    @staticmethod
    def _bytes(value: Any) -> Any:
        return value.limit if isinstance(value, FileSizeLimit) else value

    def __hash__(self) -> int:
        """Hash like the number that it compares as."""
        return hash(self.limit)

    def __lt__(self, other: FileSizeLimit | int) -> bool:
        """Tell whether this limit is the tighter one."""
        return bool(self.limit < self._bytes(other))

    def __eq__(self, other: object) -> bool:
        """Tell whether both limits are the same number of bytes."""
        return bool(self.limit == self._bytes(other))

    def __repr__(self) -> str:
        """Show limit and reason."""
        return f"FileSizeLimit({self.limit}, {self.reason!r})"


def file_size_limiters(bucket: Bucket) -> list[FileSizeLimit]:
    """Return the limits on the next file of a bucket: what is left of its quota, and its maximum file size.

    :param bucket: The bucket that the file goes into.
    :returns: Two limits, each with ``limit`` ``None`` where the bucket does not set it.
    """
    return [
        FileSizeLimit(bucket.quota_left, "Bucket quota exceeded."),
        FileSizeLimit(bucket.max_file_size, "Maximum file size exceeded."),
    ]
