"""Leases: who writes an extent may go on as long as nobody else has begun to.

One thread of this process asks the database once a second, in one statement, which leases are lost, and ends the reads
that they wait in.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Flask, current_app

from ...models import UploadExtent

ASK_SECONDS = 1.0
"""Seconds between two questions."""


class Lease:
    """The right to write an extent, for the length of a block.

    :param upload_id: Identifier of the upload.
    :param number: Number of the extent.
    :param epoch: Epoch of the extent.
    :param shut: Function that ends a read of the body which waits for more of it. It is called by another thread.
    """

    def __init__(self, upload_id: uuid.UUID, number: int, epoch: int, shut: Callable[[], Any] | None) -> None:
        """Keep what it is for."""
        self.upload_id = upload_id
        self.place = upload_id, number
        self.epoch = epoch
        self.lost = False
        self._shut = shut

    def lose(self) -> None:
        """Have whoever holds it stop."""
        self.lost = True
        if self._shut is not None:
            with suppress(Exception):
                self._shut()

    def __enter__(self) -> Lease:
        """Have it watched."""
        _watch.begin(self)
        return self

    def __exit__(self, *error: Any) -> None:
        """Leave it alone."""
        _watch.end(self)


class _Watch:
    """A thread that looks after all leases of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[Lease, Flask] = {}
        self._busy = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, lease: Lease) -> None:
        with self._lock:
            self._leases[lease] = current_app._get_current_object()  # type: ignore[attr-defined]
            self._busy.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="files-rest-leases", daemon=True)
                self._thread.start()

    def end(self, lease: Lease) -> None:
        with self._lock:
            self._leases.pop(lease, None)

    def _run(self) -> None:
        while self._busy.wait():
            time.sleep(ASK_SECONDS)
            with self._lock:
                of_app: dict[Flask, list[Lease]] = defaultdict(list)
                for lease, app in self._leases.items():
                    of_app[app].append(lease)
                if not of_app:
                    self._busy.clear()
            for app, leases in of_app.items():
                self._ask(app, leases)

    def _ask(self, app: Flask, leases: list[Lease]) -> None:
        try:
            with app.app_context():
                epochs = UploadExtent.epochs({lease.upload_id for lease in leases})
        except Exception:
            app.logger.exception("The leases of uploads could not be looked up.")
            return
        # The lock keeps a request from ending, and its connection from going on to another one.
        with self._lock:
            for lease in leases:
                if lease in self._leases and epochs.get(lease.place) != lease.epoch:
                    del self._leases[lease]
                    lease.lose()


_watch = _Watch()


def _watch_anew() -> None:
    # A forked process has the lock as it was, and no thread.
    global _watch
    _watch = _Watch()


os.register_at_fork(after_in_child=_watch_anew)
