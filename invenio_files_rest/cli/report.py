"""Reporting what an operation finds, line by line, as text or JSON, with an exit status for cron."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click

from ..services.finding import Finding, Fine
from .progress import Bar


class Report:
    """The report of an operation: a line for each finding, and a summary.

    :param as_json: Whether to write JSON: an object for each finding, and at the end one whose ``kind`` is ``summary``.
    """

    def __init__(self, as_json: bool) -> None:
        """Start with nothing found."""
        self.as_json = as_json
        self.found: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self.bytes = 0
        self.fine = 0
        self.fine_bytes = 0

    def run(self, findings: Iterable[Finding | Fine | None], label: str, length: int | None = None) -> None:
        """Write a line for each finding, then the sums; show a progress bar on a terminal.

        :param findings: What the operation yields.
        :param label: Label of the progress bar.
        :param length: Number of things that it will yield, if known.
        :raises SystemExit: With status 1, if a finding has not been resolved.
        """
        with Bar(label, length) as bar:
            for finding in findings:
                if isinstance(finding, Finding):
                    bar.clear()
                    self._tell(finding)
                else:
                    self.fine += 1
                    self.fine_bytes += finding.size or 0 if finding else 0
                bar.advance(size=finding.size or 0 if finding else 0)
        self._sum_up()
        if self.left:
            sys.exit(1)

    def _tell(self, finding: Finding) -> None:
        self.found[finding.kind] += 1
        self.bytes += finding.size or 0
        if not finding.done:
            self.left[finding.kind] += 1
        if self.as_json:
            click.echo(json.dumps(asdict(finding)))
            return
        line = f"{finding.kind} {finding.name}: {finding.text}"
        if finding.error:
            line += f" {finding.error}"
        click.echo(line)

    def _sum_up(self) -> None:
        click.echo(json.dumps(self.sums()) if self.as_json else self.summary())

    def sums(self) -> dict[str, Any]:
        """Return the sums for a script."""
        return {
            "kind": "summary",
            "found": dict(self.found),
            "left": dict(self.left),
            "bytes": self.bytes,
            "fine": self.fine,
        }

    def summary(self) -> str:
        """Return the sums for a human."""
        return f"{counted(self.found)}, {self.bytes} bytes; left: {counted(self.left)}."


def counted(kinds: Counter[str]) -> str:
    """Write how many there are of each kind."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing"
