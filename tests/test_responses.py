"""The response that sends a file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from typing import IO, Any
from wsgiref.util import FileWrapper

import pytest
from flask import Flask, Response
from werkzeug.http import parse_options_header
from werkzeug.test import TestResponse

from invenio_files_rest.errors import StorageError
from invenio_files_rest.http.file_response import (
    MIMETYPE_WHITELIST,
    content_disposition,
    sanitize_mimetype,
    send_stream,
)
from invenio_files_rest.storage import FileStorage

CONTENT = b"0123456789"
DIGEST = hashlib.md5(CONTENT).hexdigest()
ETAG = f'"md5:{DIGEST}"'
MTIME = 1600000000
DATE = "Sun, 13 Sep 2020 12:26:40 GMT"
BEFORE = "Sun, 13 Sep 2020 12:26:39 GMT"
AFTER = "Sun, 13 Sep 2020 12:26:41 GMT"
SECURITY = {
    "Content-Security-Policy": "default-src 'none';",
    "X-Content-Type-Options": "nosniff",
    "X-Download-Options": "noopen",
    "X-Permitted-Cross-Domain-Policies": "none",
    "X-Frame-Options": "deny",
    "X-XSS-Protection": "1; mode=block",
}


class Unseekable(io.BytesIO):
    """A file that cannot seek, and so tells nothing of its size."""

    def __init__(self) -> None:
        super().__init__(CONTENT)

    def seek(self, *args: Any) -> int:
        raise io.UnsupportedOperation("seek")


class Sender:
    """An application that sends one file, with the arguments that a test chooses."""

    def __init__(self) -> None:
        self.app = Flask("app")
        self.app.config["FILES_REST_ALLOW_RANGE_REQUESTS"] = True
        self.app.add_url_rule("/", view_func=self.view, methods=["GET", "HEAD", "POST"])
        self.streams: list[IO[bytes]] = []
        self.make_stream: Any = lambda: io.BytesIO(CONTENT)

    def view(self) -> Response:
        self.streams.append(self.make_stream())
        return send_stream(self.streams[-1], **self.arguments)

    def __call__(
        self, method: str = "GET", headers: Any = None, environ: dict[str, Any] | None = None, **arguments: Any
    ) -> TestResponse:
        self.arguments = {
            "filename": "a.txt",
            "size": len(CONTENT),
            "mtime": MTIME,
            "etag": f"md5:{DIGEST}",
            "content_md5": DIGEST,
        } | arguments
        response = self.app.test_client().open("/", method=method, headers=headers, environ_overrides=environ)
        response.data  # noqa: B018
        response.close()
        return response


@pytest.fixture
def send() -> Iterator[Sender]:
    sender = Sender()
    yield sender
    assert all(stream.closed for stream in sender.streams), "A response leaves its file open."


def test_a_file_is_sent_with_its_headers(send: Sender) -> None:
    response = send()
    assert response.status_code == 200
    assert response.data == CONTENT
    expected = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": "inline",
        "Content-Length": "10",
        "Content-MD5": DIGEST,
        "Content-Type": "text/plain; charset=utf-8",
        "ETag": ETAG,
        "Last-Modified": DATE,
        "Repr-Digest": f"md5=:{base64.b64encode(hashlib.md5(CONTENT).digest()).decode()}:",
        "Vary": "Authorization, Cookie",
        **SECURITY,
    }
    assert dict(response.headers) == expected


def test_a_response_class_of_the_application_may_add_to_the_headers(send: Sender) -> None:
    class Shared(Response):
        def __init__(self, response: Any = None, status: Any = None, headers: Any = None, **kwargs: Any) -> None:
            headers.add("Access-Control-Allow-Origin", "*")
            super().__init__(response, status, headers, **kwargs)

    send.app.response_class = Shared
    response = send()
    assert (response.data, response.headers["Access-Control-Allow-Origin"]) == (CONTENT, "*")


def test_a_trusted_file_has_its_own_type_and_no_security_headers(send: Sender) -> None:
    response = send(filename="a.html", trusted=True)
    assert response.mimetype == "text/html"
    assert not SECURITY.keys() & set(response.headers.keys())


def test_a_file_that_is_not_trusted_has_a_harmless_type(send: Sender) -> None:
    assert send(filename="a.html").mimetype == "text/plain"
    assert send(filename="a.txt", mimetype="text/html").mimetype == "text/plain"
    assert send(filename="a.pdf").mimetype == "application/octet-stream"


@pytest.mark.parametrize(
    ("algorithm", "name"), [("sha256", "sha-256"), ("sha-256", "sha-256"), ("sha512", "sha-512"), ("SHA256", "sha-256")]
)
def test_the_digest_is_sent_under_its_registered_name(send: Sender, algorithm: str, name: str) -> None:
    digest = hashlib.new(name.replace("-", ""), CONTENT)
    expected = base64.b64encode(digest.digest()).decode()
    assert send(etag=f"{algorithm}:{digest.hexdigest()}").headers["Repr-Digest"] == f"{name}=:{expected}:"


@pytest.mark.parametrize("etag", ["adler32:00", "md5:xyz", "no checksum", "md5"])
def test_an_etag_that_is_no_registered_digest_is_no_digest(send: Sender, etag: str) -> None:
    response = send(etag=etag)
    assert response.headers["ETag"] == f'"{etag}"'
    assert "Repr-Digest" not in response.headers


def test_what_is_not_known_is_not_sent(send: Sender) -> None:
    response = send(size=None, mtime=None, etag=None, content_md5=None, headers={"Range": "bytes=0-1"})
    assert response.status_code == 200
    assert response.data == CONTENT
    for name in ("Accept-Ranges", "Content-Length", "Last-Modified", "ETag", "Content-MD5", "Repr-Digest"):
        assert name not in response.headers


@pytest.mark.parametrize(("age", "expected"), [(None, None), (3600, 3600), (timedelta(hours=2), 7200)])
def test_an_open_file_may_be_kept_as_long_as_the_application_says(
    send: Sender, age: int | timedelta | None, expected: int | None
) -> None:
    send.app.config["SEND_FILE_MAX_AGE_DEFAULT"] = age
    response = send(restricted=False)
    assert response.cache_control.public
    assert not response.cache_control.no_cache
    assert not response.cache_control.private
    assert "Vary" not in response.headers
    assert response.cache_control.max_age == expected
    assert ("Expires" in response.headers) == (expected is not None)


# Content-Disposition


def test_an_attachment_has_its_name(send: Sender) -> None:
    assert send(as_attachment=True).headers["Content-Disposition"] == "attachment; filename=a.txt"
    assert send(filename="a.bin").headers["Content-Disposition"] == "attachment; filename=a.bin"
    assert send(filename="a.bin", trusted=True).headers["Content-Disposition"] == "attachment; filename=a.bin"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ('a"b\\c;d.txt', "attachment; filename=\"a_b_c;d.txt\"; filename*=UTF-8''a%22b%5Cc%3Bd.txt"),
        ("žluť.txt", "attachment; filename=zlut.txt; filename*=UTF-8''%C5%BElu%C5%A5.txt"),
        ("\U0001f600.txt", "attachment; filename=download.txt; filename*=UTF-8''%F0%9F%98%80.txt"),
        ("a\r\nSet-Cookie: b=c.txt", 'attachment; filename="aSet-Cookie: b=c.txt"'),
        ("a\0\x7f\x1b\u2028\ud800b.txt", "attachment; filename=ab.txt"),
    ],
)
def test_every_name_makes_one_header(send: Sender, name: str, expected: str) -> None:
    response = send(filename=name, as_attachment=True)
    assert response.headers["Content-Disposition"] == expected
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("name", ["a/ž'%*().bin", "“quoted”.txt", "100%.txt", "a=b,c;d.txt", "\uff46ull.txt"])
def test_a_name_is_read_again_as_it_was(name: str) -> None:
    value = content_disposition("attachment", name)
    value.encode("ascii")
    assert parse_options_header(value) == ("attachment", {"filename": name})


# MIME types


@pytest.mark.parametrize("mimetype", sorted(MIMETYPE_WHITELIST))
def test_a_harmless_type_stays(mimetype: str) -> None:
    assert sanitize_mimetype(mimetype) == mimetype
    assert sanitize_mimetype(mimetype, filename="README") == mimetype


@pytest.mark.parametrize("mimetype", ["audio/x-wav", "audio/wave", "Audio/vnd.wave; codec=1"])
def test_a_safe_type_is_known_by_its_other_names(mimetype: str) -> None:
    assert sanitize_mimetype(mimetype) == "audio/wav"


@pytest.mark.parametrize(
    "mimetype",
    [
        "text/html",
        "text/css",
        "text/csv",
        "text/xml",
        "TEXT/HTML",
        "text/html; charset=utf-8",
        "application/javascript",
        "application/json",
        "application/xhtml+xml",
        "application/xml",
        "image/svg+xml",
    ],
)
def test_text_of_any_kind_is_plain_text(mimetype: str) -> None:
    assert sanitize_mimetype(mimetype) == "text/plain"


@pytest.mark.parametrize(
    "mimetype", ["application/pdf", "video/mp4", "image/webp", "multipart/mixed", "text", "", None]
)
def test_every_other_type_is_unknown(mimetype: str | None) -> None:
    assert sanitize_mimetype(mimetype, filename="a.png") == "application/octet-stream"


@pytest.mark.parametrize("name", ["README", "readme", "ReadMe"])
def test_a_readme_is_plain_text(name: str) -> None:
    assert sanitize_mimetype("application/octet-stream", filename=name) == "text/plain"
    assert sanitize_mimetype("application/octet-stream", filename=f"{name}.zip") == "application/octet-stream"


# Conditions


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": f"W/{ETAG}"}, 304),
        ({"If-None-Match": f'"other", {ETAG}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": DATE}, 304),
        ({"If-Modified-Since": AFTER}, 304),
        ({"If-Modified-Since": BEFORE}, 200),
        ({"If-Modified-Since": "nonsense"}, 200),
        # An entity tag says more than a date.
        ({"If-None-Match": '"other"', "If-Modified-Since": DATE}, 200),
        ({"If-None-Match": ETAG, "If-Modified-Since": BEFORE}, 304),
        ({"If-Match": ETAG}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": f"W/{ETAG}"}, 412),
        ({"If-Unmodified-Since": DATE}, 200),
        ({"If-Unmodified-Since": BEFORE}, 412),
        ({"If-Match": ETAG, "If-Unmodified-Since": BEFORE}, 200),
        ({"If-Match": '"other"', "If-None-Match": ETAG}, 412),
        ({"If-Match": ETAG, "If-None-Match": ETAG}, 304),
    ],
)
def test_conditions_are_heeded_in_their_order(send: Sender, method: str, headers: dict[str, str], status: int) -> None:
    response = send(method, headers=headers)
    assert response.status_code == status
    if status == 304:
        assert response.data == b""
        assert response.headers["ETag"] == ETAG
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.headers["Vary"] == "Authorization, Cookie"
        assert "Content-Type" not in response.headers
    if status == 412 and method == "GET":
        assert response.json == {"status": 412, "message": "A precondition of the request does not hold."}


def test_conditions_on_what_is_not_known_do_not_hold_or_are_ignored(send: Sender) -> None:
    nothing: dict[str, Any] = {"etag": None, "mtime": None}
    assert send(headers={"If-None-Match": ETAG}, **nothing).status_code == 200
    assert send(headers={"If-Modified-Since": DATE}, **nothing).status_code == 200
    assert send(headers={"If-Unmodified-Since": BEFORE}, **nothing).status_code == 200
    assert send(headers={"If-Match": ETAG}, **nothing).status_code == 412


def test_a_response_without_conditions_is_whole(send: Sender) -> None:
    response = send(headers={"If-None-Match": ETAG, "Range": "bytes=0-1"}, conditional=False)
    assert (response.status_code, response.data) == (200, CONTENT)
    assert "Accept-Ranges" not in response.headers


# Ranges


@pytest.mark.parametrize(
    ("value", "content", "content_range"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=5-", b"56789", "bytes 5-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", CONTENT, "bytes 0-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
        ("Bytes=9-9", b"9", "bytes 9-9/10"),
        (f"bytes=9-{'9' * 200}", b"9", "bytes 9-9/10"),
    ],
)
def test_a_range_is_served(send: Sender, value: str, content: bytes, content_range: str) -> None:
    response = send(headers={"Range": value})
    assert response.status_code == 206
    assert response.data == content
    assert response.headers["Content-Range"] == content_range
    assert response.content_length == len(content)
    assert response.headers["ETag"] == ETAG
    # It is a digest of the body, which is a part here.
    assert "Content-MD5" not in response.headers


@pytest.mark.parametrize(
    "value",
    ["bytes=2-4,6-7", "bytes=4-2", "bytes=-", "bytes=a-b", "bytes", "lines=1-2", "", "bytes=1-2-3", "bytes=٣-٤", "0-1"],
)
def test_what_is_no_single_range_gets_the_whole_file(send: Sender, value: str) -> None:
    response = send(headers=None if not value.isascii() else {"Range": value}, environ={"HTTP_RANGE": value})
    assert (response.status_code, response.data) == (200, CONTENT)
    assert "Content-Range" not in response.headers


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-12", "bytes=-0", f"bytes={'9' * 200}-"])
def test_a_range_beyond_the_file_is_refused_with_its_size(send: Sender, value: str) -> None:
    response = send(headers={"Range": value})
    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */10"
    assert response.json is not None
    assert response.json["status"] == 416
    assert "message" in response.json


def test_an_empty_file_has_no_range(send: Sender) -> None:
    send.make_stream = io.BytesIO
    assert send(headers={"Range": "bytes=0-"}, size=0).status_code == 416
    assert send(headers={"Range": "bytes=-5"}, size=0).status_code == 200


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (ETAG, 206),
        ('"other"', 200),
        (f"W/{ETAG}", 200),
        (DATE, 206),
        (BEFORE, 200),
        (AFTER, 200),
        ("nonsense", 200),
    ],
)
def test_a_range_of_a_file_that_has_changed_is_the_whole_file(send: Sender, value: str, status: int) -> None:
    assert send(headers={"Range": "bytes=2-4", "If-Range": value}).status_code == status


def test_a_range_is_for_get_alone(send: Sender) -> None:
    assert send("HEAD", headers={"Range": "bytes=2-4"}).status_code == 200
    assert send("POST", headers={"Range": "bytes=2-4"}).status_code == 200


def test_ranges_can_be_switched_off(send: Sender) -> None:
    send.app.config["FILES_REST_ALLOW_RANGE_REQUESTS"] = False
    response = send(headers={"Range": "bytes=2-4"})
    assert (response.status_code, response.data) == (200, CONTENT)
    assert "Accept-Ranges" not in response.headers


def test_a_range_of_a_stream_that_cannot_seek_is_read_to(send: Sender) -> None:
    send.make_stream = Unseekable
    assert send(headers={"Range": "bytes=2-4"}, chunk_size=1).data == b"234"


class Refusing(io.BytesIO):
    """A file whose storage has an error of its own for what it cannot do."""

    def __init__(self) -> None:
        super().__init__(CONTENT)

    def seek(self, *args: Any) -> int:
        raise RuntimeError("Not seekable.")


class Ignorant(Unseekable):
    """A file that seeks from its beginning alone, and tells nothing of the other ways."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return io.BytesIO.seek(self, offset)


@pytest.mark.parametrize("make_stream", [Refusing, Ignorant])
def test_a_file_that_seeks_in_its_own_way_is_sent(send: Sender, make_stream: Any) -> None:
    send.make_stream = make_stream
    assert send().data == CONTENT
    assert send(headers={"Range": "bytes=2-4"}, chunk_size=1).data == b"234"


# Files that are not as long as they should be


@pytest.mark.parametrize("size", [9, 11])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-2"}])
def test_a_file_that_is_shorter_or_longer_is_not_sent(send: Sender, size: int, headers: dict[str, str]) -> None:
    response = send(size=size, headers=headers)
    assert response.status_code == 500
    assert response.json == {"status": 500, "message": "The file storage failed."}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("HEAD", {}, 200),
        ("GET", {"If-None-Match": ETAG}, 304),
        ("GET", {"If-Match": '"other"'}, 412),
        ("GET", {"Range": "bytes=20-"}, 416),
    ],
)
def test_an_answer_without_bytes_opens_no_file(method: str, headers: dict[str, str], status: int) -> None:
    class Away(FileStorage):
        def open(self, mode: str | None = None) -> Any:
            raise AssertionError("It was opened.")

    app = Flask("app")
    app.config["FILES_REST_ALLOW_RANGE_REQUESTS"] = True
    app.add_url_rule("/", view_func=lambda: Away(size=10).send_file("a.txt", checksum=ETAG.strip('"')))
    response = app.test_client().open("/", method=method, headers=headers)
    assert response.status_code == status
    assert status != 200 or response.content_length == 10


class Fragile(Unseekable):
    """One that breaks at the second read."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > 1:
            raise ConnectionResetError("The storage has gone.")
        return super().read(size)


@pytest.mark.parametrize(
    ("make_stream", "reason"),
    [(Fragile, "cannot be read: The storage has gone."), (Unseekable, "ended 2 bytes too early.")],
)
def test_a_file_that_cannot_be_sent_to_its_end_fails_while_it_is_sent(
    send: Sender, make_stream: Any, reason: str
) -> None:
    send.make_stream = make_stream
    with pytest.raises(StorageError, match=reason):
        send(size=12 if make_stream is Unseekable else 10, chunk_size=4)


def test_a_file_that_loses_bytes_while_the_server_sends_it_fails_when_it_is_closed(send: Sender) -> None:
    class Shrinking(ServerWrapper):
        """A wrapper that finds less of the file than there was."""

        def __next__(self) -> bytes:
            os.ftruncate(self.filelike.fileno(), 4)
            return super().__next__()

    send.make_stream = real_file
    with pytest.raises(StorageError, match="4 are left"):
        send(environ={"wsgi.file_wrapper": Shrinking})
    # What comes after the range is nobody's business.
    send.make_stream = real_file
    assert send(environ={"wsgi.file_wrapper": Shrinking}, headers={"Range": "bytes=1-2"}).data[:2] == b"12"


# The file, and who sends it


def test_a_head_request_gets_the_headers_alone(send: Sender) -> None:
    response = send("HEAD")
    assert response.data == b""
    assert response.content_length == 10


def test_an_error_closes_the_file(send: Sender) -> None:
    send.app.config["PROPAGATE_EXCEPTIONS"] = False
    assert send(mtime="nonsense").status_code == 500


def test_a_client_that_goes_away_leaves_no_open_file() -> None:
    stream = io.BytesIO(CONTENT)
    with Flask("app").test_request_context() as context:
        response = send_stream(stream, "a.txt", 10, MTIME, chunk_size=2)
        body = response(context.request.environ, lambda status, headers: lambda data: None)
        assert next(iter(body)) == b"01"
        body.close()  # type: ignore[attr-defined]
    assert stream.closed


def real_file() -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the response closes it)
    file.write(CONTENT)
    file.seek(0)
    return file


class ServerWrapper(FileWrapper):
    """The wrapper of a server that, as PEP 3333 has it, sends from where the file stands."""

    made: list[tuple[int, int]] = []

    def __init__(self, file: IO[bytes], block_size: int = 8192) -> None:
        super().__init__(file, block_size)
        self.made.append((os.lseek(file.fileno(), 0, os.SEEK_CUR), block_size))


def test_the_server_sends_a_file_of_the_operating_system(send: Sender) -> None:
    ServerWrapper.made.clear()
    send.make_stream = real_file
    environ = {"wsgi.file_wrapper": ServerWrapper}
    assert send(environ=environ, chunk_size=4096).data == CONTENT
    assert send(environ=environ, headers={"Range": "bytes=7-"}, chunk_size=4096).data == b"789"
    assert ServerWrapper.made == [(0, 4096), (7, 4096)]


def test_the_server_is_not_asked_to_send_what_it_cannot(send: Sender) -> None:
    ServerWrapper.made.clear()
    assert send(environ={"wsgi.file_wrapper": ServerWrapper}).data == CONTENT
    assert ServerWrapper.made == []


class Backwards:
    """A file of somebody's that is read in another way than it is stored."""

    def __init__(self) -> None:
        self._file = real_file()

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)[::-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def compressed_file() -> IO[bytes]:
    with tempfile.NamedTemporaryFile() as stored:
        stored.write(gzip.compress(CONTENT))
        stored.flush()
        return gzip.open(stored.name)  # type: ignore[return-value]


@pytest.mark.parametrize(("make", "expected"), [(compressed_file, CONTENT), (Backwards, CONTENT[::-1])])
def test_the_server_is_not_asked_to_send_what_is_stored_in_another_way_than_it_is_read(
    send: Sender, make: Any, expected: bytes
) -> None:
    """It would take the descriptor, and send what is on the disk."""
    ServerWrapper.made.clear()
    send.make_stream = make
    assert send(environ={"wsgi.file_wrapper": ServerWrapper}).data == expected
    assert ServerWrapper.made == []


def test_uwsgi_sends_whole_files_alone(send: Sender) -> None:
    ServerWrapper.made.clear()
    send.make_stream = real_file
    environ = {"wsgi.file_wrapper": ServerWrapper, "uwsgi.version": b"2.0.31"}
    assert send(environ=environ, headers={"Range": "bytes=2-4"}).data == b"234"
    assert ServerWrapper.made == []
    assert send(environ=environ).data == CONTENT
    assert len(ServerWrapper.made) == 1
