"""Where the time of a small ``PUT`` and of a small ``GET`` goes: ``python -m benchmarks.profile``.

The whole is what a client waits for, one request after another. What the application takes of it, and what it waits
for, it tells with each answer (``served/stages.py``).
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import time
from pathlib import Path

from .contestants import Contestant, ours
from .report import list_table, print_table
from .services import with_postgresql

REQUESTS = 1000


def seconds_of(contestant: Contestant, method: str, body: bytes | None) -> dict[str, float]:
    """Return the mean seconds of a request: ``all``, as a client sees it, ``app``, ``db`` and ``fs``.

    :param contestant: This package's server, which tells the latter three.
    :param method: Method of the request.
    :param body: Its body.
    """
    found = []
    with contestant.client() as client:
        for number in range(REQUESTS):
            begun = time.perf_counter()
            client.expect(200, method, f"{contestant.path}/{number if body else 0}", body)
            seconds = {"all": time.perf_counter() - begun}
            for name, milliseconds in re.findall(r"(\w+);dur=([0-9.]+)", client.headers["Server-Timing"]):
                seconds[name] = float(milliseconds) / 1000
            found.append(seconds)
    # The first ones make statements and connections that later ones have.
    counted = found[REQUESTS // 10 :]
    return {name: statistics.fmean(seconds[name] for seconds in counted) for name in counted[0]}


def table(seconds: dict[str, dict[str, float]], shares: dict[str, dict[str, float]]) -> list[list[str]]:
    """Return the table: a row for each part, with milliseconds of each method.

    :param seconds: What :func:`seconds_of` found, by method.
    :param shares: How Python's part is shared out among the packages, by method.
    """
    columns = []
    for method, one in seconds.items():
        python = one["app"] - one["db"] - one["fs"]
        parts = {
            "client, network, gunicorn": one["all"] - one["app"],
            "waiting for PostgreSQL": one["db"],
            "waiting for the file system": one["fs"],
        }
        columns.append(parts | {name: share * python for name, share in shares[method].items()})
    names = sorted(columns[0], key=lambda name: -columns[0][name])
    rows = [["", *seconds], *([name, *(f"{column.get(name, 0) * 1000:.2f}" for column in columns)] for name in names)]
    return [*rows, ["all, in milliseconds", *(f"{one['all'] * 1000:.2f}" for one in seconds.values())]]


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--output", metavar="DIR", type=Path, help="where to write profile.inc; nowhere by default")
    arguments = parser.parse_args()
    with_postgresql("benchmarks.profile")
    with (
        tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as folder,
        ours(Path(folder), module="stages") as server,
    ):
        seconds = {"PUT": seconds_of(server, "PUT", os.urandom(1024)), "GET": seconds_of(server, "GET", None)}
        rows = table(seconds, server.run("stages.py"))
    print_table(rows)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "profile.inc").write_text("\n".join(list_table(rows)))


if __name__ == "__main__":
    main()
