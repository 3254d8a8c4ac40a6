"""What taking an archive apart costs for each of its files: reads, system calls, statements and objects."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import uuid
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers.rest import nothing_stays, url
from helpers.statements import statements
from invenio_db import db
from sqlalchemy import event, inspect

from invenio_files_rest.archives.incoming.tar_header import _ORDINARY, Header, parse_header
from invenio_files_rest.archives.incoming.tar_reader import TarReader
from invenio_files_rest.models import Bucket, FileInstance, ObjectVersion
from invenio_files_rest.models.base import utcnow
from invenio_files_rest.models.listeners import anybody_watches
from invenio_files_rest.models.row_insertion import add_rows
from invenio_files_rest.paths import is_folder_for
from invenio_files_rest.storage import pyfs_storage_factory


def tar_of(count: int, size: int = 100) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number in range(count):
            info = tarfile.TarInfo(f"folder/{number}")
            info.size = size
            archive.addfile(info, io.BytesIO(bytes([number % 256]) * size))
    return packed.getvalue()


class CountedReads(io.BytesIO):
    """A stream that counts how often it is read, and returns less than asked for."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        assert size is not None
        return super().read(size if size < 10 else size - 7)


def test_the_headers_and_small_files_of_an_archive_are_read_in_blocks():
    stream = CountedReads(tar_of(1000))
    assert [entry.stream.read() for entry in TarReader(stream, 1000)] == [bytes([n % 256]) * 100 for n in range(1000)]
    assert stream.reads < 25


@pytest.mark.parametrize("size", [65535, 65536, 200_000])
def test_a_file_longer_than_a_block_is_read_whole(size: int):
    stream = CountedReads(tar_of(3, size))
    for number, entry in enumerate(TarReader(stream, 3)):
        assert b"".join(iter(partial(entry.stream.read, 100_000), b"")) == bytes([number]) * size


def headers() -> list[bytes]:
    """Return headers as programs write them, and each with some bytes changed."""
    chance = random.Random(17)
    kinds = [("a", b"0"), ("ü/" * 40 + "b", b"0"), ("d/", b"5"), ("v7/", b"\0"), ("x", b"x"), ("l", b"2")]
    found = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        for name, kind in kinds:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.mtime = 8**7, kind, 10**9
            found.append(info.tobuf(form)[-512:])
    v7 = bytearray(found[0])
    v7[257:] = bytes(255)
    found.append(bytes(v7))
    for header in list(found):
        for _ in range(40):
            changed = bytearray(header)
            changed[chance.randrange(512)] = chance.choice(b"\0 07\x80\xffx/-_")
            changed[148:156] = b"%06o\0 " % (sum(changed[:148]) + 256 + sum(changed[156:]))
            if chance.random() < 0.2:
                changed[chance.randrange(148, 156)] = chance.choice(b"\0 9")
            found.append(bytes(changed))
    return found


def test_headers_are_read_as_tarfile_reads_them():
    ordinary = 0
    for block in headers():
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            with pytest.raises(type(error)):
                parse_header(block)
        else:
            assert parse_header(block) == Header(info.name, info.size, info.type)
            ordinary += _ORDINARY.fullmatch(block) is not None
    assert ordinary > 100


def test_a_statement_that_adds_rows_to_postgresql_is_as_long_for_many_as_for_one(bucket: Bucket):
    if db.engine.dialect.name != "postgresql":
        pytest.skip("Others take a set of parameters for each row.")

    def sent(count: int) -> list[str]:
        each: dict[str, list[Any]] = {
            "id": [uuid.uuid4() for _ in range(count)],
            "uri": [f"{uuid.uuid4()}ü'\"\\{{}},%s" for _ in range(count)],
            "checksum": [None] * count,
            "last_check_at": [utcnow()] * count,
        }
        same = {"size": 7, "readable": True, "writable": False, "last_check": None}
        with statements() as found:
            add_rows(FileInstance.__table__, each, same | {"created": utcnow(), "updated": utcnow()})
        return found

    assert sent(1) == sent(500)
    added = FileInstance.query.filter_by(size=7, readable=True, last_check=None, checksum=None)
    assert added.filter(FileInstance.uri.endswith("ü'\"\\{},%s", autoescape=True)).count() == 501
    assert added.first().last_check_at <= utcnow()


def test_rows_that_are_added_have_their_values_and_defaults_of_their_own(bucket: Bucket):
    """A default that is called gives each row another value, as that of the identifier does."""
    ids = [uuid.uuid4(), uuid.uuid4(), uuid.uuid4()]
    each = {"uri": ["a", None, "ü'\"\\{},%s"], "last_check_at": [None, utcnow(), None], "id": ids}
    add_rows(FileInstance.__table__, each, {"storage_class": "S"})
    for number, file_id in enumerate(ids):
        file = db.session.get(FileInstance, file_id)
        assert (file.uri, file.last_check_at) == (each["uri"][number], each["last_check_at"][number])
        assert (file.storage_class, file.size, file.readable, file.last_check) == ("S", 0, False, True)
        assert file.created
        assert file.updated
    add_rows(FileInstance.__table__, {"uri": ["b", "c"]}, {})
    assert FileInstance.query.filter(FileInstance.uri.in_(["b", "c"])).count() == 2


def test_no_rows_are_no_statement(bucket: Bucket):
    with statements() as sent:
        add_rows(FileInstance.__table__, {"uri": []}, {"size": 1})
    assert sent == []


# Objects and storages of the files


def extracted(client: FlaskClient, bucket: Bucket) -> None:
    answer = client.post(url(bucket, extract=True), data=tar_of(5))
    assert answer.status_code == 200, answer.text


def created(client: FlaskClient, bucket: Bucket) -> None:
    ObjectVersion.create_many(bucket, [(f"folder/{number}", io.BytesIO(bytes([number]) * 100)) for number in range(5)])


ways = pytest.mark.parametrize("add", [extracted, created])


def check(bucket: Bucket) -> None:
    """Look at the rows and the bytes of the files."""
    db.session.commit()
    files = {version.key: version.file for version in ObjectVersion.get_by_bucket(bucket)}
    assert len(files) == 5
    for number in range(5):
        file, content = files[f"folder/{number}"], bytes([number]) * 100
        assert (file.size, file.checksum) == (100, f"md5:{hashlib.md5(content).hexdigest()}")
        assert (file.readable, file.writable, file.last_check, file.storage_class) == (True, False, True, "A")
        assert is_folder_for(file.uri, str(file.id))
        with file.storage().open() as opened:
            assert opened.read() == content


@pytest.fixture
def archive_class(bucket: Bucket) -> Bucket:
    """Return a bucket whose files have another storage class than the configured one."""
    bucket.default_storage_class = "A"
    db.session.commit()
    return bucket


@ways
@pytest.mark.usefixtures("allow_all")
def test_the_files_of_a_batch_need_one_object_and_one_storage(
    client: FlaskClient, archive_class: Bucket, monkeypatch: Any, add: Any
):
    made: list[str] = []
    new, storage = FileInstance.new, FileInstance.storage
    monkeypatch.setattr(FileInstance, "new", lambda: made.append("object") or new())
    monkeypatch.setattr(FileInstance, "storage", lambda self, **at: made.append("storage") or storage(self, **at))
    add(client, archive_class)
    assert made == ["object", "storage"]
    check(archive_class)


@ways
@pytest.mark.usefixtures("allow_all")
def test_a_factory_of_others_is_asked_for_each_file(
    app: Flask, client: FlaskClient, archive_class: Bucket, monkeypatch: Any, add: Any
):
    asked: list[Any] = []

    def factory(fileinstance: Any = None, **at: Any) -> Any:
        asked.append((fileinstance.id, (at["default_location"], at["default_storage_class"])))
        return pyfs_storage_factory(fileinstance, **at)

    with monkeypatch.context() as patched:
        patched.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
        add(client, archive_class)
    assert len(set(asked)) == 5
    assert {place for _, place in asked} == {(archive_class.location.uri, "A")}
    check(archive_class)


@ways
@pytest.mark.usefixtures("allow_all")
@pytest.mark.parametrize(
    ("target", "name", "times"),
    [(FileInstance, "init", 1), (FileInstance.uri, "set", 1), (FileInstance.size, "set", 2)],
)
def test_who_watches_files_sees_each(
    client: FlaskClient, archive_class: Bucket, add: Any, target: Any, name: str, times: int
):
    seen: list[Any] = []
    assert not anybody_watches(FileInstance)

    def watch(file: Any, *arguments: Any) -> None:
        seen.append(file)

    event.listen(target, name, watch)
    try:
        assert anybody_watches(FileInstance)
        add(client, archive_class)
    finally:
        event.remove(target, name, watch)
    assert len(seen) == 5 * times
    check(archive_class)


def test_who_watches_files_and_knows_their_mapper_is_not_taken_for_sqlalchemy(app: Flask):
    mapper = inspect(FileInstance)

    def watch(state: Any, *arguments: Any) -> None:
        assert state.mapper is mapper

    event.listen(FileInstance, "init", watch, raw=True)
    try:
        assert anybody_watches(FileInstance)
    finally:
        event.remove(FileInstance, "init", watch)
    assert not anybody_watches(FileInstance)


@pytest.mark.usefixtures("allow_all")
def test_no_file_of_a_batch_stays_after_an_error(client: FlaskClient, bucket: Bucket, location: Any):
    with nothing_stays(location):
        assert client.post(url(bucket, extract=True), data=tar_of(5)[: 4 * 1024 + 600]).status_code == 400
        bucket.quota_size = 450
        db.session.commit()
        assert client.post(url(bucket, extract=True), data=tar_of(5)).status_code == 400
