"""Measure archives beside zipstream-ng, and beside a loop that only reads the files: ``python -m benchmarks.archives``.

All of them are served by a gunicorn of one process, and take turns; ours is an application as people run it, with
tokens and grants. ``pip install zipstream-ng`` installs the former; without it the others are measured alone. Memory is
the peak of the server's processes above what they took before.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from private_servers.base import free_port

from . import ROOT
from .contestants import SERVED, Contestant, ours, serving, wait_for_port
from .measures import MIB, say
from .report import number, print_table
from .services import with_postgresql

sys.path.insert(0, str(ROOT / "tests"))

from servers import Server

SETS = ((10_000, 1024), (10_000, 64 * 1024), (400, MIB), (4, 128 * MIB))
"""Numbers of files, and their sizes in bytes."""


def make_files(folder: Path, count: int, size: int) -> None:
    """Make a folder of files.

    :param folder: The folder.
    :param count: Number of files.
    :param size: Their size in bytes.
    """
    folder.mkdir()
    block = os.urandom(MIB)
    for index in range(count):
        with (folder / f"{index:06}").open("wb") as file:
            # Each begins with bytes of its own, so that none is taken for another.
            file.write(f"{index:>16}".encode() + block[: min(size, MIB) - 16])
            for _ in range(size // MIB - 1):
                file.write(block)


@contextmanager
def zipping(folder: Path, files: list[list[str]], size: int) -> Iterator[Contestant]:
    """Serve what archives are measured beside.

    :param folder: Folder of all files.
    :param files: Names and paths of the files.
    :param size: Their size together, in bytes.
    """
    port, listed = free_port(), folder / "files.json"
    listed.write_text(json.dumps({"files": files, "size": size}))
    command = [
        *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--chdir", str(SERVED)),
        *("--worker-class", "gthread", "--workers", "1", "--threads", "4", "zipping:application"),
    ]
    environment = os.environ | {"BENCHMARK_FILES": str(listed)}
    with serving(command, folder / "zipping.log", environment) as pid:
        wait_for_port(port)
        yield Contestant("zipping", port, "", pid=pid)


def archive(contestant: Contestant, kind: str) -> int:
    """Ask for an archive, follow to the address of its state, and return its size in bytes."""
    with contestant.client() as client:
        status, _ = client.request("GET", f"{contestant.path}?archive={kind}")
        if status != 307:
            raise RuntimeError(f"The archive was answered {status}.")
        address = urlsplit(client.headers["Location"])
        return client.download(f"{address.path}?{address.query}")


def download(contestant: Contestant, path: str) -> int:
    """Return the size of what comes, in bytes."""
    with contestant.client() as client:
        return client.download(path)


def measure(folder: Path, count: int, size: int, rounds: int) -> list[list[str]]:
    """Return rows of the table of what was measured of some files.

    :param folder: An empty folder for all files.
    :param count: Number of files.
    :param size: Their size in bytes.
    :param rounds: Number of rounds that count; there is one before them, which makes CRCs, that does not.
    """
    make_files(folder / "source", count, size)
    speeds: dict[str, list[float]] = defaultdict(list)
    memory: dict[str, int] = defaultdict(int)
    with ours(folder, workers=1, module="instance", program="instance.py") as mine:
        mine.environment["BENCHMARK_BUCKET"] = mine.setup["bucket"]
        mine.environment["BENCHMARK_SOURCE"] = str(folder / "source")
        files = mine.run("folder.py")
        shutil.rmtree(folder / "source")
        with zipping(folder, files, count * size) as other:
            ways: dict[str, tuple[Contestant, Callable[[], int]]] = {
                "only read": (other, lambda: download(other, "/read")),
                "ZIP": (mine, lambda: archive(mine, "zip")),
                "TAR": (mine, lambda: archive(mine, "tar")),
            }
            if importlib.util.find_spec("zipstream"):
                ways["zipstream-ng"] = (other, lambda: download(other, "/zipped"))
            for turn in range(-1, rounds):
                for way, (contestant, take) in ways.items():
                    server = Server(contestant.name, contestant.port, contestant.pid)
                    server.forget_peak()
                    before = server.memory("VmRSS")
                    begun = time.perf_counter()
                    took = take()
                    seconds = time.perf_counter() - begun
                    if took < count * size:
                        raise RuntimeError(f"{way} sent {took} bytes.")
                    if turn >= 0:
                        speeds[way].append(count / seconds)
                        memory[way] = max(memory[way], server.memory("VmHWM") - before)
    return [_row(count, size, way, speeds, memory[way]) for way in speeds]


def _row(count: int, size: int, way: str, speeds: dict[str, list[float]], memory: int) -> list[str]:
    values = speeds[way]
    shown = f"{size // MIB} MiB" if size >= MIB else f"{size // 1024} KiB"
    return [
        f"{count} of {shown}",
        way,
        f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})",
        number(statistics.median(values) * size / MIB),
        *(_times(values, speeds.get(beside)) for beside in ("only read", "zipstream-ng")),
        number(memory / MIB),
    ]


def _times(values: list[float], beside: list[float] | None) -> str:
    if not beside or beside is values:
        return ""
    return f"{statistics.median(one / other for one, other in zip(values, beside, strict=True)):.2f}"


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.archives",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds that count (default: 7)")
    parser.add_argument("--size", type=int, metavar="BYTES", help="only files of this size")
    parser.add_argument("--quick", action="store_true", help="a tenth of the files")
    arguments = parser.parse_args()
    with_postgresql("benchmarks.archives")
    titles = ["Files", "What", "Median (lowest to highest), files/s", "MiB/s"]
    rows = [[*titles, "Times only read", "Times zipstream-ng", "Memory, MiB"]]
    for count, size in SETS:
        if arguments.size not in (None, size):
            continue
        say(f"{count} files of {size} bytes")
        with tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as folder:
            rows += measure(Path(folder), max(1, count // 10) if arguments.quick else count, size, arguments.rounds)
    print_table(rows)


if __name__ == "__main__":
    main()
