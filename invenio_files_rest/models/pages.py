"""Pages of many rows: each goes on after the last row of the one before, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, or_
from sqlalchemy.orm import Query


def page(query: Query[Any], keys: Sequence[Any], size: int, after: Any = None) -> Query[Any]:
    """Return the query of a page.

    :param query: Query of all rows. What it selects has the keys as attributes.
    :param keys: Columns to order by, none of them null and together unique.
    :param size: Number of rows of the page.
    :param after: The row that it begins after; the first page where none is given.
    """
    query = query.order_by(None).order_by(*keys)
    if after is not None:
        last = [getattr(after, key.key) for key in keys]
        beyond = (
            and_(keys[n] > last[n], *(key == value for key, value in zip(keys[:n], last, strict=False)))
            for n in range(len(keys))
        )
        query = query.filter(or_(*beyond))
    return query.limit(size)
