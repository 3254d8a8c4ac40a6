"""The directive ``openapi-reference``: what the API describes of itself, as a page.

sphinxcontrib-openapi reads a file, which somebody would have to make before; this comes from the application.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def document() -> dict[str, Any]:
    """Return the description of the API, of an application that has nothing else."""
    from flask import Flask

    from invenio_files_rest import InvenioFilesREST
    from invenio_files_rest.http.openapi.document import make_document
    from invenio_files_rest.views import blueprint
    from invenio_files_rest.views.openapi import described

    app = Flask("docs")
    InvenioFilesREST(app)
    app.register_blueprint(blueprint)
    return make_document(app, described())


def _rst(text: str) -> str:
    return text.replace("`", "``")


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"``{value}``" for value in schema["enum"])
    kinds = schema.get("type", "any")
    text = kinds if isinstance(kinds, str) else " or ".join(kinds)
    text = schema.get("format", text)
    if "items" in schema:
        text += f" of {_schema(schema['items'])}"
    if "minimum" in schema and "maximum" in schema:
        text += f", {schema['minimum']} to {schema['maximum']}"
    return text


def _schema(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f":ref:`{name} <openapi-{name.lower()}>`"
    if "anyOf" in schema:
        return ", or ".join(_schema(one) for one in schema["anyOf"])
    if "properties" in schema:
        return "object with " + ", ".join(f"``{name}``" for name in schema["properties"])
    return _type(schema)


def _content(content: dict[str, Any]) -> str:
    return "; ".join(
        f"``{kind}``" + (f": {_schema(about['schema'])}" if about.get("schema") else "")
        for kind, about in content.items()
    )


class Reference:
    """The text of the page.

    :param found: The description.
    """

    def __init__(self, found: dict[str, Any]) -> None:
        """Keep it."""
        self.found = found

    def lines(self) -> Iterator[str]:
        """Return its lines."""
        # What is for operators, and the description itself, follow.
        found = sorted(self.found["paths"].items(), key=lambda one: one[0].endswith(("/metrics", "/openapi.json")))
        for path, item in found:
            for method, operation in item.items():
                if method != "parameters":
                    yield from self._operation(path, method, operation)
        yield from self._titled("Schemas", "-")
        for name, schema in self.found["components"]["schemas"].items():
            yield from (f".. _openapi-{name.lower()}:", "")
            yield from self._titled(name, "^")
            needed = schema.get("required", ())
            for member, about in schema["properties"].items():
                yield f"- ``{member}``: {_schema(about)}{'' if member in needed else '; may be missing'}"
            yield ""

    @staticmethod
    def _titled(title: str, line: str) -> Iterator[str]:
        yield from (title, line * len(title), "")

    def _operation(self, path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
        yield from self._titled(f"{method.upper()} {path}", "-")
        yield from (_rst(operation["summary"]), "")
        yield from (_rst(operation.get("description", "")), "")
        for kind, title in (("query", "Arguments"), ("header", "Headers")):
            parameters = [one for one in operation["parameters"] if one["in"] == kind]
            if parameters:
                yield from (f"{title}:", "")
                for one in parameters:
                    yield f"- ``{one['name']}`` ({_type(one['schema'])}): {_rst(one['description'])}"
                yield ""
        if body := operation.get("requestBody"):
            yield from (f"Body: {_content(body['content'])}", "")
        yield from ("Answers:", "")
        for status, answer in operation["responses"].items():
            if "$ref" in answer:
                answer = self.found["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            shown = f" {_content(answer['content'])}" if "content" in answer else ""
            yield f"- {status}: {_rst(answer['description'])}{shown}"
        yield ""


class OpenAPIReference(SphinxDirective):
    """Shows the description of the API."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        lines = StringList(list(Reference(document()).lines()), "openapi")
        node = nodes.section()
        self.state.memo.title_styles, styles = [], self.state.memo.title_styles
        node.document = self.state.document
        self.state.nested_parse(lines, 0, node, match_titles=True)
        self.state.memo.title_styles = styles
        return node.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("openapi-reference", OpenAPIReference)
    return {"parallel_read_safe": True}
