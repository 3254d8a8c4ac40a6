"""Measure this package beside others, in turns, and show how its cost grows.

PostgreSQL is started for it (see ``scripts/services.py``), gunicorn serves the application with two processes of four
threads. Beside it stand nginx, a bare loop from socket to hash to file, and a bare application that sends the same
statements; with ``--peer``, another installation of the module, under uWSGI, runs the same application. A whole run
leaves its ratios in ``docs/performance/history.json``, or in that of ``--output``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

from invenio_files_rest import __version__

from . import growth, history, report
from .contestants import Contestant, bare, floor, nginx, ours, ours_in_uwsgi, peer
from .machine import describe
from .measures import MIB, QUICK, LargeFiles, Measure, Scale, listing, run, say, small_get, small_put, writers
from .services import with_postgresql


def side_by_side(folder: Path, scale: Scale, mine: Contestant, others: dict[str, Contestant]) -> list[dict[str, Any]]:
    """Measure this package beside others.

    :param folder: Folder for the files that are sent.
    :param scale: How much to measure.
    :param mine: This package's server.
    :param others: The other servers: ``peer``, where there is one, ``bare``, ``nginx``, ``floor`` and
        ``ours_in_uwsgi``.
    :returns: The results.
    """
    peers = [others["peer"]] if "peer" in others else []
    web = [mine, *peers, others["nginx"]]
    small = [mine, *peers, others["bare"], others["nginx"]]
    senders = [*web, others["ours_in_uwsgi"]]
    floor_of_small = others["bare"].name
    files = LargeFiles(folder, scale.large)
    files.prepare(senders)
    size = f"{scale.large // MIB} MiB"

    def aims(factor: float, **more: float) -> dict[str, float]:
        return {contestant.name: factor for contestant in peers} | more

    measures = [
        Measure(f"PUT of {size}", "MiB/s", files.put, [*web, others["floor"]], aims(2)),
        Measure(f"GET of {size}", "MiB/s", files.get, senders, aims(1, nginx=0.8)),
        Measure(f"first GET of {size}", "MiB/s", files.get_first, senders, aims(1)),
        Measure(
            "PUT of 1 KiB", "op/s", small_put(scale.seconds), [*small, others["floor"]], aims(4) | {floor_of_small: 0.6}
        ),
        Measure("GET of 1 KiB", "op/s", small_get(scale.seconds, small), small, aims(3) | {floor_of_small: 0.7}),
        Measure("listing of 601", "op/s", listing(scale.seconds), [mine, *peers], aims(20)),
    ]
    run(measures, scale.rounds)
    return [report.results_of(measure) for measure in measures]


def measure(folder: Path, scale: Scale, python: str | None) -> dict[str, Any]:
    """Measure all there is to measure.

    :param folder: An empty folder for all files.
    :param scale: How much to measure.
    :param python: Interpreter of another installation.
    """
    results: dict[str, Any] = {"date": date.today().isoformat(), "machine": describe(folder)}
    with ExitStack() as stack:
        say("starting the servers")
        mine = stack.enter_context(ours(folder))
        others = {
            server.__name__: stack.enter_context(server(folder)) for server in (bare, nginx, floor, ours_in_uwsgi)
        }
        if python:
            others["peer"] = stack.enter_context(peer(folder, python))
            assert others["peer"].setup["path"] != mine.setup["path"]
        applications = [mine, *([others["peer"]] if python else [])]
        results["side by side"] = side_by_side(folder, scale, mine, others)
        say("clients that write at once")
        results["writers"] = {
            one.name: {"one key": writers(one, True), "distinct keys": writers(one, False)} for one in applications
        }
        say("statements")
        results["statements"] = {one.name: one.run("statements.py") for one in applications}
        results["by objects"] = growth.by_objects(mine, scale, say)
        results["by clients"] = growth.by_clients(mine, scale, say)
        results["by size"] = growth.by_size(mine, folder, scale, say)
    say("slow clients")
    results["slow clients"] = growth.beside_slow_clients(folder, scale)
    return results


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter of another installation of the module")
    parser.add_argument("--quick", action="store_true", help="less of everything, to see that it runs")
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="where to write results.json, tables and plots; nowhere by default"
    )
    arguments = parser.parse_args()
    with_postgresql("benchmarks")
    with tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as folder:
        results = measure(Path(folder), QUICK if arguments.quick else Scale(), arguments.peer)
    report.print_table([[name, value] for name, value in results["machine"].items()])
    report.print_table(report.table(results))
    report.print_table(report.counts(results))
    for name in ("by objects", "by clients", "by size"):
        columns = list(results[name][0])
        rows = [[report.number(row[column]) if column in row else "" for column in columns] for row in results[name]]
        report.print_table([columns, *rows])
    print("Beside slow clients:", json.dumps(results["slow clients"]))
    if not arguments.quick:
        history.leave(results, "files", __version__, arguments.output or history.FILE.parent)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        report.write_tables(results, arguments.output)
        report.plot(results, arguments.output)


if __name__ == "__main__":
    main()
