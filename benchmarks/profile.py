"""Where the time of a small ``PUT`` and of a small ``GET`` goes: ``python -m benchmarks.profile``.

py-spy looks at the stack of the server a thousand times a second, whether it computes or waits. What it sees counts for
the innermost of our neighbours' packages in the stack.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from .contestants import ROOT, Contestant, ours
from .report import list_table, print_table

SECONDS = 10

WHERE = (
    ("waiting for PostgreSQL", re.compile(r"do_(execute|commit|rollback) \([^;]*sqlalchemy/[^;]*$")),
    (
        "waiting for the disk",
        re.compile(r"(_sync_folder|replace|_syncing_above|update) \([^;]*storage/local\.py[^;]*$"),
    ),
    (
        "waiting for the disk",
        re.compile(r"_syncing_above \([^;]*storage/local\.py[^;]*;(result|wait|__exit__|__enter__)"),
    ),
    ("SQLAlchemy, psycopg2", re.compile(r"sqlalchemy/")),
    ("marshmallow, webargs", re.compile(r"(marshmallow|webargs)/")),
    ("this package", re.compile(r"invenio_files_rest/")),
    ("Flask, Werkzeug, Invenio-REST", re.compile(r"(flask|werkzeug|invenio_rest|blinker)[^;/]*/")),
    ("gunicorn", re.compile(r"gunicorn/")),
)
"""What each stack counts for: the first that is found in it."""


def _place(stack: str) -> str:
    frames = stack.split(";")
    for name, pattern in WHERE[:3]:
        if pattern.search(stack):
            return name
    for frame in reversed(frames):
        for name, pattern in WHERE[3:]:
            if pattern.search(frame):
                return name
    return "the rest"


def profile(contestant: Contestant, pid: int, method: str, body: bytes | None) -> tuple[float, Counter[str]]:
    """Return the seconds of a request, and how often each part of the server was seen at work.

    :param contestant: This package's server.
    :param pid: Process of the one worker.
    :param method: Method of the requests.
    :param body: Their body.
    """
    stop, times = threading.Event(), []

    def ask() -> None:
        with contestant.client() as client:
            while not stop.is_set():
                begun = time.perf_counter()
                client.expect(200, method, f"{contestant.path}/profile", body)
                times.append(time.perf_counter() - begun)

    with tempfile.NamedTemporaryFile("r") as output:
        spy = [str(Path(sys.executable).parent / "py-spy"), "record", "--pid", str(pid), "--idle", "--full-filenames"]
        spy += [
            "--rate",
            "1000",
            "--duration",
            str(SECONDS),
            "--format",
            "raw",
            "--output",
            output.name,
            "--nonblocking",
        ]
        thread = threading.Thread(target=ask)
        thread.start()
        subprocess.run(spy, check=True, capture_output=True)
        stop.set()
        thread.join()
        seen: Counter[str] = Counter()
        for line in output:
            stack, _, count = line.rpartition(" ")
            # Other threads wait for work.
            if "handle_request" in stack:
                seen[_place(stack)] += int(count)
    return sorted(times)[len(times) // 2], seen


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--output", metavar="DIR", type=Path, help="where to write profile.inc; nowhere by default")
    arguments = parser.parse_args()
    if not os.environ.get("TEST_POSTGRESQL_URL"):
        services = str(ROOT / "scripts" / "services.py")
        again = [sys.executable, "-m", "benchmarks.profile", *sys.argv[1:]]
        os.execv(sys.executable, [sys.executable, services, "--install", *again])
    found = {}
    with (
        tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as folder,
        ours(Path(folder), workers=1) as server,
    ):
        children = subprocess.check_output(["pgrep", "--parent", str(server.pid)], text=True)
        for method, body in (("PUT", os.urandom(1024)), ("GET", None)):
            found[method] = profile(server, int(children.split()[0]), method, body)
    rows = [["", *(f"{method}, {seconds * 1000:.2f} ms" for method, (seconds, _) in found.items())]]
    for name in sorted({name for _, seen in found.values() for name in seen}):
        rows.append([name, *(f"{seen[name] / sum(seen.values()):.0%}" for _, seen in found.values())])
    print_table(rows)
    if arguments.output:
        (arguments.output / "profile.inc").write_text("\n".join(list_table(rows)))


if __name__ == "__main__":
    main()
