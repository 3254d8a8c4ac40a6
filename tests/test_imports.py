"""Imports go one way: from what talks to people down to what keeps bytes and rows, and never in a circle.

The rooms and their order stand in :data:`FLOORS`. Names that are imported for types alone do not count.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "invenio_files_rest"
ROOT = Path(__file__).parents[1] / PACKAGE

FLOORS = (
    # What everybody may know, and what knows nobody.
    (
        *("checksums", "errors", "filetypes", "instrumentation", "keys", "limiters", "messages", "paths", "proxies"),
        *("signals", "utils"),
    ),
    # Two rooms that do not know each other: bytes, and rows.
    ("models", "storage"),
    ("services",),
    # Who may do what, whoever asks.
    ("permissions",),
    ("http",),
    ("archives",),
    # What listens to all below it, and that nobody asks.
    ("telemetry",),
    ("tus",),
    ("cli", "tasks", "views"),
    ("admin", "pages", "shares", "testing"),
    # What puts the parts together, and the documented names of what lies elsewhere.
    ("app", "config", "ext", "formparser", "helpers", "scopes", "serializer", "wrappers", ""),
)

STRANGERS = {
    ("admin", "pages"),
    ("cli", "http"),
    ("cli", "tasks"),
    ("models", "storage"),
    ("pages", "admin"),
    ("pages", "shares"),
    ("pages", "tasks"),
    ("shares", "admin"),
    ("shares", "pages"),
    ("shares", "tasks"),
    ("storage", "models"),
    ("tus", "telemetry"),
    ("tasks", "cli"),
    ("cli", "telemetry"),
    ("cli", "tus"),
    ("tasks", "http"),
    ("tasks", "telemetry"),
    ("tasks", "tus"),
    ("tasks", "views"),
    ("views", "cli"),
    ("views", "tasks"),
}
"""Rooms of which the first does not ask the second, though it is on the same floor or below."""

EXCEPTIONS = {("storage.base", "http.file_response"), ("views", "tasks")}
"""Modules that import what they should not, with what they import. It may only shrink."""


def modules() -> dict[str, Path]:
    """Return the modules of the package, by their names in it."""
    found = {}
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        if not name.startswith("alembic."):
            found[name.removesuffix("__init__").removesuffix(".")] = path
    return found


def _statements(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from _statements(child)


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of the package that a module imports, wherever in it."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for statement in _statements(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            targets = [alias.name for alias in statement.names]
        else:
            above = [PACKAGE, *filter(None, package.split("."))]
            above = above[: len(above) - statement.level + 1] if statement.level else []
            base = ".".join([*above, *filter(None, [statement.module])])
            targets = [f"{base}.{alias.name}" for alias in statement.names]
            targets = [t if t.removeprefix(f"{PACKAGE}.") in known else base for t in targets]
        for target in targets:
            if target == PACKAGE or target.startswith(f"{PACKAGE}."):
                found.add(target[len(PACKAGE) + 1 :])
    return found - {name}


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: imports(name, path, known) for name, path in known.items()}


def room(name: str) -> str:
    return name.partition(".")[0]


def floor(name: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room(name) in rooms:
            return number
    raise AssertionError(f"{name} is in no room: add it to FLOORS")


def test_imports_go_one_way(graph: dict[str, set[str]]) -> None:
    wrong = {
        (name, target)
        for name, targets in graph.items()
        for target in targets
        if floor(target) > floor(name) or (room(name), room(target)) in STRANGERS
    }
    assert wrong == EXCEPTIONS


def test_statements_are_made_in_models_alone() -> None:
    """What other rooms know of the database are its errors, and queries that models have made."""
    wrong = set()
    for name, path in modules().items():
        if room(name) not in ("models", "admin"):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                    wrong |= {(name, node.module)} - {(name, "sqlalchemy.exc")}
                elif isinstance(node, ast.Attribute) and node.attr in ("query", "execute", "scalar", "scalars"):
                    wrong.add((name, ast.unparse(node)))
    assert not wrong


def test_no_module_imports_itself_through_others(graph: dict[str, set[str]]) -> None:
    circles = set()

    def reachable(name: str) -> set[str]:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            for target in graph[waiting.pop()] - seen:
                seen.add(target)
                waiting.append(target)
        return seen

    for name in graph:
        if name in reachable(name):
            circles.add(name)
    assert not circles


@pytest.mark.parametrize("module", ["storage", "checksums"])
def test_bytes_need_neither_database_nor_tasks(module: str) -> None:
    code = f"import sys, {PACKAGE}.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "celery", "invenio_db"} & set(loaded)
    own = {name.removeprefix(f"{PACKAGE}.") for name in loaded if name.startswith(PACKAGE + ".")}
    assert {room(name) for name in own} <= {
        *("checksums", "errors", "limiters", "messages", "paths", "proxies", "storage", "utils"),
    }


def test_storage_knows_the_configuration_in_its_factory_alone() -> None:
    for name, path in modules().items():
        if not name.startswith("storage"):
            continue
        tree = ast.parse(path.read_text())
        factories = {node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        asked = {
            function.name
            for function in factories
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and node.id == "current_app"
        }
        assert asked <= {"pyfs_storage_factory", "_in_object_store"}, name
