"""``files sweep``: remove what crashes and unfinished removals have left behind."""

from __future__ import annotations

from datetime import timedelta

import click
from flask.cli import with_appcontext

from ..services.sweep import sweep as run_sweep
from .failures import told_in_one_line
from .output import json_option
from .report import Report


@click.command()
@click.option("--delete", is_flag=True, help="Remove what is found; otherwise it is only listed.")
@click.option(
    "--grace",
    metavar="HOURS",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    help="Leave alone what has been changed within so many hours. 0 only while nothing else runs.",
)
@json_option
@with_appcontext
def sweep(delete: bool, grace: float, as_json: bool) -> None:
    """Find what is left over: expired uploads, unused files, bytes that no row names, temporary files, empty folders.

    Exits with 1 if something is left, as is everything found without --delete.
    """
    with told_in_one_line():
        Report(as_json).run(run_sweep(timedelta(hours=grace), delete), "Sweeping")
