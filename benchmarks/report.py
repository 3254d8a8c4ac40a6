"""What came of it: a table on the terminal and for the documentation, and plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .measures import Measure, ratios, spread


def results_of(measure: Measure) -> dict[str, Any]:
    """Return the numbers of a measure, and how they compare."""
    against = {}
    for name in measure.values:
        if name != "ours":
            against[name] = spread(ratios(measure, name)) | {"target": measure.targets.get(name)}
    return {
        "name": measure.name,
        "unit": measure.unit,
        "values": measure.values,
        "spread": {name: spread(values) for name, values in measure.values.items()},
        "ours against": against,
    }


def number(value: float) -> str:
    """Write a number with as many digits as it is worth."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table: what, who, how much, and how ours compares."""
    rows = [["What", "Who", "Median (quartiles)", "Ours is … times that", "Aim"]]
    for measure in results["side by side"]:
        for name, found in measure["spread"].items():
            amount = f"{number(found['median'])} ({number(found['low'])} to {number(found['high'])}) {measure['unit']}"
            ratio = measure["ours against"].get(name)
            compared = f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})" if ratio else ""
            aim = f"{ratio['target']:g}" if ratio and ratio["target"] else ""
            rows.append([measure["name"], name, amount, compared, aim])
    return rows


def counts(results: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of what is counted rather than timed."""
    names = list(results["writers"])
    rows = [["What", *names]]
    for kind in ("one key", "distinct keys"):
        for field in ("answers", "versions", "heads", "size"):
            row = [f"8 clients, 40 PUT each, of {kind}: {field}"]
            for name in names:
                value = results["writers"][name][kind][field]
                if field == "answers":
                    value = ", ".join(f"{count} times {status}" for status, count in sorted(value.items()))
                row.append(f"{value:,}" if isinstance(value, int) else value)
            rows.append(row)
    for operation in results["statements"]["ours"]:
        if operation != "objects":
            label = f"Statements: {operation}"
            if operation in ("listing", "snapshot", "sync"):
                label += f" of {results['statements']['ours']['objects']} objects"
            rows.append([label, *(str(results["statements"][name][operation]) for name in names)])
    return rows


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


def list_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'*' if not column else ' '} - {cell}" for column, cell in enumerate(row)]
    return [*lines, ""]


def told_of_machine(results: dict[str, Any]) -> str:
    """Return a line on the machine, and when it was."""
    machine = "; ".join(f"{name}: {value}" for name, value in results["machine"].items())
    return f"{machine}. Measured on {results['date']}.\n"


def show(
    name: str, results: dict[str, Any], tables: Mapping[str, Sequence[Sequence[str]]], folder: Path | None
) -> None:
    """Print tables, and write them with the machine and all numbers where somebody wants it.

    :param name: Name of the benchmark.
    :param results: Its numbers, with ``machine`` and ``date``.
    :param tables: The tables, by the names of their files.
    :param folder: Where to write; ``None`` for nowhere.
    """
    for rows in tables.values():
        print_table(rows)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / f"{name}-machine.inc").write_text(told_of_machine(results))
    for table_name, rows in tables.items():
        (folder / f"{table_name}.inc").write_text("\n".join(list_table(rows)))


def write_tables(results: dict[str, Any], folder: Path) -> None:
    """Write the tables that the documentation includes."""
    slow = results["slow clients"]
    told = ", ".join(
        f"{method} {slow[method]['ratio']:.2f} times ({slow[method]['idle'] * 1000:.1f} ms idle, "
        f"{slow[method]['beside'] * 1000:.1f} ms beside them)"
        for method in ("PUT", "GET")
    )
    (folder / "machine.inc").write_text(told_of_machine(results))
    (folder / "table.inc").write_text("\n".join(list_table(table(results))))
    (folder / "counts.inc").write_text("\n".join(list_table(counts(results))))
    (folder / "slow.inc").write_text(
        f"With a pool of two connections, and {slow['uploads']} uploads that take {slow['seconds']:g} seconds each, "
        f"the median of another client's request takes: {told}.\n"
    )


def pyplot_for_svg() -> Any:
    """Return matplotlib's ``pyplot``, set so that what is drawn again from the same numbers is the same file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "benchmarks", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
    from matplotlib import pyplot

    return pyplot


def plot(results: dict[str, Any], folder: Path) -> None:
    """Draw the plots."""
    pyplot = pyplot_for_svg()

    def draw(name: str, rows: list[dict[str, float]], x: str, labels: tuple[str, str], log: str, factor: float) -> None:
        figure, axes = pyplot.subplots(figsize=(6.4, 3.4), layout="constrained")
        for column in sorted({column for row in rows for column in row} - {x}):
            points = [(row[x], row[column] * factor) for row in rows if column in row]
            axes.plot(*zip(*points, strict=True), marker="o", label=column)
        axes.set(xlabel=labels[0], ylabel=labels[1])
        if "x" in log:
            axes.set_xscale("log", base=10 if x == "objects" else 2)
        if "y" in log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.legend()
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        pyplot.close(figure)

    draw("objects", results["by objects"], "objects", ("objects in the bucket", "milliseconds"), "xy", 1000)
    draw("clients", results["by clients"], "clients", ("clients at once", "requests per second"), "x", 1)
    draw("sizes", results["by size"], "bytes", ("bytes of the file", "MiB per second"), "xy", 1)

    measures = results["side by side"]
    figure, axes = pyplot.subplots(1, len(measures), figsize=(9.6, 3.2), layout="constrained")
    for one, measure in zip(axes, measures, strict=True):
        names = list(measure["spread"])
        found = [measure["spread"][name] for name in names]
        errors = [
            [item["median"] - item["low"] for item in found],
            [item["high"] - item["median"] for item in found],
        ]
        colors = ["tab:blue" if name == "ours" else "tab:gray" for name in names]
        one.bar(names, [item["median"] for item in found], yerr=errors, capsize=3, color=colors)
        one.set_title(measure["name"], fontsize=8)
        one.set_ylabel(measure["unit"])
        one.tick_params(axis="x", rotation=60)
        one.grid(axis="x", visible=False)
    figure.savefig(folder / "side-by-side.svg", metadata={"Date": None})
    pyplot.close(figure)
