"""The arguments that several commands have: their types, their messages, and what a shell completes them with."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem
from flask.cli import ScriptInfo

from ..models import Bucket, Location
from ..services.reading import list_objects

_MOST_COMPLETIONS = 100
"""Number of values that a shell is given to choose from."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_UNITS = {unit: 1024**power for power, unit in enumerate(["", "k", "m", "g", "t", "p"])}


def _completed(
    complete: Callable[[click.Context, str], Iterator[CompletionItem]], ctx: click.Context, incomplete: str
) -> list[CompletionItem]:
    """Return completions that need the application; none if it, or its database, cannot be had."""
    try:
        info = ctx.find_object(ScriptInfo)
        if info is None:
            return []
        with info.load_app().app_context():
            return list(complete(ctx, incomplete))
    except Exception:
        # A traceback in the middle of a line that is being typed helps nobody.
        return []


class BucketType(click.ParamType):
    """Identifier of a bucket."""

    name = "bucket"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> uuid.UUID:
        """Parse the identifier."""
        try:
            return value if isinstance(value, uuid.UUID) else uuid.UUID(value.strip())
        except ValueError:
            self.fail("A bucket is given by its identifier, a UUID; 'files bucket list' lists them.", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete with the newest buckets."""

        def complete(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem]:
            for bucket in Bucket.newest(_MOST_COMPLETIONS):
                if str(bucket.id).startswith(incomplete):
                    yield CompletionItem(str(bucket.id), help=f"in {bucket.location.name}")

        return _completed(complete, ctx, incomplete)


class LocationType(click.ParamType):
    """Name of a location."""

    name = "location"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete with the names of the locations."""

        def complete(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem]:
            for location in Location.all():
                if location.name.startswith(incomplete):
                    yield CompletionItem(location.name, help=location.uri)

        return _completed(complete, ctx, incomplete)


class TextType(click.ParamType):
    """Text that the database can store."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse text that is empty or not UTF-8."""
        if not value:
            self.fail("It is empty.", param, ctx)
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail("It is not text in UTF-8.", param, ctx)
        return str(value)


class KeyType(TextType):
    """Key of an object."""

    name = "key"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete with the keys of the bucket that is given, up to the next slash."""

        def complete(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem]:
            for one in list_objects(ctx.params["bucket"], _MOST_COMPLETIONS, prefix=incomplete, delimiter="/"):
                yield CompletionItem(one if isinstance(one, str) else one.key)

        return _completed(complete, ctx, incomplete)


class TagType(TextType):
    """A tag: ``KEY=VALUE``."""

    name = "tag"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split at the first equals sign."""
        if isinstance(value, tuple):
            return value
        key, equals, text = super().convert(value, param, ctx).partition("=")
        if not equals:
            self.fail("A tag is given as KEY=VALUE.", param, ctx)
        return key, text


class SizeType(click.ParamType):
    """A number of bytes, with or without a unit."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number of bytes; ``"none"`` for no limit."""
        if isinstance(value, int) or value == "none":
            return value
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            self.fail("A size is a number of bytes, or one with K, M, G, T or P as in 10G, or none.", param, ctx)
        number, unit = match[1], _UNITS[match[2].lower()]
        return int(number) * unit if number.isdigit() else int(float(number) * unit)


BUCKET, KEY, LOCATION, SIZE, TAG, TEXT = BucketType(), KeyType(), LocationType(), SizeType(), TagType(), TextType()


def tags_of(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return tags as a dictionary.

    :param pairs: Keys and values.
    :raises click.UsageError: If a key is given twice.
    """
    tags = dict(pairs)
    if len(tags) < len(pairs):
        raise click.UsageError("A tag is given twice.")
    return tags
