"""Leases: a request may write an extent as long as no other request has begun to.

One thread of this process asks the database once a second, in one statement, which leases are lost, and ends the reads
in which their holders wait.
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

from ...instrumentation import upload_taken_over
from ...models import UploadExtent

ASK_SECONDS = 1.0
"""Interval of the question, in seconds."""


class Lease:
    """The right to write an extent, within a ``with`` block.

    :param upload_id: Identifier of the upload.
    :param number: Number of the extent.
    :param epoch: Epoch of the extent.
    :param shut: Function that ends a waiting read of the body. It is called in another thread.
    """

    def __init__(self, upload_id: uuid.UUID, number: int, epoch: int, shut: Callable[[], Any] | None) -> None:
        """Store the arguments."""
        self.upload_id = upload_id
        self.place = upload_id, number
        self.epoch = epoch
        self.lost = False
        self._shut = shut

    def lose(self) -> None:
        """Make the holder stop."""
        self.lost = True
        if self._shut is not None:
            with suppress(Exception):
                self._shut()

    def __enter__(self) -> Lease:
        """Start watching it."""
        _watch.begin(self)
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop watching it."""
        _watch.end(self)


class _Watch:
    """A thread that watches all leases of this process."""

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
        # The lock keeps a request from ending now, after which its connection might serve another one.
        with self._lock:
            for lease in leases:
                if lease in self._leases and epochs.get(lease.place) != lease.epoch:
                    del self._leases[lease]
                    lease.lose()
                    if lease.place in epochs:
                        # Otherwise it has ended.
                        upload_taken_over.send(app, upload_id=lease.upload_id)


_watch = _Watch()


def _watch_anew() -> None:
    # A forked process inherits the lock, perhaps taken, and no thread.
    global _watch
    _watch = _Watch()


os.register_at_fork(after_in_child=_watch_anew)
