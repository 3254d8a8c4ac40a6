"""Make what the installation has not yet: tables, the bucket of its object store, and its locations.

Run again after each upgrade; what is there stays as it is.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from flask.cli import ScriptInfo
from invenio_app.cli import cli
from invenio_app.factory import create_api

from invenio_files_rest.models import Location
from invenio_files_rest.storage.s3 import S3Location
from invenio_files_rest.storage.s3.client import client_of

FOLDER = os.environ.get("FILES_FOLDER", "/var/lib/files")


def make_bucket(uri: str, endpoint: str | None) -> None:
    """Make the bucket of a location in an object store.

    :param uri: URI of the location.
    :param endpoint: URL of the store.
    """
    client, bucket = client_of(S3Location(uri, endpoint_url=endpoint)), urlsplit(uri).netloc
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        client.create_bucket(Bucket=bucket)


def main() -> None:
    """Do what is missing."""
    app = create_api()
    info = ScriptInfo(create_app=lambda: app)

    def invenio(*arguments: str) -> None:
        cli.main(list(arguments), prog_name="invenio", obj=info, standalone_mode=False)

    invenio("alembic", "upgrade")
    store = os.environ.get("FILES_S3_LOCATION")
    if store:
        make_bucket(store, os.environ.get("FILES_S3_ENDPOINT") or None)
    with app.app_context():
        there = {location.name for location in Location.query}
    default = os.environ.get("FILES_LOCATION") or FOLDER
    for name, uri in {"folder": FOLDER, "store": store}.items():
        if uri and name not in there:
            invenio("files", "location", "create", *(["--default"] if uri == default else []), name, uri)


if __name__ == "__main__":
    main()
