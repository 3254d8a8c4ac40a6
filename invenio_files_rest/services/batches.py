"""Reading many rows in batches: in constant memory, and without an open transaction between batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..models.pages import page
from .transactions import in_transaction

BATCH = 1000
"""Default number of rows in a batch."""


def in_batches(query: Any, *keys: Any, size: int | None = None) -> Iterator[list[Any]]:
    """Run a query in batches.

    The session is committed before each batch is yielded, so that the caller may write and commit too. Rows that are
    added or changed in the meantime may or may not be found; no row is found twice.

    :param query: See :func:`~invenio_files_rest.models.pages.page`.
    :param keys: See there.
    :param size: Number of rows in a batch; by default :data:`BATCH`.
    """
    size, last = size or BATCH, None
    while batch := in_transaction(page(query, keys, size, after=last).all):
        last = batch[-1]
        yield batch
        if len(batch) < size:
            return
