"""``POST /files``: buckets are made in the default location."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from helpers.rest import error, rows

from invenio_files_rest.models import Bucket

pytestmark = pytest.mark.usefixtures("allow_all")


@pytest.mark.parametrize("path", ["/files", "/files/"])
def test_a_bucket_is_made_in_the_default_location(client: Any, location: Any, path: str) -> None:
    response = client.post(path)
    assert response.status_code == 200
    bucket = Bucket.query.one()
    assert response.json["id"] == str(bucket.id)
    assert bucket.location == location


def test_a_new_bucket_is_shown_key_for_key_as_documented(client: Any, location: Any, app: Any) -> None:
    app.config.update(FILES_REST_DEFAULT_QUOTA_SIZE=1000, FILES_REST_DEFAULT_MAX_FILE_SIZE=100)
    try:
        shown = client.post("/files").json
    finally:
        app.config.update(FILES_REST_DEFAULT_QUOTA_SIZE=None, FILES_REST_DEFAULT_MAX_FILE_SIZE=None)
    base = f"http://localhost/files/{UUID(shown['id'])}"
    bucket = Bucket.query.one()
    assert shown == {
        "created": bucket.created.isoformat(),
        "id": str(bucket.id),
        "links": {"self": base, "uploads": f"{base}?uploads", "versions": f"{base}?versions"},
        "locked": False,
        "max_file_size": 100,
        "quota_size": 1000,
        "size": 0,
        "updated": bucket.updated.isoformat(),
    }


def test_without_a_default_location_the_answer_is_a_plain_message(client: Any, db: Any) -> None:
    assert "location" in error(client.post("/files"), 500)["message"]


def test_what_the_client_does_not_accept_is_refused_before_a_bucket_is_made(client: Any, location: Any) -> None:
    error(client.post("/files", headers={"Accept": "image/png"}), 406)
    assert rows()["files_bucket"] == 0


def test_other_methods_are_not_allowed(client: Any, location: Any) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        error(client.open("/files", method=method), 405)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/files", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("/files/{}", {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}),
        ("/files/{}/a.txt", {"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"}),
    ],
)
def test_a_method_that_is_not_allowed_is_told_with_those_that_are(
    client: Any, bucket: Any, path: str, methods: set[str]
) -> None:
    answer = client.open(path.format(bucket.id), method="TRACE")
    assert (answer.status_code, set(answer.allow)) == (405, methods)
    assert client.post("/static/a").headers.get("Allow") is None
