"""Factories of others, that find a file or a part in a request: which is asked, and what the client is told."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, abort, request
from helpers.parts import begin, part_count
from helpers.rest import error, nothing_stays, stored, url
from webargs import fields
from webargs.flaskparser import use_kwargs
from werkzeug.exceptions import UnprocessableEntity

from invenio_files_rest.errors import FileSizeError, MultipartNoPart
from invenio_files_rest.views import (
    default_partfactory,
    ngfileupload_partfactory,
    ngfileupload_uploadfactory,
    stream_uploadfactory,
)

pytestmark = pytest.mark.usefixtures("allow_all", "small_parts")

BODY = b"0123"
NO_FILE = "The request has no file: a body needs a Content-Length, or to be chunked."
NO_PART = "No upload part detected in request."


def refuse() -> Any:
    abort(422)


def find_no_part() -> Any:
    raise MultipartNoPart()


@use_kwargs({"number": fields.Integer(required=True, data_key="flowChunkNumber")}, location="query")
def lack(number: int) -> Any:
    raise AssertionError("The argument is not there.")


NOTHING = [refuse, find_no_part, lack, lambda: (None, None, None), lambda: (None,) * 5]


@pytest.fixture
def use(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that has the application ask these factories, for files and for parts."""

    def use(*factories: Callable[[], Any]) -> None:
        state = app.extensions["invenio-files-rest"]
        for name in ("upload_factories", "part_factories"):
            monkeypatch.setitem(vars(state), name, list(factories))

    return use


@pytest.mark.parametrize("first", NOTHING)
def test_after_one_that_finds_nothing_the_next_is_asked_for_a_file(
    use: Any, client: Any, bucket: Any, location: Any, first: Any
) -> None:
    use(first, stream_uploadfactory)
    assert client.put(url(bucket, "a"), data=BODY).status_code == 200
    assert stored(location) == [BODY]


@pytest.mark.parametrize("first", NOTHING)
def test_after_one_that_finds_nothing_the_next_is_asked_for_a_part(
    use: Any, client: Any, bucket: Any, first: Any
) -> None:
    use(first, default_partfactory)
    upload = begin(client, bucket)
    assert upload.put(0, BODY).status_code == 200
    assert part_count() == 1


@pytest.mark.parametrize("only", NOTHING)
def test_where_none_finds_anything_the_answer_is_400(use: Any, client: Any, bucket: Any, only: Any) -> None:
    use(only)
    with nothing_stays(bucket.location):
        answers = [error(client.put(url(bucket, "a"), data=BODY), 400)]
    answers.append(error(begin(client, bucket).put(0, BODY), 400))
    assert [answer["message"] for answer in answers] == [NO_FILE, NO_PART]
    missing = [{"field": "flowChunkNumber", "message": "Missing data for required field."}]
    assert [answer.get("errors") for answer in answers] == [missing if only is lack else None] * 2


def test_what_a_refusal_says_of_itself_is_told(use: Any, client: Any, bucket: Any) -> None:
    def refuse_with_reason() -> Any:
        abort(422, description="The header X-Part is missing.")

    use(refuse_with_reason, find_no_part)
    assert error(client.put(url(bucket, "a"), data=BODY), 400)["message"] == "The header X-Part is missing."


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"messages": {"query": {"part": ["bad", "worse"]}}}, [("part", "bad"), ("part", "worse")]),
        ({"messages": {"json": {"parts": {0: {"size": ["bad"]}}}}}, [("size", "bad")]),
        ({"messages": {"query": ["bad"]}}, [("query", "bad")]),
        ({"messages": {"part": "bad"}}, [("part", "bad")]),
        ({"messages": ["bad"]}, [(None, "bad")]),
        ({"messages": "bad"}, [(None, "bad")]),
        ({"messages": None}, []),
        ({}, []),
        (None, []),
        ("bad", [(None, "bad")]),
    ],
)
def test_a_refusal_may_say_what_is_wrong_in_any_shape(
    use: Any, client: Any, bucket: Any, location: Any, data: Any, told: Any
) -> None:
    def refuse_somehow() -> Any:
        refusal = UnprocessableEntity()
        refusal.data = data
        raise refusal

    use(refuse_somehow)
    answer = error(client.put(url(bucket, "a"), data=BODY), 400)
    assert [(wrong["field"], wrong["message"]) for wrong in answer.get("errors", [])] == told
    use(refuse_somehow, stream_uploadfactory)
    assert client.put(url(bucket, "a"), data=BODY).status_code == 200
    assert stored(location) == [BODY]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 415, 429])
def test_another_refusal_is_for_the_client(use: Any, client: Any, bucket: Any, status: int) -> None:
    use(lambda: abort(status), stream_uploadfactory)
    with nothing_stays(bucket.location):
        error(client.put(url(bucket, "a"), data=BODY), status)
    error(begin(client, bucket).put(0, BODY), status)


def test_an_error_of_ours_is_for_the_client(use: Any, client: Any, bucket: Any) -> None:
    def too_large() -> Any:
        raise FileSizeError(description="No file of this kind has more than 3 bytes.")

    use(too_large, stream_uploadfactory)
    answer = error(client.put(url(bucket, "a"), data=BODY), 400)
    assert answer["message"] == "No file of this kind has more than 3 bytes."


@pytest.mark.parametrize("factory", [stream_uploadfactory, ngfileupload_uploadfactory])
def test_a_form_that_ours_do_not_know_is_left_to_the_next(
    use: Any, client: Any, bucket: Any, location: Any, factory: Any
) -> None:
    def other_form() -> Any:
        upload = request.files["upload"]
        return upload.stream, int(request.form["length"]), None, {}

    use(factory, other_form)
    data = {"upload": (io.BytesIO(BODY), "name"), "length": "4"}
    response = client.put(url(bucket, "a"), data=data, content_type="multipart/form-data")
    assert response.status_code == 200
    assert stored(location) == [BODY]


def test_an_argument_that_is_there_and_wrong_is_422_where_nothing_is_found(use: Any, client: Any, bucket: Any) -> None:
    use(default_partfactory, ngfileupload_partfactory)
    upload = begin(client, bucket)
    answer = error(client.put(upload.url(partNumber="x"), data=BODY), 422)
    assert answer["errors"] == [{"field": "partNumber", "message": "Not a whole number in the digits 0 to 9."}]


@pytest.mark.parametrize("length", [3, 4])
def test_an_upload_factory_may_leave_out_the_tags(
    use: Any, client: Any, bucket: Any, location: Any, length: int
) -> None:
    use(lambda: (request.stream, request.content_length, None, {"a": "b"})[:length])
    response = client.put(url(bucket, "a"), data=BODY)
    assert response.status_code == 200
    assert response.json["tags"] == ({"a": "b"} if length == 4 else {})
    assert stored(location) == [BODY]


@pytest.mark.parametrize("length", [4, 5, 6])
def test_a_part_factory_may_leave_out_the_digest_or_add_tags(use: Any, client: Any, bucket: Any, length: int) -> None:
    use(lambda: (request.content_length, 0, request.stream, "text/plain", None, {"a": "b"})[:length])
    assert begin(client, bucket).put(0, BODY).status_code == 200
    assert part_count() == 1
