"""``files migrate``: move the files of a bucket or of a location to another location."""

from __future__ import annotations

from uuid import UUID

import click
from flask.cli import with_appcontext

from ..models import Bucket
from ..models.inventory import files_in_use
from ..services.migration import migrate as run_migrate
from ..services.migration import redirect
from ..services.presence import ensure_present
from .failures import told_in_one_line
from .found import found_location
from .output import json_option
from .params import BUCKET, LOCATION
from .report import Report


@click.command()
@click.option("--bucket", "bucket_id", metavar="BUCKET", type=BUCKET, help="Move the files of this bucket.")
@click.option("--location", "source_name", metavar="FROM", type=LOCATION, help="Move the files of this location.")
@click.option("--remove-source", is_flag=True, help="Remove each file once its copy has been verified.")
@click.argument("to", type=LOCATION)
@json_option
@with_appcontext
def migrate(bucket_id: UUID | None, source_name: str | None, remove_source: bool, to: str, as_json: bool) -> None:
    """Move files to the location TO, while they can be read and new ones stored.

    New files of the bucket, or of the buckets of the location, go there at once. Files that have already moved are
    skipped, so that the command can be repeated until nothing is left. Files outside all locations stay. Without
    --remove-source the sweep removes the sources. Exits with 1 if a file could not be moved.
    """
    if (bucket_id is None) == (source_name is None):
        raise click.UsageError("Give either --bucket or --location.")
    with told_in_one_line():
        target = found_location(to)
        source = None if source_name is None else found_location(source_name)
        if source is not None and source.id == target.id:
            raise ValueError("The two locations are the same.")
        if bucket_id is not None and not Bucket.exists(bucket_id):
            raise ValueError(f"Bucket {bucket_id} not found.")
        ensure_present(target)
        redirect(target, bucket_id, source)
        findings = run_migrate(to, bucket_id, source_name, remove_source)
        Report(as_json).run(findings, "Migrating", files_in_use(bucket_id).count())
