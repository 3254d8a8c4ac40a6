"""What one test sets in the application that all tests of a process share, no other finds."""

from __future__ import annotations

from typing import Any

import pytest
from celery import current_app
from flask import Flask
from invenio_celery import InvenioCelery


@pytest.mark.parametrize("number", [1, 2])
def test_the_settings_of_the_application_are_as_they_were(app: Any, number: int) -> None:
    state = app.extensions["invenio-files-rest"]
    assert "OF_ANOTHER_TEST" not in app.config
    assert not hasattr(state, "of_another_test")
    app.config["OF_ANOTHER_TEST"] = state.of_another_test = number


@pytest.mark.parametrize("number", [1, 2])
def test_tasks_are_those_of_the_application_though_another_was_made(app: Any, number: int) -> None:
    assert current_app.conf.task_always_eager
    InvenioCelery(Flask("another"))
    assert not current_app.conf.task_always_eager
