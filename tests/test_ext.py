"""What the extension adds to an application, and what of the settings it loads, and when."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from flask import Flask

from invenio_files_rest import InvenioFilesREST, config, current_files_rest, signals
from invenio_files_rest.errors import MultipartNoPart
from invenio_files_rest.proxies import current_permission_factory

SETTINGS = sorted(name for name in dir(config) if name.startswith("FILES_REST_"))


@pytest.fixture
def bare_app() -> Flask:
    """Return an application of which no extension knows."""
    return Flask("bare")


def test_importing_the_package_warns_of_nothing():
    code = "import invenio_files_rest, invenio_files_rest.views, invenio_files_rest.tasks"
    result = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    ours = [line for line in result.stderr.splitlines() if "invenio_files_rest" in line or "pkg_resources" in line]
    assert ours == []


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_its_default(bare_app: Flask, name: str):
    InvenioFilesREST(bare_app)
    assert bare_app.config[name] == getattr(config, name)


def test_what_the_application_sets_stays(bare_app: Flask):
    bare_app.config["FILES_REST_MIN_FILE_SIZE"] = 0
    InvenioFilesREST(bare_app)
    assert bare_app.config["FILES_REST_MIN_FILE_SIZE"] == 0


def test_the_limit_on_bodies_is_left_to_the_application(bare_app: Flask):
    InvenioFilesREST(bare_app)
    assert bare_app.config["MAX_CONTENT_LENGTH"] is None


def test_an_extension_can_be_made_before_its_application(bare_app: Flask):
    extension = InvenioFilesREST()
    extension.init_app(bare_app)
    assert "invenio-files-rest" in bare_app.extensions
    assert "files" in bare_app.cli.commands


def test_one_extension_serves_several_applications(bare_app: Flask):
    extension = InvenioFilesREST()
    other = Flask("other")
    other.config["FILES_REST_STORAGE_FACTORY"] = factory = object()
    for app in (bare_app, other):
        extension.init_app(app)
    with bare_app.app_context():
        assert current_files_rest.storage_factory is not factory
    with other.app_context():
        assert current_files_rest.storage_factory is factory


NAMED = {
    "storage_factory": "FILES_REST_STORAGE_FACTORY",
    "permission_factory": "FILES_REST_PERMISSION_FACTORY",
    "file_size_limiters": "FILES_REST_SIZE_LIMITERS",
}


@pytest.mark.parametrize(("attribute", "setting"), NAMED.items())
def test_a_setting_may_hold_what_it_names_or_the_path_to_it(bare_app: Flask, attribute: str, setting: str):
    InvenioFilesREST(bare_app)
    state = bare_app.extensions["invenio-files-rest"]
    module, _, name = bare_app.config[setting].rpartition(".")
    assert getattr(state, attribute) is getattr(__import__(module, fromlist=[name]), name)

    bare_app.config[setting] = thing = object()
    InvenioFilesREST(bare_app)
    assert getattr(bare_app.extensions["invenio-files-rest"], attribute) is thing


def test_nothing_is_loaded_before_it_is_asked_for(bare_app: Flask):
    for setting in (*NAMED.values(), "FILES_REST_UPLOAD_FACTORIES", "FILES_REST_MULTIPART_PART_FACTORIES"):
        bare_app.config[setting] = "no.such:thing" if setting in NAMED.values() else ["no.such:thing"]
    InvenioFilesREST(bare_app)
    for attribute in (*NAMED, "upload_factories", "part_factories"):
        with pytest.raises(ImportError):
            getattr(bare_app.extensions["invenio-files-rest"], attribute)


def test_the_permission_factory_of_the_current_application_is_at_hand(bare_app: Flask):
    bare_app.config["FILES_REST_PERMISSION_FACTORY"] = lambda obj, action: (obj, action)
    InvenioFilesREST(bare_app)
    with bare_app.app_context():
        assert current_permission_factory("bucket", "bucket-read") == ("bucket", "bucket-read")


def finds(*found: Any) -> Any:
    return lambda: found


@pytest.mark.parametrize(
    ("setting", "method"),
    [
        ("FILES_REST_UPLOAD_FACTORIES", "upload_factory"),
        ("FILES_REST_MULTIPART_PART_FACTORIES", "multipart_partfactory"),
    ],
)
def test_the_first_factory_that_finds_something_is_taken(bare_app: Flask, setting: str, method: str):
    found = (None, "second", None, None, None)
    bare_app.config[setting] = [finds(None, None), finds(*found), finds("third", None)]
    InvenioFilesREST(bare_app)
    assert getattr(bare_app.extensions["invenio-files-rest"], method)() == found


def test_where_no_factory_finds_anything_there_is_no_part(bare_app: Flask):
    bare_app.config["FILES_REST_UPLOAD_FACTORIES"] = [finds(None, None)]
    InvenioFilesREST(bare_app)
    with pytest.raises(MultipartNoPart):
        bare_app.extensions["invenio-files-rest"].upload_factory()


@pytest.mark.parametrize("name", ["file-deleted", "file-downloaded", "file-uploaded"])
def test_signals_have_their_documented_names(name: str):
    assert getattr(signals, name.replace("-", "_")).name == name
