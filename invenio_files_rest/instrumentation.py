"""Moments that telemetry wants to know of, and nobody else: signals without the promises of :mod:`.signals`.

Where telemetry is off nobody listens, and sending one is the look into an empty dictionary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blinker import Namespace
from flask import current_app

if TYPE_CHECKING:
    from blinker import NamedSignal

_signals = Namespace()

file_verified = _signals.signal("file-verified")
"""A file was compared with its checksum: ``result`` is true, false, or ``None`` if it could not be read."""

pool_exhausted = _signals.signal("pool-exhausted")
"""No connection to the database became free in time."""

sweep_ended = _signals.signal("sweep-ended")
"""A sweep has come to its end: ``found`` and ``left`` count its findings by kind, all and those that stay."""

upload_taken_over = _signals.signal("upload-taken-over")
"""A request was stopped, since another one goes on with its upload: ``upload_id``."""


def tell(signal: NamedSignal, **what: Any) -> None:
    """Send a signal of this module, if somebody listens.

    :param signal: The signal.
    :param what: What it tells.
    """
    if signal.receivers:
        signal.send(current_app._get_current_object(), **what)  # type: ignore[attr-defined]
