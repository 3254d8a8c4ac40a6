"""What was measured before, so that a slower release is seen: ``python -m benchmarks.history`` draws it.

A line holds ratios alone, since those of different machines can be put side by side, which rates cannot.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from . import ROOT

FILE = ROOT / "docs" / "performance" / "history.json"

SLOWER = 0.9
"""How many times the ratio of the last line before it, of the same machine, a ratio is at most that is told of."""

Line = dict[str, Any]
"""``benchmark``, ``version``, ``commit``, ``date``, ``machine`` and ``ratios``: numbers by measure and contestant."""


def line_of(results: dict[str, Any], benchmark: str, version: str, commit: str) -> Line:
    """Return the line of a run.

    :param results: What was measured: ``date``, ``machine`` and ``side by side``.
    :param benchmark: Name of the benchmark.
    :param version: Version of this package.
    :param commit: Commit that was measured, with ``+`` if files differed from it.
    """
    machine = results["machine"]
    ratios = {
        measure["name"]: {name: round(found["median"], 3) for name, found in measure["ours against"].items()}
        for measure in results["side by side"]
    }
    return {
        "benchmark": benchmark,
        "version": version,
        "commit": commit,
        "date": results["date"],
        "machine": "; ".join(machine[name] for name in ("CPU", "memory", "disk")),
        "ratios": ratios,
    }


def commit_of(folder: Path = ROOT) -> str:
    """Return the commit of a checkout in short, with ``+`` if its files differ from it.

    :param folder: A folder of the checkout.
    """
    described = ["git", "-C", str(folder), "describe", "--always", "--exclude", "*", "--dirty=+"]
    done = subprocess.run(described, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() or "unknown"


def read(file: Path = FILE) -> list[Line]:
    """Return all lines, the oldest first.

    :param file: The file.
    """
    return json.loads(file.read_text()) if file.exists() else []


def add(line: Line, file: Path = FILE) -> list[Line]:
    """Add a line; return all.

    :param line: The line.
    :param file: The file, which has a line of text for each.
    """
    lines = [*read(file), line]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[\n" + ",\n".join(map(json.dumps, lines)) + "\n]\n")
    return lines


def slower(lines: Sequence[Line]) -> list[str]:
    """Tell what is slower in the last line than in the one before it, of the same benchmark and machine.

    :param lines: The lines, the oldest first.
    """
    *earlier, last = lines
    before = [line for line in earlier if all(line[name] == last[name] for name in ("benchmark", "machine"))]
    if not before:
        return []
    found = []
    for measure, ratios in last["ratios"].items():
        for name, ratio in ratios.items():
            former = before[-1]["ratios"].get(measure, {}).get(name)
            if former and ratio < SLOWER * former:
                found.append(f"{measure}: {ratio:.2f} times {name}, after {former:.2f} at {before[-1]['commit']}")
    return found


def series(lines: Sequence[Line], benchmark: str) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return the ratios of a benchmark, by measure and contestant, with the numbers of the runs.

    :param lines: The lines, the oldest first.
    :param benchmark: The benchmark.
    """
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for number, line in enumerate(line for line in lines if line["benchmark"] == benchmark):
        for measure, ratios in line["ratios"].items():
            for name, ratio in ratios.items():
                found.setdefault(measure, {}).setdefault(name, []).append((number, ratio))
    return found


def draw(lines: Sequence[Line], folder: Path) -> None:
    """Draw ``history-BENCHMARK.svg`` of each benchmark: a plot for each measure, a line for each contestant.

    A ratio is drawn in times of the first one, so that all changes are of one size. A dotted line stands where the
    machine changes.

    :param lines: The lines, the oldest first.
    :param folder: Where to write them.
    """
    from .report import pyplot_for_svg

    pyplot = pyplot_for_svg()
    for benchmark in sorted({line["benchmark"] for line in lines}):
        runs = [line for line in lines if line["benchmark"] == benchmark]
        labels = [f"{line['version']}\n{line['commit']}\n{line['date']}" for line in runs]
        measures = series(lines, benchmark)
        columns = min(2, len(measures))
        rows = -(-len(measures) // columns)
        figure, axes = pyplot.subplots(
            rows, columns, figsize=(4.8 * columns, 2.6 * rows), layout="constrained", squeeze=False
        )
        for one in axes.flat[len(measures) :]:
            one.set_axis_off()
        for one, (measure, contestants) in zip(axes.flat, measures.items(), strict=False):
            for name, points in contestants.items():
                first, last = points[0][1], points[-1][1]
                drawn = [(number, ratio / first) for number, ratio in points]
                one.plot(*zip(*drawn, strict=True), marker="o", label=f"{last:.2f} times {name}")
            for number in _changes(runs):
                one.axvline(number - 0.5, color="tab:gray", linestyle=":")
            one.set_title(measure, fontsize=8)
            one.set_ylabel("of the first")
            one.set_ylim(bottom=0)
            one.set_xlim(-0.5, len(runs) - 0.5)
            one.set_xticks(range(len(runs)), labels, fontsize=6)
            one.legend(fontsize=7, loc="lower left")
        figure.savefig(folder / f"history-{benchmark}.svg", metadata={"Date": None})
        pyplot.close(figure)


def _changes(runs: Sequence[Line]) -> list[int]:
    """Return the numbers of the runs that are the first ones on another machine."""
    starts, number = [], 0
    for _, group in groupby(runs, key=lambda line: line["machine"]):
        starts.append(number)
        number += len(list(group))
    return starts[1:]


def leave(results: dict[str, Any], benchmark: str, version: str, folder: Path) -> None:
    """Add the line of a run to the history in a folder, tell what is slower, and draw the history.

    :param results: See :func:`line_of`.
    :param benchmark: Name of the benchmark.
    :param version: Version of this package.
    :param folder: The folder.
    """
    lines = add(line_of(results, benchmark, version, commit_of()), folder / FILE.name)
    for told in slower(lines):
        print(f"Slower than before: {told}.", file=sys.stderr)
    try:
        draw(lines, folder)
    except ImportError:
        print("The history is not drawn: matplotlib is not installed.", file=sys.stderr)


if __name__ == "__main__":
    draw(read(), FILE.parent)
