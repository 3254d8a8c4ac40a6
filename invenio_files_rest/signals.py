"""Signals about files, for statistics, indexing and the like.

The sender is the Flask application, and ``obj`` the :class:`~invenio_files_rest.models.ObjectVersion`, or the
:class:`~invenio_files_rest.models.FileInstance` if the signal is about a file. A signal is sent after the commit, so
that receivers see the committed state; a receiver that raises an error cannot undo anything.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from blinker import Namespace
from flask import current_app

if TYPE_CHECKING:
    from blinker import NamedSignal

    from .models import FileInstance, ObjectVersion

_signals = Namespace()

file_downloaded = _signals.signal("file-downloaded")
"""Sent when the bytes of an object version are about to be sent to a client."""

file_uploaded = _signals.signal("file-uploaded")
"""Sent when a new object version is stored."""

file_deleted = _signals.signal("file-deleted")
"""Sent when an object is deleted: ``obj`` is its delete marker, or the version that was removed."""

file_integrity_failed = _signals.signal("file-integrity-failed")
"""Sent when the bytes of a file have changed, or could not be read; ``obj`` is the file. Its ``last_check`` is
``False`` if the bytes are not the ones that were stored, and ``None`` if they could not be read."""


def notify(signal: NamedSignal, obj: ObjectVersion | FileInstance) -> None:
    """Send a signal, and log errors of receivers.

    A receiver is called as ``receiver(app, obj=obj)``. A receiver with the parameters ``event`` and ``app``, as in the
    example in the documentation, gets the signal as the event.

    :param signal: The signal.
    :param obj: The object version or file that it is about.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    for receiver in list(signal.receivers_for(app)):
        try:
            if _takes(receiver, app, obj):
                receiver(app, obj=obj)
            else:
                receiver(signal, app, obj=obj)
        except Exception:
            app.logger.exception("A receiver of the signal %s failed.", signal.name)


_known: WeakKeyDictionary[Any, dict[bool, bool]] = WeakKeyDictionary()
"""What is known of functions, and of them as methods, since a signature takes as long as a query."""


def _takes(receiver: Any, app: Any, obj: Any) -> bool:
    function, is_method = getattr(receiver, "__func__", receiver), hasattr(receiver, "__func__")
    try:
        known = _known.setdefault(function, {})
    except TypeError:
        # An object without weak references or a hash.
        known = {}
    if is_method not in known:
        try:
            inspect.signature(receiver).bind(app, obj=obj)
            known[is_method] = True
        except TypeError:
            known[is_method] = False
    return known[is_method]
