"""Making a stored file known to the database: both keep it, or neither does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..models import FileInstance, discard_bytes
from .transactions import in_transaction, may_have_committed

T = TypeVar("T")


def recorded(file: FileInstance, work: Callable[[], T]) -> T:
    """Do and commit the work that makes a file known, and delete its bytes where that failed.

    Where the database went away before it answered, nobody knows whether it has committed. Then the bytes stay: either
    there is a row that needs them, or the sweep removes them.

    :param file: The file, whose bytes are in storage.
    :param work: See :func:`~invenio_files_rest.services.transactions.in_transaction`.
    :returns: What the work returned.
    """
    try:
        return in_transaction(work)
    except BaseException as error:
        if not may_have_committed(error):
            discard_bytes(file)
        raise
