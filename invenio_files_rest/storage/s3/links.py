"""Links that are signed, so that whoever has one may read an object, or send a part of an upload, for a while."""

from __future__ import annotations

from .client import client_of
from .failures import translated_errors
from .objects import S3Object


class S3Signer:
    """The links to a file; see :class:`~invenio_files_rest.storage.capabilities.Signer`.

    :param source: The file.
    """

    def __init__(self, source: S3Object) -> None:
        """Remember the file."""
        self._source = source

    def link(self, seconds: int, headers: dict[str, str]) -> str:
        """Sign a link. The store is not asked."""
        fields = {f"Response{name.replace('-', '')}": value for name, value in headers.items()}
        with translated_errors():
            return str(
                client_of(self._source.location).generate_presigned_url(
                    "get_object", Params={**self._source.address, **fields}, ExpiresIn=seconds
                )
            )


def part_link(target: S3Object, upload_id: str, number: int, size: int, seconds: int) -> str:
    """Sign a link with which one part of an S3 upload is sent. The store is not asked.

    The part is never empty: with such a link some stores take ``x-amz-copy-source``, and copy whatever we can read.

    :param target: The object that the upload becomes.
    :param upload_id: The store's identifier of the upload.
    :param number: Number of the part.
    :param size: Its size in bytes, which is signed.
    :param seconds: Time for which the link is valid.
    :raises ValueError: If the size is not positive.
    """
    if size <= 0:
        raise ValueError("A link is for a part that has bytes.")
    place = {"UploadId": upload_id, "PartNumber": number, "ContentLength": size}
    with translated_errors():
        return str(
            client_of(target.location).generate_presigned_url(
                "upload_part", Params={**target.address, **place}, ExpiresIn=seconds
            )
        )
