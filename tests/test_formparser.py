"""The limit on a body's length is for forms, not for files."""

from __future__ import annotations

import io
from typing import Any

import flask
import pytest
from werkzeug.exceptions import RequestEntityTooLarge

from invenio_files_rest.app import Flask
from invenio_files_rest.config import MAX_CONTENT_LENGTH
from invenio_files_rest.formparser import FormDataParser
from invenio_files_rest.wrappers import Request

BOUNDARY = "limit"


def form(size: int) -> bytes:
    """Make a form with one file that has, as a whole, so many bytes."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    return head + b"x" * (size - len(head) - len(tail)) + tail


@pytest.fixture
def limited_app() -> Flask:
    app = Flask("app")
    app.config["MAX_CONTENT_LENGTH"] = 1000

    @app.put("/stream")
    def stream() -> Any:
        return str(len(flask.request.stream.read()))

    @app.put("/form")
    def files() -> Any:
        return str(len(flask.request.files["file"].read()))

    @app.put("/fields")
    def fields() -> Any:
        return str(len(flask.request.form["a"]))

    @app.put("/data")
    def data() -> Any:
        return str(len(flask.request.get_data()))

    @app.put("/late")
    def late() -> Any:
        seen = flask.request.mimetype
        try:
            flask.request.files  # noqa: B018
        except RequestEntityTooLarge:
            return f"{seen} then 413"
        return seen

    return app


MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def put(app: Flask, path: str, body: bytes, content_type: str = "text/plain", chunked: bool = False) -> tuple[int, str]:
    """Send a body, as one piece with its length, or chunked through a server that marks its end."""
    arguments: dict[str, Any] = {"data": body}
    if chunked:
        environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
        arguments = {"input_stream": io.BytesIO(body), "environ_overrides": environ}
    response = app.test_client().put(path, content_type=content_type, **arguments)
    return response.status_code, response.text


@pytest.mark.parametrize("chunked", [False, True])
def test_a_stream_has_no_limit(limited_app: Flask, chunked: bool) -> None:
    assert put(limited_app, "/stream", b"x" * 5000, chunked=chunked) == (200, "5000")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_stream_of_a_form_that_nobody_parses_has_no_limit(limited_app: Flask, chunked: bool) -> None:
    assert put(limited_app, "/stream", form(5000), MULTIPART, chunked) == (200, "5000")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_of_the_size_of_the_limit_is_parsed(limited_app: Flask, chunked: bool) -> None:
    assert put(limited_app, "/form", form(1000), MULTIPART, chunked)[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [1001, 100_000])
def test_a_form_over_the_limit_is_refused(limited_app: Flask, size: int, chunked: bool) -> None:
    assert put(limited_app, "/form", form(size), MULTIPART, chunked)[0] == 413


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("length", "status"), [(998, 200), (999, 413)])
def test_an_urlencoded_form_has_the_same_limit(limited_app: Flask, length: int, status: int, chunked: bool) -> None:
    body = b"a=" + b"x" * length
    assert put(limited_app, "/fields", body, "application/x-www-form-urlencoded", chunked)[0] == status


def test_a_form_over_the_limit_is_refused_when_it_is_parsed_and_not_before(limited_app: Flask) -> None:
    assert put(limited_app, "/late", form(5000), MULTIPART) == (200, "multipart/form-data then 413")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_read_into_memory_has_the_limit(limited_app: Flask, chunked: bool) -> None:
    assert put(limited_app, "/data", b"x" * 999, chunked=chunked) == (200, "999")
    assert put(limited_app, "/data", b"x" * 1001, chunked=chunked)[0] == 413


def test_without_a_limit_a_form_is_parsed_whatever_its_size(limited_app: Flask) -> None:
    limited_app.config["MAX_CONTENT_LENGTH"] = None
    assert put(limited_app, "/form", form(100_000), MULTIPART)[0] == 200


def test_the_application_has_the_documented_default() -> None:
    assert Flask("app").config["MAX_CONTENT_LENGTH"] == MAX_CONTENT_LENGTH == 16 * 1024 * 1024
    assert flask.Flask("app").config["MAX_CONTENT_LENGTH"] is None


def test_the_parser_leaves_alone_what_is_no_form() -> None:
    stream = io.BytesIO(b"x" * 100)
    parsed, fields, files = FormDataParser(max_content_length=10).parse(stream, "application/pdf", 100)
    assert parsed is stream
    assert not fields
    assert not files


def test_the_body_of_a_shallow_request_is_not_read() -> None:
    request = Request({"wsgi.input": io.BytesIO(), "REQUEST_METHOD": "PUT"}, shallow=True)
    with pytest.raises(RuntimeError):
        request.stream  # noqa: B018
    with pytest.raises(RuntimeError):
        request.get_data()
