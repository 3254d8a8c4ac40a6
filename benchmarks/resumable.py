"""Measure uploads by tus beside ``PUT``, and beside the reference server of tus: ``python -m benchmarks.resumable``.

Our servers, of one process and of two, and ``@tus/server`` take turns. The latter is installed from npm; where that
fails it is said, and the others are measured alone. Processor time is what the server takes for a GiB, beside it what
PostgreSQL takes; others on the machine change it less than the rate. Memory is the peak of the server's processes above
what they took before.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from private_servers.base import ServiceError, free_port
from private_servers.packages import install_node_packages
from servers import Server

from . import ROOT
from .client import Client
from .contestants import Contestant, ours, serving, wait_for_port
from .cpu import taken
from .machine import describe
from .measures import MIB, LargeFiles, say
from .report import number, show
from .services import with_postgresql

NODE = ROOT / "benchmarks" / "node"
PIECE = 8 * MIB
"""Bytes of a request, where there are several."""

TUS = {"Tus-Resumable": "1.0.0"}


class Uploads(LargeFiles):
    """Uploads of one file, which are removed again."""

    def send(
        self, client: Client, method: str, url: str, headers: dict[str, str], start: int = 0, size: int = 0
    ) -> str:
        """Send a request with bytes of the file, and return the ``Location`` of the answer."""
        parts, connection = urlsplit(url), client.connection
        connection.putrequest(method, f"{parts.path}?{parts.query}" if parts.query else parts.path)
        for name, value in {**TUS, **headers, "Content-Length": str(size)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        if size:
            with self.source.open("rb") as file:
                connection.sock.sendfile(file, start, size)
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (201, 204):
            raise RuntimeError(f"{method} {url} was answered {answer.status}.")
        return answer.headers.get("Location", "")

    def by_tus(self, contestant: Contestant, piece: int) -> float:
        """Upload the file in requests of a size, and return MiB per second."""
        subprocess.run(["sync"], check=True)
        key = f"tus-{self.size}"
        with contestant.client() as client:
            begun = time.perf_counter()
            named = f"filename {base64.b64encode(key.encode()).decode()}"
            headers = {"Upload-Length": str(self.size), "Upload-Metadata": named}
            url = self.send(client, "POST", contestant.path + ("?tus" if contestant.is_application else ""), headers)
            for start in range(0, self.size, piece):
                headers = {"Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"}
                self.send(client, "PATCH", url, headers, start, min(piece, self.size - start))
            seconds = time.perf_counter() - begun
            self.send(client, "DELETE", url, {})
            if contestant.is_application:
                self._remove(contestant, client, f"{contestant.path}/{key}")
        return self.size / MIB / seconds


def reference_version() -> str | None:
    """Return the version of the reference server of tus, installed from npm where it is not there; say why not.

    :returns: The version; ``None`` where it cannot be had.
    """
    if not shutil.which("node"):
        say("without @tus/server: there is no node")
        return None
    try:
        install_node_packages(NODE)
        installed = json.loads((NODE / "node_modules" / "@tus" / "server" / "package.json").read_text())
    except (ServiceError, OSError) as error:
        say(f"without @tus/server: {error}")
        return None
    return str(installed["version"])


@contextmanager
def reference(folder: Path, version: str) -> Iterator[Contestant]:
    """Serve with the reference server of tus.

    :param folder: Folder of all files.
    :param version: Its version.
    """
    port, files = free_port(), folder / "reference"
    files.mkdir()
    with serving(["node", str(NODE / "server.cjs"), str(port), str(files)], folder / "reference.log") as pid:
        wait_for_port(port)
        yield Contestant(f"@tus/server {version}", port, "/files", pid=pid)


@dataclass
class Found:
    """What uploads of a server in one way have taken."""

    speeds: list[float] = field(default_factory=list)
    """MiB per second of each."""

    processors: list[dict[str, float]] = field(default_factory=list)
    """Seconds of CPU of each, by who took them."""

    memory: int = 0
    """Most bytes above what the server took before."""


def measure(folder: Path, size: int, rounds: int) -> list[list[str]]:
    """Return the rows of the table of what was measured.

    :param folder: An empty folder for all files.
    :param size: Size of the file in bytes.
    :param rounds: Number of rounds that count; there is one before them that does not.
    """
    uploads = Uploads(folder, size)
    ways: dict[str, Callable[[Contestant], float]] = {
        "PUT": uploads.put,
        "tus, one PATCH": lambda contestant: uploads.by_tus(contestant, size),
        "tus, PATCH of 8 MiB": lambda contestant: uploads.by_tus(contestant, PIECE),
    }
    found: dict[tuple[str, str], Found] = defaultdict(Found)
    with ExitStack() as stack:
        servers = [stack.enter_context(ours(folder, "one process", 1)), stack.enter_context(ours(folder, "two", 2))]
        if version := reference_version():
            servers.append(stack.enter_context(reference(folder, version)))
        for turn in range(-1, rounds):
            for contestant in servers:
                server = Server(contestant.name, contestant.port, contestant.pid)
                for way, take in ways.items():
                    if way == "PUT" and not contestant.is_application:
                        continue
                    server.forget_peak()
                    before = server.memory("VmRSS")
                    with taken(contestant.pid) as cpu:
                        speed = take(contestant)
                    one = found[contestant.name, way]
                    # What is taken first is kept for the next ones.
                    one.memory = max(one.memory, server.memory("VmHWM") - before)
                    if turn >= 0:
                        one.speeds.append(speed)
                        one.processors.append(dict(cpu))
    return table(found, size)


def table(found: dict[tuple[str, str], Found], size: int) -> list[list[str]]:
    """Return the rows of the table.

    :param found: What was measured, by server and way.
    :param size: Size of the file in bytes.
    """
    rows = [
        ["Server", "What", "Median (lowest to highest), MiB/s", "Times PUT", "CPU, s/GiB", "PostgreSQL", "Memory, MiB"]
    ]
    for (name, way), one in found.items():
        beside = found.get((name, "PUT"))
        compared = (mine / put for mine, put in zip(one.speeds, beside.speeds, strict=True)) if beside else ()
        ratio = statistics.median(compared) if beside else None
        taken_by = {
            who: statistics.median(each.get(who, 0.0) for each in one.processors) * 1024 * MIB / size
            for who in ("server", "PostgreSQL")
        }
        rows.append(
            [
                name,
                way,
                f"{number(statistics.median(one.speeds))} ({number(min(one.speeds))} to {number(max(one.speeds))})",
                f"{ratio:.2f}" if ratio else "",
                f"{taken_by['server']:.2f}",
                f"{taken_by['PostgreSQL']:.2f}",
                number(one.memory / MIB),
            ]
        )
    return rows


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.resumable",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", type=int, default=512, metavar="MIB", help="size of the file (default: 512)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds that count (default: 7)")
    parser.add_argument("--output", metavar="DIR", type=Path, help="where to write resumable.json and the table")
    arguments = parser.parse_args()
    with_postgresql("benchmarks.resumable")
    with tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as folder:
        results: dict[str, Any] = {"date": date.today().isoformat(), "machine": describe(Path(folder))}
        results["table"] = measure(Path(folder), arguments.size * MIB, arguments.rounds)
    show("resumable", results, {"resumable": results["table"]}, arguments.output)


if __name__ == "__main__":
    main()
