"""``files bucket``: create buckets, and copy files into them."""

from __future__ import annotations

from uuid import UUID

import click
from flask.cli import with_appcontext
from invenio_db import db

from ..errors import BucketDeletedError
from ..models import Bucket
from ..services.folder_import import populate_from_path
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
@click.option("--follow-links", is_flag=True, help="Take files that links lead to out of the folder.")
@with_appcontext
def cp(source: str, bucket: UUID, checksum: bool, key_prefix: str, follow_links: bool) -> None:
    """Copy a file, or all files below a folder, into a bucket.

    SOURCE is a path, BUCKET the identifier of a bucket. Prints "bucket:version:key" for each file once it is stored and
    committed. If a later file fails, those that were printed stay; copying them again adds new versions.

    Without --follow-links, links that lead out of the folder are skipped; links to folders always are. Each is reported
    on standard error. Bytes that are already stored are not stored twice, unless --no-checksum is given.
    """

    def passed_over(text: str) -> None:
        click.echo(f"Passed over: {text}", err=True)

    with told_in_one_line():
        if Bucket.get(bucket) is None:
            raise BucketDeletedError()
        for obj in populate_from_path(
            bucket, source, checksum, key_prefix, follow_links=follow_links, passed_over=passed_over
        ):
            line = f"{obj.bucket_id}:{obj.version_id}:{obj.key}"
            db.session.commit()
            click.echo(line)
