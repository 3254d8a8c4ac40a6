"""What caches may do with the answers of the REST API."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from flask import Flask, Response, abort, jsonify
from helpers.rest import CONTENT, put, url

from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.views import BucketResource, ObjectResource

MIB = 1024**2


def is_for_who_asked(response: Any) -> bool:
    """Tell whether no cache keeps an answer."""
    varies = all(name in response.vary for name in ("Accept", "Authorization", "Cookie"))
    return varies and response.headers["Cache-Control"] == "private, no-store"


def requests_of(bucket: Any) -> list[tuple[str, str]]:
    """Return every request of the API, of things that are there and of things that are not."""
    found = [("POST", "/files"), ("POST", "/files/")]
    for name in (bucket, uuid4(), "none"):
        found += [(method, url(name)) for method in ("HEAD", "GET")]
        found += [("GET", url(name, **{query: True})) for query in ("versions", "uploads")]
        found += [("POST", url(name, "u", uploads=True, size=6 * MIB, partSize=5 * MIB)), ("PUT", url(name, "p"))]
        for query in ({}, {"versionId": uuid4()}, {"uploadId": uuid4()}, {"uploads": True}, {"versionId": "none"}):
            found += [(method, url(name, "a.txt", **query)) for method in ("GET", "PUT", "DELETE", "POST")]
    return found


@pytest.mark.parametrize("allowed", [False, True])
def test_no_cache_keeps_an_answer_that_depends_on_who_asks(
    client: Any, bucket: Any, app: Flask, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    state = app.extensions["invenio-files-rest"]
    permission = type("Permission", (), {"can": lambda self: allowed})()
    monkeypatch.setattr(state, "permission_factory", lambda obj, action: permission)
    statuses = set()
    for method, path in requests_of(bucket):
        response = client.open(path, method=method, data=CONTENT if method == "PUT" else None)
        statuses.add(response.status_code)
        assert is_for_who_asked(response), (method, path, response.headers)
    assert statuses >= ({200, 204, 403, 404, 405, 422} if allowed else {401, 404})


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "PATCH"])
def test_no_cache_keeps_that_a_method_is_not_allowed(client: Any, bucket: Any, method: str) -> None:
    for path in ("/files", "/files/", url(bucket), url(bucket, "a.txt")):
        response = client.open(path, method=method)
        if response.status_code == 405:
            assert is_for_who_asked(response), (method, path, response.headers)
    assert client.open(url(bucket), method="POST").status_code == 405


@pytest.mark.usefixtures("allow_all")
def test_no_cache_keeps_what_is_refused_before_the_view(client: Any, bucket: Any, app: Flask, monkeypatch: Any) -> None:
    monkeypatch.setitem(app.before_request_funcs, None, [lambda: abort(404)])
    assert is_for_who_asked(client.get(url(bucket, "a.txt")))
    assert is_for_who_asked(client.post(url(bucket)))


@pytest.mark.usefixtures("allow_all")
def test_pages_of_others_stay_as_they_are(client: Any, bucket: Any) -> None:
    for method, path in (("GET", "/other"), ("POST", "/static/a")):
        assert "Cache-Control" not in client.open(path, method=method).headers


@pytest.mark.usefixtures("allow_all")
@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 200), ({"Range": "bytes=0-1"}, 206), ({"If-None-Match": "*"}, 304)],
    ids=["200", "206", "304"],
)
@pytest.mark.parametrize("query", ["", "?download"])
@pytest.mark.parametrize("redirect", [False, True])
def test_a_cache_of_the_callers_own_may_keep_a_file_and_asks_each_time(
    client: Any, bucket: Any, app: Flask, monkeypatch: Any, headers: Any, status: int, query: str, redirect: bool
) -> None:
    put(client, bucket)
    monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_ENABLED", redirect)
    response = client.get(url(bucket, "a.txt") + query, headers=headers)
    assert response.status_code == (200 if redirect and status == 206 else status)
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert response.headers["Vary"] == "Authorization, Cookie"


@pytest.mark.usefixtures("allow_all")
@pytest.mark.parametrize(
    ("headers", "status"), [({"If-Match": '"other"'}, 412), ({"Range": "bytes=99-"}, 416)], ids=["412", "416"]
)
def test_no_cache_keeps_why_a_file_is_not_sent(client: Any, bucket: Any, headers: Any, status: int) -> None:
    put(client, bucket)
    response = client.get(url(bucket, "a.txt"), headers=headers)
    assert response.status_code == status
    assert is_for_who_asked(response)


@pytest.mark.usefixtures("allow_all")
def test_no_cache_keeps_that_a_file_cannot_be_read(client: Any, bucket: Any, location: Any) -> None:
    put(client, bucket)
    (obj,) = ObjectVersion.query.all()
    obj.file.storage().delete()
    response = client.get(url(bucket, "a.txt"))
    assert response.status_code == 500
    assert is_for_who_asked(response)


@pytest.mark.usefixtures("allow_all")
def test_a_file_that_is_for_everyone_may_be_kept_by_everyone(client: Any, bucket: Any, monkeypatch: Any) -> None:
    put(client, bucket)
    send = ObjectResource.send_object

    def send_to_everyone(*args: Any, **kwargs: Any) -> Response:
        return send(*args, **kwargs | {"restricted": False})

    monkeypatch.setattr(ObjectResource, "send_object", staticmethod(send_to_everyone))
    for headers in ({}, {"If-None-Match": "*"}):
        response = client.get(url(bucket, "a.txt"), headers=headers)
        assert response.headers["Cache-Control"].startswith("public")
        assert "Authorization" not in response.headers.get("Vary", "")
    assert is_for_who_asked(client.get(url(bucket, "other")))


class TestViewsOfOthers:
    """Views of other packages that stand on ours, with serializers and a blueprint of their own."""

    @pytest.fixture
    def others(self, base_app: Flask, bucket: Any, allow_all: None) -> Any:
        """Return a function that calls such a view, whose serializer adds headers."""

        def call(**headers: str) -> Response:
            def serializer(data: Any, code: int = 200, **kwargs: Any) -> Response:
                response = jsonify({"bucket": str(kwargs["context"]["bucket"].id)})
                response.headers.extend(headers)
                return response

            view = BucketResource.as_view("bucket", serializers={"application/json": serializer})
            with base_app.test_request_context():
                response = base_app.ensure_sync(view)(bucket_id=str(bucket.id))
                return base_app.process_response(response)

        return call

    def test_no_cache_keeps_what_a_custom_serializer_makes(self, others: Any, bucket: Bucket) -> None:
        response = others()
        assert response.json == {"bucket": str(bucket.id)}
        assert is_for_who_asked(response)

    def test_a_custom_serializer_may_say_otherwise(self, others: Any) -> None:
        assert others(**{"Cache-Control": "max-age=60"}).headers["Cache-Control"] == "max-age=60"

    def test_what_is_sent_instead_of_a_file_is_kept_by_no_cache(
        self, client: Any, bucket: Any, app: Flask, allow_all: None, monkeypatch: Any
    ) -> None:
        """Such as a redirection to a signed link."""
        put(client, bucket)
        monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_ENABLED", True)
        monkeypatch.setitem(
            app.config,
            "FILES_REST_XSENDFILE_RESPONSE_FUNC",
            lambda obj: Response(status=302, headers={"Location": "https://example.org/signed"}),
        )
        response = client.get(url(bucket, "a.txt"))
        assert response.status_code == 302
        assert is_for_who_asked(response)
