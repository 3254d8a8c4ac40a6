"""*Fixed parts*: parts of one size, of a known total, in the tables that 6.1 knows."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import MultipartInvalidSize
from ...models import Bucket, MultipartObject, Part
from ..merging import merge_multipartobject
from ..multipart import abort_upload, begin_upload, complete_upload, store_part
from .errors import UploadGone
from .interface import Extent

if TYPE_CHECKING:
    from _typeshed import SupportsRead


def _upload(upload_id: uuid.UUID) -> MultipartObject:
    upload = MultipartObject.find(upload_id)
    if upload is None:
        raise UploadGone()
    return upload


def _extent(part: Part) -> Extent:
    algorithm, _, digest = (part.checksum or "").partition(":")
    return Extent(part.part_number, part.start_byte, part.part_size, {algorithm: digest} if digest else {})


class FixedParts:
    """Uploads of parts of one size; see :class:`~invenio_files_rest.services.uploads.interface.Uploading`."""

    name = "fixed"

    def begin(
        self, bucket: Bucket, key: str | None, length: int | None = None, *, part_size: int = 0, **about: Any
    ) -> uuid.UUID:
        """Begin an upload, and commit.

        :param bucket: The bucket.
        :param key: Key of the object that it becomes.
        :param length: Size of the file in bytes.
        :param part_size: Size of a part in bytes.
        :param about: Nothing: the tables keep no more.
        :raises MultipartInvalidSize: If key or length are not known.
        """
        if key is None or length is None:
            raise MultipartInvalidSize()
        return begin_upload(bucket, key, length, part_size).upload_id

    def write(
        self,
        upload_id: uuid.UUID,
        place: int,
        stream: SupportsRead[bytes],
        *,
        size: int | None = None,
        shut: Callable[[], Any] | None = None,
    ) -> Extent:
        """Write a part, and commit. Who writes the same part waits, since there is no epoch to end.

        :param upload_id: Identifier of the upload.
        :param place: Number of the part, from 0.
        :param stream: The bytes.
        :param size: How many they are, where the request tells it.
        :param shut: Not used.
        """
        return _extent(store_part(_upload(upload_id), place, stream, size))

    def extents(self, upload_id: uuid.UUID) -> list[Extent]:
        """Return the parts that are there, in order."""
        return [_extent(part) for part in Part.query_by_multipart(_upload(upload_id))]

    def missing(self, upload_id: uuid.UUID) -> list[int]:
        """Return the numbers of the parts that are not there."""
        return _upload(upload_id).missing_parts()

    def complete(self, upload_id: uuid.UUID) -> uuid.UUID:
        """Make the upload a version of its object, and commit."""
        upload = MultipartObject.find(upload_id)
        if upload is not None:
            complete_upload(upload)
        return uuid.UUID(merge_multipartobject(upload_id))

    def abort(self, upload_id: uuid.UUID) -> None:
        """Abort the upload, commit, and have its bytes removed."""
        abort_upload(_upload(upload_id))
