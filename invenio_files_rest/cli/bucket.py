"""``files bucket``: list, create, change and delete buckets, and copy files into them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click
from flask.cli import with_appcontext
from invenio_db import db

from ..errors import BucketDeletedError
from ..models import Bucket, Location
from ..models.overview import buckets, contents
from ..services.batches import in_batches
from ..services.buckets import change_bucket, create_bucket, delete_bucket, tag_bucket
from ..services.folder_import import populate_from_path
from .failures import confirm, told_in_one_line, yes_option
from .found import found_bucket, found_location
from .output import Column, details, exact_size, json_option, say_json, say_tags, size, table, tags_in_words
from .params import BUCKET, LOCATION, SIZE, TAG, TEXT, tags_of
from .progress import Bar


@click.group()
def bucket() -> None:
    """Manage buckets."""


@bucket.command()
@click.option(
    "-l",
    "--location",
    metavar="NAME",
    type=LOCATION,
    help="Location of its files, if not the default one.",
)
@click.option("-s", "--storage-class", metavar="LETTER", help="Storage class of its files.")
@with_appcontext
def touch(location: str | None, storage_class: str | None) -> None:
    """Create a bucket, and print its identifier."""
    with told_in_one_line():
        bucket = Bucket.create(location, storage_class)
        db.session.commit()
        click.echo(bucket.id)


@bucket.command()
@click.option("-l", "--location", metavar="NAME", type=LOCATION, help="Location of its files.")
@click.option("-s", "--storage-class", metavar="LETTER", help="Storage class of its files.")
@click.option("--quota", metavar="SIZE", type=SIZE, help="Largest size of the bucket, as 10G; none for no limit.")
@click.option("--max-file-size", metavar="SIZE", type=SIZE, help="Largest size of a file; none for no limit.")
@click.option("--tag", "tags", metavar="KEY=VALUE", type=TAG, multiple=True, help="Tag it. May be repeated.")
@json_option
@with_appcontext
def create(
    location: str | None,
    storage_class: str | None,
    quota: Any,
    max_file_size: Any,
    tags: tuple[tuple[str, str], ...],
    as_json: bool,
) -> None:
    """Create a bucket with limits and tags, and print its identifier.

    What is not given is as the settings have it.
    """
    with told_in_one_line():
        bucket = create_bucket(location, storage_class, tags_of(tags), **_limits(quota, max_file_size))
        if as_json:
            say_json(_described(bucket, bucket.location.name) | {"tags": bucket.get_tags()})
        else:
            click.echo(bucket.id)


@bucket.command("list")
@click.option("-l", "--location", metavar="NAME", type=LOCATION, help="Only buckets of this location.")
@click.option("--deleted", is_flag=True, help="Also those that are marked as deleted.")
@json_option
@with_appcontext
def list_(location: str | None, deleted: bool, as_json: bool) -> None:
    """List the buckets, the oldest first."""
    with told_in_one_line():
        names = {row.id: row.name for row in Location.rows()}
        query = buckets(None if location is None else found_location(location).id, deleted)
        found = (bucket for batch in in_batches(query, Bucket.created, Bucket.id) for bucket in batch)
        if as_json:
            for bucket in found:
                say_json(_described(bucket, names[bucket.default_location]))
            return
        columns = [
            Column("BUCKET", 36),
            Column("LOCATION"),
            Column("SIZE", 10, right=True),
            Column("QUOTA", 10, right=True),
            Column("CREATED", 19),
            Column("STATE"),
        ]
        table(
            columns,
            (
                (one.id, names[one.default_location], size(one.size), size(one.quota_size), one.created, _state(one))
                for one in found
            ),
        )


@bucket.command()
@click.argument("bucket", type=BUCKET)
@json_option
@with_appcontext
def show(bucket: UUID, as_json: bool) -> None:
    """Show a bucket: its size, its limits, what it contains, and its tags."""
    with told_in_one_line():
        found = found_bucket(bucket)
        counts = contents(bucket)
        if as_json:
            say_json(_described(found, found.location.name) | counts._asdict() | {"tags": found.get_tags()})
            return
        details(
            {
                "Bucket": found.id,
                "Location": found.location.name,
                "Storage class": found.default_storage_class,
                "State": _state(found) or "open",
                "Size": exact_size(found.size),
                "Quota": exact_size(found.quota_size, "none"),
                "Largest file": exact_size(found.max_file_size, "no limit"),
                "Objects": counts.objects,
                "Versions": counts.versions,
                "Uploads": counts.uploads,
                "Created": found.created,
                "Changed": found.updated,
                "Tags": tags_in_words(found.get_tags()),
            }
        )


@bucket.command()
@click.argument("bucket", type=BUCKET)
@with_appcontext
def lock(bucket: UUID) -> None:
    """Make a bucket read-only."""
    with told_in_one_line():
        change_bucket(bucket, locked=True)
        click.echo(f"Bucket {bucket} is locked.")


@bucket.command()
@click.argument("bucket", type=BUCKET)
@with_appcontext
def unlock(bucket: UUID) -> None:
    """Let a bucket be changed again."""
    with told_in_one_line():
        change_bucket(bucket, locked=False)
        click.echo(f"Bucket {bucket} is unlocked.")


@bucket.command()
@click.argument("bucket", type=BUCKET)
@click.argument("limit", metavar="[SIZE]", type=SIZE, required=False)
@click.option("--max-file-size", metavar="SIZE", type=SIZE, help="Set the largest size of a file, too.")
@json_option
@with_appcontext
def quota(bucket: UUID, limit: Any, max_file_size: Any, as_json: bool) -> None:
    """Set the quota of a bucket, or show its limits.

    SIZE is a number of bytes, or one with K, M, G, T or P, which are powers of 1024: 10G. "none" is no limit. What is
    in the bucket already stays, even if it is more.
    """
    with told_in_one_line():
        limits = _limits(limit, max_file_size)
        changed = change_bucket(bucket, **limits) if limits else found_bucket(bucket)
        if as_json:
            say_json({name: getattr(changed, name) for name in ("id", "size", "quota_size", "max_file_size")})
            return
        details(
            {
                "Size": exact_size(changed.size),
                "Quota": exact_size(changed.quota_size, "none"),
                "Largest file": exact_size(changed.max_file_size, "no limit"),
            }
        )


@bucket.command()
@click.argument("bucket", type=BUCKET)
@click.argument("tags", metavar="[KEY=VALUE]...", type=TAG, nargs=-1)
@click.option("--remove", "removed", metavar="KEY", type=TEXT, multiple=True, help="Remove a tag. May be repeated.")
@json_option
@with_appcontext
def tags(bucket: UUID, tags: tuple[tuple[str, str], ...], removed: tuple[str, ...], as_json: bool) -> None:
    """Set and remove tags of a bucket, and list those that it has then."""
    with told_in_one_line():
        given = tags_of(tags)
        found = tag_bucket(bucket, given, removed) if given or removed else found_bucket(bucket).get_tags()
        say_tags(found, as_json)


@bucket.command()
@click.argument("bucket", type=BUCKET)
@click.option("--permanently", is_flag=True, help="Remove it with all versions, tags and uploads, for good.")
@yes_option
@with_appcontext
def delete(bucket: UUID, permanently: bool, yes: bool) -> None:
    """Mark a bucket as deleted, so that nobody can reach it any more; all that it contains stays.

    With --permanently nothing of it is left in the database, and the next sweep removes its files as far as nothing
    else refers to them. A bucket that is marked as deleted can be removed so, too. A locked one is refused.
    """
    with told_in_one_line():
        if not permanently:
            found_bucket(bucket)
        elif not Bucket.exists(bucket):
            raise BucketDeletedError()
        objects = contents(bucket).objects
        question = f"Remove bucket {bucket} and its {objects} objects for good?"
        if not permanently:
            question = f"Mark bucket {bucket}, which has {objects} objects, as deleted?"
        # No transaction stays open while somebody thinks.
        db.session.commit()
        confirm(question, yes)
        delete_bucket(bucket, permanently)
        click.echo(f"Bucket {bucket} is {'removed' if permanently else 'deleted'}.")


@bucket.command()
@click.argument("source", type=click.Path(exists=True))
@click.argument("bucket", type=BUCKET)
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
    with told_in_one_line():
        if Bucket.get(bucket) is None:
            raise BucketDeletedError()
        with Bar("Copying") as bar:

            def passed_over(text: str) -> None:
                bar.clear()
                click.echo(f"Passed over: {text}", err=True)

            for obj in populate_from_path(
                bucket, source, checksum, key_prefix, follow_links=follow_links, passed_over=passed_over
            ):
                line, length = f"{obj.bucket_id}:{obj.version_id}:{obj.key}", obj.file.size
                db.session.commit()
                bar.clear()
                click.echo(line)
                bar.advance(size=length or 0)


def _limits(quota: Any, max_file_size: Any) -> dict[str, int | None]:
    """Return the limits that are given, by the names of their columns."""
    given = {"quota_size": quota, "max_file_size": max_file_size}
    return {name: None if value == "none" else value for name, value in given.items() if value is not None}


def _state(bucket: Bucket) -> str:
    return ", ".join(word for word, is_so in (("locked", bucket.locked), ("deleted", bucket.deleted)) if is_so)


def _described(bucket: Bucket, location: str) -> dict[str, Any]:
    return {
        "id": bucket.id,
        "location": location,
        "storage_class": bucket.default_storage_class,
        "size": bucket.size,
        "quota_size": bucket.quota_size,
        "max_file_size": bucket.max_file_size,
        "locked": bucket.locked,
        "deleted": bucket.deleted,
        "created": bucket.created,
        "updated": bucket.updated,
    }
