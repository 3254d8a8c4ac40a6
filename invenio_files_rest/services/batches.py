"""Reading many rows a batch at a time: in fixed memory, and with no transaction open between two batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, or_
from sqlalchemy.orm import Query

from .transactions import in_transaction

BATCH = 1000
"""Number of rows in a batch."""


def in_batches(query: Query[Any], *keys: Any, size: int | None = None) -> Iterator[list[Any]]:
    """Run a query in batches, each of which goes on after the last row of the one before.

    The session is committed before each batch is handed out, so that whoever takes it may write and commit too. Rows
    that are added or changed meanwhile may or may not be found; no row is found twice.

    :param query: The query. What it selects has the keys as attributes.
    :param keys: Columns to order by, none of them null and together unique.
    :param size: Number of rows in a batch, :data:`BATCH` where none is given.
    """
    size = size or BATCH
    query = query.order_by(None).order_by(*keys)
    batch = in_transaction(query.limit(size).all)
    while batch:
        last = [getattr(batch[-1], key.key) for key in keys]
        yield batch
        if len(batch) < size:
            return
        after = (
            and_(keys[n] > last[n], *(key == value for key, value in zip(keys[:n], last, strict=False)))
            for n in range(len(keys))
        )
        batch = in_transaction(query.filter(or_(*after)).limit(size).all)
