"""``PUT`` and ``GET …?uploadId=``: parts come in any order and any number of times, and are listed once there."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.parts import CONTENT, PARTS, begin, bucket_size, checksum, part_count, storage_class
from helpers.rest import Watched, error, nothing_stays, put_stream, stored, tree, url
from helpers.waiting import allowed
from sqlalchemy import insert

from invenio_files_rest.errors import StorageFullError
from invenio_files_rest.models import Bucket, Part
from invenio_files_rest.storage import PyFSFileStorage

pytestmark = pytest.mark.usefixtures("allow_all", "small_parts")


def b64(algorithm: str, content: bytes) -> str:
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


def send(client: Any, upload: Any, number: int, stream: Any, length: int | None, **kwargs: Any) -> Any:
    """Send a stream as a part, chunked where it has no length."""
    query = {"uploadId": upload.id, "partNumber": number}
    return put_stream(client, upload.bucket, upload.key, stream, length, query=query, **kwargs)


def test_the_answer_describes_the_part(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket)
    response = upload.put(2, b"89")
    assert response.status_code == 200
    answer = dict(response.json)
    for name in ("created", "updated"):
        assert datetime.fromisoformat(answer.pop(name)).utcoffset() is not None
    assert answer == {"part_number": 2, "start_byte": 8, "end_byte": 10, "checksum": checksum(b"89")}
    assert response.headers["ETag"] == f'"{checksum(b"89")}"'
    listed = client.get(upload.url()).json
    assert listed["parts"] == [response.json]
    assert {key: listed[key] for key in upload.answer if key != "updated"} == {
        key: upload.answer[key] for key in upload.answer if key != "updated"
    }


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("chunked", [False, True])
def test_parts_come_in_any_order(
    client: Any, bucket: Any, location: Any, order: tuple[int, ...], chunked: bool
) -> None:
    upload = begin(client, bucket)
    for number in order:
        data = PARTS[number]
        assert send(client, upload, number, io.BytesIO(data), None if chunked else len(data)).status_code == 200
    assert upload.parts() == {number: checksum(data) for number, data in enumerate(PARTS)}
    assert list(upload.parts()) == [0, 1, 2]
    assert stored(location) == [CONTENT]
    assert bucket_size(bucket) == 10


def test_a_part_that_is_larger_than_memory_blocks_arrives(client: Any, bucket: Any, location: Any) -> None:
    size = 3 * 1024**2 + 1
    upload = begin(client, bucket, "a", 2 * size, size)
    body = os.urandom(2 * size)
    upload.put_all([body[:size], body[size:]])
    assert upload.parts() == {0: checksum(body[:size]), 1: checksum(body[size:])}
    assert stored(location) == [body]


def test_a_part_that_is_sent_twice_replaces_itself(client: Any, bucket: Any, location: Any) -> None:
    upload = begin(client, bucket)
    first = upload.put(0, b"abcd").json
    assert upload.put(0, PARTS[0]).status_code == 200
    assert upload.put(0, PARTS[0]).status_code == 200
    assert first["checksum"] == checksum(b"abcd")
    assert upload.parts() == {0: checksum(PARTS[0])}
    assert stored(location)[0][:4] == PARTS[0]
    assert part_count() == 1


def test_the_documented_table_calls_the_number_part(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket)
    assert client.put(upload.url(part=1), data=PARTS[1]).status_code == 200
    assert client.put(upload.url(part=0, partNumber=2), data=PARTS[2]).status_code == 200
    assert list(upload.parts()) == [1, 2]


@pytest.mark.parametrize("number", [3, -1, 10**9, 10**30])
def test_a_number_that_no_part_has_is_refused(client: Any, bucket: Any, location: Any, number: int) -> None:
    upload = begin(client, bucket)
    with nothing_stays(location):
        assert error(upload.put(number, PARTS[0]), 400)["message"] == "Invalid part number."


def test_a_number_is_needed_and_is_one(client: Any, bucket: Any, location: Any) -> None:
    upload = begin(client, bucket)
    with nothing_stays(location):
        error(client.put(upload.url(), data=PARTS[0]), 400)
        answer = error(client.put(upload.url(partNumber="one"), data=PARTS[0]), 422)
    assert answer["errors"][0]["field"] == "partNumber"


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(("number", "data"), [(0, b"012"), (0, b"01234"), (2, b"8"), (2, b"8901"), (0, b"")])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_part_of_another_size_is_refused(
    client: Any, bucket: Any, number: int, data: bytes, before: bool, chunked: bool
) -> None:
    upload = begin(client, bucket)
    if before:
        upload.put_all()
    there = upload.parts()
    error(send(client, upload, number, io.BytesIO(data), None if chunked else len(data)), 400)
    assert upload.parts() == there
    assert upload.put(number, PARTS[number]).status_code == 200
    assert upload.parts()[number] == checksum(PARTS[number])


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("sent", [0, 1, 3])
def test_a_part_that_is_cut_short_is_there_only_if_it_was_and_its_slot_is_free(
    client: Any, bucket: Any, location: Any, before: bool, sent: int
) -> None:
    upload = begin(client, bucket)
    if before:
        upload.put_all()
    error(send(client, upload, 0, io.BytesIO(PARTS[0][:sent]), 4), 400)
    assert (0 in upload.parts()) == before
    if not before:
        assert "0" in error(upload.complete(), 400)["message"]
    upload.put_all()
    assert upload.complete().json["completed"]
    assert client.get(url(bucket, "a.txt")).data == CONTENT


class Broken(io.RawIOBase):
    """A body whose connection breaks after two bytes."""

    begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.begun:
            raise ConnectionResetError("reset by peer")
        self.begun = True
        buffer[:2] = b"xx"
        return 2


def test_a_connection_that_breaks_takes_no_part_away_that_it_has_not_written_over(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket)
    upload.put_all()
    response = send(client, upload, 1, Broken(), 4)
    assert response.status_code >= 400
    assert list(upload.parts()) == [0, 1, 2]
    assert upload.complete().json["completed"]
    assert client.get(url(bucket, "a.txt")).data == CONTENT


DIGESTS = [
    ("Content-MD5", "{md5}"),
    ("Content-Digest", "md5=:{md5}:"),
    ("Content-Digest", "sha-256=:{sha256}:"),
    ("Content-Digest", "sha-512=:{sha512}:, sha-256=:{sha256}:"),
    ("Repr-Digest", "sha-256=:{sha256}:"),
]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("header", "value"), DIGESTS)
def test_digests_of_a_part_are_verified(client: Any, bucket: Any, header: str, value: str, chunked: bool) -> None:
    upload = begin(client, bucket)

    def sent(digested: bytes) -> Any:
        digests = {algorithm: b64(algorithm, digested) for algorithm in ("md5", "sha256", "sha512")}
        headers = {header: value.format(**digests)}
        return send(client, upload, 0, io.BytesIO(PARTS[0]), None if chunked else 4, headers=headers)

    assert error(sent(b"other"), 400)["message"] == "The content does not match its digest."
    assert upload.parts() == {}
    assert sent(PARTS[0]).status_code == 200
    assert error(sent(b"other"), 400)["message"] == "The content does not match its digest."
    assert upload.parts() == {0: checksum(PARTS[0])}


@pytest.mark.parametrize(
    "headers",
    [{"Content-MD5": "no base64"}, {"Content-Digest": "sha-256"}, {"Content-Digest": "md5=:AAAA:, md5=:BBBB:"}],
)
def test_a_digest_that_cannot_be_read_is_refused_before_the_body(
    client: Any, bucket: Any, headers: dict[str, str]
) -> None:
    upload = begin(client, bucket)
    upload.put_all()
    error(upload.put(0, PARTS[0], headers=headers), 400)
    assert list(upload.parts()) == [0, 1, 2]


def form(number: Any = 0, data: bytes = PARTS[0], **fields: Any) -> dict[str, Any]:
    """Return what ng-file-upload sends."""
    fields = {"_chunkNumber": str(number), "_currentChunkSize": str(len(data)), "_chunkSize": "4"} | fields
    return {"file": (io.BytesIO(data), "blob"), **{key: value for key, value in fields.items() if value is not None}}


def test_ng_file_upload_sends_parts_as_forms(client: Any, bucket: Any, location: Any) -> None:
    upload = begin(client, bucket)
    for number in (1, 0, 2):
        response = client.put(upload.url(), data=form(number, PARTS[number]), content_type="multipart/form-data")
        assert response.status_code == 200
        assert response.json["part_number"] == number
    assert upload.parts() == {number: checksum(data) for number, data in enumerate(PARTS)}
    assert stored(location) == [CONTENT]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"_currentChunkSize": "3"}, 400),
        ({"_currentChunkSize": "5"}, 400),
        ({"_currentChunkSize": "four"}, 422),
        ({"_chunkNumber": "3"}, 400),
        ({"_chunkNumber": "-1"}, 400),
        ({"_chunkNumber": "one"}, 422),
        ({"_chunkNumber": None}, 400),
        ({"data": b"012"}, 400),
        ({"data": b"012", "_currentChunkSize": "4"}, 400),
    ],
)
def test_a_form_that_is_no_part_is_refused(
    client: Any, bucket: Any, location: Any, fields: dict[str, Any], status: int
) -> None:
    upload = begin(client, bucket)
    with nothing_stays(location):
        error(client.put(upload.url(), data=form(**fields), content_type="multipart/form-data"), status)


def test_a_form_without_a_file_is_refused(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket)
    fields = {"_chunkNumber": "0", "_currentChunkSize": "4"}
    error(client.put(upload.url(), data=fields, content_type="multipart/form-data"), 400)
    assert upload.parts() == {}


def test_a_body_without_a_length_that_is_not_chunked_is_refused(client: Any, bucket: Any, location: Any) -> None:
    upload = begin(client, bucket)
    with nothing_stays(location):
        error(client.put(upload.url(partNumber=0)), 400)


def test_all_parts_are_listed_however_many(client: Any, bucket: Any, db: Any) -> None:
    upload = begin(client, bucket, "many", 4 * 3000, 4)
    arrived = [number for number in range(3000) if number % 300 != 299]
    values = [{"upload_id": upload.row().upload_id, "part_number": number, "checksum": "md5:0"} for number in arrived]
    db.session.execute(insert(Part), values)
    db.session.commit()
    begun = time.monotonic()
    assert list(upload.parts()) == arrived
    assert time.monotonic() - begun < allowed(6)
    message = error(upload.complete(), 400)["message"]
    assert message.endswith("10 missing: " + ", ".join(str(number) for number in range(299, 3000, 300)))


def test_an_upload_that_is_aborted_while_a_part_is_sent_leaves_nothing(
    client: Any, bucket: Any, location: Any, db: Any
) -> None:
    size = 4 * 1024**2
    with nothing_stays(location):
        upload = begin(client, bucket, "a", size, size)
        answers: list[int] = []

        def abort() -> None:
            if not answers:
                answers.append(upload.abort().status_code)

        error(send(client, upload, 0, Watched(size, abort), size), 404)
        assert answers == [204]
    assert tree(Path(location.uri)) == []
    error(client.get(upload.url()), 404)


def test_an_upload_that_is_completed_takes_no_part(client: Any, bucket: Any, db: Any) -> None:
    upload = begin(client, bucket)
    upload.put_all()
    upload.row().complete()
    db.session.commit()
    assert upload.put(0, b"abcd").status_code in (403, 404)
    assert upload.parts()[0] == checksum(PARTS[0])


def test_an_upload_cannot_be_completed_while_a_part_is_sent_anew(client: Any, bucket: Any) -> None:
    size = 4 * 1024**2
    upload = begin(client, bucket, "a", size, size)
    assert send(client, upload, 0, Watched(size, lambda: None), size).status_code == 200
    answers: list[Any] = []

    def complete() -> None:
        if not answers:
            answers.append(upload.complete())

    assert send(client, upload, 0, Watched(size, complete), size).status_code == 200
    assert "1 missing: 0" in error(answers[0], 400)["message"]
    assert upload.complete().json["completed"]


def test_no_connection_is_held_while_a_part_arrives(client: Any, bucket: Any, db: Any) -> None:
    size = 4 * 1024**2
    upload = begin(client, bucket, "a", size, size)
    held: list[int] = []
    upload.bucket = str(bucket.id)
    db.session.remove()
    count = db.engine.pool.checkedout
    idle = count()
    assert send(client, upload, 0, Watched(size, lambda: held.append(count())), size).status_code == 200
    assert set(held) == {idle}


def test_a_locked_bucket_takes_no_part(client: Any, bucket: Any, db: Any) -> None:
    upload = begin(client, bucket)
    upload.put(0, PARTS[0])
    bucket.locked = True
    db.session.commit()
    error(upload.put(1, PARTS[1]), 403)
    error(upload.complete(), 403)
    assert list(upload.parts()) == [0]
    error(upload.abort(), 403)


def test_a_deleted_bucket_has_no_uploads(client: Any, bucket: Any, db: Any) -> None:
    upload = begin(client, bucket)
    Bucket.delete(bucket.id)
    db.session.commit()
    for response in (upload.put(0, PARTS[0]), upload.complete(), upload.abort(), client.get(upload.url())):
        error(response, 404)


class Full(PyFSFileStorage):
    """A storage whose disk is full."""

    def update(self, *args: Any, **kwargs: Any) -> Any:
        raise StorageFullError("/secret/path: no space left")


def test_a_full_disk_is_told_and_the_slot_is_free(client: Any, bucket: Any, app: Any, monkeypatch: Any) -> None:
    upload = begin(client, bucket)
    with storage_class(app, monkeypatch, Full):
        response = upload.put(0, PARTS[0])
    error(response, 507)
    assert "/secret" not in response.text
    assert upload.parts() == {}
    assert upload.put(0, PARTS[0]).status_code == 200


def test_an_aborted_upload_leaves_nothing(client: Any, bucket: Any, location: Any, db: Any) -> None:
    with nothing_stays(location):
        upload = begin(client, bucket)
        upload.put(0, PARTS[0])
        assert bucket_size(bucket) == 10
        assert upload.abort().status_code == 204
    assert bucket_size(bucket) == 0
    for response in (upload.put(0, PARTS[0]), upload.complete(), upload.abort(), client.get(upload.url())):
        error(response, 404)
