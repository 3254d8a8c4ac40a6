"""The end of a multipart upload: complete, a version, or gone; and what it counts for in its bucket until then."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from invenio_db import db
from sqlalchemy import delete, select

from ..errors import (
    InvalidOperationError,
    MultipartAlreadyCompleted,
    MultipartMissingParts,
    MultipartNotCompleted,
)
from ..messages import lazy_gettext as _
from ..messages import lazy_ngettext
from .base import Held, reads_a_snapshot
from .bucket import Bucket
from .object_version import ObjectVersion
from .part import Part

Own = TypeVar("Own", bound="MultipartCompletion")

_MISSING_NAMED = 100
"""How many missing parts an error names."""


class MultipartCompletion(Held):
    """How a multipart upload ends."""

    if TYPE_CHECKING:
        upload_id: Any
        bucket_id: Any
        key: Any
        size: Any
        completed: Any
        file: Any
        version_id: Any
        last_part_number: Any

    def missing_parts(self) -> list[int]:
        """Return the numbers of the parts that are not there."""
        there = set(db.session.scalars(self._parts(Part.part_number)))
        return [number for number in range(self.last_part_number + 1) if number not in there]

    def complete(self: Own) -> Own:
        """Mark the upload as completed.

        All bytes of its file are there, so the file is readable. A worker of 6.1, which may merge it, asks for that.

        :returns: The upload.
        :raises MultipartAlreadyCompleted: If it is completed already.
        :raises MultipartMissingParts: If parts are missing; the message names them.
        """
        type(self).hold(self.upload_id)
        if self.completed:
            raise MultipartAlreadyCompleted()
        if missing := self.missing_parts():
            named = ", ".join(map(str, missing[:_MISSING_NAMED])) + (", …" if len(missing) > _MISSING_NAMED else "")
            raise MultipartMissingParts(
                description=lazy_ngettext(
                    "Not all parts have been uploaded: %(num)s missing: %(named)s",
                    "Not all parts have been uploaded: %(num)s missing: %(named)s",
                    len(missing),
                    named=named,
                )
            )
        self._set_completed(True)
        return self

    @classmethod
    def reopen(cls, upload_id: uuid.UUID) -> None:
        """Let a completed upload take parts again, unless it has become a version or has been aborted.

        :param upload_id: Identifier of the upload.
        """
        held = cls.hold(upload_id)
        if held is not None:
            held._set_completed(False)

    def _set_completed(self, completed: bool) -> None:
        self.completed = self.file.readable = completed
        self.file.writable = not completed
        db.session.flush()

    @classmethod
    def is_open(cls, upload_id: uuid.UUID) -> bool:
        """Tell whether there is an upload that is not completed.

        :param upload_id: Identifier of the upload.
        """
        return db.session.scalar(select(cls.upload_id).where(cls.upload_id == upload_id, ~cls.completed)) is not None

    def parts_there(self) -> frozenset[tuple[int, datetime]]:
        """Return the numbers of the parts that are there, each with the time of its row.

        A part that is sent again has another time: where nothing has changed the file holds the same bytes.
        """
        there = db.session.execute(self._parts(Part.part_number, Part.updated))
        return frozenset((number, updated) for number, updated in there)

    def _parts(self, *columns: Any) -> Any:
        """Return the statement that reads columns of the parts, as they are now, whenever the transaction began."""
        there = select(*columns).where(Part.upload_id == self.upload_id)
        return there.with_for_update(read=True) if reads_a_snapshot() else there

    def merge_parts(self, version_id: uuid.UUID | None = None, **kwargs: Any) -> ObjectVersion:
        """Make an object version of a completed upload, which is gone then.

        :param version_id: Identifier of the version; :attr:`version_id` where none is given.
        :param kwargs: Passed to the computation of the checksum, as to :meth:`FileInstance.update_checksum`.
        :returns: The version.
        :raises MultipartNotCompleted: If the upload is not completed.
        """
        self.ensure_completed()
        self.file.readable = True
        self.file.update_checksum(**kwargs)
        return self.become_version(self.file.checksum, version_id)

    def become_version(
        self,
        checksum: str | None,
        version_id: uuid.UUID | None = None,
        precondition: Callable[[ObjectVersion | None], None] | None = None,
    ) -> ObjectVersion:
        """Make an object version of a completed upload whose checksum is known.

        :param checksum: Checksum of the whole file.
        :param version_id: Identifier of the version; :attr:`version_id` where none is given.
        :param precondition: See :meth:`ObjectVersion.record`.
        :returns: The version.
        :raises InvalidOperationError: If somebody else has made a version of it, or has aborted it.
        """
        file, version_id = self.file, version_id or self.version_id
        # The bytes were counted when the upload began; the version counts them anew.
        Bucket.claim(self.bucket_id, -self.size)
        if not self._forget():
            Bucket.claim(self.bucket_id, self.size)
            raise InvalidOperationError(description=_("The upload does not exist any more."))
        file.checksum = checksum
        file.readable = True
        file.writable = False
        return ObjectVersion.record(self.bucket_id, self.key, file, version_id=version_id, precondition=precondition)

    def ensure_completed(self) -> None:
        """Check that the upload is completed.

        :raises MultipartNotCompleted: If it is not.
        """
        if not self.completed:
            raise MultipartNotCompleted()

    def delete(self: Own, locked: bool = False) -> Own:
        """Delete the upload and its parts, and give its size back to the bucket.

        The file stays, for :func:`invenio_files_rest.tasks.remove_file_data` or the sweep.

        :param locked: Whether the bucket may be locked.
        :returns: The upload.
        :raises BucketLockedError: If the bucket is locked, and may not be.
        """
        Bucket.claim(self.bucket_id, -self.size, deleted=True, locked=locked)
        if not self._forget():
            # Somebody else deleted it, and gave its size back.
            Bucket.claim(self.bucket_id, self.size, deleted=True, locked=locked)
        return self

    def _forget(self) -> bool:
        """Delete the rows of the upload, and tell whether they were there."""
        cls = type(self)
        db.session.execute(delete(Part).where(Part.upload_id == self.upload_id))
        return bool(db.session.execute(delete(cls).where(cls.upload_id == self.upload_id)).rowcount)
