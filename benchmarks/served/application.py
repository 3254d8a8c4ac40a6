"""The application that is measured: the same code whichever installation of the module runs it.

It uses what the documentation of both has. Everybody may do everything. ``BENCHMARK_FOLDER`` names the folder of the
files, ``BENCHMARK_DATABASE`` the database; ``BENCHMARK_ENGINE`` has options of its engine in JSON,
``BENCHMARK_SETTINGS`` has settings. Run as a program it makes the tables, a location, and the buckets that the
measurements begin with, and prints what they need to know.
"""

from __future__ import annotations

import io
import json
import os
from importlib.metadata import version
from typing import Any

from flask_login import LoginManager
from invenio_celery import InvenioCelery
from invenio_db import InvenioDB, db
from invenio_rest import InvenioREST

import invenio_files_rest
from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.models import Bucket, Location, ObjectVersion
from invenio_files_rest.views import blueprint

try:
    from invenio_files_rest.app import Flask
except ImportError:
    from flask import Flask

LISTED = int(os.environ.get("BENCHMARK_LISTED", "601"))
"""Objects of the bucket that is listed."""


class Anybody:
    """The permission that everybody has."""

    def can(self) -> bool:
        """Grant it."""
        return True


def create_app() -> Flask:
    """Make the application."""
    app = Flask("benchmark")
    app.config.update(
        CELERY_CACHE_BACKEND="memory",
        CELERY_RESULT_BACKEND="cache",
        CELERY_TASK_ALWAYS_EAGER=True,
        DB_VERSIONING=False,
        FILES_REST_PERMISSION_FACTORY=lambda obj, action: Anybody(),
        SECRET_KEY="for benchmarks alone",
        SQLALCHEMY_DATABASE_URI=os.environ["BENCHMARK_DATABASE"],
        SQLALCHEMY_ENGINE_OPTIONS=json.loads(os.environ.get("BENCHMARK_ENGINE", "{}")),
        SQLALCHEMY_TRACK_MODIFICATIONS=False,
        **json.loads(os.environ.get("BENCHMARK_SETTINGS", "{}")),
    )
    LoginManager(app)
    InvenioDB(app, entry_point_group=None)
    InvenioCelery(app, entry_point_group=None)
    InvenioREST(app)
    InvenioFilesREST(app)
    app.register_blueprint(blueprint)
    return app


application = create_app()


def fill() -> dict[str, Any]:
    """Make tables, location and buckets."""
    tables = [table for table in db.metadata.sorted_tables if table.name.startswith("files_")]
    db.metadata.create_all(db.engine, tables=tables)
    db.session.add(Location(name="benchmark", uri=os.environ["BENCHMARK_FOLDER"], default=True))
    db.session.commit()
    empty, listed = Bucket.create(), Bucket.create()
    db.session.commit()
    for number in range(LISTED):
        ObjectVersion.create(listed, f"folder/file {number:04}.txt", stream=io.BytesIO(b"x"))
    db.session.commit()
    return {
        "bucket": str(empty.id),
        "listed": str(listed.id),
        "version": version("invenio-files-rest"),
        "path": os.path.dirname(invenio_files_rest.__file__),
    }


if __name__ == "__main__":
    with application.app_context():
        print(json.dumps(fill()))
