"""Paging through many rows by key: each page starts after the last row of the previous one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, or_
from sqlalchemy.orm import Query


def page(query: Query[Any], keys: Sequence[Any], size: int, after: Any = None) -> Query[Any]:
    """Return the query of a page.

    :param query: Query of all rows, which have the keys as attributes.
    :param keys: Columns to order by; none is null, and together they are unique.
    :param size: Number of rows on a page.
    :param after: Last row of the previous page; ``None`` for the first page.
    """
    query = query.order_by(None).order_by(*keys)
    if after is not None:
        last = [getattr(after, key.key) for key in keys]
        beyond = (
            and_(keys[n] > last[n], *(key == value for key, value in zip(keys[:n], last, strict=False)))
            for n in range(len(keys))
        )
        # Implied by the other condition, but databases only look up this one in an index.
        query = query.filter(keys[0] >= last[0], or_(*beyond))
    return query.limit(size)
