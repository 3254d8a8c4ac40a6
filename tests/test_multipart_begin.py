"""``POST /files/<bucket>/<key>?uploads``: uploads begin, within the limits, and reserve their size."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.parts import CONTENT, Upload, begin, bucket_size, initiate
from helpers.rest import error, nothing_stays, put, stored, url

from invenio_files_rest import config
from invenio_files_rest.models import Bucket, FileInstance
from invenio_files_rest.storage import PyFSFileStorage

GIB = 1024**3

pytestmark = pytest.mark.usefixtures("allow_all", "small_parts")


def test_the_answer_describes_the_upload(client: Any, bucket: Any) -> None:
    answer = begin(client, bucket, "a b/ž.txt", 10, 4).answer
    base = f"http://localhost/files/{bucket.id}"
    for name in ("created", "updated"):
        assert datetime.fromisoformat(answer.pop(name)).utcoffset() is not None
    assert answer == {
        "id": answer["id"],
        "bucket": str(bucket.id),
        "key": "a b/ž.txt",
        "size": 10,
        "part_size": 4,
        "last_part_number": 2,
        "last_part_size": 2,
        "completed": False,
        "links": {
            "self": f"{base}/a%20b/%C5%BE.txt?uploadId={answer['id']}",
            "object": f"{base}/a%20b/%C5%BE.txt",
            "bucket": base,
        },
    }


@pytest.mark.parametrize(
    ("size", "part_size", "last_number", "last_size"),
    [
        (10, 4, 2, 2),
        (9, 4, 2, 1),
        (8, 4, 1, 4),
        (4, 4, 0, 4),
        (3, 4, 0, 3),
        (1, 4, 0, 1),
        (40000, 4, 9999, 4),
        (39999, 4, 9999, 3),
        (12 * GIB, 5 * GIB, 2, 2 * GIB),
        (10 * GIB, 5 * GIB, 1, 5 * GIB),
        (3 * GIB, 5 * GIB, 0, 3 * GIB),
    ],
)
def test_every_size_within_the_limits_is_taken(
    client: Any, bucket: Any, size: int, part_size: int, last_number: int, last_size: int
) -> None:
    upload = begin(client, bucket, "a", size, part_size)
    row = upload.row()
    assert (row.last_part_number, row.last_part_size) == (last_number, last_size)
    assert (upload.answer["last_part_number"], upload.answer["last_part_size"]) == (last_number, last_size)
    assert upload.answer["part_size"] == part_size
    assert upload.abort().status_code == 204


@pytest.mark.parametrize(
    ("size", "part_size", "message"),
    [
        (10, 3, "Invalid part size."),
        (10, 0, "Invalid part size."),
        (10, -4, "Invalid part size."),
        (10, 5 * GIB + 1, "Invalid part size."),
        (10, 10**30, "Invalid part size."),
        (0, 4, "Invalid file size."),
        (-1, 4, "Invalid file size."),
        (40001, 4, "Invalid file size."),
        (10**30, 4, "Invalid file size."),
    ],
)
def test_sizes_outside_the_limits_are_refused(
    client: Any, bucket: Any, location: Any, size: int, part_size: int, message: str
) -> None:
    with nothing_stays(location):
        assert error(initiate(client, bucket, "a", size, part_size), 400)["message"] == message


def test_the_limits_are_settings(client: Any, bucket: Any, app: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 10)
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MAX", 20)
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_MAX_PARTS", 3)
    for size, part_size, status in [(60, 20, 200), (30, 10, 200), (61, 20, 400), (27, 9, 400), (21, 21, 400)]:
        assert initiate(client, bucket, "a", size, part_size).status_code == status, (size, part_size)


@pytest.mark.parametrize(
    ("part_size", "status"), [(5 * 1024**2 - 1, 400), (5 * 1024**2, 200), (5 * GIB, 200), (5 * GIB + 1, 400)]
)
def test_part_sizes_are_5_mib_to_5_gib_by_default(
    client: Any, bucket: Any, app: Any, monkeypatch: Any, part_size: int, status: int
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", config.FILES_REST_MULTIPART_CHUNKSIZE_MIN)
    assert initiate(client, bucket, "a", 11 * 1024**2, part_size).status_code == status


@pytest.mark.parametrize("query", [{"size": 10}, {"partSize": 4}, {}])
def test_both_sizes_are_needed(client: Any, bucket: Any, location: Any, query: dict[str, int]) -> None:
    with nothing_stays(location):
        answer = error(client.post(url(bucket, "a", uploads=True, **query)), 400)
    missing = "partSize" if "size" in query else "size"
    assert answer["message"] == f"Missing required query argument '{missing}'"


@pytest.mark.parametrize("size", ["ten", "", "1e3", "nan"])
def test_a_size_that_is_no_number_is_told(client: Any, bucket: Any, location: Any, size: str) -> None:
    with nothing_stays(location):
        answer = error(initiate(client, bucket, "a", size, 4), 422)
    assert [item["field"] for item in answer["errors"]] == ["size"]


def test_sizes_may_come_in_json(client: Any, bucket: Any, location: Any) -> None:
    response = client.post(url(bucket, "a", uploads=True), json={"size": 10, "partSize": 4})
    assert response.status_code == 200
    assert (response.json["size"], response.json["part_size"]) == (10, 4)
    response = client.post(url(bucket, "a", uploads=True, size=9), json={"size": 10, "partSize": 4})
    assert response.json["size"] == 9
    with nothing_stays(location):
        error(client.post(url(bucket, "a", uploads=True), json={"size": 10}), 400)
        error(client.post(url(bucket, "a", uploads=True), json={"size": [1], "partSize": 4}), 422)
        error(client.post(url(bucket, "a", uploads=True), json=[10, 4]), 422)
        for body in (b"{", b"\xff", b"[" * 100_000, b'{"size": ' + b"1" * 5000 + b"}"):
            error(client.post(url(bucket, "a", uploads=True), data=body, content_type="application/json"), 400)


def test_a_key_that_is_too_long_is_refused(client: Any, bucket: Any, location: Any) -> None:
    with nothing_stays(location):
        error(initiate(client, bucket, "k" * 256, 10, 4), 400)


def test_the_size_is_reserved_at_the_beginning(client: Any, bucket: Any, db: Any, location: Any) -> None:
    bucket.quota_size = 15
    db.session.commit()
    first = begin(client, bucket, "a", 10, 4)
    assert bucket_size(bucket) == 10
    with nothing_stays(location):
        assert error(initiate(client, bucket, "b", 6, 4), 400)["message"] == "Bucket quota exceeded."
        error(client.put(url(bucket, "c"), data=b"123456"), 400)
    second = begin(client, bucket, "b", 5, 4)
    assert bucket_size(bucket) == 15
    assert first.abort().status_code == 204
    assert bucket_size(bucket) == 5
    put(client, bucket, "c", CONTENT)
    assert bucket_size(bucket) == 15
    assert second.abort().status_code == 204
    assert bucket_size(bucket) == 10


def test_the_largest_size_of_a_file_holds(client: Any, bucket: Any, db: Any, location: Any) -> None:
    bucket.max_file_size = 9
    db.session.commit()
    with nothing_stays(location):
        assert error(initiate(client, bucket, "a", 10, 4), 400)["message"] == "Maximum file size exceeded."
    begin(client, bucket, "a", 9, 4)


def test_a_locked_bucket_takes_no_upload(client: Any, bucket: Any, db: Any, location: Any) -> None:
    bucket.locked = True
    db.session.commit()
    with nothing_stays(location):
        error(initiate(client, bucket, "a", 10, 4), 403)


def test_a_deleted_bucket_takes_no_upload(client: Any, bucket: Any, db: Any, location: Any) -> None:
    Bucket.delete(bucket.id)
    db.session.commit()
    with nothing_stays(location):
        error(initiate(client, bucket, "a", 10, 4), 404)


def test_a_bucket_that_is_locked_meanwhile_takes_no_upload(
    client: Any, bucket: Any, db: Any, location: Any, monkeypatch: Any
) -> None:
    initialize = PyFSFileStorage.initialize

    def lock(self: PyFSFileStorage, **kwargs: Any) -> Any:
        db.session.execute(Bucket.__table__.update().values(locked=True))
        db.session.commit()
        return initialize(self, **kwargs)

    monkeypatch.setattr(PyFSFileStorage, "initialize", lock)
    with nothing_stays(location):
        error(initiate(client, bucket, "a", 10, 4), 403)


def test_no_connection_is_held_while_the_file_is_made(client: Any, bucket: Any, db: Any, monkeypatch: Any) -> None:
    initialize, held = PyFSFileStorage.initialize, []

    def watched(self: PyFSFileStorage, **kwargs: Any) -> Any:
        held.append(db.engine.pool.checkedout())
        return initialize(self, **kwargs)

    monkeypatch.setattr(PyFSFileStorage, "initialize", watched)
    begin(client, bucket, "a")
    assert held == [0]


def test_the_file_is_there_with_its_size_and_takes_no_room(client: Any, bucket: Any, location: Any) -> None:
    begin(client, bucket, "a", 1024**3, 1024**2)
    file = FileInstance.query.one()
    assert (file.size, file.readable, file.writable, file.checksum) == (1024**3, False, True, None)
    status = Path(file.uri).stat()
    assert (status.st_size, status.st_blocks) == (1024**3, 0)


def test_several_uploads_of_one_key_are_independent(client: Any, bucket: Any, location: Any) -> None:
    first, second = begin(client, bucket, "a"), begin(client, bucket, "a")
    assert first.id != second.id
    first.put(0, b"1111")
    second.put(0, b"2222")
    assert stored(location) == [b"1111" + bytes(6), b"2222" + bytes(6)]
    first.abort()
    assert list(second.parts()) == [0]


def test_uploads_of_a_bucket_are_listed(client: Any, bucket: Any) -> None:
    assert client.get(url(bucket, uploads=True)).json == []
    uploads = {upload.id: upload.answer for upload in (begin(client, bucket, key) for key in "abc")}
    listed = client.get(url(bucket, uploads=True)).json
    assert {item["id"]: item for item in listed} == uploads


def test_the_path_of_the_object_has_no_upload_list(client: Any, bucket: Any) -> None:
    upload: Upload = begin(client, bucket, "a")
    for method in (client.get, client.delete):
        response = method(url(bucket, "a", uploads=True))
        error(response, 405)
        assert "POST" in response.headers["Allow"]
    error(client.post(url(bucket, "a")), 403)
    assert upload.parts() == {}


@pytest.mark.parametrize("upload_id", ["1", "", "g" * 32])
def test_an_upload_id_that_is_none_is_told(client: Any, bucket: Any, upload_id: str) -> None:
    for method in (client.get, client.put, client.post, client.delete):
        answer = error(method(url(bucket, "a", uploadId=upload_id)), 422)
        assert answer["errors"][0]["field"] == "uploadId"


def test_an_unknown_upload_is_not_found(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket, "a")
    other = "00000000-0000-4000-8000-000000000000"
    for method in (client.get, client.post, client.delete):
        error(method(url(bucket, "a", uploadId=other)), 404)
        error(method(url(bucket, "other key", uploadId=upload.id)), 404)
    error(client.put(url(bucket, "a", uploadId=other, partNumber=0), data=b"0123"), 404)
    error(client.put(url(bucket, "b", uploadId=upload.id, partNumber=0), data=b"0123"), 404)
