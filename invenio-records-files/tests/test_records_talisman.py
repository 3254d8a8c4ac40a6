"""Files in the pages of an application that Flask-Talisman guards, as Invenio-App has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from files_rest_tests.conftest import IsolatedClient
from flask import Flask
from flask.testing import FlaskClient
from invenio_files_rest.http.file_response import SECURITY_HEADERS

from invenio_records_files.api import Record

flask_talisman = pytest.importorskip("flask_talisman", reason="Flask-Talisman is not installed")
invenio_app = pytest.importorskip("invenio_app.ext", reason="Invenio-App is not installed")

PAGES = {"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "sameorigin"}
"""What Talisman is told to send with pages."""


FILES = {name: SECURITY_HEADERS[name].strip(";") for name in PAGES}
"""What is sent with files."""


class View:
    """Views that are methods, and send a page or a file."""

    def own(self, kind: str) -> Any:
        from invenio_files_rest.models import ObjectVersion

        return ObjectVersion.query.filter_by(key="a.txt").one().send_file() if kind == "file" else "<h1>Page</h1>"

    @flask_talisman.Talisman()(frame_options="deny", force_https=False)
    def strict(self, kind: str) -> Any:
        return self.own(kind)


@pytest.fixture(scope="module")
def pages(app_config: dict[str, Any], base_app: Flask) -> Iterator[Flask]:
    """Make the application of pages, on the database of the other one."""
    from invenio_db import InvenioDB
    from invenio_files_rest import InvenioFilesREST
    from invenio_pidstore import InvenioPIDStore
    from invenio_records import InvenioRecords
    from invenio_records_ui import InvenioRecordsUI
    from invenio_records_ui.views import create_blueprint_from_app

    from invenio_records_files import InvenioRecordsFiles

    app = Flask("pages")
    app.test_client_class = IsolatedClient
    app.config.update(
        app_config,
        APP_DEFAULT_SECURE_HEADERS={
            "content_security_policy": PAGES["Content-Security-Policy"],
            "force_https": False,
            "frame_options": PAGES["X-Frame-Options"],
        },
        FILES_REST_PERMISSION_FACTORY=lambda obj, action: None,
        RATELIMIT_ENABLED=False,
        RATELIMIT_STORAGE_URI="memory://",
    )
    for extension in (
        InvenioDB,
        InvenioPIDStore,
        InvenioRecords,
        InvenioRecordsUI,
        InvenioFilesREST,
        InvenioRecordsFiles,
        invenio_app.InvenioApp,
    ):
        extension(app)
    app.register_blueprint(create_blueprint_from_app(app))

    app.add_url_rule("/own/<kind>", "own", View().own)
    app.add_url_rule("/strict/<kind>", "strict", View().strict)

    @app.errorhandler(404)
    def not_found(error: Any) -> tuple[str, int]:
        return "<h1>Not found</h1>", 404

    yield app
    with app.app_context():
        from invenio_db import db

        db.engine.dispose()


@pytest.fixture
def visitor(pages: Flask, record_with_files: Record, register: Callable[..., str]) -> FlaskClient:
    """Return a client of the pages, of which a record has files."""
    register(record_with_files)
    return pages.test_client()


def policy(answer: Any) -> dict[str, str]:
    return {name: answer.headers[name].strip("; ") for name in PAGES}


def test_a_file_keeps_its_policy_and_a_page_has_its_own(visitor: FlaskClient):
    for _ in range(2):
        page = visitor.get("/pages/1/files/none")
        assert (page.status_code, policy(page)) == (404, PAGES)
        for query in ("", "?download"):
            file = visitor.get(f"/pages/1/files/a.txt{query}")
            assert (file.status_code, policy(file)) == (200, FILES)
        assert SECURITY_HEADERS.keys() <= set(file.headers.keys())
    file = visitor.get("/pages/1/files/a.txt", headers={"If-None-Match": "*"})
    assert (file.status_code, policy(file)) == (304, FILES)


def test_what_talisman_adds_to_all_answers_stays(visitor: FlaskClient):
    assert "Referrer-Policy" in visitor.get("/pages/1/files/a.txt").headers


def test_every_view_that_sends_a_file_keeps_its_policy(visitor: FlaskClient):
    for _ in range(2):
        assert policy(visitor.get("/own/page")) == PAGES
        assert policy(visitor.get("/own/file")) == FILES
        assert policy(visitor.get("/strict/page")) == PAGES | {"X-Frame-Options": "deny"}
        assert policy(visitor.get("/strict/file")) == FILES
