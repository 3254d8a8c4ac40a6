"""Whatever a client sends, the REST API answers in order: no failure, no secret, no byte out of place."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from helpers.rest import exact_path, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from invenio_files_rest.models import Bucket, FileInstance, Location, MultipartObject, ObjectVersion

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("allow_all")]

METHODS = (*("GET", "PUT", "POST", "DELETE") * 3, "HEAD", "PATCH", "OPTIONS")

SECRETS = re.compile(
    r"Traceback|File \"|SELECT |INSERT |UPDATE |sqlalchemy|psycopg|pymysql|sqlite3|/location|site-packages|\.py\b", re.I
)
"""What an answer that is an error must not have."""

text = st.text(max_size=12)
hostile = st.sampled_from(
    [
        *("", "0", "-1", "1", "99999999999999999999999999", "1e9", "NaN", "null", "true", "[]", "{}", "\0", "\x00a"),
        *("..", "../../etc/passwd", "/etc/passwd", "%00", "%2e%2e%2f", "a/b", "a//b", "'; DROP TABLE x; --", "${7*7}"),
        *("\u202e", "😀", "\ufffd", "\r\nX-Injected: 1", "a" * 255, "a" * 256, "é" * 300, "*", "%s%n", "<script>"),
    ]
)
value = hostile | text
raw = st.binary(max_size=6).map(lambda data: "".join(f"%{byte:02x}" for byte in data))
"""Percent-encoded bytes, seldom valid UTF-8."""

header_text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
token = st.sampled_from(["md5", "sha-256", "sha-512", "unixsum", "x"])
digest = st.builds(
    "{}=:{}:".format, token, st.sampled_from(["", "YQ==", "1B2M2Y8AsgTpgAmY7PhCfg==", "!", "=" * 9, "A" * 200])
)
etag = st.sampled_from(["*", '""', '"a"', 'W/"a"', '"md5:0cc175b9c0f1b6a831c399e269772661"', "a", '"', "a,b,,", '"a"b'])
number = st.integers(-5, 40) | st.integers(-(10**30), 10**30)
byte_range = st.builds("{}={}-{}".format, st.sampled_from(["bytes", "Bytes", "x"]), number, number | st.just(""))

HEADERS: dict[str, st.SearchStrategy[str]] = {
    "Accept": st.sampled_from(["*/*", "application/json", "image/png", "", ";q=2", "a/b;q=x", "*/*;q=0"]),
    "Content-Digest": digest | header_text,
    "Content-MD5": st.sampled_from(["DMF1ucDxtqgxw5niaXcmYQ==", "0cc175b9c0f1b6a831c399e269772661", "="]) | header_text,
    "If-Match": etag | header_text,
    "If-Modified-Since": st.sampled_from(["Sun, 13 Sep 2020 12:26:40 GMT", "Sun, 13 Sep 9999 99:99:99 GMT", "0"]),
    "If-None-Match": etag | header_text,
    "If-Range": etag | header_text,
    "If-Unmodified-Since": st.sampled_from(["Sun, 13 Sep 2020 12:26:40 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "-1"]),
    "Range": byte_range
    | header_text
    | st.sampled_from(["bytes=-", "bytes=--1", "bytes=0-0,2-3", "bytes=" + "9" * 999]),
    "Repr-Digest": digest | header_text,
    "X-Invenio-File-Tags": st.builds("{}={}".format, value.map(quote), raw)
    | st.sampled_from(["a=1&a=1", "&&", "=", "a"]),
    "X-HTTP-Method-Override": st.sampled_from(METHODS),
}

ARGUMENTS = (
    *("versionId", "uploadId", "uploads", "versions", "download", "partNumber", "size", "partSize", "prefix"),
    *("delimiter", "max-keys", "start-after", "prettyprint", "bucket", "key", "self", "format", "_totalSize"),
    *("copy", "move", "from", "restore", "tags", "snapshot", "lock", "sync", "delete-extras", "max-buckets"),
)

BODIES = st.sampled_from(
    [
        (None, None),
        (b"a", None),
        (b"a" * 5000, "application/octet-stream"),
        (b"a=1&_totalSize=1", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b'{"size": 4, "partSize": 2}', "application/json"),
        (b'{"size": [], "partSize": {"a": 1}}', "application/json"),
        (b'{"size": 1e400, "partSize": -1}', "application/json"),
        (b'{"tags": {"a": "b", "c": "\\ud800"}}', "application/json"),
        (b'{"tags": {"a": "b"}}', "application/json"),
        (b'{"locked": false, "max_file_size": 4}', "application/json"),
        (b"[1]", "application/json"),
        (b"null", "application/json"),
        (b'"\\ud800"', "application/json"),
        (b"{" * 5000, "application/json"),
        (b"\xff\xfe", "application/json; charset=utf-16"),
        (b"a", "multipart/form-data"),
        (b"--b--", "multipart/form-data; boundary=b"),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nxy',
            "multipart/form-data; boundary=b",
        ),
        (b"a", "\xff/;;=" * 5),
    ]
)


def often(usual: Any, other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give the usual in three of four cases."""
    return st.sampled_from([True, True, True, False]).flatmap(lambda is_usual: st.just(usual) if is_usual else other)


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, str]:
    """Make a form as ng-file-upload sends it, or nearly."""
    names = ("file", "_totalSize", "_chunkNumber", "_currentChunkSize", "_chunkSize", "x")
    parts = []
    for name in draw(st.lists(st.sampled_from(names), max_size=6)):
        file = '; filename="a"' if name == "file" and draw(st.booleans()) else ""
        content = draw(st.sampled_from(["", "0", "1", "2", "-1", "a", "9" * 30, "1.5"]))
        parts.append(f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n{content}\r\n')
    return ("".join(parts) + "--b--\r\n").encode(), "multipart/form-data; boundary=b"


@pytest.fixture
def site(db: Any, location: Location, app: Any, monkeypatch: Any) -> dict[str, Any]:
    """Make a bucket that has something of everything; return the names that requests may use."""
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    bucket = Bucket.create(location, quota_size=10**6)
    locked = Bucket.create(location)
    old = ObjectVersion.create(bucket, "a", stream=io.BytesIO(b"a"))
    ObjectVersion.create(bucket, "a", stream=io.BytesIO(b"bb"))
    ObjectVersion.create(bucket, "gone", stream=io.BytesIO(b"gone"))
    marker = ObjectVersion.delete(bucket, "gone")
    assert marker
    upload = MultipartObject.create(bucket, "a", size=4, chunk_size=2)
    locked.locked = True
    db.session.commit()
    return {
        "buckets": [str(bucket.id), str(bucket.id), str(bucket.id), str(locked.id)],
        "ids": [str(old.version_id), str(marker.version_id), str(upload.upload_id)],
    }


def check_invariants(db: Any) -> None:
    """Check what always holds: one head for each key, exact sizes, and all the bytes of each file."""
    db.session.rollback()
    heads = select(func.count()).select_from(ObjectVersion).where(ObjectVersion.is_head)
    keys = select(ObjectVersion.bucket_id, ObjectVersion.key).distinct().subquery()
    assert db.session.scalar(heads) == db.session.scalar(select(func.count()).select_from(keys))
    for bucket in Bucket.query:
        versions = ObjectVersion.query.filter_by(bucket_id=bucket.id)
        uploads = MultipartObject.query.filter_by(bucket_id=bucket.id)
        assert bucket.size == sum(version.file.size for version in versions if version.file) + sum(
            upload.size for upload in uploads
        )
        assert bucket.quota_size is None or bucket.size <= bucket.quota_size
    for file in FileInstance.query.filter_by(readable=True):
        assert os.path.getsize(file.uri) == file.size
    db.session.rollback()


def check_answer(method: str, response: Any) -> None:
    """Check that an answer is in order."""
    assert response.status_code < 500, response.text
    assert "X-Injected" not in response.headers
    if response.status_code < 400:
        return
    assert not SECRETS.search(response.text), response.text
    if method != "HEAD":
        assert response.mimetype == "application/json"
        answer = json.loads(response.data)
        assert answer["status"] == response.status_code
        assert isinstance(answer["message"], str)


def examples(database: str) -> int:
    return 400 if database == "sqlite" else 60


@pytest.mark.timeout(300)
def test_whatever_comes_is_answered_in_order(
    client: Any, db: Any, database: str, site: dict[str, Any], location: Location, tmp_path: Path
) -> None:
    elsewhere = [path for path in tree(tmp_path) if not path.startswith("location/")]
    identifier = st.sampled_from(site["ids"])
    wrong_bucket = st.just("00000000-0000-0000-0000-000000000000") | value.map(quote)
    bucket = st.sampled_from(site["buckets"] * 2).flatmap(lambda name: often(name, wrong_bucket))
    key = st.sampled_from(["a", "a", "gone", "new", "a/b", "/a", "a/"]) | value.map(quote) | raw
    argument = st.tuples(st.sampled_from(ARGUMENTS), identifier | value.map(quote) | raw | number.map(str) | st.none())
    valid = st.builds("versionId={}".format, identifier) | st.builds(
        "uploadId={}&partNumber={}".format, identifier, st.integers(0, 2)
    )
    taken = st.builds(
        "{}={}&from={}".format,
        st.sampled_from(["copy", "move", "sync", "snapshot"]),
        st.sampled_from(["a", "gone", "new"]),
        st.sampled_from(site["buckets"]),
    )
    query = (
        st.sampled_from(["", "uploads", "uploads&size=4&partSize=2", "versions&max-keys=1", "delimiter=/", "download"])
        | st.sampled_from(["tags", "copy=a", "move=a", "copy=gone", "snapshot", "snapshot&lock", "max-buckets=1"])
        | st.builds("restore&versionId={}".format, identifier)
        | taken
        | valid
        | st.lists(argument, max_size=4).map(
            lambda arguments: "&".join(name if given is None else f"{name}={given}" for name, given in arguments)
        )
    )
    headers = st.lists(st.sampled_from(sorted(HEADERS)), max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: HEADERS[name] for name in names})
    )
    lengths = st.sampled_from(["", "-1", "0", "1", "x", "9" * 30, "+5", "1_0", "5 "])

    @settings(
        max_examples=examples(database),
        deadline=None,
        derandomize=bool(os.environ.get("CI")),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        method=st.sampled_from(METHODS),
        path=st.sampled_from([2, 2, 2, 2, 1, 1, 0]).flatmap(lambda parts: st.tuples(*(bucket, key)[:parts])),
        query=query,
        headers=headers,
        body=BODIES | forms(),
        length=often(None, lengths),
        chunked=often(False, st.just(True)),
    )
    def run(method: str, path: Any, query: str, headers: Any, body: Any, length: str | None, chunked: bool) -> None:
        data, content_type = body
        environ: dict[str, Any] = {}
        if data is not None:
            environ = {"wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data))}
            if chunked:
                environ |= {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        environ |= exact_path("/".join(("/files", *path)))
        if length is not None:
            environ["CONTENT_LENGTH"] = length
        response = client.open(
            f"/?{query}",
            method=method,
            headers=headers,
            content_type=content_type,
            environ_overrides=environ,
        )
        check_answer(method, response)

    run()
    check_invariants(db)
    assert [path for path in tree(tmp_path) if not path.startswith("location/")] == elsewhere
    referred = {file.uri for file in FileInstance.query}
    assert {str(path) for path in Path(location.uri).rglob("*") if path.is_file()} == referred
