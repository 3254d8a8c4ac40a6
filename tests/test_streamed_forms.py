"""The file of a form is read as it comes, of whatever size, and held to what holds for a body that is a file itself."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask import Flask, request
from helpers.parts import begin, checksum
from helpers.rest import error, nothing_stays, stored, url

from invenio_files_rest.errors import MultipartNoPart
from invenio_files_rest.http.streamed_form import StreamedForm
from invenio_files_rest.wrappers import Request

LIMIT = 100_000
FILE = os.urandom(3 * LIMIT)
TYPE = {"CONTENT_TYPE": "multipart/form-data; boundary=b"}
END = b"--b--\r\n"

pytestmark = pytest.mark.usefixtures("allow_all", "limited")


@pytest.fixture
def limited(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let forms have a limit."""
    monkeypatch.setattr(app, "request_class", Request)
    monkeypatch.setitem(app.config, "MAX_CONTENT_LENGTH", LIMIT)


@pytest.fixture(params=[Request, flask.Request], ids=["ours", "plain"])
def any_class(app: Flask, limited: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the application be one with our class of requests, or a plain one of Flask's."""
    monkeypatch.setattr(app, "request_class", request.param)


def field(name: str, value: Any) -> bytes:
    """Return a field of a form, which is a file where its value is bytes."""
    if isinstance(value, bytes):
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'
        return head.encode() + value + b"\r\n"
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def form(*fields: tuple[str, Any]) -> bytes:
    """Return a form with fields in this order."""
    return b"".join(field(*each) for each in fields) + END


def send(client: Any, path: str, body: bytes, chunked: bool = False, **kwargs: Any) -> Any:
    """Send a form."""
    told = {"wsgi.input_terminated": True} if chunked else {"CONTENT_LENGTH": str(len(body))}
    return client.put(path, environ_overrides={"wsgi.input": io.BytesIO(body), **TYPE, **told}, **kwargs)


SIZE = ("_totalSize", len(FILE))
WHOLE = form(SIZE, ("file", FILE))


@pytest.fixture
def use(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that has the application ask one factory for files."""

    def use(factory: Callable[[], Any]) -> None:
        monkeypatch.setitem(vars(app.extensions["invenio-files-rest"]), "upload_factories", [factory])

    return use


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no temporary file be made for a form."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("A temporary file is made.")

    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", refuse)


@pytest.mark.usefixtures("any_class", "nothing_kept")
@pytest.mark.parametrize("chunked", [False, True])
def test_the_file_of_a_form_may_be_larger_than_the_limit_of_forms(
    client: Any, bucket: Any, location: Any, chunked: bool
) -> None:
    answer = send(client, url(bucket, "a"), WHOLE, chunked)
    assert answer.status_code == 200, answer.text
    assert answer.json["checksum"] == checksum(FILE)
    assert stored(location) == [FILE]


@pytest.mark.usefixtures("any_class", "nothing_kept", "small_parts")
@pytest.mark.parametrize("chunked", [False, True])
def test_so_may_a_part(client: Any, bucket: Any, chunked: bool) -> None:
    upload = begin(client, bucket, size=len(FILE), part_size=len(FILE))
    numbers = ("_chunkNumber", 0), ("_currentChunkSize", len(FILE))
    answer = send(client, upload.url(), form(*numbers, ("file", FILE)), chunked)
    assert answer.status_code == 200, answer.text
    assert upload.parts() == {0: checksum(FILE)}


def test_an_extension_that_looks_into_the_form_leaves_the_file(
    client: Any, bucket: Any, app: Flask, monkeypatch: Any
) -> None:
    tokens: list[Any] = []
    look = lambda: tokens.append(request.form.get("token"))  # noqa: E731
    monkeypatch.setitem(app.before_request_funcs, None, [look])
    body = form(("token", "abc"), ("_totalSize", 1000), ("file", FILE[:1000]))
    assert send(client, url(bucket, "a"), body).status_code == 200
    assert tokens == ["abc"]


@pytest.mark.parametrize("chunked", [False, True])
def test_in_a_form_within_the_limit_fields_may_come_in_any_order(
    client: Any, bucket: Any, location: Any, chunked: bool
) -> None:
    content = FILE[:50_000]
    first = ("other", b"another file")
    answer = send(client, url(bucket, "a"), form(first, ("file", content), ("_totalSize", 50_000), ("x", "")), chunked)
    assert answer.status_code == 200, answer.text
    assert stored(location) == [content]


@pytest.mark.usefixtures("small_parts")
def test_so_they_may_in_that_of_a_part(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket)
    body = form(("file", b"0123"), ("_currentChunkSize", 4), ("_chunkNumber", 0))
    assert send(client, upload.url(), body).status_code == 200


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ([("file", FILE), SIZE], "The form has no field named _totalSize, which has to come before the file."),
        ([SIZE, ("other", FILE), ("file", FILE)], "The form has no field named file."),
    ],
    ids=["size", "file"],
)
def test_in_a_larger_one_what_is_needed_comes_first(
    client: Any, bucket: Any, location: Any, fields: Any, told: str
) -> None:
    with nothing_stays(location):
        assert error(send(client, url(bucket, "a"), form(*fields)), 400)["message"] == told
        # Nobody knew that it is longer.
        assert "no more than 100000 bytes" in error(send(client, url(bucket, "a"), form(*fields), True), 413)["message"]


@pytest.mark.parametrize("late", ["_chunkNumber", "_currentChunkSize", "_totalSize", "_TOTALSIZE", "file"])
def test_a_field_that_comes_too_late_to_count_is_refused(client: Any, bucket: Any, location: Any, late: str) -> None:
    """With it the file may be another one than it was taken for."""
    value = b"x" if late == "file" else 3
    with nothing_stays(location):
        answer = error(send(client, url(bucket, "a"), form(SIZE, ("file", FILE), (late, value))), 400)
    assert answer["message"] == f"The field {late} comes after the file, or twice: it has to come before the file."


def test_other_fields_may_follow(client: Any, bucket: Any, location: Any) -> None:
    body = form(SIZE, ("file", FILE), ("title", "x"), ("preview", b"x" * 1000))
    assert send(client, url(bucket, "a"), body).status_code == 200
    assert stored(location) == [FILE]


class Endless(io.RawIOBase):
    """A body that begins with some bytes, and has others after them that are read at most until told."""

    def __init__(self, begin: bytes, most: int, piece: bytes = b"x") -> None:
        self.pieces = iter([begin] if begin else [])
        self.most, self.piece = most, piece

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = next(self.pieces, None)
        if data is None:
            data = (self.piece * (len(buffer) // len(self.piece)))[: len(buffer)]
            self.most -= len(data)
            assert self.most > 0, "The body is read on."
        buffer[: len(data)] = data
        return len(data)


def put_endless(client: Any, bucket: Any, body: Endless, length: int | None) -> Any:
    """Send a form that does not end."""
    told = {"wsgi.input_terminated": True} if length is None else {"CONTENT_LENGTH": str(length)}
    return client.put(url(bucket, "a"), environ_overrides={"wsgi.input": body, **TYPE, **told})


@pytest.mark.parametrize("length", [10**12, None])
@pytest.mark.parametrize(
    ("fields", "status"),
    [([("_totalSize", 10**11)], 400), ([("_totalSize", 1000)], 400)],
    ids=["announced", "not announced"],
)
def test_a_file_over_the_limit_of_its_bucket_is_refused_where_that_is_seen(
    client: Any, bucket: Any, location: Any, db: Any, fields: Any, status: int, length: int | None
) -> None:
    bucket.quota_size = 5000
    db.session.commit()
    begin = b"".join(field(*each) for each in fields) + field("file", b"")[:-2]
    # Before it is read, or with the first block that is too large.
    most = 1 if fields[0][1] > 5000 else 10 * 1024**2
    with nothing_stays(location):
        error(put_endless(client, bucket, Endless(begin, most), length), status)


HEAD = field("file", b"")[:-2]


@pytest.mark.parametrize(
    ("begin", "rest"),
    [
        (b"", b"x"),
        (b"--b\r\n", b"X: x\r\n"),
        (b"--b\r\n", b"x"),
        (field("_totalSize", "")[:-2], b"1"),
        (field("_totalSize", 1) + HEAD + b"x\r\n--b\r\n", b"x"),
        (field("_totalSize", 1) + field("file", b"x") + field("x", "")[:-2], b"x"),
        (field("_totalSize", 1) + field("file", b"x") + field("x", b"")[:-2], b"x"),
        (field("_totalSize", 1) + field("file", b"x") + END, b"x"),
        (b"", field("x", "")),
        (field("_totalSize", 1) + field("file", b"x"), field("x", "")),
    ],
    ids=[
        "preamble",
        "heads",
        "head",
        "field",
        "late head",
        "late field",
        "late file",
        "epilogue",
        "fields",
        "late ones",
    ],
)
@pytest.mark.parametrize("length", [10**12, None])
def test_nothing_else_of_a_form_is_without_a_limit(
    client: Any, bucket: Any, location: Any, begin: bytes, rest: bytes, length: int | None
) -> None:
    with nothing_stays(location):
        error(put_endless(client, bucket, Endless(begin, 10 * LIMIT, rest), length), 413)


@pytest.mark.parametrize(
    "body",
    [
        WHOLE[:-10],
        WHOLE[: -len(FILE)],
        field(*SIZE) + b"--b\r\nContent-Disposition: form-data\r\n",
        field(*SIZE) + b"--b\r\nX: y\r\n\r\n" + END,
        field(*SIZE) + b"--b\r\nX: \xff\r\n\r\n" + END,
        WHOLE.removesuffix(END) + b"--b\r\nX: y\r\n\r\n" + END,
        b"",
        b"--c--",
    ],
    ids=["end", "file", "head", "no name", "no text", "late head", "empty", "other boundary"],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_that_is_malformed_or_ends_too_early_is_400(
    client: Any, bucket: Any, location: Any, body: bytes, chunked: bool
) -> None:
    with nothing_stays(location):
        answer = error(send(client, url(bucket, "a"), body, chunked), 400)
    assert answer["message"] == "The form is malformed, or ended too early."


@pytest.mark.parametrize("filename", ["", '; filename="a"'], ids=["field", "file"])
@pytest.mark.parametrize("late", [False, True])
def test_a_field_without_a_name_is_400(client: Any, bucket: Any, location: Any, filename: str, late: bool) -> None:
    nameless = f"--b\r\nContent-Disposition: form-data{filename}\r\n\r\nx\r\n".encode()
    whole = WHOLE.removesuffix(END)
    with nothing_stays(location):
        answer = error(send(client, url(bucket, "a"), (whole + nameless if late else nameless + whole) + END), 400)
    assert answer["message"] == "A field of the form has no name."


def test_a_form_whose_type_names_no_boundary_is_400(client: Any, bucket: Any, location: Any) -> None:
    with nothing_stays(location):
        answer = error(client.put(url(bucket, "a"), data=b"x", content_type="multipart/form-data"), 400)
    assert answer["message"] == "The Content-Type of the form names no boundary."


def test_a_file_of_which_somebody_has_read_is_not_stored(
    client: Any, bucket: Any, location: Any, app: Flask, monkeypatch: Any
) -> None:
    monkeypatch.setitem(app.before_request_funcs, None, [lambda: request.files["file"].read(10) and None])
    with nothing_stays(location):
        error(send(client, url(bucket, "a"), WHOLE), 500)


def sized_by_seeking() -> Any:
    """Find the length of a file as code does that knows Werkzeug's files."""
    file = request.files["upload"]
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(0)
    return file.stream, size, None, {}


def with_fields() -> Any:
    """Take a size that may come after the file."""
    return request.files["upload"].stream, int(request.form["length"]), None, {}


def read_at_once() -> Any:
    """Read the file into memory."""
    content = request.files["upload"].read()
    return io.BytesIO(content), len(content), None, {}


def saved() -> Any:
    """Look for the file in vain, and leave it to others."""
    if "other" not in request.files:
        raise MultipartNoPart()
    return request.files["other"].stream, None, None, {}


@pytest.mark.usefixtures("any_class")
@pytest.mark.parametrize("factory", [sized_by_seeking, with_fields, read_at_once, saved])
def test_a_factory_of_ones_own_finds_in_a_form_within_the_limit_what_it_found(
    use: Any, client: Any, bucket: Any, location: Any, factory: Any
) -> None:
    use(factory)
    content = FILE[: LIMIT // 2]
    other = b"other" * 10
    body = form(("upload", content), ("length", len(content)), ("other", other))
    answer = send(client, url(bucket, "a"), body)
    assert answer.status_code == 200, answer.text
    assert stored(location) == [other if factory is saved else content]


@pytest.mark.usefixtures("nothing_kept")
def test_a_factory_of_ones_own_may_take_a_larger_file_as_it_comes(
    use: Any, client: Any, bucket: Any, location: Any
) -> None:
    use(with_fields)
    assert send(client, url(bucket, "a"), form(("length", len(FILE)), ("upload", FILE))).status_code == 200
    assert stored(location) == [FILE]


@pytest.mark.parametrize(("factory", "status"), [(sized_by_seeking, 413), (read_at_once, 413), (saved, 400)])
def test_a_larger_one_is_not_kept_for_it(
    use: Any, client: Any, bucket: Any, location: Any, factory: Any, status: int
) -> None:
    use(factory)
    body = form(("upload", FILE), ("length", len(FILE)), ("other", b"x"))
    with nothing_stays(location):
        error(send(client, url(bucket, "a"), body), status)


def test_after_an_error_the_file_has_no_end() -> None:
    """Who reads on must not take what came for all."""
    begin = field("file", b"x" * 1000)
    read = StreamedForm(
        io.BytesIO(begin[:500]), "b", length=None, limit=None, field_limit=None, max_parts=None, new_file=io.BytesIO
    )
    ((_, file),) = read.files
    for _ in range(2):
        with pytest.raises(Exception, match="ended too early"):
            list(iter(lambda: file.read(100), b""))
    assert not file.stream.seekable()
    with pytest.raises(io.UnsupportedOperation):
        file.seek(0)
