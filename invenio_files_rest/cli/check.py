"""``files check``: compare every file with its row, and every bucket's size with its contents."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from ..models.inventory import stored_files
from ..services.check import check as run_check
from .failures import told_in_one_line
from .output import json_option
from .report import Report


@click.command()
@click.option("--checksum", is_flag=True, help="Read all bytes, and compare checksums.")
@click.option("--repair", is_flag=True, help="Correct sizes of buckets.")
@json_option
@with_appcontext
def check(checksum: bool, repair: bool, as_json: bool) -> None:
    """Check that each file exists with the right size, and that the size of each bucket is that of its contents.

    Exits with 1 if something is wrong and was not repaired.
    """
    with told_in_one_line():
        count = stored_files().count()
        Report(as_json).run(run_check(checksum, repair), "Checking", count)
