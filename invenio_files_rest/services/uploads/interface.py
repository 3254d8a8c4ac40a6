"""What every protocol does with an upload, whichever tables have it, and what it is told."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ...models import Bucket

if TYPE_CHECKING:
    from _typeshed import SupportsRead


class Extent(NamedTuple):
    """Bytes of an upload that are there."""

    number: int
    offset: int | None
    """Where they begin in the file, in bytes, where that is known yet."""

    size: int
    digests: dict[str, str]
    """Their digests in hexadecimal digits, by the names of the algorithms; what is not known is left out."""


class Progress(NamedTuple):
    """How far an upload has come."""

    offset: int
    """How many bytes are there, from its beginning."""

    length: int | None
    """How many it shall have, where that is known."""

    broken: bool = False
    """Whether the body that was written did not come to its end. What came is kept."""

    error: Exception | None = None
    """Why reading it failed, where it did."""


class Uploading(Protocol):
    """A plan: it knows which extents of an upload are valid, and which are missing."""

    name: str

    def begin(self, bucket: Bucket, key: str | None, length: int | None = None, **about: Any) -> uuid.UUID:
        """Begin an upload, and commit.

        :param bucket: The bucket.
        :param key: Key of the object that it becomes.
        :param length: Size of the file in bytes, where it is known.
        :param about: What else the plan needs, or keeps.
        :returns: Identifier of the upload.
        """
        ...

    def write(
        self,
        upload_id: uuid.UUID,
        place: int,
        stream: SupportsRead[bytes],
        *,
        size: int | None = None,
        shut: Callable[[], Any] | None = None,
    ) -> Any:
        """Write bytes, and commit that they are there.

        :param upload_id: Identifier of the upload.
        :param place: Number of the extent, or its offset where the upload is one run.
        :param stream: The bytes.
        :param size: How many they are, where that is known.
        :param shut: Function that ends a read of the stream which waits, for when another request takes over.
        """
        ...

    def extents(self, upload_id: uuid.UUID) -> list[Extent]:
        """Return what is there, in order."""
        ...

    def missing(self, upload_id: uuid.UUID) -> list[int]:
        """Return the numbers of the extents that are known to be missing."""
        ...

    def complete(self, upload_id: uuid.UUID) -> uuid.UUID:
        """Make the upload a version of its object, and commit. Doing it again returns the same.

        :returns: Identifier of the version.
        """
        ...

    def abort(self, upload_id: uuid.UUID) -> None:
        """Abort the upload, commit, and remove its bytes."""
        ...
