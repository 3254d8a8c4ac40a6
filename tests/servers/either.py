"""An application that runs with whichever version of this module is installed: everybody may do everything.

``FILES_FOLDER`` names the folder of the files, ``FILES_SETTINGS`` holds other settings, in JSON, with the database.
``either.py create`` makes the tables that are missing, ``either.py migrate`` has Alembic make or upgrade them,
``either.py fill`` adds a location and a bucket and prints the bucket's identifier.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from flask_login import LoginManager
from invenio_celery import InvenioCelery
from invenio_db import InvenioDB, db
from invenio_rest import InvenioREST

from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.models import Bucket, Location
from invenio_files_rest.views import blueprint

try:
    from invenio_files_rest.app import Flask
except ImportError:
    # The published one.
    from flask import Flask

FOLDER = Path(os.environ["FILES_FOLDER"])


class Anybody:
    """The permission that everybody has."""

    def can(self) -> bool:
        return True


application = Flask("either")
application.config.update(
    CELERY_CACHE_BACKEND="memory",
    CELERY_RESULT_BACKEND="cache",
    CELERY_TASK_ALWAYS_EAGER=True,
    FILES_REST_PERMISSION_FACTORY=lambda obj, action: Anybody(),
    SECRET_KEY="for tests alone",
)
application.config.update(json.loads(os.environ.get("FILES_SETTINGS", "{}")))
LoginManager(application)
InvenioDB(application)
InvenioCelery(application)
InvenioREST(application)
InvenioFilesREST(application)
application.register_blueprint(blueprint)

celery = application.extensions["flask-celeryext"].celery
celery.set_current()


def main(action: str) -> None:
    """Run as a program."""
    if action == "migrate":
        application.extensions["invenio-db"].alembic.upgrade("invenio_files_rest@head")
    elif action == "create":
        tables = [table for table in db.metadata.sorted_tables if table.name.startswith("files_")]
        db.metadata.create_all(db.engine, tables=tables)
    else:
        (FOLDER / "location").mkdir()
        db.session.add(Location(name="shared", uri=str(FOLDER / "location"), default=True))
        db.session.commit()
        bucket = Bucket.create()
        db.session.commit()
        print(bucket.id)  # noqa: T201


if __name__ == "__main__":
    with application.app_context():
        main(*sys.argv[1:])
