"""Adds objects as earlier versions did, whatever their keys: ``old_keys.py BUCKET KEY...``.

The content of each is its key.
"""

from __future__ import annotations

import sys
from io import BytesIO

from application import application
from invenio_db import db

from invenio_files_rest.models import ObjectVersion

with application.app_context():
    for key in sys.argv[2:]:
        version = ObjectVersion.create(sys.argv[1], "new", stream=BytesIO(key.encode()))
        ObjectVersion.record(version.bucket_id, key, version.file)
        version.remove()
        db.session.commit()
