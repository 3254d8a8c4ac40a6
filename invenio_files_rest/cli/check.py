"""``files check``: hold every row against storage, and every size against its sum."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from ..models.inventory import stored_files
from ..services.check import check as run_check
from .failures import told_in_one_line
from .report import Report, json_option


@click.command()
@click.option("--checksum", is_flag=True, help="Read all bytes, and compare checksums.")
@click.option("--repair", is_flag=True, help="Correct sizes of buckets.")
@json_option
@with_appcontext
def check(checksum: bool, repair: bool, as_json: bool) -> None:
    """Check that each file is there with its size, and that each bucket has the size of what is in it.

    Exits with 1 where something is wrong, and could not be or was not repaired.
    """
    with told_in_one_line():
        count = stored_files().count()
        Report(as_json).run(run_check(checksum, repair), "Checking", count)
