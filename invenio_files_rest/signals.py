"""Signals of what happens to files, for statistics, indexing and the like.

The sender is the Flask application, and ``obj`` the :class:`~invenio_files_rest.models.ObjectVersion`. A signal is sent
after the commit of what it tells, so that a receiver sees what everyone sees; a receiver that raises cannot undo it.
"""

from blinker import Namespace

_signals = Namespace()

file_downloaded = _signals.signal("file-downloaded")
"""Sent when the bytes of an object version are about to be sent to a client."""

file_uploaded = _signals.signal("file-uploaded")
"""Sent when a new object version is stored."""

file_deleted = _signals.signal("file-deleted")
"""Sent when an object is deleted: ``obj`` is its delete marker, or the version that is gone."""
