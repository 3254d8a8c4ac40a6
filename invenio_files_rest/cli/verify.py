"""``files verify``: compare checksums with bytes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import click
from flask.cli import with_appcontext

from ..models.inventory import verifiable_files
from ..services.fixity import verify as run_verify
from .failures import told_in_one_line
from .output import json_option
from .params import BUCKET
from .report import Report, counted


class _Verification(Report):
    """What was read, and what of it is damaged."""

    def sums(self) -> dict[str, Any]:
        return super().sums() | {"fine_bytes": self.fine_bytes}

    def summary(self) -> str:
        damaged = Counter({kind: count for kind, count in self.found.items() if kind != "location"})
        text = f"{self.fine + damaged.total()} files verified, {self.fine_bytes + self.bytes} bytes"
        text += f"; damaged: {counted(damaged)}" if damaged else "; none is damaged"
        away = self.found["location"]
        return f"{text}; passed over: {away} away." if away else f"{text}."


@click.command()
@click.option("--bucket", metavar="BUCKET", type=BUCKET, help="Only files of this bucket.")
@click.option(
    "--older-than",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Only files that have not been checked for so many days.",
)
@click.option("--limit", metavar="COUNT", type=click.IntRange(min=1), help="No more than so many files.")
@json_option
@with_appcontext
def verify(bucket: UUID | None, older_than: float, limit: int | None, as_json: bool) -> None:
    """Read files and compare their bytes with their checksums, beginning with those whose last check is oldest.

    Records each result, as the scheduled tasks do. Exits with 1 if a file has changed or cannot be read.
    """
    with told_in_one_line():
        query = verifiable_files(bucket)
        findings = run_verify(query, timedelta(days=older_than), limit)
        _Verification(as_json).run(findings, "Verifying", limit or query.count())
