"""Digests computed while bytes arrive: of an extent, and of a run that continues in another request."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable
from threading import Condition, Lock, Thread
from typing import Any

from ...checksums import MessageDigest, new_digest
from ...storage.memory import keep_freed_memory
from .recent import Recent

BEHIND = 16 * 1024**2
"""Bytes that a digest may be behind. It goes on while the disk, the database and the client are waited for."""

TOGETHER = 64 * 1024**2
"""Bytes that all digests of this process may be behind; from there each may be so by a block."""

SHORT = 128 * 1024
"""Number of bytes that are hashed sooner than a thread is started."""


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


class _Total:
    """The number of bytes that all digests of this process are behind."""

    def __init__(self) -> None:
        self.value = 0
        self._lock = Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.value += count


_total = _Total()


class Following:
    """A digest that a thread computes while the next bytes come, and also after the request that brought them.

    :param digest: The digest.
    """

    follows = True

    def __init__(self, digest: MessageDigest) -> None:
        """Begin without anything to do."""
        self._digest: Any = digest
        self._blocks: deque[bytes] = deque()
        self._behind = 0
        self._error: Exception | None = None
        self._changed = Condition()

    def update(self, data: bytes, /) -> None:
        """Add more bytes. Wait while :data:`BEHIND` bytes are still to be done, or :data:`TOGETHER` by all."""
        with self._changed:
            if not self._behind and len(data) < SHORT:
                self._digest.update(data)
                return
            # It is its own thread that ends the wait, so that none waits for the request of another.
            self._changed.wait_for(lambda: not self._behind or (self._behind < BEHIND and _total.value < TOGETHER))
            if not self._behind:
                # Blocks that wait are freed together when it has caught up, and the next request takes as many.
                keep_freed_memory()
                Thread(target=self._follow, name="files-rest-digest", daemon=True).start()
            self._blocks.append(data)
            self._behind += len(data)
            _total.add(len(data))

    def _follow(self) -> None:
        while True:
            with self._changed:
                data = self._blocks.popleft()
            try:
                self._digest.update(data)
            except Exception as error:
                self._error = error
            _total.add(-len(data))
            with self._changed:
                self._behind -= len(data)
                self._changed.notify_all()
                if not self._blocks:
                    return

    def _done(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: not self._behind)
        if self._error is not None:
            raise self._error
        return self._digest

    def hexdigest(self) -> str:
        """Return the digest of all bytes."""
        return str(self._done().hexdigest())

    def copy(self) -> Following:
        """Return another digest of the same bytes."""
        return Following(self._done().copy())


class _Running:
    """The most recently used digests of the bytes that uploads have so far."""

    def __init__(self) -> None:
        self._digests: Recent[tuple[uuid.UUID, int, str], Following] = Recent()

    def put(self, upload_id: uuid.UUID, offset: int, algorithm: str, digest: Following) -> None:
        self._digests.put((upload_id, offset, algorithm), digest)

    def take(self, upload_id: uuid.UUID, offset: int, algorithm: str, keep: bool) -> Following | None:
        """Take a digest away; or return a copy, which waits for it."""
        digest = self._digests.take((upload_id, offset, algorithm))
        if digest is None or not keep:
            return digest
        self.put(upload_id, offset, algorithm, digest)
        return digest.copy()


running = _Running()
"""The running digests of this process."""
