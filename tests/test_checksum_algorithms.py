"""The setting of the checksum algorithm, for what is stored from now on and for what is stored already."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import blake3
import pytest
import xxhash
from flask import Flask
from helpers.rest import CONTENT, put, url

from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.tasks import migrate_file, verify_checksum

DIGESTS = {
    "md5": hashlib.md5(CONTENT).hexdigest(),
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
    "sha512": hashlib.sha512(CONTENT).hexdigest(),
    "blake2b": hashlib.blake2b(CONTENT).hexdigest(),
    "blake3": blake3.blake3(CONTENT).hexdigest(),
    "xxh3": xxhash.xxh3_128(CONTENT).hexdigest(),
}


@pytest.fixture
def set_algorithm(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda name: monkeypatch.setitem(app.config, "FILES_REST_CHECKSUM_ALGORITHM", name)


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_files_are_hashed_with_the_algorithm_of_the_setting(
    set_algorithm: Any, client: Any, bucket: Bucket, allow_all: None, algorithm: str
) -> None:
    set_algorithm(algorithm)
    assert put(client, bucket)["checksum"] == f"{algorithm}:{DIGESTS[algorithm]}"
    response = client.get(url(bucket, "a.txt"))
    assert response.data == CONTENT
    assert response.headers["ETag"] == f'"{algorithm}:{DIGESTS[algorithm]}"'
    assert ("Repr-Digest" in response.headers) == (algorithm in ("md5", "sha256", "sha512"))


def test_a_merged_upload_is_hashed_with_it_too(
    set_algorithm: Any, client: Any, bucket: Bucket, allow_all: None, small_parts: None
) -> None:
    set_algorithm("sha256")
    begun = client.post(url(bucket, "a", uploads=True, size=8, partSize=4)).json
    for number in range(2):
        part = client.put(url(bucket, "a", uploadId=begun["id"], partNumber=number), data=b"part").json
        assert part["checksum"] == "sha256:" + hashlib.sha256(b"part").hexdigest()
    client.post(url(bucket, "a", uploadId=begun["id"]))
    assert ObjectVersion.get(bucket, "a").file.checksum == "sha256:" + hashlib.sha256(b"partpart").hexdigest()


@pytest.mark.parametrize("before", DIGESTS)
def test_what_is_stored_is_verified_with_its_own_algorithm(
    set_algorithm: Any, db: Any, bucket: Bucket, before: str
) -> None:
    set_algorithm(before)
    obj = ObjectVersion.create(bucket, "a", stream=io.BytesIO(CONTENT))
    db.session.commit()
    set_algorithm("md5" if before == "sha512" else "sha512")
    assert obj.file.verify_checksum() is True
    db.session.commit()
    assert verify_checksum(str(obj.file_id)) is True
    obj.file.update_checksum()
    assert obj.file.checksum == f"{before}:{DIGESTS[before]}"
    Path(obj.file.uri).write_bytes(CONTENT.upper())
    assert obj.file.verify_checksum() is False


def test_a_file_that_is_moved_keeps_its_checksum_and_is_compared_by_it(
    set_algorithm: Any, db: Any, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.session.add(Location(name="there", uri=str(tmp_path / "there")))
    obj = ObjectVersion.create(bucket, "a", stream=io.BytesIO(CONTENT))
    db.session.commit()
    set_algorithm("sha256")
    hashed = []
    init_hash = PyFSFileStorage._init_hash
    monkeypatch.setattr(PyFSFileStorage, "_init_hash", lambda self: hashed.append(init_hash(self)) or hashed[-1])
    copy = FileInstance.get(migrate_file(str(obj.file_id), "there"))
    assert copy.uri.startswith(str(tmp_path / "there"))
    assert copy.checksum == f"md5:{DIGESTS['md5']}"
    assert {algorithm for algorithm, _ in hashed} == {"md5"}


def test_a_checksum_of_an_unknown_algorithm_is_neither_right_nor_wrong(db: Any, bucket: Bucket) -> None:
    obj = ObjectVersion.create(bucket, "a", stream=io.BytesIO(CONTENT))
    obj.file.checksum = "crc32c:00000000"
    db.session.commit()
    assert verify_checksum(str(obj.file_id)) is None


def test_an_application_with_an_unknown_algorithm_does_not_start() -> None:
    app = Flask("app")
    app.config["FILES_REST_CHECKSUM_ALGORITHM"] = "crc32"
    with pytest.raises(ValueError, match=r"no checksum algorithm 'crc32'; there are md5, sha256, .*xxh3"):
        InvenioFilesREST(app)


@pytest.mark.parametrize(("algorithm", "package"), [("blake3", "blake3"), ("xxh3", "xxhash")])
def test_an_application_without_the_package_of_its_algorithm_does_not_start(
    monkeypatch: pytest.MonkeyPatch, algorithm: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    app = Flask("app")
    app.config["FILES_REST_CHECKSUM_ALGORITHM"] = algorithm
    with pytest.raises(ValueError, match=f"{algorithm} needs the package {package}"):
        InvenioFilesREST(app)
