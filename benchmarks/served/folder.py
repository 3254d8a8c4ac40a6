"""Fill the bucket of the application with the files of a folder, and print their keys and paths in JSON.

``BENCHMARK_SOURCE`` names the folder, ``BENCHMARK_BUCKET`` the bucket.
"""

from __future__ import annotations

import json
import os

from application import application
from invenio_db import db

from invenio_files_rest.helpers import populate_from_path

with application.app_context():
    found = []
    for version in populate_from_path(os.environ["BENCHMARK_BUCKET"], os.environ["BENCHMARK_SOURCE"]):
        found.append((version.key, version.file.uri))
        db.session.commit()
    print(json.dumps(found))
