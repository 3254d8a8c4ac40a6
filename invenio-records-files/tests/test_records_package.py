"""What the package tells the applications that install it, and the names that are documented."""

from __future__ import annotations

import importlib
import inspect
import re
from importlib.metadata import EntryPoint, distribution
from importlib.resources import files
from pathlib import Path

import pytest
from flask import Flask

import invenio_records_files
from invenio_records_files import InvenioRecordsFiles

DISTRIBUTION = distribution("invenio-records-files")

DOCUMENTED = {
    "api.FileObject": "obj data",
    "api.FileObject.dumps": "",
    "api.FileObject.get": "key default",
    "api.FileObject.get_version": "version_id",
    "api.FilesIterator": "record bucket file_cls",
    "api.FilesIterator.dumps": "bucket",
    "api.FilesIterator.flush": "",
    "api.FilesIterator.next": "",
    "api.FilesIterator.rename": "old_key new_key",
    "api.FilesIterator.sort_by": "ids",
    "api.Record.create": "data id_ with_bucket kwargs",
    "api.Record.create_bucket": "data",
    "api.Record.delete": "force",
    "api.Record.dump_bucket": "data bucket",
    "api.Record.load_bucket": "record",
    "models.RecordsBuckets.create": "record bucket",
    "api._writable": "method",
    "utils.file_download_ui": "pid record _record_file_factory kwargs",
    "utils.record_file_factory": "pid record filename",
    "utils.sorted_files_from_bucket": "bucket keys",
}
ATTRIBUTES = {
    "api.FilesIterator": "filesmap keys",
    "api.FilesMixin": "file_cls files files_iter_cls",
    "api.Record": "bucket bucket_id",
    "api.ObjectVersion": "key",
    "models.RecordsBuckets": "bucket bucket_id record record_id",
    "serializer": "RecordBucketSchema RecordObjectVersionSchema serializer_mapping",
}


def find(name: str) -> object:
    module, *path = name.split(".")
    found = importlib.import_module(f"invenio_records_files.{module}")
    for part in path:
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_names_take_the_documented_parameters(name: str):
    parameters = [parameter for parameter in inspect.signature(find(name)).parameters if parameter != "self"]
    assert parameters == DOCUMENTED[name].split()


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_documented_attributes_are_there(name: str):
    assert set(ATTRIBUTES[name].split()) <= set(dir(find(name)))


def test_version_is_the_same_inside_and_outside():
    assert DISTRIBUTION.version == invenio_records_files.__version__ == "4.1.0"


def test_every_group_of_entry_points_is_there():
    assert {e.group for e in DISTRIBUTION.entry_points} == {
        "invenio_base.api_apps",
        "invenio_base.api_blueprints",
        "invenio_base.apps",
        "invenio_db.alembic",
        "invenio_db.models",
        "invenio_i18n.translations",
        "invenio_jsonschemas.schemas",
    }


@pytest.mark.parametrize("entry_point", DISTRIBUTION.entry_points, ids=lambda e: f"{e.group}-{e.name}")
def test_every_entry_point_leads_somewhere(entry_point: EntryPoint):
    if entry_point.group == "invenio_db.alembic":
        assert list(files(entry_point.module).joinpath(entry_point.attr).glob("*.py"))
    else:
        assert entry_point.load() is not None


def test_the_extension_leaves_settings_alone():
    app = Flask("app")
    InvenioRecordsFiles().init_app(app)
    assert app.config["RECORDS_FILES_REST_ENDPOINTS"] == {}
    other = Flask("other")
    other.config["RECORDS_FILES_REST_ENDPOINTS"] = {"SETTING": {}}
    InvenioRecordsFiles(other)
    assert other.config["RECORDS_FILES_REST_ENDPOINTS"] == {"SETTING": {}}


def test_the_readme_names_every_dependency() -> None:
    table = (Path(__file__).parents[1] / "README.rst").read_text().split("Package  ")[1].split("\nLicence")[0]
    rows = {name.lower() for name in re.findall(r"^([\w-]+) +\w", table, re.MULTILINE)}
    needed = [line for line in DISTRIBUTION.requires or [] if "extra ==" not in line]
    assert rows == {re.split(r"[\[<>=!~; ]", line)[0].lower() for line in needed}
