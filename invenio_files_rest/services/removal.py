"""Removing files that nothing refers to."""

from __future__ import annotations

import uuid

from invenio_db import db
from sqlalchemy.exc import IntegrityError

from ..models import FileInstance
from .presence import ensure_reachable


def remove_file_data(file_id: str | uuid.UUID, silent: bool = True, force: bool = False) -> bool:
    """Remove a file that nothing refers to; see :func:`invenio_files_rest.tasks.remove_file_data`."""
    file = FileInstance.get(file_id)
    if file is None or not (file.writable or force):
        return False
    ensure_reachable(file.uri)
    storage = file.storage() if file.uri else None
    try:
        file.delete()
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        if not silent:
            raise
        return False
    if storage is not None:
        storage.delete()
    return True
