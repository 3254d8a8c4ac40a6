"""Measure object storage beside boto3, which asks the same gateway without us: ``python -m benchmarks.s3``.

PostgreSQL and Ceph are started for it; ``TEST_S3_CEPH`` may name a Ceph that runs. Ceph keeps everything in memory.
gunicorn serves the application with two processes of four threads, whose location is in the store; another one has
clients send and get bytes by signed links. boto3 runs in the process of the client, as it is without any options.
Then it is counted what operations ask the store for, and files are migrated between a folder and the store.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from private_servers.object_stores import Ceph
from servers import Server

from invenio_files_rest import __version__

from . import history, report
from .client import Client
from .contestants import Contestant, ours
from .cpu import taken
from .machine import describe
from .measures import MIB, LargeFiles, Measure, per_second, run, say, small_get, small_put, spread
from .services import with_postgresql

BUCKET = "benchmarks"

PART = 8 * MIB
"""Bytes of a part that is sent by a link; boto3 sends as many at a time."""

AT_ONCE = 10
"""Number of parts that are on their way at the same time; boto3 sends as many."""

PARTS_OF_CPU = ("server", "PostgreSQL", "object store", "client")

Take = Callable[[Contestant], float]

Used = dict[str, dict[str, list[dict[str, float]]]]
"""By measure and contestant, for each turn: seconds of CPU by who takes them, and bytes of memory."""


@contextmanager
def gateway(folder: Path) -> Iterator[str]:
    """Give the URL of Ceph's gateway, with access key and secret key as user and password.

    :param folder: Folder for a Ceph of its own, unless ``TEST_S3_CEPH`` names one.
    """
    if there := os.environ.get("TEST_S3_CEPH"):
        yield there
        return
    store = Ceph(folder)
    try:
        store.start()
        yield store.url
    finally:
        store.stop()


def settings_of(url: str) -> dict[str, Any]:
    """Return how a location in a store is described.

    :param url: URL of the store.
    """
    parts = urlsplit(url)
    return {
        "endpoint_url": f"{parts.scheme}://{parts.hostname}:{parts.port}",
        "region_name": "us-east-1",
        "access_key_id": parts.username,
        "secret_access_key": parts.password,
    }


class Direct:
    """Objects that boto3 puts into the store, and gets from it.

    :param settings: How the store is reached.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        """Make the client, and the bucket."""
        self.client = boto3.client(
            "s3",
            endpoint_url=settings["endpoint_url"],
            region_name=settings["region_name"],
            aws_access_key_id=settings["access_key_id"],
            aws_secret_access_key=settings["secret_access_key"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        self.client.create_bucket(Bucket=BUCKET)
        self._buffer = bytearray(MIB)

    def put(self, source: Path) -> float:
        """Store a file in parts, and return MiB per second."""
        os.sync()
        begun = time.perf_counter()
        self.client.upload_file(str(source), BUCKET, "put")
        seconds = time.perf_counter() - begun
        self.client.delete_object(Bucket=BUCKET, Key="put")
        return source.stat().st_size / MIB / seconds

    def get(self, key: str, size: int) -> float:
        """Get an object in one request, and return MiB per second."""
        begun, got = time.perf_counter(), 0
        body = self.client.get_object(Bucket=BUCKET, Key=key)["Body"]
        while count := body.readinto(self._buffer):
            got += count
        if got != size:
            raise RuntimeError("The object has not come whole.")
        return size / MIB / (time.perf_counter() - begun)

    def small_put(self, seconds: float) -> float:
        """Store objects of 1 KiB, and return how many a second."""
        body, numbers = os.urandom(1024), iter(range(10**9))
        return per_second(
            seconds, lambda: self.client.put_object(Bucket=BUCKET, Key=f"small-{next(numbers)}", Body=body)
        )

    def small_get(self, seconds: float) -> float:
        """Get an object of 1 KiB, and return how many a second."""
        return per_second(seconds, lambda: self.client.get_object(Bucket=BUCKET, Key="small")["Body"].read())


class LinkedFiles(LargeFiles):
    """Files that go to the store, and come from it, by signed links."""

    def __init__(self, folder: Path, size: int) -> None:
        """Make the file."""
        super().__init__(folder, size)
        self.completing: list[float] = []
        """Seconds of the request that completes an upload, in which the file is read for its checksum."""

    def put(self, contestant: Contestant) -> float:
        """Send the file in parts, and return MiB per second, without the request that completes the upload."""
        os.sync()
        path = f"{contestant.path}/links-{self.size}"
        with contestant.client() as client, ThreadPoolExecutor(AT_ONCE) as pool:
            begun = time.perf_counter()
            upload = json.loads(client.expect(200, "POST", f"{path}?uploads&size={self.size}&partSize={PART}"))
            list(pool.map(self._send, upload["direct"]))
            sent = time.perf_counter()
            answer = client.expect(200, "POST", f"{path}?uploadId={upload['id']}")
            if "status" in json.loads(answer):
                raise RuntimeError(f"The upload could not be completed: {answer!r}")
            self.completing.append(time.perf_counter() - sent)
            self._remove(contestant, client, path)
        return self.size / MIB / (sent - begun)

    def _send(self, link: dict[str, Any]) -> None:
        parts = urlsplit(link["url"])
        assert parts.port is not None
        start, size = link["start_byte"], link["end_byte"] - link["start_byte"]
        with Client(parts.port) as client, self.source.open("rb") as file:
            client.connection.putrequest("PUT", f"{parts.path}?{parts.query}")
            client.connection.putheader("Content-Length", str(size))
            client.connection.endheaders()
            client.connection.sock.sendfile(file, start, size)
            answer = client.connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"A part was answered {answer.status}.")

    def get(self, contestant: Contestant) -> float:
        """Follow to the store, and return MiB per second."""
        begun = time.perf_counter()
        with contestant.client() as client:
            client.expect(302, "GET", f"{contestant.path}/get-{self.size}")
            link = urlsplit(client.headers["Location"])
        assert link.port is not None
        with Client(link.port) as client:
            if client.download(f"{link.path}?{link.query}") != self.size:
                raise RuntimeError("The file has not come whole.")
        return self.size / MIB / (time.perf_counter() - begun)


def noted(name: str, take: Take, used: Used, large: int = 0) -> Take:
    """Return a measure that notes what it takes.

    :param name: Name of the measure.
    :param take: The measure.
    :param used: Where to note it.
    :param large: Bytes of the file that is sent or got; 0 where small requests are repeated.
    """

    def noting(contestant: Contestant) -> float:
        server = Server(contestant.name, contestant.port, contestant.pid) if contestant.pid else None
        before = 0
        if server is not None:
            server.forget_peak()
            before = server.memory("VmRSS")
        begun = time.perf_counter()
        with taken(contestant.pid or -1) as cpu:
            value = take(contestant)
        amount = large / MIB / 1024 if large else value * (time.perf_counter() - begun) / 1000
        found = {who: seconds / amount for who, seconds in cpu.items()}
        if server is not None:
            found["memory"] = server.memory("VmHWM") - before
        used.setdefault(name, {}).setdefault(contestant.name, []).append(found)
        return value

    return noting


def side_by_side(
    folder: Path, through: Contestant, linked: Contestant, direct: Direct, size: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """Measure us beside boto3.

    :param folder: Folder for the file that is sent.
    :param through: The server through which bytes go.
    :param linked: The server that has links.
    :param direct: boto3.
    :param size: Size of a large file, in bytes.
    :param seconds: Seconds of a measurement of small requests.
    :param rounds: Number of rounds.
    """
    plain = Contestant("boto3", 0, "")
    files, links = LargeFiles(folder, size), LinkedFiles(folder, size)
    files.prepare([through, linked])
    direct.client.upload_file(str(files.source), BUCKET, "get")
    direct.client.put_object(Bucket=BUCKET, Key="small", Body=os.urandom(1024))
    shown = f"{size // MIB} MiB"

    def either(mine: Take, other: Callable[[], float]) -> Take:
        return lambda contestant: other() if contestant is plain else mine(contestant)

    def put() -> float:
        return direct.put(files.source)

    def get() -> float:
        return direct.get("get", size)

    planned: list[tuple[str, str, Contestant, Take, float, int]] = [
        (f"PUT of {shown}", "MiB/s", through, either(files.put, put), 0.8, size),
        (f"GET of {shown}", "MiB/s", through, either(files.get, get), 0.8, size),
        (f"PUT of {shown}, by links", "MiB/s", linked, either(links.put, put), 1.0, size),
        (f"GET of {shown}, by a link", "MiB/s", linked, either(links.get, get), 1.0, size),
        ("PUT of 1 KiB", "op/s", through, either(small_put(seconds), lambda: direct.small_put(seconds)), 0, 0),
        (
            "GET of 1 KiB",
            "op/s",
            through,
            either(small_get(seconds, [through]), lambda: direct.small_get(seconds)),
            0,
            0,
        ),
    ]
    used: Used = {}
    measures = [
        Measure(name, unit, noted(name, take, used, large), [mine, plain], {plain.name: aim} if aim else {})
        for name, unit, mine, take, aim, large in planned
    ]
    run(measures, rounds)
    return {
        "side by side": [report.results_of(measure) for measure in measures],
        "used": used,
        "completing": spread(links.completing[1:]),
    }


def used_table(results: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of CPU and memory."""
    rows = [["What", "Who", *PARTS_OF_CPU, "Memory of the server, MiB"]]
    for name, contestants in results["used"].items():
        unit = "ms of a request" if "KiB" in name else "s of a GiB"
        for contestant, turns in contestants.items():
            counted = turns[1:] or turns
            parts = (statistics.median(turn.get(part, 0) for turn in counted) for part in PARTS_OF_CPU)
            memory = max(turn.get("memory", 0) for turn in counted)
            shown = [f"{part:.2f}" if part else "" for part in parts]
            rows.append([f"{name}, CPU {unit}", contestant, *shown, report.number(memory / MIB) if memory else ""])
    return rows


def asked_table(results: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of requests to the store."""
    rows = [["Operation", "Requests to the store", "Which"]]
    for operation, names in results["asked"].items():
        counted = ", ".join(
            name if names.count(name) == 1 else f"{names.count(name)} {name}" for name in dict.fromkeys(names)
        )
        rows.append([operation, str(len(names)), counted])
    return rows


def migration_table(results: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of migration."""
    rows = [["Files", "To", "Files/s", "MiB/s", "CPU of the command, ms a file", "Memory, MiB"]]
    for found in results["migration"]:
        count, size, seconds = found["count"], found["size"], found["seconds"]
        rows.append(
            [
                f"{count:,} of " + (f"{size // MIB} MiB" if size >= MIB else f"{size // 1024} KiB"),
                "the folder" if found["to"] == "folder" else "the store",
                report.number(count / seconds),
                report.number(count * size / MIB / seconds),
                report.number(found["CPU"] / count * 1000),
                report.number(found["memory"] / MIB),
            ]
        )
    return rows


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all there is to measure.

    :param folder: An empty folder for all files.
    :param arguments: What the command line says.
    """
    results: dict[str, Any] = {"date": date.today().isoformat()}
    with ExitStack() as stack:
        say("starting the servers")
        settings = settings_of(stack.enter_context(gateway(folder)))
        results["machine"] = describe(folder)
        direct = Direct(settings)
        servers = []
        for module in ("application", "links"):
            uri = f"s3://{BUCKET}/{module}-{time.time_ns()}"
            variables = {
                "BENCHMARK_FOLDER": uri,
                "BENCHMARK_LISTED": "1",
                "BENCHMARK_SETTINGS": json.dumps({"FILES_REST_S3_LOCATIONS": {uri: settings}}),
            }
            server = stack.enter_context(ours(folder, module, module=module, variables=variables))
            servers.append(replace(server, name="ours"))
        through, linked = servers
        rounds = side_by_side(
            folder, through, linked, direct, arguments.size * MIB, arguments.seconds, arguments.rounds
        )
        results |= rounds
        say("requests to the store")
        results["asked"] = through.run("asked.py")
        say("migration")
        (folder / "migrated").mkdir()
        through.environment["BENCHMARK_SOURCE"] = str(folder / "migrated")
        through.environment["BENCHMARK_FILES"] = json.dumps(
            [[arguments.small, 1024], [arguments.large, arguments.large_size * MIB]]
        )
        results["migration"] = through.run("migration.py")
    return results


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.s3", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, metavar="MIB", help="size of the large file, 512 by default")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="number of rounds that count, 3 by default")
    parser.add_argument("--seconds", type=float, default=2, help="seconds of small requests, 2 by default")
    parser.add_argument("--small", type=int, default=10_000, metavar="N", help="files of 1 KiB that are migrated")
    parser.add_argument("--large", type=int, default=10, metavar="N", help="large files that are migrated")
    parser.add_argument("--large-size", type=int, default=64, metavar="MIB", help="their size")
    parser.add_argument("--output", metavar="DIR", type=Path, help="where to write s3.json and the tables")
    arguments = parser.parse_args()
    with_postgresql("benchmarks.s3")
    with tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as name:
        # The user that Ceph runs as has to pass through.
        Path(name).chmod(0o711)
        results = measure(Path(name), arguments)
    tables = {
        "s3": report.table(results),
        "s3-used": used_table(results),
        "s3-asked": asked_table(results),
        "s3-migration": migration_table(results),
    }
    report.show("s3", results, tables, arguments.output)
    print(f"Completing an upload by links takes {results['completing']['median']:.1f} s.")
    history.leave(results, "s3", __version__, arguments.output or history.FILE.parent)
    if arguments.output:
        (arguments.output / "s3-completing.inc").write_text(
            f"Completing such an upload took {results['completing']['median']:.1f} s more, in which the file is read.\n"
        )


if __name__ == "__main__":
    main()
