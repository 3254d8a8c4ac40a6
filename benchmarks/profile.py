"""Where the time of a small ``PUT`` and of a small ``GET`` goes: ``python -m benchmarks.profile``.

The whole is what a client waits for, one request after another. What the application does of it is measured by a
program of its own, which calls it without a server (``served/stages.py``).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from .contestants import Contestant, ours
from .report import list_table, print_table
from .services import with_postgresql

REQUESTS = 1000


def seconds_of(contestant: Contestant, method: str, body: bytes | None) -> float:
    """Return the seconds of a request, as a client sees it.

    :param contestant: This package's server.
    :param method: Method of the request.
    :param body: Its body.
    """
    times = []
    with contestant.client() as client:
        for number in range(REQUESTS):
            path = f"{contestant.path}/{number if body else 0}"
            begun = time.perf_counter()
            client.expect(200, method, path, body)
            times.append(time.perf_counter() - begun)
    return statistics.fmean(times[REQUESTS // 10 :])


def table(whole: dict[str, float], stages: dict[str, Any]) -> list[list[str]]:
    """Return the table: a row for each part, with milliseconds of each method."""
    columns = []
    for method, seconds in whole.items():
        inside = stages[method]
        python = inside["seconds"] - sum(inside["waits"].values())
        parts = {"client, network, gunicorn": seconds - inside["seconds"]}
        parts |= {f"waiting for {name}": waited for name, waited in inside["waits"].items()}
        parts |= {name: share * python for name, share in inside["shares"].items()}
        columns.append(parts)
    names = sorted(columns[0], key=lambda name: -columns[0][name])
    rows = [["", *whole], *([name, *(f"{column.get(name, 0) * 1000:.2f}" for column in columns)] for name in names)]
    return [*rows, ["all, in milliseconds", *(f"{seconds * 1000:.2f}" for seconds in whole.values())]]


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--output", metavar="DIR", type=Path, help="where to write profile.inc; nowhere by default")
    arguments = parser.parse_args()
    with_postgresql("benchmarks.profile")
    with (
        tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as folder,
        ours(Path(folder)) as server,
    ):
        whole = {"PUT": seconds_of(server, "PUT", os.urandom(1024)), "GET": seconds_of(server, "GET", None)}
        rows = table(whole, server.run("stages.py"))
    print_table(rows)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "profile.inc").write_text("\n".join(list_table(rows)))


if __name__ == "__main__":
    main()
