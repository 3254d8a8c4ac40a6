"""How values are shown: sizes that can be read, identifiers that fit, yes and no that differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask_admin.model.typefmt import BASE_FORMATTERS
from invenio_i18n import gettext
from markupsafe import Markup

from ..http.languages import moment_in_words, size_in_words

Formatter = Callable[[Any, Any, Any, str], Any]
"""What shows the value of a column: of a view, a context of Jinja, a row, and the name of the column."""


def attribute(row: Any, name: str) -> Any:
    """Return what a column has: an attribute of the row, or of what it refers to; ``None`` where that is not there.

    :param row: The row.
    :param name: Name of the column, with a dot where it is that of another table.
    """
    for part in name.split("."):
        row = getattr(row, part, None)
    return row


def badge(text: str, kind: str) -> Markup:
    """Show a word in a colour.

    :param text: The word.
    :param kind: ``success``, ``warning``, ``danger`` or ``default``.
    """
    return Markup('<span class="label label-{}">{}</span>').format(kind, text)


def link(url: str | None, text: Any, title: str | None = None) -> Markup:
    """Show a link; the text alone where it leads nowhere.

    :param url: Where it leads.
    :param text: Its text.
    :param title: What to show of it besides.
    """
    shown = Markup('<span title="{}">{}</span>').format(title, text) if title else Markup.escape(text)
    return shown if url is None else Markup('<a href="{}">{}</a>').format(url, shown)


def size(view: Any, context: Any, row: Any, name: str) -> Any:
    """Show a number of bytes, in units of 1024 and as it is."""
    value = attribute(row, name)
    if value is None:
        return ""
    return Markup('<span class="size" title="{1} B">{0}</span>').format(size_in_words(value), value)


def exact_size(view: Any, context: Any, row: Any, name: str) -> Any:
    """Show a number of bytes in both ways, side by side."""
    value = attribute(row, name)
    if value is None:
        return ""
    return f"{size_in_words(value)} ({value} B)"


def short(text: Any) -> Markup:
    """Show the beginning of an identifier, and the whole of it where one points."""
    text = str(text)
    return Markup('<code title="{}">{}</code>').format(text, text[:8] + "…")


def identifier(view: Any, context: Any, row: Any, name: str) -> Any:
    """Show an identifier that leads to the details of its row."""
    return link(view.get_url(".details_view", id=view.get_pk_value(row)), short(attribute(row, name)))


def to_details(model: Any, name: str, shown: Callable[[Any], Any] = short) -> Formatter:
    """Make what shows the identifier of another row, which leads to its details.

    :param model: Model of the other row.
    :param name: Attribute that has its identifier.
    :param shown: What shows the identifier.
    """

    def show(view: Any, context: Any, row: Any, column: str) -> Any:
        value = getattr(row, name)
        return "" if value is None else link(view.details_url(model, value), shown(value))

    return show


def checksum(view: Any, context: Any, row: Any, name: str) -> Any:
    """Show an algorithm, and the beginning of a checksum."""
    value = attribute(row, name)
    if not value:
        return ""
    algorithm, _, digest = value.partition(":")
    return Markup('<code title="{}">{}:{}…</code>').format(value, algorithm, digest[:8])


def path(view: Any, context: Any, row: Any, name: str) -> Any:
    """Show a text that may be cut anywhere."""
    return Markup('<span class="path">{}</span>').format(attribute(row, name) or "")


def yes_or_no(view: Any, value: bool, name: str) -> Markup:
    """Show whether something is so."""
    return badge(gettext("yes"), "success") if value else badge(gettext("no"), "default")


def moment(view: Any, value: datetime, name: str) -> Markup:
    """Show a time, in UTC."""
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(value.isoformat(), moment_in_words(value))


TYPES = {**BASE_FORMATTERS, bool: yes_or_no, datetime: moment}
"""How values of a type are shown."""
