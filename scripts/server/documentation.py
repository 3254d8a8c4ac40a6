"""The documentation of this checkout, below ``/documentation/``: its text, which needs no Sphinx."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import join
from typing import Any

from flask import Blueprint, Flask, abort, render_template_string, url_for
from markupsafe import Markup, escape

DOCS = Path(__file__).parents[2] / "docs"

TEMPLATE = """
{% extends "invenio_files_rest/pages/base.html" %}
{% block title %}{{ title }}{% endblock %}
{% block content %}
{% if text is defined %}
<p><a href="{{ url_for('documentation.contents') }}">Documentation</a></p>
<pre>{{ text }}</pre>
{% else %}
<h1>Documentation</h1>
<ul>{% for url, name in pages %}<li><a href="{{ url }}">{{ name }}</a></li>{% endfor %}</ul>
{% endif %}
{% endblock %}
"""

blueprint = Blueprint("documentation", __name__, url_prefix="/documentation")


def pages() -> dict[str, str]:
    """Return the texts of all pages, by their names, in the order of the table of contents.

    A page begins with its title; another one is made of files elsewhere.
    """
    names = re.findall(r"^   ([\w/-]+)$", (DOCS / "index.rst").read_text(), re.MULTILINE)
    found = {name: path.read_text() for name in names if (path := DOCS / f"{name}.rst").is_file()}
    return {name: text for name, text in found.items() if not text.startswith("..")}


def title_of(text: str) -> str:
    """Return the title of a page."""
    return text.partition("\n")[0]


@blueprint.get("/")
def contents() -> str:
    """List the pages."""
    found = [(url_for(".page", name=name), title_of(text)) for name, text in pages().items()]
    return render_template_string(TEMPLATE, title="Documentation", pages=found)


@blueprint.get("/<path:name>")
def page(name: str) -> str:
    """Show a page, whose references to others are links."""
    found = pages()
    if name not in found:
        abort(404)

    def link(reference: re.Match[str]) -> str:
        text, target = reference[1] or reference[2], join("/", name.rpartition("/")[0], reference[2])[1:]
        return f'<a href="{url_for(".page", name=target)}">{text}</a>' if target in found else reference[0]

    text = re.sub(r":doc:`(?:([^`]+) &lt;)?([\w/-]+)(?:&gt;)?`", link, str(escape(found[name])))
    return render_template_string(TEMPLATE, title=title_of(found[name]), text=Markup(text))


def add_documentation(sender: Any, app: Flask) -> None:
    """Add the pages to an application that has been created, if it has others that link to them."""
    if app.config["FILES_REST_PAGES_ENABLED"] and "invenio_files_rest_pages" in app.blueprints:
        app.register_blueprint(blueprint)
