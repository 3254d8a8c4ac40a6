"""The reference lacks nothing: what the code has is on its pages, and what they list is in the code."""

from __future__ import annotations

import ast
import inspect
import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from blinker import NamedSignal
from celery import Task
from helpers.pages import DOCS

import invenio_files_rest.tasks
from invenio_files_rest import config, permissions, signals

REFERENCE = DOCS / "reference"
UNITS = r"\b(bytes|characters|connections|days|how many|length|number|rate|seconds|share|size|time|times)\b"


def settings_with_docstrings() -> dict[str, str]:
    """Return the settings of the module, each with the text that follows it."""
    body = ast.parse(Path(config.__file__).read_text()).body
    found = {node.name: ast.get_docstring(node) or "" for node in body if isinstance(node, ast.FunctionDef)}
    for assigned, after in pairwise(body):
        targets = getattr(assigned, "targets", None) or [getattr(assigned, "target", None)]
        for name in (target.id for target in targets if isinstance(target, ast.Name) and target.id.isupper()):
            text = after.value if isinstance(after, ast.Expr) else None
            found[name] = str(text.value) if isinstance(text, ast.Constant) else ""
    return found


def test_every_setting_says_what_it_does_and_in_which_unit() -> None:
    described = settings_with_docstrings()
    assert set(described) == {name for name in vars(config) if name.isupper() and name != "TYPE_CHECKING"}
    assert len(described) > 50
    for name, text in described.items():
        assert len(text) > 20, name
        default = getattr(config, name)
        if isinstance(default, (int, float, timedelta)) and not isinstance(default, bool):
            assert re.search(UNITS, text, re.IGNORECASE), f"{name}: of what?"
    # The page has all of them, for it is made of the module.
    assert ".. automodule:: invenio_files_rest.config" in (REFERENCE / "configuration.rst").read_text()


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading; what is continued in a line below is put together."""
    text = (REFERENCE / f"{page}.rst").read_text().split(f"\n{heading}\n{'-' * len(heading)}\n", 1)[1]
    border = re.search(r"^=+( =+)+$", text, re.MULTILINE)
    assert border
    ends = [match.end() for match in re.finditer("=+", border[0])]
    body = text[border.start() :].split(border[0])[2].strip("\n").splitlines()
    found: list[list[str]] = []
    for line in body:
        starts = [0, *(end + 1 for end in ends[:-1])]
        cells = [
            line[start:start_of_next].strip() for start, start_of_next in zip(starts, [*starts[1:], None], strict=True)
        ]
        if cells[0]:
            found.append(cells)
        else:
            found[-1] = [" ".join(filter(None, pair)) for pair in zip(found[-1], cells, strict=True)]
    return found


def name_of(cell: str) -> str:
    """Return the name that a cell refers to."""
    found = re.search(r"[\w.]+\.(\w+)`", cell)
    assert found, cell
    return found[1]


def test_every_signal_is_listed() -> None:
    there = {name for name, value in vars(signals).items() if isinstance(value, NamedSignal)}
    assert {name_of(signal) for signal, *_ in rows("events", "Signals")} == there


def test_every_task_is_listed_with_its_arguments() -> None:
    there = {
        name: list(inspect.signature(getattr(invenio_files_rest.tasks, name).run).parameters)
        for name in invenio_files_rest.tasks.__all__
        if isinstance(getattr(invenio_files_rest.tasks, name), Task)
    }
    listed = {name_of(task): re.findall(r"\w+", arguments) for task, arguments, _ in rows("events", "Tasks")}
    assert listed == {name: arguments or ["none"] for name, arguments in there.items()}


def test_every_action_is_listed() -> None:
    page = (REFERENCE / "access.rst").read_text()
    actions = set(re.findall(r'"(files-rest-[\w-]+[a-z])"', Path(permissions.__file__).read_text()))
    assert len(actions) == 11
    for action in actions:
        assert re.search(rf"^{action} ", page, re.MULTILINE), action


@pytest.mark.parametrize("command", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_the_table_of_requests_has_every_method_of_buckets_and_objects(command: str) -> None:
    from invenio_files_rest.views import BucketResource, LocationResource, ObjectResource

    page = (REFERENCE / "rest.rst").read_text()
    for view, path in ((LocationResource, "/files"), (BucketResource, "/files/B"), (ObjectResource, "/files/B/K")):
        if command in view.methods and command != "HEAD":
            assert re.search(rf"^``(\w+``, ``)*{command}(``, ``\w+)* {path}\b(?!/)", page, re.MULTILINE), (
                command,
                path,
            )
