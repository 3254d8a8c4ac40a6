"""What people read is marked to be translated, wherever the code makes it.

A place where a message is made (an error, a refusal, what a form or a column is called) takes no text that is not
marked, and none that is put together. The same holds for what functions hand on to such a place, and for templates.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import pytest
import translations
from jinja2 import Environment, nodes
from werkzeug import exceptions

MARKERS = {"_", "gettext", "lazy_gettext", "ngettext", "lazy_ngettext"}

ENGLISH = ("alembic", "cli", "testing", "http/openapi", "views/described", "telemetry/logs.py")
"""What only operators and developers read: commands, the description of the API."""

ERRORS = {name for name, value in vars(exceptions).items() if isinstance(value, type)} - {
    "HTTPException",
    "MethodNotAllowed",
}

SINKS: dict[str, tuple[set[int], set[str]]] = {
    **{name: ({0}, {"description"}) for name in ERRORS},
    "ValidationError": ({0}, {"message"}),
    "FieldError": ({1}, {"message"}),
    "field_errors": ({0}, {"messages"}),
    "FileSizeLimit": ({1}, {"reason"}),
    "abort": ({1}, {"description"}),
    "action": ({1, 2}, {"text", "confirmation"}),
    "badge": ({0}, {"text"}),
    "flash": ({0}, {"message"}),
    "jsonify": (set(), {"message"}),
}
"""Where messages are made: the positions and the names of the arguments that are texts."""

ANYWHERE = {"description", "error", "help_text"}
"""Arguments that are texts for people, of whatever function: of errors, validators and scopes."""

ATTRIBUTES = {"description", "summary"}
"""Attributes of classes that are texts for people."""

LABELS = {"label", "message", "confirm"}
"""Keys of dictionaries whose values are texts for people."""

NO_TEXT = {"Finding", "Answer", "shows", "sends", "header", "dict"}
"""Functions whose arguments of these names are none."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for project, package in translations.PACKAGES.items():
        for path in sorted(package.rglob("*.py")):
            name = path.relative_to(package).as_posix()
            if not name.startswith(ENGLISH):
                yield f"{project}: {name}", ast.parse(path.read_text())


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def is_words(text: object) -> bool:
    return isinstance(text, str) and re.search(r"[^\W\d_]{2}", text) is not None and not text.startswith("<")


class Checker:
    """Finds the texts of a module that are not marked.

    :param tree: The module.
    :param sinks: Where messages are made.
    """

    def __init__(self, tree: ast.Module, sinks: dict[str, tuple[set[int], set[str]]]) -> None:
        self.tree, self.sinks = tree, sinks
        self.constants = {
            target.id: statement.value
            for statement in tree.body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }

    def texts(self, inside: ast.AST | None = None) -> Iterator[ast.expr]:
        """Return what the module gives people to read."""
        for node in ast.walk(inside or self.tree):
            if isinstance(node, ast.Call):
                name = name_of(node.func)
                positions, keywords = self.sinks.get(name, (set(), set()))
                yield from (value for number, value in enumerate(node.args) if number in positions)
                wanted = keywords | (ANYWHERE - NO_TEXT if name not in NO_TEXT else set())
                yield from (keyword.value for keyword in node.keywords if keyword.arg in wanted)
            elif isinstance(node, ast.ClassDef):
                for statement in node.body:
                    targets = (
                        statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", 0)]
                    )
                    named = {target.id for target in targets if isinstance(target, ast.Name)}
                    if named & ATTRIBUTES and getattr(statement, "value", None) is not None:
                        yield statement.value  # type: ignore[attr-defined]
                    if named & {"column_labels", "LABELS"} and isinstance(statement.value, ast.Dict):  # type: ignore[attr-defined]
                        yield from statement.value.values  # type: ignore[attr-defined]
            elif isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value in LABELS:
                        yield value

    def unmarked(self, text: ast.expr) -> Iterator[ast.expr]:
        """Find what of a text is not marked, or put together."""
        if isinstance(text, ast.Constant):
            if is_words(text.value):
                yield text
        elif isinstance(text, ast.JoinedStr | ast.BinOp):
            if not isinstance(text, ast.BinOp) or isinstance(text.op, ast.Add | ast.Mod):
                yield text
        elif isinstance(text, ast.IfExp):
            yield from (*self.unmarked(text.body), *self.unmarked(text.orelse))
        elif isinstance(text, ast.BoolOp):
            for value in text.values:
                yield from self.unmarked(value)
        elif isinstance(text, ast.List | ast.Tuple):
            for value in text.elts:
                yield from self.unmarked(value)
        elif isinstance(text, ast.Name) and text.id in self.constants:
            yield from self.unmarked(self.constants[text.id])
        elif isinstance(text, ast.Call) and name_of(text.func) in ("format", "join", "str"):
            yield from self.unmarked(text.func.value if isinstance(text.func, ast.Attribute) else text.args[0])

    def badly_marked(self) -> Iterator[ast.expr]:
        """Find marked texts that cannot be extracted, or have placeholders without names."""
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Call) or name_of(node.func) not in MARKERS:
                continue
            for text in node.args[: 2 if "ngettext" in name_of(node.func) else 1]:
                is_plain = isinstance(text, ast.Constant) and isinstance(text.value, str)
                if not is_plain or (node.keywords and re.search(r"%(?!\(\w+\)[sr]|%)", text.value)):  # type: ignore[attr-defined]
                    yield text

    def sent_on(self) -> dict[str, tuple[set[int], set[str]]]:
        """Return the functions of the module that hand their arguments on to where messages are made."""
        found: dict[str, tuple[set[int], set[str]]] = {}
        for function in ast.walk(self.tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            names = [argument.arg for argument in function.args.args]
            handed = {
                node.id for text in self.texts(function) for node in ast.walk(text) if isinstance(node, ast.Name)
            } & set(names)
            if handed and function.name.startswith(("_refuse", "refuse")):
                methods = names[:1] in (["self"], ["cls"])
                found[function.name] = ({names.index(name) - methods for name in handed}, handed)
        return found


def findings(trees: dict[str, ast.Module]) -> list[str]:
    sinks = dict(SINKS)
    for tree in trees.values():
        sinks |= Checker(tree, sinks).sent_on()
    wrong = []
    for name, tree in trees.items():
        checker = Checker(tree, sinks)
        bad = list(dict.fromkeys(found for text in checker.texts() for found in checker.unmarked(text)))
        bad += checker.badly_marked() if not name.endswith(": messages.py") else []
        wrong += [f"{name}, line {node.lineno}: {ast.unparse(node)[:80]}" for node in bad]
    return wrong


def test_what_people_read_is_marked_to_be_translated() -> None:
    assert findings(dict(modules())) == []


@pytest.mark.parametrize(
    "code",
    [
        'abort(400, description="It is wrong.")',
        'raise FilesException(description=f"{name} is wrong.")',
        'class Wrong(FilesException):\n    description = "It is wrong."',
        'REASON = "It is wrong."\nabort(400, description=REASON)',
        'flash("It is stored.")',
        'flash(_("It is stored: ") + name)',
        'raise ValidationError("It is wrong.")',
        'raise Forbidden("It is wrong.")',
        'def refuse_it(why):\n    abort(400, description=why)\nrefuse_it("It is wrong.")',
        'flash(_(f"{name} is stored."))',
        'flash(_("%s is stored.", name=name))',
        'FileSizeLimit(5, "It is too large.")',
        'abort(400, description=_("It is wrong.") if wrong else "It is odd.")',
        'abort(400, description="{} is wrong.".format(name))',
        '{"label": "Quota"}',
    ],
)
def test_a_text_that_is_not_marked_is_noticed(code: str) -> None:
    assert len(findings({"new.py": ast.parse(code)})) == 1


@pytest.mark.parametrize(
    "code",
    [
        'abort(400, description=_("%(name)s is wrong.", name=name))',
        "abort(400, description=error.description)",
        'flash(lazy_ngettext("%(num)s file", "%(num)s files", count))',
        'LOCKED = _("It is locked.")\nabort(403, description=LOCKED)',
    ],
)
def test_a_text_that_is_marked_is_none(code: str) -> None:
    assert findings({"new.py": ast.parse(code)}) == []


READ_ALOUD = {"alt", "aria-label", "placeholder", "title", "data-label", "data-confirm"}
"""Attributes of HTML that people read, or hear."""

AS_IT_IS = {"UTC", "REST", "API", "ID"}


class Words(HTMLParser):
    """Collects the words of a page that stand in the template itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        self.found += [value for name, value in attrs if name in READ_ALOUD and is_words(value)]  # type: ignore[misc]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if is_words(data) and not {"style", "script"} & set(self._open) and data.strip() not in AS_IT_IS:
            self.found.append(data.strip())


def literals(node: nodes.Node) -> Iterator[str]:
    """Find the texts that an expression of a template shows as they stand there."""
    if isinstance(node, nodes.Const):
        if is_words(node.value):
            yield node.value
    elif isinstance(node, nodes.CondExpr):
        for one in (node.expr1, node.expr2):
            yield from literals(one) if one is not None else ()
    elif isinstance(node, nodes.Or | nodes.And | nodes.Concat | nodes.Add):
        for one in node.iter_child_nodes():
            yield from literals(one)


def words_of(source: str) -> list[str]:
    """Return the words of a template that are not marked."""
    environment = Environment(extensions=["jinja2.ext.i18n"])
    source = re.sub(r"{%-?\s*trans\b.*?endtrans\s*-?%}|{#.*?#}", "", source, flags=re.S)
    parser = Words()
    parser.feed(re.sub(r"{{.*?}}|{%.*?%}", "", source, flags=re.S))
    found = parser.found
    # Other attributes are for the browser.
    attributes = rf'\b(?!(?:{"|".join(READ_ALOUD)})=)[\w-]+="[^"]*"'
    shown = re.sub(rf"({{{{.*?}}}})|{attributes}", lambda found: found[1] or "", source, flags=re.S)
    shown = re.sub(r"<(?:style|script)\b.*?</(?:style|script)>", "", shown, flags=re.S)
    for output in environment.parse(shown).find_all(nodes.Output):
        for node in output.nodes:
            found += literals(node)
    return found


def templates() -> list[Path]:
    return [path for package in translations.PACKAGES.values() for path in sorted(package.rglob("templates/**/*.html"))]


@pytest.mark.parametrize("path", templates(), ids=lambda path: "/".join(path.parts[-2:]))
def test_a_template_has_no_words_but_marked_ones(path: Path) -> None:
    assert words_of(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "<p>Stored.</p>",
        '<button title="Delete"></button>',
        '<p>{{ name or "Files" }}</p>',
        "<title>{% block title %}Files{% endblock %}</title>",
    ],
)
def test_words_of_a_template_that_are_not_marked_are_noticed(source: str) -> None:
    assert len(words_of(source)) == 1


@pytest.mark.parametrize("project", translations.PACKAGES)
def test_no_message_of_one_language_is_in_another(project: str) -> None:
    spoken = [
        {message.id: message.string for message in translations.translation(project, language) if message.id}
        for language in translations.languages(project)
    ]
    for one, other in combinations(spoken, 2):
        # What is the same in English is a name, or a unit.
        alike = {said for text, said in one.items() if said == other[text] and said != text and isinstance(said, str)}
        assert alike - {"Ni true ni false."} == set()


def test_a_message_that_is_not_translated_yet_is_told() -> None:
    project = next(iter(translations.PACKAGES))
    catalogue = translations.translation(project, "de")
    catalogue.add("It is new.")
    assert translations.is_compiled(translations.catalogue_path(project, "de").with_suffix(".mo"), catalogue)
    assert [(message.id, wrong) for message, wrong in translations.incomplete(catalogue)] == [
        ("It is new.", "not translated")
    ]
