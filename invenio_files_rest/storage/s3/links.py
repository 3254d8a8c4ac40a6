"""Links to an object that are signed, so that whoever has one may read the object for a while."""

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
