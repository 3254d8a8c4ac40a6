"""What the plans of free shape have in common: their tables, where no file has a row before the upload is a version."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from ...models import Bucket, Upload, UploadExtent
from .beginning import begin_upload
from .completion import begin_completion, finish_upload
from .ending import STUCK_AFTER, abort_upload, expire_upload, forgotten_uploads
from .interface import Extent, Forgotten


class FreeTables:
    """The tables of uploads of free shape: :class:`~invenio_files_rest.services.uploads.interface.Keeping` of them."""

    def finish(self, upload_id: uuid.UUID, *, progress: Callable[[int | None, int], Any] | None = None) -> uuid.UUID:
        """Make an upload that takes no more bytes a version of its object, and commit."""
        return finish_upload(upload_id, progress)

    def forgotten(self, grace: timedelta = STUCK_AFTER) -> Iterator[Forgotten]:
        """Find the uploads that have expired, and those that nobody has gone on to complete."""
        for upload in forgotten_uploads(grace):
            yield Forgotten(upload.id, upload.key, upload.claimed, is_whole=not upload.is_expired)

    def expire(self, upload_id: uuid.UUID) -> bool:
        """Remove an upload that has expired, still; commit, and remove its bytes."""
        return expire_upload(upload_id)


class FreePlan(FreeTables, ABC):
    """What a plan of free shape does as the others do."""

    name: str

    def begin(self, bucket: Bucket, key: str | None, length: int | None = None, **about: Any) -> uuid.UUID:
        """Begin an upload, and commit; see :func:`~invenio_files_rest.services.uploads.beginning.begin_upload`."""
        identifier: uuid.UUID = begin_upload(bucket, key, self.name, length, **about).id
        return identifier

    def extents(self, upload_id: uuid.UUID) -> list[Extent]:
        """Return what is recorded, in order."""
        return [
            Extent(each.number, each.offset, each.size, each.digests or {}) for each in UploadExtent.recorded(upload_id)
        ]

    @abstractmethod
    def chosen(self, upload: Upload, extents: list[UploadExtent], numbers: list[int] | None) -> list[UploadExtent]:
        """Return the extents that the file is made of.

        :param upload: The upload.
        :param extents: Those that are recorded.
        :param numbers: Numbers that the client names, where it names some.
        :raises UploadIncomplete: If bytes are missing.
        """

    def close(self, upload_id: uuid.UUID, numbers: list[int] | None = None) -> None:
        """Take no more bytes, and commit; see :meth:`complete`."""
        begin_completion(self, upload_id, numbers)

    def complete(self, upload_id: uuid.UUID, numbers: list[int] | None = None) -> uuid.UUID:
        """Make an upload a version of its object, and commit. Doing it again returns the same.

        Errors are those of :func:`~invenio_files_rest.services.uploads.completion.begin_completion` and of
        :func:`~invenio_files_rest.services.uploads.completion.finish_upload`.

        :param upload_id: Identifier of the upload.
        :param numbers: Numbers of the extents that the file is made of, in order, where the plan has the client name
            them; all where none are given.
        :returns: Identifier of the version.
        """
        self.close(upload_id, numbers)
        return self.finish(upload_id)

    def abort(self, upload_id: uuid.UUID) -> None:
        """Abort the upload, commit, and remove its bytes."""
        abort_upload(upload_id)
