"""The methods by which Invenio-Records-Resources finds that a storage has multipart uploads of its own.

What it keeps for us is the store's identifier of the upload alone; the store is asked for the parts.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import IO, TYPE_CHECKING, Any

from ...errors import MultipartMissingParts
from ..local import TEMPORARY_PREFIX
from ..uploads import ExtentWrite
from .links import part_link
from .locations import SMALLEST_PART
from .objects import S3Object, unquoted
from .pieces import OBJECT, S3Piece, numbered, receipt_of
from .runs import parts_there

if TYPE_CHECKING:
    from collections.abc import Callable

    from .uploads import S3Uploads


class Absent:
    """A method that a subclass does not have."""

    def __get__(self, obj: Any, owner: type) -> Any:
        """Let ``hasattr`` find nothing.

        :raises AttributeError: Always.
        """
        raise AttributeError("This storage has no multipart uploads of its own.")


class NativeMultipartMixin:
    """Multipart uploads of the store, as Invenio-Records-Resources calls them. Parts are counted from 1."""

    direct_upload: timedelta | None = None
    """How long links are valid with which clients send parts to the store themselves; ``None`` if they do not. The
    storage factory may set another one."""

    if TYPE_CHECKING:
        _object: S3Object
        _uploads: Callable[[], S3Uploads]

    def multipart_initialize_upload(self, parts: int, size: int, part_size: int) -> dict[str, str]:
        """Begin an upload.

        :param parts: Number of parts.
        :param size: Size of the file in bytes.
        :param part_size: Size of a part in bytes.
        :returns: What the other methods need, besides these.
        :raises StorageError: If the store fails.
        """
        return {"upload_id": str(self._uploads().begin(size)["upload"])}

    def multipart_set_content(
        self, part: int, stream: IO[bytes], content_length: int, *, upload_id: str, **metadata: Any
    ) -> dict[str, Any] | None:
        """Store a part.

        :param part: Its number.
        :param stream: The bytes.
        :param content_length: Their number.
        :param upload_id: Identifier of the upload.
        :param metadata: Not used.
        :returns: ``None``: there is nothing to keep.
        :raises FileNotFoundError: If the upload was completed or aborted.
        :raises UnexpectedFileSizeError: If the stream is not of the size.
        :raises StorageError: If the store fails.
        """
        self._uploads().write(self._state(upload_id), ExtentWrite(part - 1, size=content_length), stream)
        return None

    def multipart_commit_upload(self, *, upload_id: str, size: int, **metadata: Any) -> str | None:
        """Make the file of the parts.

        :param upload_id: Identifier of the upload.
        :param size: Size of the file in bytes.
        :param metadata: Not used.
        :returns: Entity tag of the file, where it follows from the parts; ``None`` for one that we had to put together.
        :raises MultipartMissingParts: If the parts are not of that size together.
        :raises StorageError: If the store fails.
        """
        pieces = self._pieces(upload_id)
        if sum(piece.size for piece in pieces) != size:
            raise MultipartMissingParts()
        self._uploads().finish(self._state(upload_id), [receipt_of(pieces)], checksum="")
        if numbered(pieces) is None or any(piece.kind == OBJECT for piece in pieces):
            return None
        return unquoted(self._object.call("head_object")["ETag"])

    def _pieces(self, upload_id: str) -> list[S3Piece]:
        """Return the parts, those included that are too small to be one of the store."""
        found = {part.number: part for part in parts_there(self._object, upload_id)}
        for item in self._object.temporary():
            number = item.name.removeprefix(TEMPORARY_PREFIX).partition("-")[0]
            if number.isdigit():
                found.setdefault(int(number) + 1, S3Piece(OBJECT, int(number) + 1, item.size, item.name))
        return [found[number] for number in sorted(found)]

    def multipart_abort_upload(self, *, upload_id: str, **metadata: Any) -> None:
        """End an upload; nothing stays of it.

        :param upload_id: Identifier of the upload.
        :param metadata: Not used.
        """
        self._uploads().abort(self._state(upload_id))

    def multipart_links(
        self, *, upload_id: str, parts: int, part_size: int, size: int, **metadata: Any
    ) -> dict[str, list[dict[str, Any]]]:
        """Return the links with which a client sends parts to the store itself, where the settings allow it.

        :param upload_id: Identifier of the upload.
        :param parts: Number of parts.
        :param part_size: Size of a part in bytes.
        :param size: Size of the file in bytes.
        :param metadata: Not used.
        :returns: The links; nothing where parts come through the application.
        """
        valid = self.direct_upload
        if valid is None or (part_size < SMALLEST_PART and parts > 1):
            return {}
        seconds, expiration = int(valid.total_seconds()), (datetime.now(timezone.utc) + valid).isoformat()
        links = []
        for part in range(1, parts + 1):
            length = min(part_size, size - (part - 1) * part_size)
            if length <= 0:
                break
            url = part_link(self._object, upload_id, part, length, seconds)
            links.append({"part": part, "url": url, "expiration": expiration})
        return {"parts": links}

    def _state(self, upload_id: str) -> dict[str, Any]:
        return {"uri": self._object.uri, "upload": upload_id, "length": None}
