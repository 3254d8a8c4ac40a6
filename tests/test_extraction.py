"""``POST /files/B?extract``: all files of an archive become objects, in one transaction, or none does."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import tracemalloc
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers.rest import error, nothing_stays, put, rows, stored, url
from helpers.statements import statements
from helpers.stored import received
from helpers.uploading import bucket_size
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invenio_db import db
from sqlalchemy.exc import OperationalError

from invenio_files_rest.archives.incoming.zip_reader import ZipReader
from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.signals import file_uploaded

pytestmark = pytest.mark.usefixtures("allow_all")

MIB = 1024**2
FILES = {
    "a.txt": b"first",
    "data/b.bin": bytes(range(256)) * 600,
    "data/ü 漢字.txt": "ünïcode".encode(),
    "long/" + "n" * 200: b"long name",
}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def member(name: str, size: int = 0, **attributes: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info


def tar(files: Mapping[str, bytes] | None = None, *more: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Make a TAR of files, and of entries without bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for name, content in (FILES if files is None else files).items():
            archive.addfile(member(name, len(content)), io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return packed.getvalue()


def zipped(files: Mapping[str, bytes] | None = None, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in (FILES if files is None else files).items():
            archive.writestr(name, content)
    return packed.getvalue()


def send(client: FlaskClient, bucket: Any, archive: bytes, headers: Any = None, **query: Any) -> Any:
    return client.post(url(bucket, extract=True, **query), data=archive, headers=headers)


def upload(client: FlaskClient, bucket: Any, archive: bytes) -> str:
    """Upload an archive in parts, and return the identifier of the upload."""
    size = 5 * MIB
    begun = client.post(url(bucket, "archive", uploads=True, size=len(archive), partSize=size)).json
    for number in range(-(-len(archive) // size)):
        part = archive[number * size : (number + 1) * size]
        assert client.put(url(bucket, "archive", uploadId=begun["id"], partNumber=number), data=part).status_code == 200
    return str(begun["id"])


def objects(bucket: Any) -> dict[str, bytes]:
    db.session.commit()
    found = {}
    for version in ObjectVersion.get_by_bucket(bucket):
        with version.file.storage().open() as file:
            found[version.key] = file.read()
    return found


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_file_becomes_an_object(client: FlaskClient, bucket: Bucket, compression: str, form: int):
    folder = member("data", type=tarfile.DIRTYPE)
    archive = COMPRESSIONS[compression](tar(None, folder, form=form))
    answer = send(client, bucket, archive, prefix="in/")
    assert answer.status_code == 200, answer.text
    assert objects(bucket) == {f"in/{name}": content for name, content in FILES.items()}
    assert [one["key"] for one in answer.json["contents"]] == [f"in/{name}" for name in FILES]
    for one, content in zip(answer.json["contents"], FILES.values(), strict=True):
        assert (one["size"], one["checksum"]) == (len(content), f"md5:{hashlib.md5(content).hexdigest()}")
        assert client.get(one["links"]["self"]).data == content
        assert client.get(one["links"]["version"]).data == content
    assert answer.json["id"] == str(bucket.id)
    assert answer.json["size"] == rows()["size"] == sum(map(len, FILES.values()))


def test_compressed_streams_after_another_are_one(client: FlaskClient, bucket: Bucket):
    """As pbzip2 and pixz write them, and whoever appends to a gzip."""
    archive = tar()
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        halves = compress(archive[:700]) + compress(archive[700:])
        assert send(client, bucket, halves, prefix=compress.__module__).status_code == 200
    assert len(objects(bucket)) == 3 * len(FILES)


@pytest.mark.parametrize(
    "command",
    [
        "tar -cf ARCHIVE .",
        "tar --format=ustar -cf ARCHIVE .",
        "tar -cJf ARCHIVE .",
        "bsdtar -cf ARCHIVE .",
        "bsdtar --format=ustar -cjf ARCHIVE .",
        "bsdtar -a -cf ARCHIVE.zip .",
        "7z a -bd -tzip ARCHIVE.zip .",
        "7z a -bd -ttar ARCHIVE.tar .",
    ],
)
def test_what_programs_pack_is_taken_apart(client: FlaskClient, bucket: Bucket, tmp_path: Path, command: str):
    program, *arguments = command.replace("ARCHIVE", f"{tmp_path}/archive").split()
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed; scripts/services.py installs it")
    # A segment of more than 100 characters does not fit into ustar.
    files = {name: content for name, content in FILES.items() if "ustar" not in command or len(name) < 100}
    for name, content in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run([program, *arguments], cwd=tmp_path / "folder", check=True, capture_output=True, env=environment)
    (archive,) = tmp_path.glob("archive*")
    if archive.suffix == ".zip":
        answer = send(client, bucket, b"", uploadId=upload(client, bucket, archive.read_bytes()))
    else:
        answer = send(client, bucket, archive.read_bytes())
    assert answer.status_code == 200, answer.text
    assert objects(bucket) == files


def test_segments_that_say_nothing_are_left_out_of_names(client: FlaskClient, bucket: Bucket):
    archive = tar({"./a": b"a", "b//c": b"c", "d/./e": b"e"}, member("./", type=tarfile.DIRTYPE))
    assert send(client, bucket, archive).status_code == 200
    assert list(objects(bucket)) == ["a", "b/c", "d/e"]


@pytest.mark.parametrize("size", [5, 1024])
def test_the_size_of_a_folder_says_nothing_of_bytes(client: FlaskClient, bucket: Bucket, size: int):
    folder = member("folder", size, type=tarfile.DIRTYPE).tobuf()
    assert send(client, bucket, folder + tar()).status_code == 200
    assert objects(bucket) == FILES


def test_a_misspelt_prefix_is_not_passed_over(client: FlaskClient, bucket: Bucket):
    assert "prefix" in error(send(client, bucket, tar(), Prefix="in/"), 400)["message"]
    error(client.post(url(bucket, extract=True) + "&prefix=a/&prefix=b/", data=tar()), 400)
    assert objects(bucket) == {}


def test_an_archive_of_no_files_changes_nothing(client: FlaskClient, bucket: Bucket, location: Any):
    with nothing_stays(location):
        assert send(client, bucket, tar({})).json["contents"] == []


LONG = "n" * 300


@pytest.mark.parametrize(
    ("archive", "named"),
    [
        (tar({"a": b"a", "/etc/passwd": b"x"}), "/etc/passwd"),
        (tar({"a": b"a", "b/../../c": b"x"}), "b/../../c"),
        (tar({"a": b"a", "C:/x": b"x"}), "C:/x"),
        (tar({"a": b"a", "x\\..\\y": b"x"}), "x\\\\..\\\\y"),
        (tar({"a": b"a"}, member("link", type=tarfile.SYMTYPE, linkname="a")), "link"),
        (tar({"a": b"a"}, member("link", type=tarfile.LNKTYPE, linkname="a")), "link"),
        (tar({"a": b"a"}, member("device", type=tarfile.CHRTYPE)), "device"),
        (tar({"a": b"a"}, member("device", type=tarfile.BLKTYPE)), "device"),
        (tar({"a": b"a"}, member("pipe", type=tarfile.FIFOTYPE)), "pipe"),
        (tar({"a": b"a"}, member("odd", type=b"Z")), "odd"),
        (tar({"a": b"a"}, member("sparse", type=tarfile.GNUTYPE_SPARSE)), "sparse"),
        (tar({"a": b"a"}, member("sparse", pax_headers={"GNU.sparse.major": "1"})), "sparse"),
        (tar({"a": b"a", "folder/": b"x"}), "folder/"),
        (tar({"a": b"a", "./a": b"b"}), "'a'"),
        (tar({"a": b"a", LONG: b"b"}), LONG[:20]),
        (tar({"a": b"a", "b": b""}), "'b'"),
        (tar()[:-5000].rstrip(b"\0"), "nnn"),
        (tar()[:1700], "data/b.bin"),
        (tar({"a": b"a"})[:1024], "'a'"),
        (b"no archive at all" * 100, "not a TAR"),
        (b"", "no archive"),
        (b"\0" * 300, "end"),
        (zipped(), "not a TAR"),
        (gzip.compress(tar())[:-9], "gzip"),
        (gzip.compress(tar())[:-8] + bytes(8), "gzip"),
        (bz2.compress(tar())[:-9], "bzip2"),
        (lzma.compress(tar())[:-9], "xz"),
        (gzip.compress(tar()) + b"not gzip", "gzip"),
        (tar({"a": b"a"}, member("x", pax_headers={"comment": "c" * 70_000})), "65536"),
        (gzip.compress(tar({"zeros": bytes(60 * MIB)})), "expands"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value[:20],
)
def test_an_archive_is_refused_as_a_whole_by_the_name_of_the_entry(
    client: FlaskClient, bucket: Bucket, location: Any, archive: bytes, named: str
):
    put(client, bucket, "there")
    with nothing_stays(location):
        assert named in error(send(client, bucket, archive), 400)["message"]
    assert list(objects(bucket)) == ["there"]


def test_xz_that_needs_much_memory_is_refused(client: FlaskClient, bucket: Bucket, monkeypatch: Any):
    monkeypatch.setattr("invenio_files_rest.archives.incoming.decompression.XZ_MEMORY", 1024)
    assert "memory" in error(send(client, bucket, lzma.compress(tar())), 400)["message"]


def test_files_of_no_bytes_are_taken_if_the_settings_allow_them(app: Flask, client: FlaskClient, bucket: Bucket):
    app.config["FILES_REST_MIN_FILE_SIZE"] = 0
    answer = send(client, bucket, tar({"empty": b""}))
    assert [one["size"] for one in answer.json["contents"]] == [0]
    assert objects(bucket) == {"empty": b""}


def test_no_more_entries_than_are_allowed(app: Flask, client: FlaskClient, bucket: Bucket, location: Any):
    app.config["FILES_REST_ARCHIVE_MAX_ENTRIES"] = 3
    with nothing_stays(location):
        assert "too many" in error(send(client, bucket, tar()), 400)["message"]
        upload_id = upload(client, bucket, zipped())
        assert "no more than 3" in error(send(client, bucket, b"", uploadId=upload_id), 400)["message"]
        client.delete(url(bucket, "archive", uploadId=upload_id))


def test_all_objects_get_the_tags_of_the_request(client: FlaskClient, bucket: Bucket):
    send(client, bucket, tar(), headers={"X-Invenio-File-Tags": "a=1&b=2"})
    assert [version.get_tags() for version in ObjectVersion.get_by_bucket(bucket)] == [{"a": "1", "b": "2"}] * 4


def test_an_object_that_exists_gets_a_new_version(client: FlaskClient, bucket: Bucket):
    put(client, bucket, "a.txt", b"before")
    send(client, bucket, tar())
    heads = [(version.is_head, version.file.size) for version in ObjectVersion.get_versions(bucket, "a.txt")]
    assert heads == [(True, 5), (False, 6)]


def test_no_object_is_replaced_if_the_request_says_so(client: FlaskClient, bucket: Bucket, location: Any):
    put(client, bucket, "data/b.bin")
    condition = {"If-None-Match": "*"}
    with nothing_stays(location):
        assert "data/b.bin" in error(send(client, bucket, tar(), condition), 412)["message"]
    client.delete(url(bucket, "data/b.bin"))
    assert send(client, bucket, tar(), condition).status_code == 200
    error(send(client, bucket, tar(), {"If-None-Match": '"tag"'}), 400)
    error(send(client, bucket, tar(), {"If-Match": "*"}), 400)


def test_who_may_not_read_objects_is_not_told_which_there_are(
    app: Flask, client: FlaskClient, bucket: Bucket, monkeypatch: Any
):
    allowed = {"bucket-update"}
    monkeypatch.setattr(
        app.extensions["invenio-files-rest"],
        "permission_factory",
        lambda obj, action: type("Permission", (), {"can": lambda self: action in allowed})(),
    )
    error(send(client, bucket, tar(), {"If-None-Match": "*"}), 404)
    assert send(client, bucket, tar()).status_code == 200
    allowed.clear()
    error(send(client, bucket, tar()), 404)


def test_a_locked_bucket_takes_no_archive(client: FlaskClient, bucket: Bucket, location: Any):
    bucket.locked = True
    db.session.commit()
    with nothing_stays(location):
        error(send(client, bucket, tar()), 403)


@pytest.mark.parametrize("limit", ["quota_size", "max_file_size"])
def test_the_limits_of_the_bucket_hold_for_the_whole(client: FlaskClient, bucket: Bucket, location: Any, limit: str):
    files = {"a": bytes(90), "b": bytes(110), "c": bytes(1)}
    setattr(bucket, limit, 200 if limit == "quota_size" else 109)
    db.session.commit()
    with nothing_stays(location):
        error(send(client, bucket, tar(files)), 400)
    setattr(bucket, limit, 201 if limit == "quota_size" else 110)
    db.session.commit()
    assert send(client, bucket, tar(files)).status_code == 200


def test_what_others_store_meanwhile_counts(
    client: FlaskClient, bucket: Bucket, location: Any, monkeypatch: Any, app: Flask
):
    """The quota is exceeded only when all bytes have come."""
    from invenio_files_rest.services import extraction

    bucket.quota_size = 30
    db.session.commit()
    plain = extraction.add_objects

    def late(*args: Any) -> None:
        Bucket.claim(bucket.id, 25)
        plain(*args)

    with nothing_stays(location):
        monkeypatch.setattr(extraction, "add_objects", late)
        assert "quota" in error(send(client, bucket, tar({"a": bytes(10)})), 400)["message"].lower()


def test_digests_of_the_request_are_compared(client: FlaskClient, bucket: Bucket, location: Any):
    archive = gzip.compress(tar())
    wrong = {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
    with nothing_stays(location):
        error(send(client, bucket, archive, wrong), 400)
    import base64

    right = {"Content-MD5": base64.b64encode(hashlib.md5(archive).digest()).decode()}
    assert send(client, bucket, archive, right).status_code == 200


def test_a_signal_is_sent_for_each_object(client: FlaskClient, bucket: Bucket):
    with received(file_uploaded) as found:
        send(client, bucket, tar())
    assert [version.key for version in found] == list(FILES)


def test_statements_are_some_for_a_thousand_files(client: FlaskClient, bucket: Bucket):
    def cost(count: int) -> int:
        files = {f"{count}/{number:05}": b"x" for number in range(count)}
        with statements() as sent:
            assert send(client, bucket, tar(files), headers={"X-Invenio-File-Tags": "a=1"}).status_code == 200
        # One for all rows, on databases whose drivers can.
        return len([one for one in sent if not one.startswith("INSERT")])

    few, many = cost(10), cost(1500)
    assert many <= few + 16


@pytest.mark.parametrize("kind", ["zip", "stored zip", "tar", "tar.gz"])
def test_an_archive_that_was_uploaded_in_parts(client: FlaskClient, bucket: Bucket, kind: str):
    files = FILES | {"large": os.urandom(6 * MIB)}
    archives = {
        "zip": lambda: zipped(files),
        "stored zip": lambda: zipped(files, zipfile.ZIP_STORED),
        "tar": lambda: tar(files),
        "tar.gz": lambda: gzip.compress(tar(files), 1),
    }
    upload_id = upload(client, bucket, archives[kind]())
    answer = send(client, bucket, b"", uploadId=upload_id, prefix="in/")
    assert answer.status_code == 200, answer.text
    assert objects(bucket) == {f"in/{name}": content for name, content in files.items()}
    # The archive is gone, and counts no more.
    assert rows()["size"] == sum(map(len, files.values()))
    assert rows()["files_multipartobject"] == 0
    assert client.get(url(bucket, "archive", uploadId=upload_id)).status_code == 404
    error(send(client, bucket, b"", uploadId=upload_id), 404)


def special_zip(mode: int, name: str = "special") -> bytes:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.create_system = mode << 16, 3
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", b"a")
        archive.writestr(info, b"target")
    return packed.getvalue()


def zip_that_counts_less() -> bytes:
    """Make a ZIP as programs do that count to 65,535 and begin again."""
    archive = bytearray(zipped())
    struct.pack_into("<2H", archive, archive.rindex(b"PK\5\6") + 8, 2, 2)
    return bytes(archive)


def zip_with_end_at(offset: int) -> bytes:
    """Make a ZIP whose locator says that the end of the directory in the form of ZIP64 is somewhere."""
    archive = zipped({"special": b"content"})
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, offset, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return archive[: archive.rindex(b"PK\5\6")] + locator + end


def damaged_zip() -> bytes:
    archive = bytearray(zipped({"special": b"content"}, zipfile.ZIP_STORED))
    archive[archive.index(b"content")] ^= 1
    return bytes(archive)


@pytest.mark.parametrize(
    ("archive", "named"),
    [
        (special_zip(stat.S_IFLNK | 0o777), "symbolic link"),
        (special_zip(stat.S_IFCHR), "device"),
        (special_zip(0, "../up"), "../up"),
        (zipped({"a": b"a", "folder/": b""}), None),
        (special_zip(0, "./a"), "'a'"),
        (damaged_zip(), "special"),
        (zipped({"special": b"x"}, zipfile.ZIP_BZIP2), "another way"),
        (zipped({"zeros": bytes(60 * MIB)}), "expands"),
        (zipped()[:-30], "ends before"),
        (b"PK\3\4" + bytes(100), "no ZIP"),
        (zip_that_counts_less(), "more than the 2 entries"),
        (zipped({"special/": b"content"}), "folder"),
        (zip_with_end_at(2**64 - 1), "damaged"),
        (zip_with_end_at(2**63 - 1), "damaged"),
        (zip_with_end_at(10**12), "damaged"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value)[:20],
)
def test_a_zip_is_refused_as_a_whole_and_its_upload_stays(
    client: FlaskClient, bucket: Bucket, archive: bytes, named: str | None
):
    upload_id = upload(client, bucket, archive)
    answer = send(client, bucket, b"", uploadId=upload_id)
    if named is None:
        assert answer.status_code == 200
        return
    assert named in error(answer, 400)["message"]
    assert objects(bucket) == {}
    # It can be looked at, and removed.
    assert client.get(url(bucket, "archive", uploadId=upload_id)).json["completed"] is False


def test_a_zip_is_read_from_its_beginning_to_its_end_with_few_jumps():
    """Each jump is a request where files are in an object store."""
    jumps: list[int] = []

    class File(io.BytesIO):
        def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
            if position != self.tell():
                jumps.append(position)
            return super().seek(position, whence)

    archive = zipped({f"{number:04}": b"content" for number in range(3000)})
    names = [
        entry.name for entry in ZipReader(File(archive), len(archive), 3000, 10) if list(iter(entry.stream.read, b""))
    ]
    assert len(names) == 3000
    assert len(jumps) < 20


def test_an_upload_is_taken_apart_once_however_often_it_is_asked_for(
    client: FlaskClient, bucket: Bucket, location: Any, monkeypatch: Any
):
    from invenio_files_rest.services import extraction

    upload_id = upload(client, bucket, zipped())
    store, answers = extraction._store, []

    def store_and_be_overtaken(*args: Any) -> None:
        store(*args)
        if not answers:
            answers.append(None)
            # A client that had no answer in time sends its request again.
            answers[0] = send(client, bucket, b"", uploadId=upload_id).status_code

    monkeypatch.setattr(extraction, "_store", store_and_be_overtaken)
    error(send(client, bucket, b"", uploadId=upload_id), 404)
    assert answers == [200]
    assert objects(bucket) == FILES
    assert ObjectVersion.query.count() == len(FILES)
    assert bucket_size(bucket) == sum(map(len, FILES.values()))
    assert len(stored(location)) == len(FILES)


def test_an_upload_without_all_its_parts_is_no_archive(client: FlaskClient, bucket: Bucket):
    begun = client.post(url(bucket, "archive", uploads=True, size=9 * MIB, partSize=5 * MIB)).json
    assert "missing: 0, 1" in error(send(client, bucket, b"", uploadId=begun["id"]), 400)["message"]
    error(send(client, bucket, b"", uploadId=uuid.uuid4()), 404)
    error(send(client, bucket, b"", uploadId="x"), 422)
    assert "body" in error(send(client, bucket, tar(), uploadId=upload(client, bucket, tar())), 400)["message"]
    assert objects(bucket) == {}


def test_memory_does_not_grow_with_the_archive(client: FlaskClient, bucket: Bucket, monkeypatch: Any):
    monkeypatch.setattr("invenio_files_rest.services.extraction.FILES", 50)
    monkeypatch.setattr("invenio_files_rest.models.manifest.BATCH", 50)

    class Archive(io.RawIOBase):
        """A TAR that is made while it is read."""

        def __init__(self, count: int) -> None:
            self._pieces = self._made(count)
            self._rest = b""

        def _made(self, count: int) -> Iterator[bytes]:
            for number in range(count):
                yield member(f"{count}/{number:06}", 1024).tobuf()
                yield bytes(1024)
            yield bytes(1024)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self._rest = self._rest or next(self._pieces, b"")
            data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
            buffer[: len(data)] = data
            return len(data)

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            environ = {"wsgi.input": io.BufferedReader(Archive(count)), "wsgi.input_terminated": True}
            answer = client.post(url(bucket, extract=True), environ_overrides=environ)
            assert answer.status_code == 200, answer.text
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    count = int(os.environ.get("TEST_EXTRACTED_FILES", "500"))
    # The first one loads what is needed.
    peak(10)
    assert peak(count) < peak(100) * 1.3 + MIB // 4


def test_a_client_that_breaks_off_leaves_nothing(client: FlaskClient, bucket: Bucket, location: Any):
    archive = tar()
    with nothing_stays(location):
        environ = {"wsgi.input": io.BytesIO(archive[:3000]), "CONTENT_LENGTH": str(len(archive))}
        error(client.post(url(bucket, extract=True), environ_overrides=environ), 400)


def test_a_full_disk_leaves_nothing(client: FlaskClient, bucket: Bucket, location: Any, monkeypatch: Any):
    from invenio_files_rest.storage.settling import Settling

    def full(self: Any) -> None:
        raise OSError(28, "No space left on device")

    with nothing_stays(location):
        monkeypatch.setattr(Settling, "settle", full)
        error(send(client, bucket, tar()), 507)


def test_no_row_stays_without_its_bytes_when_the_database_goes_away(
    client: FlaskClient, bucket: Bucket, location: Any, monkeypatch: Any, app: Flask
):
    from invenio_files_rest.services import extraction

    plain = extraction.add_file_rows

    def committed_without_an_answer(*args: Any) -> None:
        plain(*args)
        db.session.commit()
        raise OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)

    monkeypatch.setattr(extraction, "add_file_rows", committed_without_an_answer)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    with nothing_stays(location):
        assert send(client, bucket, tar()).status_code == 500


def test_files_are_settled_before_their_rows_are_committed(client: FlaskClient, bucket: Bucket, monkeypatch: Any):
    from invenio_files_rest.services import extraction
    from invenio_files_rest.storage.settling import Settling

    done: list[str] = []
    settle, add_file_rows, add_objects = Settling.settle, extraction.add_file_rows, extraction.add_objects

    def noted(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            done.append(name)
            return plain(*args)

        return call

    monkeypatch.setattr(Settling, "settle", noted("settle", settle))
    monkeypatch.setattr(extraction, "add_file_rows", noted("files", add_file_rows))
    monkeypatch.setattr(extraction, "add_objects", noted("objects", add_objects))
    assert send(client, bucket, tar()).status_code == 200
    assert done == ["settle", "files", "objects"]


@settings(
    max_examples=int(os.environ.get("TEST_EXTRACTION_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_archive_is_an_error_of_the_server(client: FlaskClient, bucket: Bucket, data: Any):
    """Whatever is wrong with it; and where it is refused, nothing of it is there."""
    content = {"a": b"a" * 600, "b/" + "n" * 150: b"b", "ü": b"c"}
    compress = data.draw(st.sampled_from(list(COMPRESSIONS.values())))
    archive = bytearray(tar(content, member("folder", type=tarfile.DIRTYPE), form=data.draw(st.sampled_from([1, 2]))))
    inner = data.draw(st.booleans())
    target = archive if inner else bytearray(compress(bytes(archive)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(target) - 1))
        target[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del target[data.draw(st.integers(0, len(target))) :]
    before = stored(bucket.location), rows()
    answer = send(client, bucket, compress(bytes(target)) if inner else bytes(target))
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        assert (stored(bucket.location), rows()) == before


@pytest.mark.slow
def test_a_mutated_zip_is_no_error_of_the_server(client: FlaskClient, bucket: Bucket):
    """In a loop of its own, since each takes an upload."""
    import random

    chance = random.Random(7)
    archive = zipped({"a": b"a" * 600, "b": b"b", "ü": b"c"})
    for _ in range(int(os.environ.get("TEST_EXTRACTION_EXAMPLES", "20")) // 2):
        mutated = bytearray(archive)
        for _ in range(3):
            mutated[chance.randrange(4, len(mutated))] = chance.randrange(256)
        upload_id = upload(client, bucket, bytes(mutated))
        assert send(client, bucket, b"", uploadId=upload_id).status_code in (200, 400)
        client.delete(url(bucket, "archive", uploadId=upload_id))


def test_a_storage_that_cannot_defer_its_waiting_takes_archives_too(
    app: Flask, client: FlaskClient, bucket: Bucket, monkeypatch: Any
):
    from functools import partial

    from invenio_files_rest.storage import PyFSFileStorage, pyfs_storage_factory

    class Own(PyFSFileStorage):
        def save(self, *args: Any, **kwargs: Any) -> Any:
            return super().save(*args, **kwargs)

    monkeypatch.setattr(
        app.extensions["invenio-files-rest"], "storage_factory", partial(pyfs_storage_factory, filestorage_class=Own)
    )
    assert send(client, bucket, tar()).status_code == 200
    assert objects(bucket) == FILES


def test_nothing_of_the_answer_names_a_path(client: FlaskClient, bucket: Bucket, location: Any):
    assert str(Path(location.uri)) not in send(client, bucket, tar()).text
