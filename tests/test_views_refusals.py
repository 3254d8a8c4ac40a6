"""``PUT /files/<bucket>/<key>``: what is refused, in which order, and that nothing of it stays."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import os
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from helpers.rest import CONTENT, Unreadable, error, nothing_stays, put, put_stream, url

from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.storage import PyFSFileStorage, pyfs_storage_factory

MD5 = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
SHA256 = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
SHA512 = base64.b64encode(hashlib.sha512(CONTENT).digest()).decode()
OTHER = base64.b64encode(hashlib.md5(b"else").digest()).decode()


class Deny:
    """A permission that nobody has."""

    def can(self) -> bool:
        return False


@pytest.fixture
def refused(client: Any, bucket: Any, location: Any) -> Any:
    """Send a body that nobody may read, and check that nothing of it stays."""

    def send(status: int, target: Any = None, key: str = "a", length: int | None = 100, **kwargs: Any) -> Any:
        with nothing_stays(location):
            return error(put_stream(client, target or bucket, key, Unreadable(), length, **kwargs), status)

    return send


ALL_WRONG = {"query": {"uploadId": "none"}, "headers": {"X-Invenio-File-Tags": "a="}, "length": 10**15}


def test_an_unknown_bucket_is_refused_first(refused: Any, allow_all: None, bucket: Any, db: Any) -> None:
    bucket.max_file_size = 10
    gone = Bucket.create(bucket.location, max_file_size=10)
    gone.deleted = True
    db.session.commit()
    answers = [refused(404, target=target, **ALL_WRONG) for target in (uuid4(), gone.id, "no-uuid")]
    assert answers[0] == answers[1] == answers[2]


def test_a_missing_permission_is_refused_before_a_lock(refused: Any, bucket: Any, app: Any, monkeypatch: Any) -> None:
    bucket.locked = True
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", lambda obj, action: Deny())
    assert refused(404, **ALL_WRONG) == refused(404, target=uuid4(), **ALL_WRONG)


def test_a_lock_is_refused_before_bad_arguments(refused: Any, allow_all: None, bucket: Any) -> None:
    bucket.locked = True
    assert "locked" in refused(403, **ALL_WRONG)["message"]


def test_bad_arguments_are_refused_before_the_length(refused: Any, allow_all: None, bucket: Any) -> None:
    bucket.max_file_size = 10
    assert refused(422, **ALL_WRONG)["errors"][0]["field"] == "uploadId"
    assert "tag" in refused(400, headers={"X-Invenio-File-Tags": "a="})["message"].lower()


def test_a_length_over_the_limit_is_refused(refused: Any, allow_all: None, bucket: Any) -> None:
    bucket.max_file_size = 99
    assert refused(400)["message"] == "Maximum file size exceeded."
    bucket.quota_size = 50
    assert refused(400)["message"] == "Bucket quota exceeded."


def test_what_is_stored_counts_for_the_quota(client: Any, refused: Any, allow_all: None, bucket: Any) -> None:
    bucket.quota_size = 150
    put(client, bucket, "a", b"x" * 100)
    client.delete(url(bucket, "a"))
    assert refused(400)["message"] == "Bucket quota exceeded."
    put(client, bucket, "a", b"x" * 50)
    refused(400, length=1)


def test_a_length_of_zero_is_refused_unless_the_setting_allows_it(
    refused: Any, allow_all: None, app: Any, client: Any, bucket: Any, monkeypatch: Any
) -> None:
    refused(400, length=0)
    monkeypatch.setitem(app.config, "FILES_REST_MIN_FILE_SIZE", 101)
    refused(400)
    monkeypatch.setitem(app.config, "FILES_REST_MIN_FILE_SIZE", 0)
    assert put_stream(client, bucket, "a", io.BytesIO(), 0).json["size"] == 0
    assert client.get(url(bucket, "a")).data == b""


@pytest.mark.parametrize("header", ["Content-MD5", "Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("value", ["no base64!", "md5=:=:=:", "md5=abc", "sha-256=:abc:", "sha-256=:YQ=="])
def test_a_digest_that_cannot_be_read_is_refused(refused: Any, allow_all: None, header: str, value: str) -> None:
    assert header in refused(400, headers={header: value})["message"]


def test_digests_that_contradict_each_other_are_refused(refused: Any, allow_all: None) -> None:
    refused(400, headers={"Content-MD5": MD5, "Repr-Digest": f"md5=:{OTHER}:"})


@pytest.mark.parametrize(
    "tags",
    ["a=1&a=2", "a=1&b=2&a=1", "=v", "k=", "k", "a=1&&b", f"{'k' * 256}=v", f"k={'v' * 256}", "k=%00", "%20=&a=1"],
)
def test_tags_that_are_wrong_are_refused(refused: Any, allow_all: None, tags: str) -> None:
    refused(400, headers={"X-Invenio-File-Tags": tags})


@pytest.mark.parametrize("tags", ["a=%FF", "%C5=1", "a=\xe9", "a=\xc5%BE", "a=%ED%A0%80", "b=1&a=\xff"])
def test_tags_that_are_not_in_utf_8_are_refused(refused: Any, allow_all: None, tags: str) -> None:
    assert "UTF-8" in refused(400, headers={"X-Invenio-File-Tags": tags})["message"]


@pytest.mark.parametrize("key", ["k" * 256, "é" * 256, "a\0b"])
def test_a_key_that_is_too_long_or_cannot_be_stored_is_refused(refused: Any, allow_all: None, key: str) -> None:
    refused(400, key=key)


def test_what_the_client_does_not_accept_is_refused(refused: Any, allow_all: None) -> None:
    refused(406, headers={"Accept": "image/png"})


def test_a_precondition_is_refused(refused: Any, allow_all: None) -> None:
    refused(412, headers={"If-Match": '"md5:abc"'})


def test_a_body_without_its_length_is_refused(client: Any, bucket: Any, location: Any, allow_all: None) -> None:
    with nothing_stays(location):
        response = client.put(url(bucket, "a"), environ_overrides={"wsgi.input": Unreadable()})
        assert "Content-Length" in error(response, 400)["message"]


@pytest.mark.parametrize("size", [1, 100, 3 * 1024**2])
@pytest.mark.parametrize("extra", [1, 10**6])
def test_a_short_body_is_refused_and_nothing_stays(
    client: Any, bucket: Any, location: Any, allow_all: None, size: int, extra: int
) -> None:
    with nothing_stays(location):
        error(put_stream(client, bucket, "a", io.BytesIO(b"x" * size), size + extra), 400)


def test_what_follows_a_body_is_not_read(client: Any, bucket: Any, allow_all: None) -> None:
    stream = io.BytesIO(b"x" * 10 + b"next request")
    assert put_stream(client, bucket, "a", stream, 10).status_code == 200
    assert client.get(url(bucket, "a")).data == b"x" * 10
    assert stream.read() == b"next request"


def test_an_unmarked_body_over_the_limit_is_refused_while_it_comes(
    client: Any, bucket: Any, location: Any, allow_all: None
) -> None:
    bucket.max_file_size = 1000
    with nothing_stays(location):
        response = put_stream(client, bucket, "a", io.BytesIO(b"x" * 1001), None)
        assert error(response, 400)["message"] == "Maximum file size exceeded."
    assert put_stream(client, bucket, "a", io.BytesIO(b"x" * 1000), None).json["size"] == 1000


def test_an_empty_chunked_body_is_refused_unless_the_setting_allows_it(
    client: Any, bucket: Any, location: Any, allow_all: None, app: Any, monkeypatch: Any
) -> None:
    with nothing_stays(location):
        error(put_stream(client, bucket, "a", io.BytesIO(), None), 400)
    monkeypatch.setitem(app.config, "FILES_REST_MIN_FILE_SIZE", 0)
    assert put_stream(client, bucket, "a", io.BytesIO(), None).json["size"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-MD5": MD5},
        {"Content-Digest": f"md5=:{MD5}:"},
        {"Content-Digest": f"sha-256=:{SHA256}:"},
        {"Repr-Digest": f"sha-512=:{SHA512}:, sha-256=:{SHA256}:"},
        {"Repr-Digest": f"sha-256=:{SHA256}:", "Content-Digest": f"sha-256=:{SHA256}:", "Content-MD5": MD5},
        {"Content-Digest": "unixsum=:AAA=:, crc32c=:AAAAAA==:"},
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_its_digest_is_stored(
    client: Any, bucket: Any, allow_all: None, headers: dict[str, str], chunked: bool
) -> None:
    length = None if chunked else len(CONTENT)
    response = put_stream(client, bucket, "a", io.BytesIO(CONTENT), length, headers=headers)
    assert response.status_code == 200
    assert client.get(url(bucket, "a")).data == CONTENT


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-MD5": OTHER},
        {"Content-MD5": base64.b64encode(b"short").decode()},
        {"Content-Digest": f"md5=:{OTHER}:"},
        {"Content-Digest": f"sha-256=:{SHA256}:, sha-512=:{SHA256}:"},
        {"Repr-Digest": f"sha-256=:{OTHER}:"},
        {"Repr-Digest": f"sha-256=:{SHA256}:", "Content-MD5": OTHER},
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_another_digest_is_refused_and_nothing_stays(
    client: Any, bucket: Any, location: Any, allow_all: None, headers: dict[str, str], chunked: bool
) -> None:
    put(client, bucket, "a", b"before")
    with nothing_stays(location):
        length = None if chunked else len(CONTENT)
        response = put_stream(client, bucket, "a", io.BytesIO(CONTENT), length, headers=headers)
        assert "digest" in error(response, 400)["message"]
    assert client.get(url(bucket, "a")).data == b"before"


def test_a_digest_of_a_large_body_is_verified(client: Any, bucket: Any, location: Any, allow_all: None) -> None:
    body = os.urandom(3 * 1024**2 + 1)
    good = base64.b64encode(hashlib.sha256(body).digest()).decode()
    with nothing_stays(location):
        error(client.put(url(bucket, "a"), data=body[:-1] + b"!!", headers={"Repr-Digest": f"sha-256=:{good}:"}), 400)
    put(client, bucket, "a", body, headers={"Repr-Digest": f"sha-256=:{good}:"})


@pytest.mark.parametrize("change", [{"locked": True}, {"deleted": True}, {"quota_size": 5}, {"max_file_size": 5}])
def test_what_changes_while_a_body_streams_is_heeded(
    client: Any, bucket: Any, location: Any, allow_all: None, db: Any, change: dict[str, Any]
) -> None:
    """The bucket is asked again under its lock, and the bytes go where it refuses."""

    class Changing(io.BytesIO):
        def readinto(self, buffer: Any, /) -> int:
            with db.engine.begin() as connection:
                connection.execute(Bucket.__table__.update().values(**change))
            return super().readinto(buffer)

    with nothing_stays(location):
        status = 403 if "locked" in change else 404 if "deleted" in change else 400
        error(put_stream(client, bucket, "a", Changing(CONTENT), len(CONTENT)), status)


@pytest.mark.parametrize("length", [100, None])
@pytest.mark.parametrize("reason", [ConnectionResetError("gone"), ValueError("no chunk")])
def test_a_client_that_breaks_off_leaves_nothing(
    client: Any, bucket: Any, location: Any, allow_all: None, length: int | None, reason: Exception
) -> None:
    class Breaking(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any, /) -> int:
            raise reason

    with nothing_stays(location):
        error(put_stream(client, bucket, "a", Breaking(), length), 400)


def test_a_body_that_something_has_read_is_refused(
    client: Any, bucket: Any, location: Any, allow_all: None, app: Any, monkeypatch: Any
) -> None:
    from flask import request

    monkeypatch.setitem(app.before_request_funcs, None, [lambda: request.get_data() and None])
    with nothing_stays(location):
        assert "consumed" in error(client.put(url(bucket, "a"), data=CONTENT), 500)["message"]


def test_a_failing_storage_tells_clients_nothing_and_the_log_everything(
    client: Any, bucket: Any, location: Any, allow_all: None, app: Any, monkeypatch: Any, caplog: Any
) -> None:
    class Failing(PyFSFileStorage):
        def save(self, *args: Any, **kwargs: Any) -> Any:
            raise OSError(5, "Input/output error", self.fileurl)

    factory = partial(pyfs_storage_factory, filestorage_class=Failing)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    with nothing_stays(location), caplog.at_level(logging.ERROR):
        answer = error(client.put(url(bucket, "a"), data=CONTENT), 500)
    assert location.uri not in str(answer)
    assert "Traceback" not in str(answer)
    assert "Input/output error" not in str(answer)
    assert "Input/output error" in caplog.text


def test_a_full_disk_is_507(
    client: Any, bucket: Any, location: Any, allow_all: None, db: Any, small_disk: Path
) -> None:
    location.uri = str(small_disk)
    db.session.commit()
    with nothing_stays(location):
        answer = error(client.put(url(bucket, "a"), data=bytes(9 * 1024**2)), 507)
    assert location.uri not in str(answer)


def test_a_file_that_is_gone_is_an_error_without_its_path(
    client: Any, bucket: Any, location: Any, allow_all: None, caplog: Any
) -> None:
    put(client, bucket, "a")
    path = ObjectVersion.query.one().file.uri
    os.unlink(path)
    with caplog.at_level(logging.ERROR):
        answer = error(client.get(url(bucket, "a")), 500)
    assert path not in str(answer)
    assert path in caplog.text
