"""Measure archives that are taken apart beside a bare loop, and beside ``PUT``: ``python -m benchmarks.extraction``.

The bare loop reads the same TAR with :mod:`tarfile`, hashes each file and writes it to one folder, waits once for the
file system, and adds rows of as many columns to tables like ours, a thousand at a time. All take turns; a gunicorn of
one process serves ours. Memory is the peak of its processes above what they took before.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import io
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import psycopg2
from psycopg2.extras import execute_values
from sqlalchemy import make_url

from . import ROOT
from .contestants import Contestant, ours
from .measures import MIB, say
from .report import number, print_table
from .services import with_postgresql

sys.path.insert(0, str(ROOT / "tests"))

from servers import Server

TABLES = """
    CREATE TABLE IF NOT EXISTS bare_files AS TABLE files_files WITH NO DATA;
    CREATE TABLE IF NOT EXISTS bare_objects AS TABLE files_object WITH NO DATA;
    CREATE UNIQUE INDEX IF NOT EXISTS bare_id ON bare_files (id);
    CREATE UNIQUE INDEX IF NOT EXISTS bare_version ON bare_objects (version_id);
    CREATE UNIQUE INDEX IF NOT EXISTS bare_key ON bare_objects (bucket_id, key) WHERE is_head;
    TRUNCATE bare_files, bare_objects;
"""
ADD_FILES = """
    INSERT INTO bare_files (id, uri, storage_class, size, checksum, readable, writable, last_check, created, updated)
    VALUES %s
"""
ADD_OBJECTS = "INSERT INTO bare_objects (version_id, bucket_id, key, file_id, is_head, created, updated) VALUES %s"
ROWS = 1000


def make_tar(path: Path, count: int, size: int) -> None:
    """Make a TAR of files.

    :param path: Where to make it.
    :param count: Number of files.
    :param size: Their size in bytes.
    """
    with tarfile.open(path, "w") as archive:
        for index in range(count):
            info = tarfile.TarInfo(f"folder/{index // 100}/{index:06}")
            info.size = size
            archive.addfile(info, io.BytesIO(os.urandom(size)))


def bare_loop(archive: Path, folder: Path, database: str) -> None:
    """Take a TAR apart with as little as possible."""
    url = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    bucket, now, files, objects = str(uuid4()), datetime.now(timezone.utc), [], []
    with tarfile.open(archive, "r|") as tar:
        for info in tar:
            source = tar.extractfile(info)
            assert source is not None
            data, identifier = source.read(), str(uuid4())
            digest, path = hashlib.md5(data, usedforsecurity=False).hexdigest(), folder / identifier
            path.write_bytes(data)
            files.append((identifier, str(path), "S", len(data), f"md5:{digest}", True, False, True, now, now))
            objects.append((str(uuid4()), bucket, info.name, identifier, True, now, now))
    descriptor = os.open(folder, os.O_RDONLY)
    ctypes.CDLL(None).syncfs(descriptor)
    os.close(descriptor)
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for first in range(0, len(files), ROWS):
            execute_values(cursor, ADD_FILES, files[first : first + ROWS], page_size=ROWS)
            execute_values(cursor, ADD_OBJECTS, objects[first : first + ROWS], page_size=ROWS)
    connection.close()


def extract(contestant: Contestant, archive: Path, prefix: str) -> None:
    """Send a TAR to be taken apart."""
    with contestant.client() as client:
        client.expect(200, "POST", f"{contestant.path}?extract&prefix={prefix}", archive)


def put(contestant: Contestant, count: int, size: int, prefix: str) -> None:
    """Store files one by one."""
    content = os.urandom(size)
    with contestant.client() as client:
        for index in range(count):
            client.expect(200, "PUT", f"{contestant.path}/{prefix}{index}", content)


def measure(folder: Path, count: int, size: int, rounds: int) -> list[list[str]]:
    """Return the rows of the table of what was measured.

    :param folder: An empty folder for all files.
    :param count: Number of files.
    :param size: Their size in bytes.
    :param rounds: Number of rounds that count; there is one before them that does not.
    """
    archive, few = folder / "archive.tar", max(1, count // 20)
    make_tar(archive, count, size)
    rates: dict[str, list[float]] = defaultdict(list)
    peak = 0
    with ours(folder, workers=1) as mine:
        database = mine.environment["BENCHMARK_DATABASE"]
        connection = psycopg2.connect(make_url(database).set(drivername="postgresql").render_as_string(False))
        server = Server(mine.name, mine.port, mine.pid)
        for turn in range(-1, rounds):
            with connection, connection.cursor() as cursor:
                cursor.execute(TABLES)
            server.forget_peak()
            before = server.memory("VmRSS")
            shutil.rmtree(folder / "bare", ignore_errors=True)
            (folder / "bare").mkdir()
            ways = {
                "bare loop": (lambda: bare_loop(archive, folder / "bare", database), count),
                "?extract": (lambda turn=turn: extract(mine, archive, f"{turn}/"), count),
                "PUT": (lambda turn=turn: put(mine, few, size, f"put{turn}/"), few),
            }
            for way, (take, taken) in ways.items():
                os.sync()
                begun = time.perf_counter()
                take()
                if turn >= 0:
                    rates[way].append(taken / (time.perf_counter() - begun))
                if way == "?extract":
                    peak = max(peak, server.memory("VmHWM") - before)
        connection.close()
    rows = [["What", "Median (lowest to highest), files/s", "Times bare loop", "Times PUT", "Memory, MiB"]]
    for way, values in rates.items():
        times = [
            f"{statistics.median(one / other for one, other in zip(values, rates[beside], strict=True)):.2f}"
            for beside in ("bare loop", "PUT")
        ]
        median = number(statistics.median(values))
        memory = number(peak / MIB) if way == "?extract" else ""
        rows.append([way, f"{median} ({number(min(values))} to {number(max(values))})", *times, memory])
    return rows


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.extraction",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--files", type=int, default=5000, metavar="N", help="number of files (default: 5000)")
    parser.add_argument("--size", type=int, default=1024, metavar="BYTES", help="their size (default: 1024)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds that count (default: 7)")
    arguments = parser.parse_args()
    with_postgresql("benchmarks.extraction")
    say(f"{arguments.files} files of {arguments.size} bytes")
    with tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as folder:
        print_table(measure(Path(folder), arguments.files, arguments.size, arguments.rounds))


if __name__ == "__main__":
    main()
