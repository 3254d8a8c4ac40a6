"""``files bucket``: make buckets, and fill them from a folder."""

from __future__ import annotations

from uuid import UUID

import click
from flask.cli import with_appcontext
from invenio_db import db

from ..errors import BucketDeletedError
from ..helpers import populate_from_path
from ..models import Bucket
from .failures import told_in_one_line


@click.group()
def bucket() -> None:
    """Manage buckets."""


@bucket.command()
@click.option("-l", "--location", metavar="NAME", help="Location of its files; the default one where none is given.")
@click.option("-s", "--storage-class", metavar="LETTER", help="Storage class of its files.")
@with_appcontext
def touch(location: str | None, storage_class: str | None) -> None:
    """Create a bucket, and print its identifier."""
    with told_in_one_line():
        bucket = Bucket.create(location, storage_class)
        db.session.commit()
        click.echo(bucket.id)


@bucket.command()
@click.argument("source", type=click.Path(exists=True))
@click.argument("bucket", type=click.UUID)
@click.option("--checksum/--no-checksum", default=True, show_default=True, help="Keep the checksum of each file.")
@click.option("--key-prefix", metavar="TEXT", default="", help="What each key begins with, e.g. 'images/'.")
@with_appcontext
def cp(source: str, bucket: UUID, checksum: bool, key_prefix: str) -> None:
    """Copy a file, or all files below a folder, into a bucket.

    SOURCE is a path, BUCKET the identifier of a bucket. Prints "bucket:version:key" for each file once it is stored and
    committed. What is printed stays where a later file fails; copied again, it becomes a new version.
    """
    with told_in_one_line():
        if Bucket.get(bucket) is None:
            raise BucketDeletedError()
        for obj in populate_from_path(bucket, source, checksum=checksum, key_prefix=key_prefix):
            line = f"{obj.bucket_id}:{obj.version_id}:{obj.key}"
            db.session.commit()
            click.echo(line)
