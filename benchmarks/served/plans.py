"""Time operations on a large database, and tell how it finds the rows that each of their statements asks for.

Prints a list in JSON: of each operation its name, its seconds, and its statements, each with its seconds, the blocks
that the database went through (unknown where it adds rows), and the tables that it read from end to end.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from application import application
from flask import g
from invenio_db import db
from sqlalchemy import event, text

from invenio_files_rest.models import Bucket, FileInstance
from invenio_files_rest.models.base import utcnow
from invenio_files_rest.models.inventory import count_and_size, known_files, verifiable_files
from invenio_files_rest.services import fixity
from invenio_files_rest.services.batches import in_batches
from invenio_files_rest.services.presence import AwayLocations
from invenio_files_rest.services.sweep import sweep

FILES = 20_000
"""Files that are there for the sweep, empty ones."""

TURNS = 15
"""How often what takes milliseconds is done."""


@dataclass
class Statement:
    """A statement that an operation has sent."""

    sql: str
    parameters: Any
    begun: float
    seconds: float = 0


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return a node of a plan, and those below it."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def explained(statement: Statement) -> dict[str, Any]:
    """Tell of a statement; where it adds no row, run it again, in a transaction that is rolled back."""
    again = "INSERT INTO" not in statement.sql
    explain = f"EXPLAIN ({'ANALYZE, BUFFERS, ' if again else ''}FORMAT JSON) {statement.sql}"
    with db.engine.connect() as connection:
        ((answer,),) = connection.exec_driver_sql(explain, statement.parameters)
        connection.rollback()
    plan = answer[0]["Plan"]
    parts = list(nodes(plan))
    return {
        "sql": " ".join(statement.sql.split()),
        "seconds": statement.seconds,
        "blocks": plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] if again else None,
        "indexes": sorted({one["Index Name"] for one in parts if "Index Name" in one}),
        "scanned": sorted({one["Relation Name"] for one in parts if one["Node Type"] == "Seq Scan"}),
    }


def make_files() -> None:
    """Make files that rows name, which the sweep may look at, since they are old."""
    for uri in db.session.scalars(db.select(FileInstance.uri).where(FileInstance.size == 1000).limit(FILES)):
        path = Path(uri)
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (0, 0))


def operations() -> Iterator[tuple[str, Callable[[int], Any], int]]:
    """Return operations: what each is called, what does it, and how often that is done."""
    client = application.test_client()
    large, small = (
        str(db.session.scalars(db.select(Bucket.id).order_by(order).limit(1)).one())
        for order in (Bucket.size.desc(), Bucket.size)
    )
    middle = db.session.scalar(
        text("SELECT key FROM files_object WHERE bucket_id = :bucket ORDER BY key OFFSET 1000 LIMIT 1"),
        {"bucket": large},
    )

    def request(method: str, path: str, status: int, data: bytes | None = None) -> None:
        answer = client.open(path, method=method, data=data)
        assert (answer.status_code, bool(answer.data)) == (status, status != 204), answer.data

    yield "PUT", lambda n: request("PUT", f"/files/{large}/new {n}", 200, b"x"), TURNS
    yield "PUT, a key that exists", lambda n: request("PUT", f"/files/{large}/new 0", 200, b"x"), TURNS
    yield "GET", lambda n: request("GET", f"/files/{large}/new {n}", 200), TURNS
    yield "DELETE", lambda n: request("DELETE", f"/files/{large}/new {n}", 204), TURNS
    page = f"/files/{large}?max-keys=1000&start-after={middle}"
    yield "page of 1,000 keys", lambda n: request("GET", page, 200), TURNS
    yield "page of 1,000 versions", lambda n: request("GET", f"{page}&versions", 200), TURNS
    yield "bucket of 1,000 keys", lambda n: request("GET", f"/files/{small}", 200), TURNS
    ids = list(db.session.scalars(db.select(FileInstance.id).limit(500)))
    uris = [f"/nowhere/{number}" for number in range(500)]
    yield "sweep: 500 files of a folder", lambda n: known_files(ids, uris), TURNS
    unused = FileInstance.query_orphaned().filter(FileInstance.updated < utcnow() - timedelta(days=1))
    yield "sweep: rows that nothing uses, all", lambda n: list(in_batches(unused, FileInstance.id)), 1
    make_files()
    yield f"sweep: all, {FILES:,} files in the folder", lambda n: list(sweep(timedelta(days=1), delete=False)), 1
    files, before = verifiable_files(), utcnow() - timedelta(days=30)

    def due(number: int) -> None:
        assert any(list(fixity.due_files(files, before, 10_000, AwayLocations())))

    yield "fixity: 10,000 files that are due", due, 3
    yield "fixity: count and bytes of all files", lambda n: count_and_size(files), 1


def measured(name: str, work: Callable[[int], Any], turns: int) -> dict[str, Any]:
    """Time an operation, and explain its statements."""
    seen: list[Statement] = []

    def begin(connection: Any, cursor: Any, sql: str, parameters: Any, context: Any, many: bool) -> None:
        seen.append(Statement(sql, parameters, time.perf_counter()))

    def end(*args: Any) -> None:
        seen[-1].seconds = time.perf_counter() - seen[-1].begun

    event.listen(db.engine, "before_cursor_execute", begin)
    event.listen(db.engine, "after_cursor_execute", end)
    seconds = []
    for number in range(turns):
        seen.clear()
        begun = time.perf_counter()
        work(number)
        seconds.append(time.perf_counter() - begun)
        db.session.commit()
        g.__dict__.clear()
    event.remove(db.engine, "before_cursor_execute", begin)
    event.remove(db.engine, "after_cursor_execute", end)
    print(f"{name}: {statistics.median(seconds) * 1000:.1f} ms", file=sys.stderr, flush=True)
    return {"name": name, "seconds": statistics.median(seconds), "statements": [explained(one) for one in seen]}


if __name__ == "__main__":
    with application.app_context():
        print(json.dumps([measured(*operation) for operation in operations()]))
