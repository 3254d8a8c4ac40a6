"""How cost grows: with a bucket's objects, with clients, with a file's size; and what slow clients cost others."""

from __future__ import annotations

import json
import os
import socket
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from .contestants import Contestant, ours
from .measures import LargeFiles, Scale, at_once

_OBJECTS = """
INSERT INTO files_object (created, updated, version_id, key, bucket_id, file_id, is_head)
SELECT now(), now(), gen_random_uuid(), 'folder/file ' || lpad(number::text, 9, '0'), :bucket, :file, true
FROM generate_series(1, :objects) AS number
"""


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def by_objects(contestant: Contestant, scale: Scale, say: Callable[[str], None]) -> list[dict[str, float]]:
    """Measure requests to buckets of more and more objects.

    :param contestant: This package's server.
    :param scale: How much to measure.
    :param say: Called with what is being done.
    :returns: For each number of objects the seconds of the requests, in the median.
    """
    engine = create_engine(contestant.environment["BENCHMARK_DATABASE"])
    found = []
    with contestant.client() as client:
        for objects in scale.objects:
            say(f"a bucket of {objects} objects")
            bucket = json.loads(client.expect(200, "POST", "/files"))["id"]
            path = f"/files/{bucket}"
            stored = json.loads(client.expect(200, "PUT", f"{path}/file", b"x" * 1024))
            with engine.begin() as connection:
                file = connection.scalar(
                    text("SELECT file_id FROM files_object WHERE version_id = :version"),
                    {"version": stored["version_id"]},
                )
                connection.execute(text(_OBJECTS), {"bucket": bucket, "file": file, "objects": objects})
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE files_object"))
            middle = f"folder/file%20{objects // 2:09}"
            requests: dict[str, Callable[[int], Any]] = {
                "PUT": lambda n, path=path: client.expect(
                    200, "PUT", f"{path}/new {n}".replace(" ", "%20"), b"x" * 1024
                ),
                "GET": lambda n, path=path: client.expect(200, "GET", f"{path}/file"),
                "DELETE": lambda n, path=path: client.expect(204, "DELETE", f"{path}/new%20{n}"),
                "page of 1,000": lambda n, path=path, middle=middle: client.expect(
                    200, "GET", f"{path}?max-keys=1000&start-after={middle}"
                ),
            }
            row: dict[str, float] = {"objects": objects}
            for name, request in requests.items():
                times = [_timed(lambda n=n, request=request: request(n)) for n in range(10 if "page" in name else 60)]
                row[name] = statistics.median(times[len(times) // 6 :])
            if objects <= 100_000:
                row["whole listing"] = min(_timed(lambda path=path: client.download(path)) for _ in range(2))
            found.append(row)
    engine.dispose()
    return found


def by_clients(contestant: Contestant, scale: Scale, say: Callable[[str], None]) -> list[dict[str, float]]:
    """Measure how many small requests per second are answered to more and more clients.

    :param contestant: This package's server.
    :param scale: How much to measure.
    :param say: Called with what is being done.
    :returns: For each number of clients the requests per second.
    """
    body = os.urandom(1024)
    found = []
    for clients in scale.clients:
        say(f"{clients} clients")
        row: dict[str, float] = {"clients": clients}
        with ExitStack() as stack:
            connected = [stack.enter_context(contestant.client()) for _ in range(clients)]
            for method, sent in (("PUT", body), ("GET", None)):

                def work(number: int, done: int, method: str = method, sent: Any = sent, by: Any = connected) -> None:
                    by[number].expect(200, method, f"{contestant.path}/client-{number}", sent)

                row[method] = at_once(clients, max(scale.seconds, 1), work)
        found.append(row)
    return found


def by_size(contestant: Contestant, folder: Path, scale: Scale, say: Callable[[str], None]) -> list[dict[str, float]]:
    """Measure files of more and more bytes.

    :param contestant: This package's server.
    :param folder: Folder for the files that are sent.
    :param scale: How much to measure.
    :param say: Called with what is being done.
    :returns: For each size the MiB per second.
    """
    found = []
    for size in scale.sizes:
        say(f"files of {size} bytes")
        files = LargeFiles(folder, size)
        files.prepare([contestant])
        turns = 3 if size > 256 * 1024**2 else 7
        found.append(
            {
                "bytes": size,
                "PUT": statistics.median(files.put(contestant) for _ in range(turns)),
                "GET": statistics.median(files.get(contestant) for _ in range(turns)),
            }
        )
        files.source.unlink()
    return found


def beside_slow_clients(folder: Path, scale: Scale, uploads: int = 40) -> dict[str, Any]:
    """Measure small requests beside slow uploads and without them, with a pool of two connections.

    :param folder: Folder of all files.
    :param scale: How much to measure.
    :param uploads: Number of slow uploads.
    :returns: Median of the seconds of small requests, idle and beside them, and the ratio.
    """
    with ours(
        folder, "beside-slow", workers=1, threads=uploads + 8, pool_size=2, max_overflow=0, pool_timeout=5
    ) as contestant:

        def ask(seconds: float) -> dict[str, list[float]]:
            times: dict[str, list[float]] = {"PUT": [], "GET": []}
            with contestant.client() as client:
                path = f"{contestant.path}/small"
                deadline = time.perf_counter() + seconds
                while time.perf_counter() < deadline:
                    times["PUT"].append(_timed(lambda: client.expect(200, "PUT", path, b"x" * 1024)))
                    times["GET"].append(_timed(lambda: client.expect(200, "GET", path)))
            return times

        ask(2)
        before = ask(scale.trickle / 2)
        with ExitStack() as stack:
            slow = [
                stack.enter_context(socket.create_connection(("127.0.0.1", contestant.port))) for _ in range(uploads)
            ]
            pieces = int(scale.trickle * 2)
            for number, connection in enumerate(slow):
                connection.sendall(
                    f"PUT {contestant.path}/slow-{number} HTTP/1.1\r\nHost: localhost\r\n"
                    f"Content-Length: {pieces * 1024}\r\n\r\n".encode()
                )

            def trickle() -> list[bytes]:
                for _ in range(pieces):
                    for connection in slow:
                        connection.sendall(b"s" * 1024)
                    time.sleep(scale.trickle / pieces)
                return [connection.recv(12)[9:] for connection in slow]

            with ThreadPoolExecutor(1) as pool:
                answers = pool.submit(trickle)
                during = ask(scale.trickle * 0.9)
                if set(answers.result()) != {b"200"}:
                    raise RuntimeError(f"The slow uploads were answered {set(answers.result())}.")
        after = ask(scale.trickle / 2)
    found: dict[str, Any] = {"uploads": uploads, "seconds": scale.trickle}
    for method in ("PUT", "GET"):
        idle = statistics.median(before[method] + after[method])
        found[method] = {"idle": idle, "beside": statistics.median(during[method])}
        found[method]["ratio"] = found[method]["beside"] / idle
    return found
