"""The interface of uploads in progress for all protocols, whatever tables an upload is in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

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

    expires: datetime | None = None
    """When the upload may be removed, if it was looked up."""


class Forgotten(NamedTuple):
    """An upload that nobody goes on with."""

    id: uuid.UUID
    key: str | None
    size: int
    """Bytes that it counts for in its bucket."""

    is_whole: bool = False
    """Whether it has all its bytes, and is to be finished; otherwise it has expired, and is to be removed."""


class Keeping(Protocol):
    """The tables of some plans, and what is done with an upload in them, whichever of these plans it has."""

    def finish(self, upload_id: uuid.UUID, *, progress: Callable[[int | None, int], Any] | None = None) -> uuid.UUID:
        """Make an upload that takes no more bytes a version of its object, and commit. A second run finds it there.

        :param upload_id: Identifier of the upload.
        :param progress: Called with the size and the number of bytes that are done.
        :returns: Identifier of the version.
        """
        ...

    def forgotten(self, grace: timedelta = ...) -> Iterator[Forgotten]:
        """Find the uploads that nobody goes on with.

        :param grace: Time for which nobody has, of one that has all its bytes.
        """
        ...

    def expire(self, upload_id: uuid.UUID) -> bool:
        """Remove an upload that has expired, still; commit, and remove its bytes.

        :param upload_id: Identifier of the upload.
        :returns: Whether it was removed: not where somebody went on with it, or removed it.
        """
        ...


Ref = TypeVar("Ref")
"""What a plan gives out for an upload: its identifier, or its row where that is part of the documented API."""

Written_co = TypeVar("Written_co", covariant=True)
"""What a plan tells of bytes that are there."""


class Uploading(Keeping, Protocol[Ref, Written_co]):
    """A plan: it knows which extents of an upload are valid, and which are missing.

    What it has given out for an upload, or the upload's identifier, is what its methods take.
    """

    name: str

    def begin(self, *args: Any, **about: Any) -> Ref:
        """Begin an upload, and commit.

        :param args: The bucket, the key of the object that it becomes, and the size of the file in bytes where it is
            known.
        :param about: What else the plan needs or keeps, such as ``conditions``, which have to hold now.
        :returns: The upload.
        """
        ...

    def write(
        self,
        upload: Ref | uuid.UUID,
        place: int,
        stream: SupportsRead[bytes],
        /,
        *,
        size: int | None = None,
        shut: Callable[[], Any] | None = None,
    ) -> Written_co:
        """Write bytes, and commit that they are there.

        :param upload: The upload.
        :param place: Number of the extent, or its offset where the upload is one run.
        :param stream: The bytes.
        :param size: Number of bytes, if known.
        :param shut: Function that ends a waiting read of the stream, for when another request takes over.
        """
        ...

    def extents(self, upload: Ref | uuid.UUID, /) -> list[Extent]:
        """Return what is there, in order."""
        ...

    def missing(self, upload: Ref | uuid.UUID, /) -> list[int]:
        """Return the numbers of the extents that are known to be missing."""
        ...

    def close(self, upload: Ref | uuid.UUID, /) -> None:
        """Take no more bytes for an upload that has all it needs, and commit. It is to be finished then."""
        ...

    def complete(self, upload: Ref | uuid.UUID, /) -> uuid.UUID:
        """Close and finish the upload. Doing it again returns the same.

        :returns: Identifier of the version.
        """
        ...

    def abort(self, upload: Ref | uuid.UUID, /) -> None:
        """Abort the upload, commit, and remove its bytes, here or in a task."""
        ...
