"""What a database of very many rows costs: ``python -m benchmarks.rows``.

PostgreSQL is filled with rows of files and of object versions: as many as are asked for, half of them in one bucket,
the others a thousand to a bucket. Then requests, a batch of the sweep and one of the fixity checks are timed, and the
plans of their statements taken (``served/plans.py``). No bytes are stored but those of the requests.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, text

from .contestants import ours
from .machine import describe
from .measures import say
from .report import number, show
from .services import with_postgresql

OF_A_BUCKET = 1000
"""Objects of a small bucket."""

LARGE = {"files_files", "files_object"}
"""Tables of very many rows."""

FILL = {
    "buckets": """
        INSERT INTO files_bucket (id, created, updated, default_location, default_storage_class, size, locked, deleted)
        SELECT gen_random_uuid(), now(), now(), id, 'S', 1000 * :of_a_bucket, false, false
        FROM files_location, generate_series(1, :rows / 2 / :of_a_bucket)
    """,
    "files": """
        INSERT INTO files_files (id, created, updated, uri, storage_class, size, checksum, readable, writable,
            last_check_at, last_check)
        SELECT id, at, at, :folder || regexp_replace(id::text, '^(..)(..)', '/\\1/\\2/') || '/data', 'S', 1000,
            'md5:' || md5(id::text), true, false,
            CASE WHEN random() < 0.999 THEN now() - random() * interval '31 days' END, true
        FROM (SELECT gen_random_uuid() AS id, now() - random() * interval '2000 days' AS at
              FROM generate_series(1, :rows)) AS new
    """,
    "versions": """
        INSERT INTO files_object (version_id, created, updated, key, bucket_id, file_id, is_head)
        SELECT gen_random_uuid(), file.created, file.created, 'folder/file ' || lpad(file.number::text, 12, '0'),
            CASE WHEN file.number <= :rows / 2 THEN :large ELSE bucket.id END, file.id, true
        FROM (SELECT id, created, row_number() OVER () AS number FROM files_files) AS file
        LEFT JOIN (SELECT id, row_number() OVER () AS number FROM files_bucket WHERE id <> :large) AS bucket
            ON bucket.number = (file.number - :rows / 2 + :of_a_bucket - 1) / :of_a_bucket
        WHERE file.number <= :rows
    """,
}
"""Statements that make the rows."""

_DEFINITIONS = """
SELECT index.relname AS name, pg_get_indexdef(index.oid) AS definition, of.conname AS of,
    pg_get_constraintdef(of.oid) AS of_definition
FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid
LEFT JOIN pg_constraint AS of ON of.conindid = index.oid AND of.contype IN ('u')
WHERE indrelid = CAST(:table AS regclass) AND NOT indisprimary
"""


def fill(url: str, bucket: str, folder: str, rows: int) -> dict[str, float]:
    """Make the rows, and return what they take on the disk: bytes of tables and indexes.

    :param url: URL of the database.
    :param bucket: Identifier of the bucket that gets half of the versions.
    :param folder: URI of the location.
    :param rows: Number of files, and of versions.
    """
    engine = create_engine(url)
    values = {"rows": rows, "of_a_bucket": OF_A_BUCKET, "large": bucket, "folder": folder}
    with engine.begin() as connection:
        # References are right by construction; to look up each of them would take most of the time.
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text("SET maintenance_work_mem = '1GB'"))
        for name, table in (("buckets", "files_bucket"), ("files", "files_files"), ("versions", "files_object")):
            say(f"filling in {name}")
            made = _drop_indexes(connection, table)
            connection.execute(text(FILL[name]), values)
            for statement in made:
                connection.execute(text(statement))
        connection.execute(text("UPDATE files_bucket SET size = CAST(:rows AS bigint) * 500 WHERE id = :large"), values)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        say("VACUUM ANALYZE")
        connection.execute(text("VACUUM ANALYZE"))
        sizes = {
            f"{kind} of {table}": float(connection.execute(text(f"SELECT pg_{kind}_size('{table}')")).scalar_one())
            for table in sorted(LARGE)
            for kind in ("table", "indexes")
        }
    engine.dispose()
    return sizes


def _drop_indexes(connection: Connection, table: str) -> list[str]:
    """Drop the indexes of a table, but its primary key, and return the statements that make them again."""
    again = []
    for index in connection.execute(text(_DEFINITIONS), {"table": table}).all():
        if index.of:
            connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {index.of}"))
            again.append(f"ALTER TABLE {table} ADD CONSTRAINT {index.of} {index.of_definition}")
        else:
            connection.execute(text(f"DROP INDEX {index.name}"))
            again.append(index.definition)
    return again


def table(operations: list[dict[str, Any]]) -> list[list[str]]:
    """Return the table: a row for each operation."""
    rows = [["What", "Milliseconds", "Statements", "of these in the database, ms", "Blocks of 8 KiB", "Reads all of"]]
    for operation in operations:
        statements = operation["statements"]
        scanned = sorted(
            {name for statement in statements for name in statement["scanned"]} & {"files_files", "files_object"}
        )
        rows.append(
            [
                operation["name"],
                number(operation["seconds"] * 1000),
                str(len(statements)),
                number(sum(statement["seconds"] for statement in statements) * 1000),
                f"{sum(statement['blocks'] or 0 for statement in statements):,}",
                ", ".join(scanned),
            ]
        )
    return rows


def bytes_of_a_row(results: dict[str, Any]) -> list[list[str]]:
    """Return the table of what a row takes on the disk."""
    sizes = results["bytes"]
    rows = [[name, number(size / results["rows"])] for name, size in sizes.items()]
    return [["On the disk", "Bytes a row"], *rows]


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="how many files and versions (10,000,000)")
    parser.add_argument("--output", metavar="DIR", type=Path, help="where to write rows.json and rows.inc")
    arguments = parser.parse_args()
    with_postgresql("benchmarks.rows")
    with tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as path:
        folder = Path(path)
        results: dict[str, Any] = {
            "date": date.today().isoformat(),
            "machine": describe(folder),
            "rows": arguments.rows,
        }
        with ours(folder) as server:
            begun = time.perf_counter()
            results["bytes"] = fill(
                server.environment["BENCHMARK_DATABASE"],
                server.setup["bucket"],
                server.environment["BENCHMARK_FOLDER"],
                arguments.rows,
            )
            say(f"filled in {time.perf_counter() - begun:.0f} s")
            results["operations"] = server.run("plans.py")
    tables = {"rows": table(results["operations"]), "rows-bytes": bytes_of_a_row(results)}
    show("rows", results, tables, arguments.output)


if __name__ == "__main__":
    main()
