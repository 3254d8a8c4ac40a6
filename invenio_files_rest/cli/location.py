"""``files location``: where files are kept."""

from __future__ import annotations

import click
from flask.cli import with_appcontext
from invenio_db import db
from sqlalchemy.exc import IntegrityError

from ..models import Location
from .failures import told_in_one_line


class _CreatesByDefault(click.Group):
    """A group that was a command once: what names none of its commands is for ``create``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``create`` before what names no command."""
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

    NAME has 1 to 20 lower-case letters, digits and dashes, a letter first. URI is the path of a folder, or the URL of a
    storage system. A location that is there already, the same in all, is left alone.
    """
    with told_in_one_line():
        existing = Location.get_by_name(name)
        if existing is None:
            _add(name, uri, default)
        elif existing.uri == uri and existing.default >= default:
            click.echo(f"Location {_described(existing)} already exists")
        else:
            raise ValueError(f"Location {_described(existing)} already exists.")


def _add(name: str, uri: str, default: bool) -> None:
    location = Location(name=name, uri=uri)
    db.session.add(location)
    if default:
        _make_default(location)
    try:
        db.session.commit()
    except IntegrityError as error:
        raise ValueError(f"Location {name} already exists.") from error
    click.echo(f"Location {_described(location)} stored in database")


@location.command("list")
@with_appcontext
def list_() -> None:
    """List the locations."""
    with told_in_one_line():
        for location in Location.all():
            click.echo(_described(location))


@location.command()
@click.argument("name")
@with_appcontext
def set_default(name: str) -> None:
    """Make new buckets in the location NAME from now on.

    Buckets that are there stay where they are.
    """
    with told_in_one_line():
        location = Location.get_by_name(name)
        if location is None:
            raise ValueError(f"Location {name} not found.")
        _make_default(location)
        db.session.commit()
        click.echo(f"Location {location.name} {location.uri} set as default ({location.default})")


def _make_default(location: Location) -> None:
    for other in Location.all():
        other.default = False
    location.default = True


def _described(location: Location) -> str:
    return f"{location.name} {location.uri} as default {location.default}"
