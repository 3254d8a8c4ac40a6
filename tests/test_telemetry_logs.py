"""The log: a line for each request and each event, with what there is to know, and what nobody may read in it."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers.rest import CONTENT, error, put, put_stream, run_on_server, statements, url
from invenio_db import db as database

from invenio_files_rest.errors import StorageError
from invenio_files_rest.models import Bucket
from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.telemetry import logs, observer
from invenio_files_rest.telemetry.observer import harmless
from invenio_files_rest.telemetry.redaction import redact

pytestmark = pytest.mark.usefixtures("allow_all", "identified")

Lines = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def identified(app: Any) -> None:
    """Take identifiers of requests, as is the default."""
    app.config["FILES_REST_REQUEST_ID_HEADER"] = "X-Request-ID"


@pytest.fixture
def written(app: Any) -> Iterator[io.StringIO]:
    """Collect what is written."""
    handler: Any = logs.own_handler()
    buffer = io.StringIO()
    before = handler.setStream(buffer)
    yield buffer
    handler.setStream(before)


@pytest.fixture
def lines(written: io.StringIO) -> Lines:
    """Return a function that returns the lines of an event, or all, since it was called last."""

    def take(event: str | None = None) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in written.getvalue().splitlines()]
        written.seek(0)
        written.truncate()
        return [line for line in found if event in (None, line["event"])]

    return take


def test_a_request_that_stores_has_a_line_and_the_version_one(client: Any, bucket: Bucket, lines: Lines):
    version = put(client, bucket, "a b.txt", headers={"X-Request-ID": "from-nginx-1"})
    stored, request = lines()
    common = {"request_id": "from-nginx-1", "bucket": str(bucket.id), "key": "a b.txt"}
    assert {name: stored[name] for name in common} == {name: request[name] for name in common} == common
    assert stored["version"] == version["version_id"]
    assert (stored["size"], stored["checksum"]) == (len(CONTENT), version["checksum"])
    assert (stored["event"], stored["logger"]) == ("stored", "invenio_files_rest.events")
    assert (request["event"], request["logger"]) == ("request", "invenio_files_rest.requests")
    assert (request["method"], request["status"], request["received"]) == ("PUT", 200, len(CONTENT))
    assert request["route"] == "invenio_files_rest.object_api"
    assert 0 < stored["ms"] <= request["ms"] < 60_000
    assert request["time"].endswith("+00:00")


def test_a_read_has_a_line_with_the_bytes_that_were_sent(client: Any, bucket: Bucket, lines: Lines):
    version = put(client, bucket, "a")
    lines()
    client.get(url(bucket, "a"), headers={"Range": "bytes=2-5"})
    read, request = lines()
    assert (read["event"], read["bytes"], read["size"]) == ("read", 4, len(CONTENT))
    assert (read["version"], read["checksum"]) == (version["version_id"], version["checksum"])
    assert "cause" not in read
    assert (request["status"], request["bytes"]) == (206, 4)
    client.head(url(bucket, "a"))
    (head,) = lines()
    assert (head["event"], head["method"], head["status"]) == ("request", "HEAD", 200)


def test_a_reader_that_breaks_off_is_told_with_what_it_took(app: Any, client: Any, bucket: Bucket, lines: Lines):
    size = 3 * 2**20
    put_stream(client, bucket, "large", io.BytesIO(b"x" * size), size)
    lines()

    def leave(chunk: bytes) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        run_on_server(app, url(bucket, "large"), leave)
    read, request = lines()
    assert (read["event"], read["bytes"], read["size"]) == ("read", 0, size)
    assert read["cause"] == f"The client took 0 of {size} bytes."
    assert (request["event"], request["bytes"]) == ("request", 0)


def test_a_file_that_nginx_sends_is_a_read_of_nginx(app: Any, client: Any, bucket: Bucket, lines: Lines):
    app.config["FILES_REST_XSENDFILE_ENABLED"] = True
    put(client, bucket, "a")
    lines()
    assert "X-Accel-Redirect" in client.get(url(bucket, "a")).headers
    read, request = lines()
    assert (read["event"], read["by"], read["size"]) == ("read", "nginx", len(CONTENT))
    assert "bytes" not in read
    assert "bytes" not in request


def test_a_deletion_and_a_removal_have_a_line(client: Any, bucket: Bucket, lines: Lines):
    version = put(client, bucket, "a")["version_id"]
    client.delete(url(bucket, "a"))
    client.delete(url(bucket, "a", versionId=version))
    marker, removed = lines("deleted")
    assert marker["key"] == removed["key"] == "a"
    assert marker["version"] != version == removed["version"]
    assert (removed["size"], removed["bucket"]) == (len(CONTENT), str(bucket.id))


REFUSALS = {
    "no object": (lambda client, bucket: client.get(url(bucket, "no")), 404, "NotFound", "not exist"),
    "no bucket": (lambda client, bucket: client.get("/files/metrics-of-others"), 404, "NotFound", "not exist"),
    "no method": (lambda client, bucket: client.patch(url(bucket, "a")), 405, "MethodNotAllowed", "not allowed"),
    "condition": (
        lambda client, bucket: client.put(url(bucket, "a"), data=b"x", headers={"If-Match": '"other"'}),
        412,
        "PreconditionFailed",
        "precondition",
    ),
    "digest": (
        lambda client, bucket: client.put(url(bucket, "a"), data=b"x", headers={"Content-MD5": "A" * 22 + "=="}),
        400,
        "DigestMismatchError",
        "digest",
    ),
    "argument": (
        lambda client, bucket: client.post(url(bucket, "a", uploads=True, size="many", partSize=1)),
        422,
        "InvalidArguments",
        "size",
    ),
    "quota": (lambda client, bucket: client.put(url(bucket, "a"), data=b"x" * 101), 400, "FileSizeError", "quota"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_has_a_line_that_says_why(client: Any, bucket: Bucket, lines: Lines, name: str):
    ask, status, reason, words = REFUSALS[name]
    bucket.quota_size = 100
    database.session.commit()
    response = ask(client, bucket)
    refused, request = lines()
    assert refused["event"] == "refused"
    assert refused["status"] == request["status"] == response.status_code == status
    assert refused["reason"] == reason
    assert words in refused["cause"].lower()
    assert refused["request_id"] == request["request_id"] == response.headers["X-Request-ID"]


def test_a_client_that_leaves_while_it_sends_is_told_with_what_came(client: Any, bucket: Bucket, lines: Lines):
    put_stream(client, bucket, "a", io.BytesIO(b"12345"), 100)
    refused, request = (line for line in lines() if line["event"] in ("refused", "request"))
    assert (refused["reason"], request["received"]) == ("ClientDisconnected", 5)


def test_a_failure_of_storage_is_logged_once_with_its_request(
    app: Any, client: Any, bucket: Bucket, lines: Lines, monkeypatch: pytest.MonkeyPatch, caplog: Any
):
    def fail(*args: Any, **kwargs: Any) -> None:
        raise StorageError("The disk s3://key:hidden-secret@host is broken.")

    monkeypatch.setattr(PyFSFileStorage, "save", fail)
    response = client.put(url(bucket, "a"), data=b"x", headers={"X-Request-ID": "failing"})
    error(response, 500)
    # The line of the application's logger, which this test's handlers get, as another application's would.
    (record,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    with app.test_request_context():
        line = json.loads(logs.make_formatter("json").format(record))
    assert (line["event"], line["level"]) == ("storage_failed", "error")
    assert "Traceback" in line["exception"]
    assert "is broken" in line["exception"]
    assert line["message"] == f"Exception on {url(bucket, 'a')} [PUT]"
    assert "hidden-secret" not in line["exception"]
    (request,) = lines()
    assert (request["event"], request["status"], request["level"]) == ("request", 500, "info")


@pytest.mark.parametrize(
    "given", ["", "a" * 129, "a b", "a\tb", "é", 'a"b', "a;b", "<script>", "%0a"], ids=lambda value: ascii(value)[:12]
)
def test_an_identifier_that_is_none_is_replaced(client: Any, bucket: Bucket, lines: Lines, given: str):
    made = client.get(url(bucket), headers={"X-Request-ID": given}).headers["X-Request-ID"]
    (request,) = lines()
    assert request["request_id"] == made
    assert made.isalnum()
    assert len(made) == 32


def test_the_identifier_of_the_proxy_comes_back(client: Any, bucket: Bucket):
    given = "A-z_0.9:+/=@"
    assert client.get(url(bucket), headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


NASTY = 'new\nline {"event": "request"}\r\x1b[2J\u202egnp.exe\u2028end\x00'.replace("\x00", "")


def test_no_key_begins_a_line_of_its_own(client: Any, bucket: Bucket, written: io.StringIO, lines: Lines):
    put(client, bucket, NASTY)
    text = written.getvalue()
    assert text.isascii()
    assert len(text.splitlines()) == 2
    assert {line["key"] for line in lines()} == {NASTY}


def test_no_text_begins_a_line_of_its_own_for_people(app: Any):
    formatter = logs.make_formatter("text")
    record = logging.LogRecord("testapp", logging.ERROR, "", 0, "Exception on %s", (NASTY,), None)
    event = logging.LogRecord("invenio_files_rest.events", logging.INFO, "", 0, "stored", (), None)
    event.event, event.key = "stored", NASTY
    for each in (record, event):
        line = formatter.format(each)
        assert "gnp.exe" in line
        assert "\n" not in line
        assert line.isprintable() or "\x1b[2J" not in line
        for bad in "\r\n\u202e\u2028":
            assert bad not in line
    try:
        raise ValueError(f"{NASTY}")
    except ValueError as caught:
        record.exc_info = (ValueError, caught, caught.__traceback__)
        record.exc_text = None
    first, *others = formatter.format(record).split("\n")
    assert "Exception on" in first
    assert others
    assert all(line.startswith("    ") or not line for line in others)


def test_a_line_for_people_has_the_same_fields(app: Any):
    record = logging.LogRecord("invenio_files_rest.requests", logging.INFO, "", 0, "request", (), None)
    record.event, record.status, record.key, record.ms = "request", 404, "a key=b", 1.5
    line = logs.make_formatter("text").format(record)
    assert "request" in line
    assert "status=404" in line
    assert "key='a key=b'" in line


def test_a_format_that_there_is_not_is_told():
    with pytest.raises(ValueError, match="one of auto, json, text"):
        logs.make_formatter("xml")


def test_a_line_is_written_once_whatever_the_application_logs_with(client: Any, bucket: Bucket, lines: Lines):
    everything = io.StringIO()
    handler = logging.StreamHandler(everything)
    logging.getLogger().addHandler(handler)
    try:
        client.get(url(bucket))
    finally:
        logging.getLogger().removeHandler(handler)
    assert len(lines()) == 1
    assert everything.getvalue() == ""


def test_storing_and_reading_send_no_statement_more(app: Any, client: Any, bucket: Bucket, monkeypatch: Any):
    def sent(*stop: str) -> int:
        with statements() as found, monkeypatch.context() as patched:
            for name in stop:
                patched.setattr(f"invenio_files_rest.telemetry.observer.Telemetry.{name}", lambda *args: None)
            client.put(url(bucket, "a"), data=CONTENT)
            client.get(url(bucket, "a"))
            client.delete(url(bucket, "a"))
        return len(found)

    # What a process learns once.
    sent()
    with_telemetry = sent()
    monkeypatch.setattr(observer, "_is_ours", lambda *args: False)
    assert sent("emit") == with_telemetry


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://user:pa/s:s@host/files", "postgresql://[hidden]@host/files"),
        ("amqp://user:p@ss@host:5672//", "amqp://[hidden]@host:5672//"),
        ("redis://:pass@host", "redis://[hidden]@host"),
        ("https://host:8080/keys/a@b", "https://host:8080/keys/a@b"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("aws_secret_access_key=abc123", "aws_secret_access_key=[hidden]"),
        ("AWS_SESSION_TOKEN: abc123", "AWS_SESSION_TOKEN: [hidden]"),
        ("SECRET_KEY='abc123'", "SECRET_KEY='[hidden]'"),
        ("PGPASSWORD=abc123 psql", "PGPASSWORD=[hidden] psql"),
        ('{\\"refresh_token\\": \\"abc123\\"}', '{\\"refresh_token\\": \\"[hidden]\\"}'),
        ("?X-Goog-Signature=abc123&a=1", "?X-Goog-Signature=[hidden]&a=1"),
        ("Authorization: Basic YWJjMTIz", "Authorization: [hidden] [hidden]"),
        ("Set-Cookie: session=abc123; Path=/", "Set-Cookie: [hidden]; Path=/"),
        ("password authentication failed", "password authentication failed"),
    ],
)
def test_what_others_write_of_secrets_is_hidden(text: str, shown: str):
    assert redact(text) == shown


@pytest.mark.parametrize("text", ["://", "a-", "token", "a:", "@", "x:@/"])
def test_a_long_text_of_anybody_takes_no_time(text: str):
    begun = time.process_time()
    redact(text * (200_000 // len(text)))
    redact("://" + text * (200_000 // len(text)))
    assert time.process_time() - begun < 3


def test_what_is_wrong_with_telemetry_is_logged_once_a_minute(caplog: Any):
    @harmless
    def broken() -> None:
        raise FileNotFoundError("PROMETHEUS_MULTIPROC_DIR")

    broken()
    broken()
    assert [record.message for record in caplog.records] == ["Telemetry has failed."]


def test_answers_that_cannot_be_observed_are_told_once_a_minute(
    client: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: Any
):
    def fail(*args: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(observer.Observation, "answer", fail)
    monkeypatch.setattr(observer, "_silent_until", {})
    assert [client.get(url(bucket)).status_code for _ in range(3)] == [200] * 3
    assert [record.message for record in caplog.records].count("Telemetry has failed.") == 1


SECRETS = {
    "token": "tok-9f8e7d6c5b4a",
    "cookie": "coo-1a2b3c4d5e6f",
    "signature": "sig-aabbccddeeff",
    "security": "sec-112233445566",
    "password": "pas-swordswordsw",
}


def test_no_secret_of_any_request_is_in_the_log(
    app: Any, client: Any, bucket: Bucket, written: io.StringIO, monkeypatch: pytest.MonkeyPatch, caplog: Any
):
    query = {
        "access_token": SECRETS["token"],
        "X-Amz-Signature": SECRETS["signature"],
        "X-Amz-Credential": SECRETS["security"],
        "X-Amz-Security-Token": SECRETS["security"],
    }
    headers = {"Authorization": f"Bearer {SECRETS['token']}", "X-CSRFToken": SECRETS["cookie"]}
    client.set_cookie("session", SECRETS["cookie"])
    basic = ("user", SECRETS["password"])
    version = put(client, bucket, "a")["version_id"]

    def requests() -> Iterator[Any]:
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"):
            for path, more in ((bucket, {}), (bucket, {"key": "a"}), (bucket, {"key": "no"}), ("none", {})):
                yield client.open(url(path, **more, **query), method=method, headers=headers, data=b"x")
                yield client.open(url(path, **more), method=method, auth=basic, data=b"x")
        yield client.get(url(bucket, "a", versionId=SECRETS["token"]), headers=headers)
        yield client.get(url(bucket, "a", versionId=version, **query), headers=headers)
        yield client.post("/files", headers=headers, json={"location_id": SECRETS["token"] * 0, **query})
        yield client.put(url(bucket, "b", **query), headers={**headers, "Content-MD5": "wrong"}, data=b"x")

    caplog.set_level(logging.INFO)
    statuses = {response.status_code for response in requests()}

    def fail(*args: Any, **kwargs: Any) -> None:
        raise StorageError(f"https://user:{SECRETS['password']}@host/?access_token={SECRETS['token']} failed")

    monkeypatch.setattr(PyFSFileStorage, "save", fail)
    statuses.add(client.put(url(bucket, "c", **query), headers=headers, data=b"x").status_code)
    assert {200, 204, 400, 404, 405, 500} <= statuses
    with app.test_request_context(url(bucket, "c", **query), headers=headers):
        formatter = logs.make_formatter("json")
        others = [formatter.format(record) for record in caplog.records]
    assert any("storage_failed" in line for line in others)
    everything = written.getvalue() + "\n".join(others)
    assert everything.count('"event": "refused"') > 20
    found = {name for name, secret in SECRETS.items() if secret in everything}
    # An argument is refused by its value, which no token has a reason to be.
    assert found == set()
