"""What the package tells the applications that install it."""

from __future__ import annotations

import ast
import re
import sys
from configparser import ConfigParser
from importlib.metadata import EntryPoint, distribution
from importlib.resources import files
from pathlib import Path

import pytest

import invenio_files_rest
from invenio_files_rest import permissions

DISTRIBUTION = distribution("invenio-files-rest")
ROOT = Path(__file__).parents[1]
ACTIONS = [name for name in dir(permissions) if name.endswith("_all")]


def test_version_is_the_same_inside_and_outside():
    assert DISTRIBUTION.version == invenio_files_rest.__version__


@pytest.mark.parametrize("folder", [".", "invenio-records-files"])
def test_the_changes_begin_with_the_version_of_the_package_and_go_back_from_it(folder: str):
    (package,) = (ROOT / folder).glob("invenio_*/__init__.py")
    (version,) = re.findall(r'^__version__ = "(.+)"$', package.read_text(), re.MULTILINE)
    head, _, changes = (ROOT / folder / "CHANGES.rst").read_text().partition("\n\n")
    assert head == "Changes\n======="
    titles = re.findall(r"^(.+)\n(-{3,})$", changes, re.MULTILINE)
    assert all(re.fullmatch(r"Version \d+\.\d+\.\d+", title) and len(title) == len(line) for title, line in titles)
    versions = [title.removeprefix("Version ") for title, _ in titles]
    assert versions[0] == version
    assert versions == sorted({*versions}, key=lambda v: tuple(map(int, v.split("."))), reverse=True)
    # An underline is no entry.
    entries = [line for line in changes.splitlines() if line.startswith(("-", "*")) and line.strip("-")]
    assert entries
    assert all(re.match(r"- [^\s]", entry) for entry in entries)


def test_every_action_is_registered():
    registered = {e.value for e in DISTRIBUTION.entry_points if e.group == "invenio_access.actions"}
    assert len(ACTIONS) == 11
    assert registered == {f"invenio_files_rest.permissions:{name}" for name in ACTIONS}


def test_every_group_of_entry_points_is_there():
    assert {e.group for e in DISTRIBUTION.entry_points} == {
        "invenio_access.actions",
        "invenio_admin.views",
        "invenio_base.api_apps",
        "invenio_base.api_blueprints",
        "invenio_base.apps",
        "invenio_base.blueprints",
        "invenio_celery.tasks",
        "invenio_db.alembic",
        "invenio_db.models",
        "invenio_i18n.translations",
        "invenio_oauth2server.scopes",
    }


@pytest.mark.parametrize("entry_point", DISTRIBUTION.entry_points, ids=lambda e: f"{e.group}-{e.name}")
def test_every_entry_point_leads_somewhere(entry_point: EntryPoint):
    if entry_point.group == "invenio_db.alembic":
        # Names a folder of the package.
        assert list(files(entry_point.module).joinpath(entry_point.attr).glob("*.py"))
    else:
        assert entry_point.load() is not None


@pytest.fixture(scope="module")
def settings() -> ConfigParser:
    """Read what the package is built from."""
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg")
    return settings


def names(requirements: str) -> set[str]:
    """Return the names of the packages that lines require."""
    return {re.split(r"[\[<>=!~ ]", line)[0].lower() for line in requirements.split("\n") if line.strip()}


def imported(path: Path) -> set[str]:
    """Return the packages that a file imports, whether at once or later."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_what_the_code_imports_is_among_the_dependencies(settings: ConfigParser):
    # Of the extras "admin", "metrics" and "server", of a storage's tests, of the server uWSGI itself, and of type
    # checkers alone.
    optional = {"_typeshed", "flask_admin", "invenio_admin", "invenio_oauth2server", "prometheus_client", "pytest"}
    optional |= {"uwsgi", "wtforms"}
    # Of the extra "s3"; boto3 is built on botocore, and that on urllib3.
    optional |= {"boto3", "botocore", "urllib3"}
    # Flask and Flask-Babel are built on them.
    optional |= {"babel", "jinja2", "markupsafe"}
    packages = set().union(*map(imported, (ROOT / "invenio_files_rest").rglob("*.py")))
    required = map(distribution, names(settings["options"]["install_requires"]))
    provided = {file.parts[0].removesuffix(".py") for each in required for file in each.files or ()}
    assert packages - optional - {*sys.stdlib_module_names} <= provided


def test_the_base_of_the_models_is_among_the_dependencies(settings: ConfigParser):
    assert "flask-sqlalchemy" in names(settings["options"]["install_requires"])


def test_the_readme_names_every_dependency_and_every_extra(settings: ConfigParser):
    readme = (ROOT / "README.rst").read_text()
    table = readme.split("Package  ")[1].split("\nExtras: ")[0]
    rows = {name.lower() for name in re.findall(r"^([\w-]+) +\w", table, re.MULTILINE)}
    assert rows == names(settings["options"]["install_requires"])
    extras = readme.split("\nExtras: ")[1].split("\n\n")[0]
    assert {*re.findall(r"``(\w+)``", extras)} == {*settings["options.extras_require"]}


def test_all_extras_but_other_packages_are_in_the_extra_all(settings: ConfigParser):
    extras = settings["options.extras_require"]
    (line,) = extras["all"].split()
    assert set(line.partition("[")[2].rstrip("]").split(",")) == {*extras} - {"all", "ecosystem"}


def bounds(requirements: list[str]) -> dict[str, str]:
    """Return the versions that are asked for, by the name of the package in lower case, without its extras."""
    found = (re.fullmatch(r"([\w-]+)(?:\[.*\])?([<>=].*)", line.strip()) for line in requirements)
    return {match[1].lower(): match[2] for match in found if match}


def test_both_distributions_ask_for_the_same_versions(settings: ConfigParser):
    ours = bounds([line for lines in settings["options.extras_require"].values() for line in lines.splitlines()])
    ours |= bounds(settings["options"]["install_requires"].splitlines())
    theirs = bounds(re.findall(r'"(.+?)"', (ROOT / "invenio-records-files" / "pyproject.toml").read_text()))
    shared = theirs.keys() & ours
    assert len(shared) > 5
    assert {name: theirs[name] for name in shared} == {name: ours[name] for name in shared}


def test_all_promise_the_same_versions_of_python(settings: ConfigParser):
    versions = re.findall(r"Python :: (3\.\d+)$", settings["metadata"]["classifiers"], re.MULTILINE)
    assert versions == [f"3.{minor}" for minor in range(10, 10 + len(versions))]
    records_files = (ROOT / "invenio-records-files" / "pyproject.toml").read_text()
    assert re.findall(r"Python :: (3\.\d+)\"", records_files) == versions
    lowest = versions[0]
    assert settings["options"]["python_requires"] == f">={lowest}"
    assert f'requires-python = ">={lowest}"' in records_files
    tools = (ROOT / "pyproject.toml").read_text()
    assert f'target-version = "py{lowest.replace(".", "")}"' in tools
    assert f'python_version = "{lowest}"' in tools
    assert f"${{2:-{lowest}}}" in (ROOT / "run-tests.sh").read_text()
