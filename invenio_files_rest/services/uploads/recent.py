"""What this process remembers of the uploads that were written last."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KEPT = 256
"""Number of things that are remembered of each kind."""


class Recent(Generic[K, V]):
    """Things of which the last ones are remembered, until they are taken. A forked process has none of them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # With a new lock: a forked process may have inherited one that is taken.
        self._things: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def put(self, key: K, thing: V) -> None:
        """Remember a thing, and forget the one that was remembered first where there are too many."""
        with self._lock:
            self._things[key] = thing
            while len(self._things) > KEPT:
                self._things.popitem(last=False)

    def take(self, key: K) -> V | None:
        """Return a thing, which is not remembered any more; ``None`` if it is not."""
        with self._lock:
            return self._things.pop(key, None)
