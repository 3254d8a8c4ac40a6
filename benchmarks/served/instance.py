"""An Invenio application as people run it: accounts, tokens, grants, limits of requests; the files are some of it.

``BENCHMARK_FOLDER`` names the folder of the files, ``BENCHMARK_DATABASE`` the database. Run as a program it makes the
tables, a location, two buckets, and a user who has been granted what there is on these buckets, and is no superuser;
it prints what the measurements need to know.

Two floors are served beside the files, to show what any module could reach at best in this application:
``/nothing/...`` answers with nothing, after all that the application does with every request, the token among it;
``/bare/...`` sends the bare statements of ``bare.py`` besides, and asks nobody for permission.
"""

from __future__ import annotations

import io
import json
import os
from importlib.metadata import version
from typing import Any

import bare
from flask import request
from invenio_access.models import ActionUsers
from invenio_accounts.proxies import current_datastore
from invenio_app.factory import create_api
from invenio_db import db
from invenio_oauth2server.models import Token

import invenio_files_rest
from invenio_files_rest import permissions
from invenio_files_rest.models import Bucket, Location, ObjectVersion

LISTED = 100
"""Objects of the bucket that is listed."""

GRANTED = (
    permissions.BucketRead,
    permissions.BucketReadVersions,
    permissions.BucketUpdate,
    permissions.ObjectRead,
    permissions.ObjectReadVersion,
    permissions.ObjectDelete,
    permissions.ObjectDeleteVersion,
)

application = create_api(
    ACCOUNTS_SESSION_REDIS_URL="",
    ACCOUNTS_USE_CELERY=False,
    # It speaks plain HTTP; the rest is Invenio-App's own.
    APP_DEFAULT_SECURE_HEADERS={
        "content_security_policy": {"default-src": ["'self'"], "object-src": ["'none'"]},
        "force_https": False,
        "session_cookie_secure": False,
        "strict_transport_security": False,
    },
    CACHE_TYPE="SimpleCache",
    CELERY_CACHE_BACKEND="memory",
    CELERY_RESULT_BACKEND="cache",
    CELERY_TASK_ALWAYS_EAGER=True,
    OAUTH2_CACHE_TYPE="simple",
    # Requests are counted, and nobody is turned away.
    RATELIMIT_AUTHENTICATED_USER="1000000 per second",
    RATELIMIT_GUEST_USER="1000000 per second",
    RATELIMIT_STORAGE_URI="memory://",
    SECRET_KEY="for benchmarks alone",
    SESSION_COOKIE_SECURE=False,
    SQLALCHEMY_DATABASE_URI=os.environ["BENCHMARK_DATABASE"],
    SQLALCHEMY_TRACK_MODIFICATIONS=False,
    TRUSTED_HOSTS=["127.0.0.1"],
    WTF_CSRF_ENABLED=False,
)


@application.route("/nothing/<path:key>", methods=["GET", "PUT"])
def nothing(key: str) -> str:
    """Answer with nothing."""
    request.get_data()
    return ""


application.add_url_rule("/bare/<bucket>/<path:key>", "bare_put", bare.put, methods=["PUT"])
application.add_url_rule("/bare/<bucket>/<path:key>", "bare_get", bare.get, methods=["GET"])


def fill() -> dict[str, Any]:
    """Make all there is."""
    db.create_all()
    db.session.add(Location(name="benchmark", uri=os.environ["BENCHMARK_FOLDER"], default=True))
    user = current_datastore.create_user(email="user@example.org", password="for benchmarks alone", active=True)
    db.session.commit()
    empty, listed = Bucket.create(), Bucket.create()
    db.session.commit()
    for bucket in (empty, listed):
        for need in GRANTED:
            db.session.add(ActionUsers.allow(need(str(bucket.id)), user_id=user.id))
    for number in range(LISTED):
        ObjectVersion.create(listed, f"folder/file {number:04}.txt", stream=io.BytesIO(b"x"))
    token = Token.create_personal("benchmark", user.id, scopes=[])
    db.session.commit()
    return {
        "bucket": str(empty.id),
        "listed": str(listed.id),
        "token": token.access_token,
        "version": version("invenio-files-rest"),
        "path": os.path.dirname(invenio_files_rest.__file__),
    }


if __name__ == "__main__":
    with application.app_context():
        print(json.dumps(fill()))
