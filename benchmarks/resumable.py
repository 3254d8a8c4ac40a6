"""Measure uploads by tus beside ``PUT``, and beside the reference server of tus: ``python -m benchmarks.resumable``.

Our servers, of one process and of two, and ``@tus/server`` take turns. ``npm ci --prefix benchmarks/node`` installs the
latter; without it the others are measured alone. Memory is the peak of the server's processes above what they took
before.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from private_servers.base import free_port
from servers import Server

from . import ROOT
from .client import Client
from .contestants import Contestant, ours, serving, wait_for_port
from .measures import MIB, LargeFiles
from .report import number, print_table
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


@contextmanager
def reference(folder: Path) -> Iterator[Contestant]:
    """Serve with the reference server of tus.

    :param folder: Folder of all files.
    """
    port, files = free_port(), folder / "reference"
    files.mkdir()
    with serving(["node", str(NODE / "server.cjs"), str(port), str(files)], folder / "reference.log") as pid:
        wait_for_port(port)
        yield Contestant("@tus/server", port, "/files", pid=pid)


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
    speeds: dict[tuple[str, str], list[float]] = defaultdict(list)
    memory: dict[tuple[str, str], int] = defaultdict(int)
    with ExitStack() as stack:
        servers = [stack.enter_context(ours(folder, "one process", 1)), stack.enter_context(ours(folder, "two", 2))]
        if shutil.which("node") and (NODE / "node_modules").is_dir():
            servers.append(stack.enter_context(reference(folder)))
        for turn in range(-1, rounds):
            for contestant in servers:
                server = Server(contestant.name, contestant.port, contestant.pid)
                for way, take in ways.items():
                    if way == "PUT" and not contestant.is_application:
                        continue
                    server.forget_peak()
                    before = server.memory("VmRSS")
                    speed = take(contestant)
                    if turn >= 0:
                        speeds[contestant.name, way].append(speed)
                        memory[contestant.name, way] = max(
                            memory[contestant.name, way], server.memory("VmHWM") - before
                        )
    rows = [["Server", "What", "Median (lowest to highest), MiB/s", "Times PUT", "Memory, MiB"]]
    for (name, way), values in speeds.items():
        beside = speeds.get((name, "PUT"))
        ratio = statistics.median(one / put for one, put in zip(values, beside, strict=True)) if beside else None
        rows.append(
            [
                name,
                way,
                f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})",
                f"{ratio:.2f}" if ratio else "",
                number(memory[name, way] / MIB),
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
    arguments = parser.parse_args()
    with_postgresql("benchmarks.resumable")
    with tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as folder:
        print_table(measure(Path(folder), arguments.size * MIB, arguments.rounds))


if __name__ == "__main__":
    main()
