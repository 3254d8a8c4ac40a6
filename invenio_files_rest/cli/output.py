"""What commands print: tables whose columns align, details by name, JSON, and values that people can read.

Nothing is coloured. Keys and tags are what users have chosen: in tables control characters are escaped, so that they
can neither break a line nor command the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import chain, islice
from typing import Any, NamedTuple
from unicodedata import category, east_asian_width
from uuid import UUID

import click
from jinja2.filters import do_filesizeformat

json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON object per line.")
"""The option that asks for JSON."""

_LOOKED_AT = 100
"""Number of rows from which the widths of a table's columns are taken, so that a large table is not collected."""


class Column(NamedTuple):
    """A column of a table."""

    title: str
    width: int = 0
    """Smallest width; that of the title and of the first rows may be larger."""
    right: bool = False
    """Whether it is aligned to the right, as numbers are."""


def say(text: str) -> None:
    """Write a line to standard output, with what its encoding lacks escaped.

    :param text: The line.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))


def say_json(value: Mapping[str, Any]) -> None:
    """Write a JSON object on a line of its own.

    :param value: The object. Identifiers and times are written as text.
    """
    click.echo(json.dumps(value, default=_as_text))


def _as_text(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON.")


def table(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table row by row; nothing if there are no rows. The last column is as long as it needs to be.

    :param columns: The columns. The last one should be that of unbounded texts.
    :param rows: The rows, of texts.
    """
    waiting = iter(rows)
    first = [[_cell(value) for value in row] for row in islice(waiting, _LOOKED_AT)]
    if not first:
        return
    titles = [column.title for column in columns]
    widths = [
        max(column.width, *(_width(row[number]) for row in (titles, *first))) for number, column in enumerate(columns)
    ]
    for row in chain([titles], first, ([_cell(value) for value in row] for row in waiting)):
        say("  ".join(_aligned(row, columns, widths)).rstrip())


def _aligned(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> Iterator[str]:
    for text, column, width in zip(row, columns, widths, strict=True):
        blank = " " * (width - _width(text))
        yield blank + text if column.right else text + blank


def details(fields: Mapping[str, Any]) -> None:
    """Write names and values, one in a line.

    :param fields: The values by their names.
    """
    width = max(map(len, fields))
    for name, value in fields.items():
        say(f"{name + ':':{width + 1}} {_cell(value)}".rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = str(value)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if category(one) in ("Mn", "Me") else 2 if east_asian_width(one) in ("W", "F") else 1 for one in text)


def size(value: int | None) -> str:
    """Write a number of bytes in units of 1024.

    :param value: The number; ``None`` if there is none.
    """
    return "-" if value is None else do_filesizeformat(value, binary=True).replace("Bytes", "B").replace("Byte", "B")


def exact_size(value: int | None, absent: str = "-") -> str:
    """Write a number of bytes in units of 1024 and as it is.

    :param value: The number; ``None`` if there is none.
    :param absent: What to write then.
    """
    if value is None:
        return absent
    return f"{value} B" if value < 1024 else f"{size(value)} ({value} B)"


def tags_in_words(tags: Mapping[str, str]) -> str | None:
    """Write tags.

    :param tags: The tags.
    """
    return ", ".join(f"{key}={value}" for key, value in sorted(tags.items())) or None


def say_tags(tags: Mapping[str, str], as_json: bool) -> None:
    """Write tags as a table, or as one JSON object.

    :param tags: The tags.
    :param as_json: Whether to write JSON.
    """
    if as_json:
        say_json(tags)
    else:
        table([Column("TAG"), Column("VALUE")], sorted(tags.items()))
