"""Reading an object, or a range of it, with as few requests as possible."""

from __future__ import annotations

from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from ...errors import StorageBusyError, StorageError
from .locations import MIB
from .objects import S3Object, md5_in
from .positions import Positioned

ATTEMPTS = 3
"""Number of times that reading goes on at the same position after the connection broke."""


class S3File(Positioned):
    """An object as a file that can seek.

    The store is asked for bytes when they are read. One request gives all bytes up to the end, or up to that of the
    range which :meth:`prepare` has named.

    :param source: The object.
    :param size: Its size in bytes, if known.
    """

    def __init__(self, source: S3Object, size: int | None = None) -> None:
        """Ask for nothing yet."""
        super().__init__()
        self.source = source
        self._at = 0
        self._end: int | None = None
        self._size = size
        self._tag: str | None = None
        self._body: Any = None
        self.name = source.uri

    def prepare(self, start: int, length: int | None) -> None:
        """Ask the store for the bytes that are going to be read.

        :param start: Where they begin.
        :param length: Their number; ``None`` for all that follow.
        :raises FileNotFoundError: If there is no such object.
        :raises StorageError: If the store fails, or the object has no such bytes.
        """
        self.seek(start)
        self._end = None if length is None else start + length
        self._ask()

    def _ask(self) -> None:
        self._hang_up()
        wanted: dict[str, Any] = {}
        if self._position or self._end is not None:
            last = "" if self._end is None else str(self._end - 1)
            # An empty object has no range.
            if last != "-1":
                wanted["Range"] = f"bytes={self._position}-{last}"
        if self._tag:
            # Bytes of two objects must not be mixed.
            wanted["IfMatch"] = self._tag
        answer = self.source.call("get_object", **wanted)
        self._body, self._at = answer["Body"], self._position
        self._tag = answer.get("ETag") or None
        total = answer.get("ContentRange", "").rpartition("/")[2]
        self._size = int(total) if total.isdigit() else int(answer["ContentLength"])

    def _hang_up(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def md5(self) -> str | None:
        """Return the MD5 of the object, as far as the store has told and tells it."""
        return md5_in(self._tag or "") if self.source.location.compares_tags else None

    @property
    def size(self) -> int:  # type: ignore[override]
        """Size of the object in bytes."""
        if self._size is None:
            self._size = int(self.source.call("head_object")["ContentLength"])
        return self._size

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes, without the copies that are made where a buffer is filled.

        :param size: Largest number of bytes; negative for all.
        :raises StorageBusyError: If the connection keeps breaking.
        """
        if size < 0:
            return self.readall()
        if not size or self._position >= self.size:
            return b""
        attempts = 0
        while True:
            try:
                return self._read(size)
            except (BotoCoreError, HTTPError, OSError) as error:
                if isinstance(error, FileNotFoundError):
                    raise
                self._hang_up()
                attempts += 1
                if attempts == ATTEMPTS:
                    text = f"The object store broke off: {type(error).__name__}: {error}"
                    raise StorageBusyError(text) from error

    def readall(self) -> bytes:
        """Read all bytes up to the end."""
        return b"".join(iter(partial(self.read, MIB), b""))

    def fill(self, view: memoryview) -> int:
        """Read bytes; see :meth:`read`."""
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        if self._end is not None and self._position >= self._end:
            self._end = None
            self._hang_up()
        if self._body is None or self._at != self._position:
            self._ask()
        data: bytes = self._body.read(size)
        if not data:
            raise StorageError("The object has fewer bytes than the store has said.")
        self._position = self._at = self._position + len(data)
        return data

    def close(self) -> None:
        """End the request."""
        self._hang_up()
        super().close()
