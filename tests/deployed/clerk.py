"""The deployed application, loaded once, for what an operator does with its command line."""

from __future__ import annotations

import sys
from pathlib import Path

from crash import zygote
from flask import Flask
from invenio_app.factory import create_api
from invenio_db import db

from invenio_files_rest.models import Bucket, Location

sys.path.append(str(Path(__file__).parents[2] / "scripts" / "server"))

ADMIN = "admin@example.org"


def make_token(app: Flask, folder: str) -> str:
    """Make an administrator, and return the token of his."""
    from setup import Setup

    setup = Setup(Path(folder), ADMIN)
    setup.create_account()
    setup.invenio("access", "allow", "superuser-access", "user", ADMIN)
    setup.create_token()
    return (Path(folder) / "token").read_text().strip()


def make_bucket(app: Flask, location: str) -> str:
    """Make a bucket in a location."""
    with app.app_context():
        bucket = Bucket.create(Location.get_by_name(location))
        db.session.commit()
        return str(bucket.id)


zygote.ENDING |= {"token": make_token, "bucket": make_bucket}

if __name__ == "__main__":
    zygote.main(create_api())
