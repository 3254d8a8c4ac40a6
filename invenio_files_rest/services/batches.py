"""Reading many rows a batch at a time: in fixed memory, and with no transaction open between two batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..models.pages import page
from .transactions import in_transaction

BATCH = 1000
"""Number of rows in a batch."""


def in_batches(query: Any, *keys: Any, size: int | None = None) -> Iterator[list[Any]]:
    """Run a query in batches.

    The session is committed before each batch is handed out, so that whoever takes it may write and commit too. Rows
    that are added or changed meanwhile may or may not be found; no row is found twice.

    :param query: See :func:`~invenio_files_rest.models.pages.page`.
    :param keys: See there.
    :param size: Number of rows in a batch, :data:`BATCH` where none is given.
    """
    size, last = size or BATCH, None
    while batch := in_transaction(page(query, keys, size, after=last).all):
        last = batch[-1]
        yield batch
        if len(batch) < size:
            return
