"""Digests computed while bytes arrive: of an extent, and of a run that continues in another request."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Any

from ...checksums import MessageDigest, new_digest

KEPT = 256
"""Number of running digests that this process keeps."""


class Digests:
    """Several digests of the same bytes.

    :param algorithms: Names of their algorithms.
    """

    def __init__(self, algorithms: Iterable[str]) -> None:
        """Start with empty digests."""
        self._digests = {name: new_digest(name) for name in algorithms}

    def update(self, data: bytes, /) -> None:
        """Add more bytes."""
        for digest in self._digests.values():
            digest.update(data)

    def hexdigest(self) -> str:
        """Return all of them as one text."""
        return ",".join(f"{name}:{digest}" for name, digest in self.named().items())

    def named(self) -> dict[str, str]:
        """Return them in hexadecimal, by the names of their algorithms."""
        return {name: digest.hexdigest() for name, digest in self._digests.items()}


class _Running:
    """The most recently used digests of the bytes that uploads have so far."""

    def __init__(self) -> None:
        self._digests: OrderedDict[tuple[uuid.UUID, int, str], Any] = OrderedDict()
        self._lock = Lock()

    def put(self, upload_id: uuid.UUID, offset: int, algorithm: str, digest: MessageDigest) -> None:
        with self._lock:
            self._digests[upload_id, offset, algorithm] = digest
            while len(self._digests) > KEPT:
                self._digests.popitem(last=False)

    def take(self, upload_id: uuid.UUID, offset: int, algorithm: str) -> MessageDigest | None:
        with self._lock:
            digest = self._digests.get((upload_id, offset, algorithm))
            if digest is None:
                return None
            self._digests.move_to_end((upload_id, offset, algorithm))
            copy: MessageDigest = digest.copy()
            return copy


running = _Running()
"""The running digests of this process."""
