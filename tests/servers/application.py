"""An application for a real server: everybody may do everything, the database is a file of SQLite.

``FILES_FOLDER`` names the folder of the database and of the files, ``FILES_SETTINGS`` holds other settings, in JSON.
Run as a program it makes the tables, the location, in an object store where the settings name one, and a bucket, and
prints the bucket's identifier.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import request
from invenio_celery import InvenioCelery
from invenio_db import InvenioDB, db
from invenio_rest import InvenioREST
from uploads import blueprint as uploads

from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.app import Flask
from invenio_files_rest.models import Bucket, Location
from invenio_files_rest.views import blueprint

FOLDER = Path(os.environ["FILES_FOLDER"])


class Anybody:
    """The permission that everybody has."""

    def can(self) -> bool:
        return True


def permission_factory(obj: Any, action: str) -> Anybody:
    """Let everybody do everything."""
    return Anybody()


def create_app() -> Flask:
    """Make the application."""
    app = Flask("server")
    app.config.update(
        CELERY_CACHE_BACKEND="memory",
        CELERY_RESULT_BACKEND="cache",
        CELERY_TASK_ALWAYS_EAGER=True,
        DB_VERSIONING=False,
        FILES_REST_PERMISSION_FACTORY=permission_factory,
        SECRET_KEY="for tests alone",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{FOLDER}/files.db",
    )
    app.config.update(json.loads(os.environ.get("FILES_SETTINGS", "{}")))
    if seconds := app.config.get("FILES_REST_S3_DIRECT_UPLOAD"):
        app.config["FILES_REST_S3_DIRECT_UPLOAD"] = timedelta(seconds=seconds)
    app.logger.setLevel("INFO")
    InvenioDB(app, entry_point_group=None)
    InvenioCelery(app, entry_point_group=None)
    InvenioREST(app)
    InvenioFilesREST(app)
    app.register_blueprint(blueprint)
    app.register_blueprint(uploads)

    @app.before_request
    def look_into_the_form() -> None:
        # As extensions do that look for a token in the form of every request.
        request.form.get("token")

    return app


application = create_app()

if __name__ == "__main__":
    with application.app_context():
        tables = [table for table in db.metadata.sorted_tables if table.name.startswith("files_")]
        db.metadata.create_all(db.engine, tables=tables)
        (FOLDER / "location").mkdir()
        uri = next(iter(application.config["FILES_REST_S3_LOCATIONS"]), str(FOLDER / "location"))
        db.session.add(Location(name="test", uri=uri, default=True))
        bucket = Bucket.create()
        locked = Bucket.create(locked=True)
        db.session.commit()
        print(bucket.id, locked.id)  # noqa: T201
