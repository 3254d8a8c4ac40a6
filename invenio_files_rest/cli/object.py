"""``files object``: list and show objects, read and store them, restore their versions, change their tags."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any
from uuid import UUID

import click
from flask.cli import with_appcontext

from ..models import ObjectVersion
from ..models.bucket import open_bucket
from ..models.listing import ListedObject
from ..services.conditions import check_write_conditions
from ..services.objects import restore_version, store_object, tag_version
from ..services.reading import list_objects, read_version
from ..services.validation import NonEmptyStream, minsize_validator, validate_tag
from ..storage.local import LocalFile
from ..storage.pump import check_sizelimit
from .failures import told_in_one_line
from .found import found_bucket, found_version, not_found
from .output import Column, details, exact_size, json_option, say, say_json, say_tags, size, table, tags_in_words
from .params import BUCKET, KEY, TAG, TEXT, tags_of
from .progress import Bar

_STANDARD_STREAM = "-"

_version_option = click.option("--version", "version_id", metavar="ID", type=click.UUID, help="Not the latest version.")


@click.group("object")
def object_() -> None:
    """Manage objects.

    A key that begins with a dash is given after "--", as in "files object show -- BUCKET -key".
    """


@object_.command("list")
@click.argument("bucket", type=BUCKET)
@click.option("--prefix", metavar="TEXT", default="", help="Only keys that begin so.")
@click.option("--delimiter", metavar="TEXT", default="", help="List what follows it in keys as one: / as folders.")
@click.option("--versions", is_flag=True, help="All versions and delete markers, the latest of a key first.")
@click.option("--limit", metavar="COUNT", type=click.IntRange(min=0), help="No more than so many keys.")
@click.option("--start-after", metavar="KEY", default="", help="Go on after this key, to list the next page.")
@json_option
@with_appcontext
def list_(bucket: UUID, limit: int | None, start_after: str, as_json: bool, **options: Any) -> None:
    """List the objects of a bucket, in the order of their keys' bytes."""
    with told_in_one_line():
        found_bucket(bucket)
        found = list_objects(bucket, limit, start_after, **options)
        if as_json:
            for one in found:
                say_json({"prefix": one} if isinstance(one, str) else _described(one))
            return
        columns = [Column("SIZE", 10, right=True), Column("MODIFIED", 19), Column("KEY")]
        if options["versions"]:
            columns[2:2] = [Column("VERSION", 36), Column("STATE", 7)]
        table(columns, (_row(one, options["versions"]) for one in found))


@object_.command()
@click.argument("bucket", type=BUCKET)
@click.argument("key", type=KEY)
@_version_option
@json_option
@with_appcontext
def show(bucket: UUID, key: str, version_id: UUID | None, as_json: bool) -> None:
    """Show a version of an object: its file, and its tags."""
    with told_in_one_line():
        version = found_version(bucket, key, version_id)
        file = version.file
        if as_json:
            of_file = {} if file is None else {name: getattr(file, name) for name in _FILE_COLUMNS}
            say_json(_described(version) | {"file": {"id": file.id, **of_file} if file else None})
            return
        fields = {
            "Key": version.key,
            "Bucket": version.bucket_id,
            "Version": version.version_id,
            "State": _state(version),
            "Type": version.mimetype,
            "Created": version.created,
            "Modified": version.last_modified,
            "Tags": tags_in_words(version.get_tags()),
        }
        if file is not None:
            checked = {True: "as stored", False: "changed", None: "not comparable"}[file.last_check]
            fields |= {
                "Size": exact_size(file.size),
                "Checksum": file.checksum,
                "File": file.id,
                "URI": file.uri,
                "Checked": f"{file.last_check_at:%Y-%m-%d %H:%M:%S}, {checked}" if file.last_check_at else "never",
            }
        details(fields)


@object_.command()
@click.argument("bucket", type=BUCKET)
@click.argument("key", type=KEY)
@click.argument("tags", metavar="[KEY=VALUE]...", type=TAG, nargs=-1)
@click.option("--remove", "removed", metavar="KEY", type=TEXT, multiple=True, help="Remove a tag. May be repeated.")
@_version_option
@json_option
@with_appcontext
def tags(
    bucket: UUID,
    key: str,
    tags: tuple[tuple[str, str], ...],
    removed: tuple[str, ...],
    version_id: UUID | None,
    as_json: bool,
) -> None:
    """Set and remove tags of a version of an object, and list those that it has then."""
    with told_in_one_line():
        given = tags_of(tags)
        if not given and not removed:
            say_tags(found_version(bucket, key, version_id).get_tags(), as_json)
            return
        found = tag_version(bucket, key, version_id, given, removed)
        if found is None:
            raise not_found(version_id)
        say_tags(found, as_json)


@object_.command()
@click.argument("bucket", type=BUCKET)
@click.argument("key", type=KEY)
@click.argument("version_id", metavar="VERSION", type=click.UUID)
@with_appcontext
def restore(bucket: UUID, key: str, version_id: UUID) -> None:
    """Make an earlier version of an object the latest one again, also of an object that is deleted.

    Prints "bucket:version:key" of the new version, which has the file and the tags of the earlier one.
    """
    with told_in_one_line():
        restored = restore_version(bucket, key, version_id)
        if restored is None:
            raise not_found(version_id)
        _say_version(restored)


@object_.command()
@click.argument("bucket", type=BUCKET)
@click.argument("key", type=KEY)
@click.argument("target", metavar="[FILE]", type=click.Path(), required=False)
@_version_option
@with_appcontext
def get(bucket: UUID, key: str, target: str | None, version_id: UUID | None) -> None:
    """Write an object to FILE, or to standard output.

    FILE may be a folder; the file then has the last part of the key as its name. It has that name only once it is
    complete, on disk, and has the size and the checksum that were stored. It replaces a file of that name.
    """
    if target is None and sys.stdout.isatty():
        raise click.UsageError("Standard output is a terminal. Give a FILE, or - to write to the terminal.")
    with told_in_one_line():
        version = found_version(bucket, key, version_id)
        if version.file is None:
            raise ValueError("This version marks the object as deleted, and has no bytes.")
        blocks, length = read_version(version), version.file.size
        with _opened_to_write(target, version.basename) as output, Bar("Reading", length, in_bytes=True) as bar:
            for block in blocks:
                output.write(block)
                bar.advance(len(block))
            output.flush()


@object_.command()
@click.argument("bucket", type=BUCKET)
@click.argument("key", type=KEY)
@click.argument("source", metavar="[FILE]", type=click.Path(), required=False)
@click.option("--tag", "tags", metavar="KEY=VALUE", type=TAG, multiple=True, help="Tag it. May be repeated.")
@click.option("--if-absent", is_flag=True, help="Only if there is no such object, or it is deleted.")
@click.option("--if-match", metavar="CHECKSUM", type=TEXT, help="Only if the latest version has this checksum.")
@with_appcontext
def put(
    bucket: UUID,
    key: str,
    source: str | None,
    tags: tuple[tuple[str, str], ...],
    if_absent: bool,
    if_match: str | None,
) -> None:
    """Store FILE, or standard input, as a new version of an object.

    Prints "bucket:version:key" once it is stored and committed. Limits of the bucket hold, as over REST. If a condition
    does not hold, nothing is stored, and the command exits with 3.
    """
    if source is None and sys.stdin.isatty():
        raise click.UsageError("Standard input is a terminal. Give a FILE, or - to read from the terminal.")
    conditions = {"If-None-Match": "*"} if if_absent else {}
    if if_match is not None:
        conditions["If-Match"] = f'"{if_match}"'
    with told_in_one_line():
        given = tags_of(tags)
        for name, value in given.items():
            validate_tag(name, value)
        found = open_bucket(found_bucket(bucket))
        check_write_conditions(conditions, ObjectVersion.get(found, key))
        with _opened_to_read(source) as stream:
            length = _length_of(stream)
            if length is not None:
                minsize_validator(length)
                check_sizelimit(found.size_limit, length)
            with Bar("Storing", length, in_bytes=True) as bar:
                body = NonEmptyStream(_Counted(stream, bar))
                precondition = partial(check_write_conditions, conditions) if conditions else None
                version = store_object(found, key, body, size=length, tags=given, precondition=precondition)
        _say_version(version)


_FILE_COLUMNS = ("uri", "size", "checksum", "storage_class", "last_check", "last_check_at")


def _described(one: Any) -> dict[str, Any]:
    return {
        "bucket": one.bucket_id,
        "key": one.key,
        "version_id": one.version_id,
        "is_head": one.is_head,
        "deleted": one.deleted,
        "mimetype": one.mimetype,
        "created": one.created,
        "updated": one.updated,
        "size": one.file.size if one.file else None,
        "checksum": one.file.checksum if one.file else None,
        "tags": one.get_tags(),
    }


def _row(one: ListedObject | str, versions: bool) -> list[Any]:
    if isinstance(one, str):
        return ["-", "-", *(["-", "-"] if versions else []), one]
    modified = one.updated if one.is_head else one.created
    of_version = [one.version_id, _state(one)] if versions else []
    return [size(one.file.size) if one.file else "-", modified, *of_version, one.key]


def _state(one: Any) -> str:
    return "deleted" if one.deleted else "latest" if one.is_head else "earlier"


def _say_version(version: ObjectVersion) -> None:
    say(f"{version.bucket_id}:{version.version_id}:{version.key}")


@contextmanager
def _opened_to_write(target: str | None, name: str) -> Iterator[IO[bytes]]:
    """Open what an object is written to: a file is there when the block ends without an error, and not before."""
    if target in (None, _STANDARD_STREAM):
        yield sys.stdout.buffer
        return
    path = str(target)
    if os.path.isdir(path):
        if name in ("", ".", ".."):
            raise ValueError(f"The key has no name for a file in {path}. Give the path of a file.")
        path = os.path.join(path, name)
    path = os.path.realpath(path)
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        # A pipe or a device, which must not be replaced.
        with open(path, "wb") as file:
            yield file
        return
    if not os.path.isdir(os.path.dirname(path)):
        raise FileNotFoundError(f"There is no folder {os.path.dirname(path)}.")
    with LocalFile(path).replace() as file:
        yield file


@contextmanager
def _opened_to_read(source: str | None) -> Iterator[IO[bytes]]:
    if source in (None, _STANDARD_STREAM):
        yield sys.stdin.buffer
        return
    with open(str(source), "rb") as file:
        yield file


def _length_of(stream: IO[bytes]) -> int | None:
    """Return how many bytes a stream has left, if it is a file; ``None`` for a pipe."""
    try:
        status = os.fstat(stream.fileno())
        return status.st_size - stream.tell() if stat.S_ISREG(status.st_mode) else None
    except (OSError, ValueError):
        return None


class _Counted:
    """A stream that advances a bar as it is read.

    :param stream: The stream.
    :param bar: The bar.
    """

    def __init__(self, stream: IO[bytes], bar: Bar) -> None:
        self._stream = stream
        self._bar = bar

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self._bar.advance(len(block))
        return block
