"""A list of many new objects, on disk rather than in memory, in which no key comes twice."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

BATCH = 1000
"""Number of objects that are in memory at a time."""


class Listed(NamedTuple):
    """A new object."""

    key: str
    version_id: uuid.UUID
    """Identifier that its version has, or will have."""

    file_id: uuid.UUID
    uri: str
    """URI of its file."""

    size: int
    """Size of its file in bytes."""

    checksum: str | None


class Manifest:
    """New objects in the order in which they were added.

    It is a private database of SQLite in a temporary file, which exists as long as this object does.
    """

    def __init__(self) -> None:
        """Begin with none."""
        # A name that is empty is that of such a file. Requests end in other threads than they began in.
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.execute(
            "CREATE TABLE objects (number INTEGER PRIMARY KEY, key TEXT UNIQUE, version BLOB, file BLOB, "
            "uri TEXT, size INTEGER, checksum TEXT)"
        )
        self.size = 0
        """Size of all files together, in bytes."""
        self.last: Listed | None = None
        """The object that was added last."""

    def __enter__(self) -> Manifest:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove it after an error."""
        if error is not None:
            self.close()

    def close(self) -> None:
        """Remove it."""
        self._database.close()

    def claim(self, key: str) -> bool:
        """Reserve a key for the object that is added next.

        :param key: The key.
        :returns: Whether it was free.
        """
        return bool(self._database.execute("INSERT OR IGNORE INTO objects (key) VALUES (?)", (key,)).rowcount)

    def add(self, listed: Listed) -> None:
        """Add an object, whose key has been claimed.

        :param listed: The object.
        """
        self._database.execute(
            "UPDATE objects SET version = ?, file = ?, uri = ?, size = ?, checksum = ? WHERE key = ?",
            (listed.version_id.bytes, listed.file_id.bytes, listed.uri, listed.size, listed.checksum, listed.key),
        )
        self.size += listed.size
        self.last = listed

    def batches(self) -> Iterator[list[Listed]]:
        """Return the objects, some at a time."""
        last = 0
        while rows := self._database.execute(
            "SELECT number, key, version, file, uri, size, checksum FROM objects "
            "WHERE number > ? AND file IS NOT NULL ORDER BY number LIMIT ?",
            (last, BATCH),
        ).fetchall():
            last = rows[-1][0]
            yield [
                Listed(key, uuid.UUID(bytes=version), uuid.UUID(bytes=file), uri, size, checksum)
                for _, key, version, file, uri, size, checksum in rows
            ]

    def __iter__(self) -> Iterator[Listed]:
        """Return the objects one by one."""
        for batch in self.batches():
            yield from batch
