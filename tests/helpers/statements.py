"""The statements that the database is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from invenio_db import db
from sqlalchemy import event


@contextmanager
def statements() -> Iterator[list[str]]:
    """Note the statements that are sent, one that is sent with many sets of parameters as many times."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        seen.extend([statement] * (len(parameters) if many else 1))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
