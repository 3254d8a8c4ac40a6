"""The application behind nginx, which sends the bytes of two of its three locations.

Run as a program it makes tables, locations and a bucket in each, and prints the buckets' identifiers by location.
"""

from __future__ import annotations

import json
from typing import Any

from application import FOLDER, Anybody, create_app
from flask import Response, request
from invenio_db import db

from invenio_files_rest.models import Bucket, Location

ODD = "location é %41 'a' \"b\" ?c#d;+&"
"""A name of a folder with what has a meaning in URLs, in headers, or to nginx."""

LOCATIONS = {"plain": "location", "odd": ODD, "unmapped": "elsewhere", "beside": "location-2"}
"""Folders of the locations, by name."""


class Unless(Anybody):
    """The permission of those who do not ask to be refused."""

    def can(self) -> bool:
        return "X-Refuse-Me" not in request.headers


application = create_app()
application.config.update(
    FILES_REST_PERMISSION_FACTORY=lambda obj, action: Unless(),
    FILES_REST_XSENDFILE_ENABLED=True,
    FILES_REST_XSENDFILE_MAPPING={
        str(FOLDER / "location"): "/internal/files",
        str(FOLDER / ODD): "/internal/odd/",
    },
)

ADDED = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Origin": "https://example.org",
    "Access-Control-Expose-Headers": "ETag",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Set-Cookie": f"session={'0123456789' * 35}; Secure; HttpOnly; Path=/; SameSite=Lax",
    "Strict-Transport-Security": "max-age=31556926; includeSubDomains",
}
"""What Flask-Talisman, Flask-CORS and a session add to the answers of an Invenio application."""


@application.after_request
def add_headers(response: Response) -> Response:
    """Do as they do."""
    response.headers.update(ADDED)
    return response


def main() -> dict[str, Any]:
    """Make what the tests need."""
    tables = [table for table in db.metadata.sorted_tables if table.name.startswith("files_")]
    db.metadata.create_all(db.engine, tables=tables)
    buckets = {}
    for name, folder in LOCATIONS.items():
        (FOLDER / folder).mkdir()
        location = Location(name=name, uri=str(FOLDER / folder))
        db.session.add(location)
        buckets[name] = str(Bucket.create(location).id)
    db.session.commit()
    return buckets


if __name__ == "__main__":
    with application.app_context():
        print(json.dumps(main()))  # noqa: T201
