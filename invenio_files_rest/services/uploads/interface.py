"""The interface of uploads in progress for all protocols, whatever tables an upload is in."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ...models import Bucket

if TYPE_CHECKING:
    from _typeshed import SupportsRead


class Extent(NamedTuple):
    """Bytes of an upload that have arrived."""

    number: int
    offset: int | None
    """Where they begin in the file, in bytes, if known yet."""

    size: int
    digests: dict[str, str]
    """Their known digests in hexadecimal, by the names of the algorithms."""


class Progress(NamedTuple):
    """How far an upload has come."""

    offset: int
    """Number of bytes that have arrived, from the beginning."""

    length: int | None
    """Length of the upload in bytes, if known."""

    broken: bool = False
    """Whether the body that was written broke off. What arrived of it is kept."""

    error: Exception | None = None
    """Why reading the body failed, if it did."""


class Uploading(Protocol):
    """A plan: it knows which extents of an upload are valid and which are missing."""

    name: str

    def begin(self, bucket: Bucket, key: str | None, length: int | None = None, **about: Any) -> uuid.UUID:
        """Begin an upload, and commit.

        :param bucket: The bucket.
        :param key: Key of the resulting object; ``None`` if it has none yet.
        :param length: Size of the file in bytes, if known.
        :param about: Further arguments of the plan.
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
        """Write bytes, and commit them.

        :param upload_id: Identifier of the upload.
        :param place: Number of the extent; for an upload of one run, the offset.
        :param stream: The bytes.
        :param size: Number of bytes, if known.
        :param shut: Function that ends a waiting read of the stream, for when another request takes over.
        """
        ...

    def extents(self, upload_id: uuid.UUID) -> list[Extent]:
        """Return the extents that have arrived, in order."""
        ...

    def missing(self, upload_id: uuid.UUID) -> list[int]:
        """Return the numbers of extents that are known to be missing."""
        ...

    def complete(self, upload_id: uuid.UUID) -> uuid.UUID:
        """Turn the upload into a version of its object, and commit. Repeating it returns the same version.

        :returns: Identifier of the version.
        """
        ...

    def abort(self, upload_id: uuid.UUID) -> None:
        """Abort the upload, commit, and remove its bytes."""
        ...
