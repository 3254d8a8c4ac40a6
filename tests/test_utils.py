"""Import paths in settings."""

from __future__ import annotations

import os.path

import pytest
from flask import Flask

from invenio_files_rest.utils import guess_mimetype, load_or_import_from_config, obj_or_import_string


def test_mimetypes_are_guessed_where_dependents_look_for_it():
    assert guess_mimetype("a.txt") == "text/plain"


@pytest.mark.parametrize("path", ["os.path:join", "os.path.join"])
def test_an_import_path_becomes_what_it_leads_to(path: str):
    assert obj_or_import_string(path) is os.path.join


def test_what_is_no_path_stays():
    assert obj_or_import_string(os.path.join, default=len) is os.path.join


@pytest.mark.parametrize("default", [None, len])
def test_nothing_becomes_the_default(default: object):
    assert obj_or_import_string(None, default=default) is default


def test_a_path_that_leads_nowhere_is_an_error():
    with pytest.raises(ImportError):
        obj_or_import_string("os.path:no_such_function")


def test_a_setting_is_loaded_from_the_given_or_the_current_application():
    app, other = Flask("app"), Flask("other")
    app.config["JOIN"], other.config["JOIN"] = "os.path:join", "os.path:split"
    with app.app_context():
        assert load_or_import_from_config("JOIN") is os.path.join
        assert load_or_import_from_config("JOIN", app=other) is os.path.split
        assert load_or_import_from_config("MISSING", default=len) is len
