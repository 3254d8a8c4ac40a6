"""What the package tells the applications that install it."""

from __future__ import annotations

from importlib.metadata import EntryPoint, distribution
from importlib.resources import files

import pytest

import invenio_files_rest
from invenio_files_rest import permissions

DISTRIBUTION = distribution("invenio-files-rest")
ACTIONS = [name for name in dir(permissions) if name.endswith("_all")]


def test_version_is_the_same_inside_and_outside():
    assert DISTRIBUTION.version == invenio_files_rest.__version__


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
        "invenio_celery.tasks",
        "invenio_db.alembic",
        "invenio_db.models",
        "invenio_i18n.translations",
    }


@pytest.mark.parametrize("entry_point", DISTRIBUTION.entry_points, ids=lambda e: f"{e.group}-{e.name}")
def test_every_entry_point_leads_somewhere(entry_point: EntryPoint):
    if entry_point.group == "invenio_db.alembic":
        # Names a folder of the package.
        assert list(files(entry_point.module).joinpath(entry_point.attr).glob("*.py"))
    else:
        assert entry_point.load() is not None
