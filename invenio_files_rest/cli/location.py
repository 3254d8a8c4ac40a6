"""``files location``: manage the locations where files are kept."""

from __future__ import annotations

from dataclasses import asdict

import click
from flask.cli import with_appcontext
from invenio_db import db

from ..models import Location
from ..services.cors import cors_rules
from ..services.locations import create_location, mark_location, remove_location
from ..services.status import location_status
from ..services.transactions import in_transaction
from .failures import confirm, told_in_one_line, yes_option
from .found import found_location
from .output import details, exact_size, json_option, say, say_json
from .params import LOCATION


class _CreatesByDefault(click.Group):
    """A group that used to be a command: arguments that name none of its commands are for ``create``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert ``create`` if the first argument is not a command."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["create", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_CreatesByDefault)
def location() -> None:
    """Manage locations.

    "location NAME URI" is short for "location create NAME URI".
    """


@location.command()
@click.argument("name")
@click.argument("uri")
@click.option("--default", is_flag=True, help="Make new buckets here from now on.")
@with_appcontext
def create(name: str, uri: str, default: bool) -> None:
    """Create a location.

    NAME has 1 to 20 lower-case letters, digits and dashes, and begins with a letter. URI is the path of a folder, or
    the URL of a storage system. A folder is created if it does not exist, and marked. If the same location already
    exists, nothing happens.
    """
    with told_in_one_line():
        existing = Location.get_by_name(name)
        if existing is None:
            created = create_location(name, uri, default)
            click.echo(f"Location {_described(created)} stored in database")
        elif existing.uri == uri and existing.default >= default:
            click.echo(f"Location {_described(existing)} already exists")
        else:
            raise ValueError(f"Location {_described(existing)} already exists.")


@location.command()
@click.argument("name", type=LOCATION)
@click.option("--force", is_flag=True, help="Mark it although none of the location's files is there.")
@with_appcontext
def mark(name: str, force: bool) -> None:
    """Mark the folder of the location NAME.

    If the folder or its mark is missing, its disk is assumed not to be mounted, and nothing is stored in the location.
    "create" marks the folder; this command is for locations that are older or were restored without the mark.
    """
    with told_in_one_line():
        location = found_location(name)
        mark_location(location, force)
        click.echo(f"Location {location.name} {location.uri} marked")


@location.command()
@click.argument("name", type=LOCATION)
@click.argument("origins", metavar="ORIGIN...", nargs=-1, required=True)
@with_appcontext
def cors(name: str, origins: tuple[str, ...]) -> None:
    """Print what the object store of the location NAME has to let pages of other sites do, in JSON.

    ORIGIN is where a page comes from, as https://app.example.org. The store takes the rules with the operation
    PutBucketCors of S3.
    """
    with told_in_one_line():
        say_json(cors_rules(found_location(name), origins))


@location.command("list")
@json_option
@with_appcontext
def list_(as_json: bool) -> None:
    """List the locations."""
    with told_in_one_line():
        for location in Location.all():
            if as_json:
                say_json({"name": location.name, "uri": location.uri, "default": location.default})
            else:
                say(_described(location))


@location.command()
@click.argument("name", type=LOCATION)
@json_option
@with_appcontext
def show(name: str, as_json: bool) -> None:
    """Show the location NAME: its buckets, what is free on its disk, and whether it is there."""
    with told_in_one_line():
        status = location_status(found_location(name))
        if as_json:
            say_json(asdict(status) | {"buckets": status.buckets._asdict()})
            return
        details(
            {
                "Location": status.name,
                "URI": status.uri,
                "Default": status.default,
                "Buckets": status.buckets.buckets,
                "Size": exact_size(status.buckets.size),
                "Quotas": exact_size(status.buckets.quota, "none, or not for all buckets"),
                "Free on disk": exact_size(status.free, "not known"),
                "There": status.away or True,
            }
        )


@location.command()
@click.argument("name", type=LOCATION)
@yes_option
@with_appcontext
def remove(name: str, yes: bool) -> None:
    """Remove the location NAME, which has neither buckets nor files. Its folder stays."""
    with told_in_one_line():
        location = found_location(name)
        question = f"Remove location {location.name} {location.uri}?"
        # No transaction stays open while somebody thinks.
        db.session.commit()
        confirm(question, yes)
        remove_location(found_location(name))
        click.echo(f"Location {name} is removed.")


@location.command()
@click.argument("name", type=LOCATION)
@with_appcontext
def set_default(name: str) -> None:
    """Create new buckets in the location NAME from now on.

    Existing buckets stay where they are.
    """
    with told_in_one_line():
        location = found_location(name)
        in_transaction(lambda: Location.make_default(location.id))
        db.session.refresh(location)
        click.echo(f"Location {location.name} {location.uri} set as default ({location.default})")


def _described(location: Location) -> str:
    return f"{location.name} {location.uri} as default {location.default}"
