"""``GET /files/B?archive=zip|tar``: all objects of a bucket in one file, the same bytes again at every offset."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask.testing import FlaskClient
from helpers.rest import error, put, run_on_server, url
from helpers.statements import statements
from helpers.stored import CONTENT, damage, store
from invenio_db import db
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from invenio_files_rest.archives.formats import FORMATS, Member
from invenio_files_rest.archives.layout import lay_out
from invenio_files_rest.archives.stamp import EPOCH
from invenio_files_rest.archives.stream import ArchiveStream
from invenio_files_rest.archives.zip_format import ZipFormat
from invenio_files_rest.errors import StorageError
from invenio_files_rest.models import Bucket, FileCRC, FileInstance, Location, ObjectVersion, bucket_state
from invenio_files_rest.models.bucket_state import BucketState
from invenio_files_rest.storage import PyFSFileStorage, pyfs_storage_factory
from invenio_files_rest.tasks import migrate_file, remove_file_data, verify_checksum

pytestmark = pytest.mark.usefixtures("allow_all")

FILES = {
    "a.txt": b"first",
    "data/b.bin": bytes(range(256)) * 5000,
    "data/deep/ü 漢字.txt": "ünïcode".encode(),
    "long/" + "n" * 240: b"long name",
    "z": b"last",
}
PROGRAMS = {
    "unzip": ["unzip", "-q", "ARCHIVE"],
    "bsdtar": ["bsdtar", "-xf", "ARCHIVE"],
    "7z": ["7z", "x", "-bd", "ARCHIVE"],
    "tar": ["tar", "-xf", "ARCHIVE"],
}


def stamped(client: FlaskClient, bucket: Any, kind: str, **query: Any) -> str:
    """Return the address to which the request for an archive is redirected."""
    response = client.get(url(bucket, archive=kind, **query))
    assert response.status_code == 307, response.text
    return str(response.location)


def fetch(client: FlaskClient, bucket: Any, kind: str, **query: Any) -> bytes:
    response = client.get(stamped(client, bucket, kind, **query))
    assert response.status_code == 200, response.text
    assert response.content_length == len(response.data)
    return bytes(response.data)


def of_selection(bucket: Bucket, kind: str, keys: list[str], **query: Any) -> str:
    """Return the path of an archive of some keys."""
    return f"{url(bucket, archive=kind, **query)}&{urlencode([('key', key) for key in keys])}"


def fetch_selection(client: FlaskClient, bucket: Bucket, kind: str, keys: list[str]) -> tuple[str, bytes]:
    """Return the address to which the request for an archive of some keys is redirected, and what is there."""
    address = str(client.get(of_selection(bucket, kind, keys)).location)
    return address, bytes(client.get(address).data)


def members(archive: bytes) -> dict[str, bytes]:
    """Return what Python finds in a ZIP or TAR, in order."""
    if archive.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            assert file.testzip() is None
            return {name: file.read(name) for name in file.namelist()}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


@pytest.fixture
def filled(client: FlaskClient, bucket: Bucket) -> Bucket:
    for key, content in FILES.items():
        put(client, bucket, key, content)
    return bucket


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_has_all_objects_in_order_and_no_other_version(client: FlaskClient, filled: Bucket, kind: str):
    put(client, filled, "z", b"newer")
    put(client, filled, "gone")
    client.delete(url(filled, "gone"))
    assert list(members(fetch(client, filled, kind)).items()) == [*list(FILES.items())[:-1], ("z", b"newer")]


@pytest.mark.parametrize(
    ("program", "kind"),
    [("unzip", "zip"), ("bsdtar", "zip"), ("bsdtar", "tar"), ("7z", "zip"), ("7z", "tar"), ("tar", "tar")],
)
def test_programs_unpack_an_archive(client: FlaskClient, filled: Bucket, tmp_path: Path, program: str, kind: str):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed; scripts/services.py installs it")
    archive = tmp_path / f"archive.{kind}"
    archive.write_bytes(fetch(client, filled, kind))
    folder = tmp_path / "unpacked"
    folder.mkdir()
    command = [str(archive) if part == "ARCHIVE" else part for part in PROGRAMS[program]]
    done = subprocess.run(command, cwd=folder, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, (done.stdout, done.stderr)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == FILES


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_zip_can_be_unpacked_while_it_comes(client: FlaskClient, filled: Bucket, tmp_path: Path, kind: str):
    if not shutil.which("bsdtar"):
        pytest.skip("bsdtar is not installed; scripts/services.py installs it")
    # A pipe, in which it cannot go to the directory at the end.
    subprocess.run(
        ["bsdtar", "-xf", "-"],
        cwd=tmp_path,
        input=fetch(client, filled, kind),
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        check=True,
    )
    assert (tmp_path / "data/b.bin").read_bytes() == FILES["data/b.bin"]


def test_only_what_is_under_a_prefix_is_in_it(client: FlaskClient, filled: Bucket):
    assert list(members(fetch(client, filled, "zip", prefix="data/"))) == ["data/b.bin", "data/deep/ü 漢字.txt"]
    assert "prefix=data" in stamped(client, filled, "tar", prefix="data/")


def test_the_redirection_keeps_what_else_is_in_the_address(client: FlaskClient, filled: Bucket):
    answer = client.get(url(filled, archive="zip", prefix="data/ü&", access_token="a b"))
    given = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert given.pop("at")
    assert given == {"archive": ["zip"], "prefix": ["data/ü&"], "access_token": ["a b"]}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_empty_bucket_gives_an_empty_archive(client: FlaskClient, bucket: Bucket, kind: str):
    archive = fetch(client, bucket, kind)
    if kind == "zip":
        assert zipfile.ZipFile(io.BytesIO(archive)).namelist() == []
    else:
        assert members(archive) == {}


def test_the_headers_say_what_it_is(client: FlaskClient, filled: Bucket):
    address = stamped(client, filled, "zip")
    response = client.get(address)
    assert response.mimetype == "application/zip"
    assert response.headers["Content-Disposition"] == f"attachment; filename={filled.id}.zip"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "private" in response.headers["Cache-Control"]
    head = client.head(address)
    assert (head.status_code, head.data) == (200, b"")
    assert (head.headers["ETag"], head.content_length) == (response.headers["ETag"], len(response.data))
    assert client.head(url(filled, archive="zip")).location == address
    assert client.get(address, headers={"If-None-Match": response.headers["ETag"]}).status_code == 304
    assert client.get(address, headers={"Accept": "application/zip"}).status_code == 200
    assert client.get(stamped(client, filled, "tar")).mimetype == "application/x-tar"


@pytest.mark.parametrize("kept", [0, 3, 100])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_every_range_is_that_of_the_whole(client: FlaskClient, filled: Bucket, kind: str, kept: int, monkeypatch: Any):
    # Several pages, files that are read once, and one that is read in blocks.
    monkeypatch.setattr("invenio_files_rest.archives.layout.KEPT", kept)
    monkeypatch.setattr("invenio_files_rest.archives.layout.PAGE", 2)
    monkeypatch.setattr("invenio_files_rest.archives.stream.BLOCK", 100_000)
    monkeypatch.setattr("invenio_files_rest.archives.stream.SMALL", 6)
    address = stamped(client, filled, kind)
    whole = client.get(address).data
    assert members(whole) == FILES
    size = len(whole)
    edges = [whole.index(content) for content in FILES.values()]
    edges += [edge + len(content) for edge, content in zip(edges, FILES.values(), strict=True)]
    starts = {
        *range(0, size, 97_001),
        *(edge + by for edge in edges for by in (-1, 0, 1)),
        size - 1500,
        size - 30,
        size - 1,
    }
    for start in sorted(starts):
        response = client.get(address, headers={"Range": f"bytes={start}-"})
        assert response.status_code == 206
        assert response.data == whole[start:], start
    part = client.get(address, headers={"Range": "bytes=3-700000"})
    assert part.data == whole[3:700_001]
    assert client.get(address, headers={"Range": f"bytes={size}-"}).status_code == 416


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_download_goes_on_with_the_same_bytes_after_new_versions(
    client: FlaskClient, filled: Bucket, kind: str, monkeypatch: Any
):
    # New objects are on pages of their own, and on others.
    monkeypatch.setattr("invenio_files_rest.archives.layout.PAGE", 2)
    address = stamped(client, filled, kind)
    whole = client.get(address)
    put(client, filled, "a.txt", b"of another length")
    put(client, filled, "b new", b"new")
    put(client, filled, "zz", b"new")
    client.delete(url(filled, "z"))
    rest = client.get(address, headers={"Range": "bytes=1000-", "If-Range": whole.headers["ETag"]})
    assert (rest.status_code, rest.data) == (206, whole.data[1000:])
    assert rest.headers["ETag"] == whole.headers["ETag"]
    now = members(fetch(client, filled, kind))
    assert now["a.txt"] == b"of another length"
    assert "z" not in now


def test_a_state_that_cannot_be_had_any_more_is_gone(client: FlaskClient, filled: Bucket):
    address = stamped(client, filled, "zip")
    client.get(address)
    version = ObjectVersion.get(filled, "a.txt")
    assert version is not None
    client.delete(url(filled, "a.txt", versionId=str(version.version_id)))
    assert "without the argument at" in error(client.get(address), 410)["message"]


def test_a_version_of_a_host_whose_clock_is_late_is_never_mixed_in(client: FlaskClient, filled: Bucket):
    """It is committed after the stamp was made, and has an earlier time than the latest version."""
    address = stamped(client, filled, "tar")
    put(client, filled, "late")
    earlier = datetime.now(timezone.utc) - timedelta(minutes=1)
    db.session.execute(update(ObjectVersion).where(ObjectVersion.key == "late").values(created=earlier))
    db.session.commit()
    error(client.get(address), 410)
    assert "late" in members(fetch(client, filled, "tar"))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_a_selection_has_these_objects_and_what_is_in_these_folders(
    client: FlaskClient, filled: Bucket, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("invenio_files_rest.archives.layout.PAGE", 2)
    chosen = {"z": ["z"], "data/": ["data/b.bin", "data/deep/ü 漢字.txt"], "data/deep/": ["data/deep/ü 漢字.txt"]}
    for keys in (["z"], ["data/"], ["data/", "data/deep/", "z", "z"], ["z", "data/deep/"]):
        expected = sorted({name for key in keys for name in chosen[key]})
        address, archive = fetch_selection(client, filled, kind, keys)
        assert members(archive) == {name: FILES[name] for name in expected}
        assert client.get(address, headers={"Range": "bytes=50-"}).data == archive[50:]
        assert client.head(address).content_length == len(archive)
    put(client, filled, "data/b.bin", b"newer")
    put(client, filled, "data/c.txt", b"new")
    assert client.get(address).data == archive
    address, archive = fetch_selection(client, filled, kind, ["data/", "a.txt"])
    assert list(members(archive)) == ["a.txt", "data/b.bin", "data/c.txt", "data/deep/ü 漢字.txt"]
    put(client, filled, "a.txt", b"newer")
    assert members(client.get(address).data)["a.txt"] == FILES["a.txt"]


def test_a_selection_of_what_is_not_there_says_what(client: FlaskClient, filled: Bucket):
    for missing in ("nothing", "data", "data/b.bin/", "long"):
        answer = client.get(of_selection(filled, "zip", ["z", missing]))
        assert f"There is nothing of the key '{missing}'." in error(answer, 404)["message"]


def test_a_selection_may_name_a_hundred_keys_and_folders(client: FlaskClient, bucket: Bucket):
    names = [f"{number:02}" for number in range(50)]
    for name in names:
        put(client, bucket, f"{name}/in", b"x")
        put(client, bucket, f"file-{name}", b"x")
    keys = [key for name in names for key in (f"{name}/", f"file-{name}")]
    assert len(members(fetch_selection(client, bucket, "tar", keys)[1])) == 100
    assert len(members(fetch_selection(client, bucket, "tar", ["07/in"] * 99 + ["08/"])[1])) == 2
    error(client.get(of_selection(bucket, "tar", ["00/in"] * 101)), 422)
    error(client.get(of_selection(bucket, "tar", ["00/\0"])), 422)
    error(client.get(of_selection(bucket, "tar", ["00/in"], prefix="00/")), 400)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"archive": "rar"}, 422),
        ({"archive": ""}, 422),
        ({"archive": "zip", "at": "yesterday"}, 422),
        ({"archive": "zip", "at": "9" * 18 + "-" + "0" * 32}, 422),
        ({"archive": "zip", "at": "0-" + "0" * 32}, 410),
        ({"archive": "zip", "versions": True}, 400),
        ({"archive": "zip", "max-keys": "7"}, 400),
        ({"archive": "zip", "prefix": "\0"}, 422),
    ],
)
def test_what_is_no_archive_is_refused(client: FlaskClient, filled: Bucket, query: dict[str, Any], status: int):
    error(client.get(url(filled, **query)), status)


def test_no_bucket_no_archive(client: FlaskClient, location: Any):
    error(client.get(url(uuid.uuid4(), archive="zip")), 404)


class Asked:
    """A permission factory that refuses an action, or everything on a key."""

    def __init__(self, action: str | None = None, key: str | None = None) -> None:
        self.action, self.key, self.seen = action, key, []  # type: ignore[var-annotated]

    def __call__(self, obj: Any, action: str) -> Any:
        self.seen.append((action, getattr(obj, "key", None)))
        allowed = action != self.action and (self.key is None or getattr(obj, "key", None) != self.key)
        return type("Permission", (), {"can": lambda self: allowed})()


def test_what_is_replaced_while_the_archive_is_laid_out_is_asked_for_too(
    app: Any, client: FlaskClient, bucket: Bucket, monkeypatch: Any
):
    """Its row says that it is an earlier version by then, and the object of the session that it is not."""
    put(client, bucket, "secret", b"secret")
    address = stamped(client, bucket, "tar", prefix="secret")
    put(client, bucket, "secret2", b"newer than the stamp")
    extension, earlier = app.extensions["invenio-files-rest"], bucket_state._earlier

    def replace(*args: Any) -> Any:
        monkeypatch.setattr(bucket_state, "_earlier", earlier)
        ObjectVersion.create(bucket.id, "secret").set_location("/nowhere", 1, "md5:0")
        db.session.commit()
        return earlier(*args)

    monkeypatch.setattr(bucket_state, "_earlier", replace)
    monkeypatch.setattr(extension, "permission_factory", Asked("object-read"))
    answer = client.get(address)
    assert bucket_state._earlier is earlier
    assert (answer.status_code, b"secret" in answer.data) == (401, False)


def test_who_may_not_read_the_bucket_finds_no_archive(app: Any, client: FlaskClient, filled: Bucket, monkeypatch: Any):
    address = stamped(client, filled, "zip")
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", Asked("bucket-read"))
    error(client.get(url(filled, archive="zip")), 404)
    error(client.get(address), 404)
    assert client.head(address).status_code == 404


@pytest.mark.parametrize("refusing", [{"action": "object-read"}, {"key": "data/b.bin"}])
def test_who_may_not_read_one_object_gets_nothing(
    app: Any, client: FlaskClient, filled: Bucket, monkeypatch: Any, refusing: dict[str, str]
):
    address = stamped(client, filled, "zip")
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", Asked(**refusing))
    error(client.get(url(filled, archive="zip")), 401)
    error(client.get(address), 401)
    if "key" in refusing:
        assert members(fetch(client, filled, "zip", prefix="long/"))


def test_versions_that_were_replaced_need_their_permission_too(
    app: Any, client: FlaskClient, filled: Bucket, monkeypatch: Any
):
    address = stamped(client, filled, "zip")
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", Asked("object-read-version"))
    assert client.get(address).status_code == 200
    put(client, filled, "a.txt", b"newer")
    error(client.get(address), 401)


def test_keys_that_would_leave_the_folder_are_escaped(client: FlaskClient, bucket: Bucket, fill: Any, tmp_path: Path):
    """Keys with ``..`` are from before; the others can be stored today."""
    keys = {
        "../up": "%2E%2E/up",
        "x/..": "x/%2E%2E",
        "a/../../up": "a/%2E%2E/%2E%2E/up",
        "./x": "%2E/x",
        "..\\win": "..%5Cwin",
        "/etc/passwd": "%2Fetc/passwd",
        "//etc": "%2F%2Fetc",
        "a//b": "a/%2Fb",
        "folder/": "folder%2F",
        "C:/x": "C%3A/x",
        "C:x": "C%3Ax",
        "line\nbreak": "line%0Abreak",
        "100%.txt": "100%.txt",
        "%2E%2E": "%252E%252E",
        "...": "...",
        "10:30.txt": "10:30.txt",
        "f": "f",
        "f/g": "f%2Fg",
        "f/g/h": "f%2Fg%2Fh",
    }
    put(client, bucket, "source", b"content")
    file_id = ObjectVersion.get(bucket, "source").file_id  # type: ignore[union-attr]
    fill(keys)
    db.session.execute(update(ObjectVersion).values(file_id=file_id))
    db.session.commit()
    for kind in ("zip", "tar"):
        archive = fetch(client, bucket, kind)
        assert set(members(archive)) == {*keys.values(), "source"}
        folder = tmp_path / kind / "folder"
        folder.mkdir(parents=True)
        (folder.parent / "archive").write_bytes(archive)
        for program in ["bsdtar", *(["unzip"] if kind == "zip" else ["tar"])]:
            if shutil.which(program):
                command = [part.replace("ARCHIVE", "../archive") for part in PROGRAMS[program]]
                subprocess.run(command, cwd=folder, check=True, capture_output=True)
                assert sorted(path.name for path in folder.parent.iterdir()) == ["archive", "folder"]
                assert sum(path.is_file() for path in folder.rglob("*")) == len(keys) + 1
                shutil.rmtree(folder)
                folder.mkdir()


def test_checksums_are_made_once_and_kept(client: FlaskClient, filled: Bucket, monkeypatch: Any):
    address = stamped(client, filled, "zip")
    client.get(stamped(client, filled, "tar"))
    assert db.session.query(FileCRC).count() == 0
    whole = client.get(address).data
    kept = {crc.file_id: crc.crc for crc in db.session.query(FileCRC)}
    assert kept == {
        ObjectVersion.get(filled, key).file_id: zlib.crc32(content)  # type: ignore[union-attr]
        for key, content in FILES.items()
    }
    db.session.commit()
    monkeypatch.setattr(zlib, "crc32", None)
    assert client.get(address).data == whole


def test_an_archive_comes_also_where_no_checksum_can_be_kept(client: FlaskClient, filled: Bucket, monkeypatch: Any):
    def fail(crcs: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("read-only"))

    monkeypatch.setattr(FileCRC, "add", fail)
    assert members(fetch(client, filled, "zip")) == FILES


@pytest.fixture
def reads(monkeypatch: Any) -> list[str]:
    """Collect the paths of the files that are opened to be read."""
    found: list[str] = []
    plain = PyFSFileStorage.open

    def watched(self: PyFSFileStorage, mode: str | None = "rb") -> Any:
        found.append(self.fileurl)
        return plain(self, mode)

    monkeypatch.setattr(PyFSFileStorage, "open", watched)
    return found


def kept_crc(file: FileInstance) -> int | None:
    crc: int | None = db.session.scalar(select(FileCRC.crc).where(FileCRC.file_id == file.id))
    return crc


def test_verifying_a_file_makes_its_checksum_without_a_second_reading(bucket: Bucket, reads: list[str]):
    file = store(bucket).file
    assert verify_checksum(str(file.id)) is True
    assert kept_crc(file) == zlib.crc32(CONTENT)
    assert len(reads) == 1


def test_no_checksum_is_kept_of_bytes_that_are_not_those_that_were_stored(bucket: Bucket):
    file = store(bucket).file
    damage(file)
    assert verify_checksum(str(file.id)) is False
    assert kept_crc(file) is None


def test_a_checksum_of_damaged_bytes_is_corrected_once_they_are_restored(client: FlaskClient, bucket: Bucket):
    file = store(bucket).file
    Path(file.uri).write_bytes(b"CONTENT")
    fetch(client, bucket, "zip")
    assert kept_crc(file) == zlib.crc32(b"CONTENT")
    db.session.commit()
    Path(file.uri).write_bytes(CONTENT)
    assert verify_checksum(str(file.id)) is True
    assert kept_crc(file) == zlib.crc32(CONTENT)
    assert members(fetch(client, bucket, "zip")) == {"key": CONTENT}


def test_a_storage_that_computes_checksums_in_another_way_is_not_read_for_ours(
    app: Any, client: FlaskClient, bucket: Bucket, monkeypatch: Any, reads: list[str]
):
    class Elsewhere(PyFSFileStorage):
        def checksum(self, *args: Any, **kwargs: Any) -> str:
            return f"md5:{hashlib.md5(CONTENT).hexdigest()}"

    file = store(bucket).file
    monkeypatch.setattr(
        app.extensions["invenio-files-rest"],
        "storage_factory",
        partial(pyfs_storage_factory, filestorage_class=Elsewhere),
    )
    assert verify_checksum(str(file.id)) is True
    assert kept_crc(file) is None
    assert reads == []


def test_a_checksum_goes_with_its_file(client: FlaskClient, filled: Bucket, database: str):
    if database == "sqlite":
        pytest.skip("SQLite does not enforce foreign keys unless told to.")
    fetch(client, filled, "zip")
    version = ObjectVersion.get(filled, "a.txt")
    assert version is not None
    version_id, file_id = version.version_id, version.file_id
    client.delete(url(filled, "a.txt", versionId=str(version_id)))
    assert FileInstance.get(file_id) is None
    assert db.session.query(FileCRC).count() == len(FILES) - 1


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("damage", ["missing", "short", "long"])
def test_bytes_that_do_not_come_break_the_connection(
    app: Any, client: FlaskClient, filled: Bucket, kind: str, damage: str
):
    address = stamped(client, filled, kind)
    path = Path(ObjectVersion.get(filled, "data/b.bin").file.uri)  # type: ignore[union-attr]
    db.session.commit()
    if damage == "missing":
        path.unlink()
    else:
        os.truncate(path, 10 if damage == "short" else 2_000_000)
    came: list[bytes] = []
    with pytest.raises(StorageError, match="archive of bucket"):
        run_on_server(app, address.removeprefix("http://localhost"), came.append)
    assert len(b"".join(came)) < client.head(address).content_length


def test_no_more_archives_at_once_than_are_allowed(app: Any, client: FlaskClient, filled: Bucket):
    app.config["FILES_REST_ARCHIVES_AT_ONCE"] = 1
    address = stamped(client, filled, "zip")
    refused = []

    def ask(chunk: bytes) -> None:
        refused.append(client.get(address))
        assert client.head(address).status_code == 200

    run_on_server(app, address.removeprefix("http://localhost"), ask)
    assert error(refused[0], 503)["message"].startswith("Too many archives")
    assert int(refused[0].headers["Retry-After"]) > 0
    for _ in range(3):
        # Also one that is not read to its end gives back its place.
        assert client.get(address, headers={"Range": "bytes=0-9"}).status_code == 206


def tail_of(client: FlaskClient, address: str, folder: Path, head: int = 4096, tail: int = 65536) -> Path:
    """Put beginning and end of a large archive in a file of its size, whose middle is a hole."""
    size = client.head(address).content_length
    path = folder / "large"
    with path.open("wb") as file:
        file.truncate(size)
        for start, end in ((0, head), (size - tail, size)):
            file.seek(start)
            file.write(client.get(address, headers={"Range": f"bytes={start}-{end - 1}"}).data)
    return path


def test_a_file_of_more_than_4_gib(client: FlaskClient, bucket: Bucket, tmp_path: Path, db: Any):
    """The file is a hole, the checksum a number: headers and directory are what is tested."""
    size = 5 * 1024**3
    hole = tmp_path / "hole"
    hole.touch()
    os.truncate(hole, size)
    for key in ("a", "b"):
        ObjectVersion.create(bucket, key).set_location(str(hole), size, "md5:" + "0" * 32)
    db.session.add(FileCRC(file_id=ObjectVersion.get(bucket, "a").file_id, crc=7))  # type: ignore[union-attr]
    db.session.commit()
    put(client, bucket, "c", b"after")
    path = tail_of(client, stamped(client, bucket, "zip"), tmp_path)
    with zipfile.ZipFile(path) as archive:
        assert [(one.filename, one.file_size) for one in archive.infolist()] == [("a", size), ("b", size), ("c", 5)]
        assert archive.read("c") == b"after"
        with archive.open("a") as file:
            assert file.read(10) == bytes(10)
    if shutil.which("unzip"):
        listed = subprocess.run(["unzip", "-Z1", str(path)], capture_output=True, text=True, check=True)
        assert listed.stdout.split() == ["a", "b", "c"]
    address = stamped(client, bucket, "tar")
    for start, member in ((0, ("a", size)), (512 + size, ("b", size)), (2 * (512 + size), ("c", 5))):
        header = client.get(address, headers={"Range": f"bytes={start}-{start + 511}"}).data
        info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        assert (info.name, info.size) == member
    assert client.head(address).content_length == 2 * (512 + size) + 4 * 512


def test_more_files_than_the_old_zip_can_count():
    form, now = ZipFormat(), int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp())
    files, index, at, index_size = [], [], 0, 0
    for number in range(66_000):
        member = Member(b"%05d" % number, 1, now, at)
        files.append(form.header(member, zlib.crc32(b"x")) + b"x")
        index.append(form.index_entry(member, zlib.crc32(b"x")))
        index_size += form.index_size(member)
        at += form.header_size(member) + 1
    body, directory = b"".join(files), b"".join(index)
    assert (len(body), len(directory)) == (at, index_size)
    with zipfile.ZipFile(io.BytesIO(body + directory + form.end(66_000, at, index_size))) as archive:
        assert len(archive.namelist()) == 66_000
        assert archive.read("65999") == b"x"


def test_statements_are_some_for_a_thousand_files(app: Any, client: FlaskClient, bucket: Bucket, fill: Any):
    put(client, bucket, "source", b"content")
    file_id = ObjectVersion.get(bucket, "source").file_id  # type: ignore[union-attr]

    def cost(count: int) -> tuple[int, int, int]:
        fill(f"{count}/{number}" for number in range(count - 1))
        db.session.execute(update(ObjectVersion).values(file_id=file_id))
        db.session.commit()
        with statements() as asked:
            address = stamped(client, bucket, "zip", prefix=f"{count}/")
        with statements() as sent:
            assert client.get(address).status_code == 200
        with statements() as again:
            assert client.get(address).status_code == 200
        return len(asked), len(sent), len(again)

    fetch(client, bucket, "zip")
    few, many = cost(10), cost(2500)
    assert many[0] <= few[0] + 2
    assert many[1] <= few[1] + 6
    # Checksums are known, and the files from the layout.
    assert many[2] <= few[2] + 2


class Permitted:
    """What lets everything be sent."""

    needs_versions = False

    def __call__(self, page: Any) -> None:
        """Permit it."""


class Watched:
    """A storage factory of somebody else's, which notes the rows that it gets and the files that are open."""

    def __init__(self) -> None:
        self.rows: list[FileInstance] = []
        self.opened: list[Any] = []

    def __call__(self, fileinstance: Any = None, **kwargs: Any) -> Any:
        self.rows.append(fileinstance)
        storage = pyfs_storage_factory(fileinstance=fileinstance, **kwargs)
        plain: Callable[..., Any] = storage.open

        def watched(mode: str | None = None) -> Any:
            assert all(file.closed for file in self.opened)
            assert db.engine.pool.checkedout() == 0 or db.engine.dialect.name == "sqlite"
            self.opened.append(plain(mode))
            return self.opened[-1]

        storage.open = watched  # type: ignore[method-assign]
        return storage


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_storage_factory_of_ones_own_gets_the_row_of_each_file_and_one_is_open_at_a_time(
    app: Any, client: FlaskClient, filled: Bucket, monkeypatch: Any, kind: str
):
    expected = {version.file_id: version.file.checksum for version in ObjectVersion.get_by_bucket(filled)}
    ours = fetch(client, filled, kind)
    factory = Watched()
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    address = stamped(client, filled, kind)
    db.session.commit()
    came: list[bytes] = []
    run_on_server(app, address.removeprefix("http://localhost"), came.append)
    assert b"".join(came).endswith(ours)
    assert {row.id: row.checksum for row in factory.rows} == expected
    assert len(factory.opened) == len(FILES)
    assert all(file.closed for file in factory.opened)


def test_a_storage_factory_of_ones_own_is_asked_for_the_checksums_of_the_directory_too(
    app: Any, client: FlaskClient, filled: Bucket, monkeypatch: Any
):
    factory = Watched()
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    address = stamped(client, filled, "zip")
    db.session.commit()
    came: list[bytes] = []
    range_of_end = f"bytes={client.head(address).content_length - 500}-"
    run_on_server(app, address.removeprefix("http://localhost"), came.append, headers={"Range": range_of_end})
    assert len(factory.opened) == len(FILES)
    assert client.get(address).data.endswith(b"".join(came))


def test_no_more_than_one_file_is_open_and_no_connection(
    app: Any, client: FlaskClient, filled: Bucket, monkeypatch: Any
):
    monkeypatch.setattr("invenio_files_rest.archives.stream.SMALL", 6)
    folder = filled.location.uri
    fetch(client, filled, "zip")
    address = stamped(client, filled, "zip")
    db.session.commit()
    most, engine = 0, db.engine

    def look(chunk: bytes) -> None:
        nonlocal most
        links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        found = [os.readlink(link) for link in links if os.path.islink(link)]
        most = max(most, sum(path.startswith(folder) for path in found))
        assert engine.pool.checkedout() == 0 or engine.dialect.name == "sqlite"

    run_on_server(app, address.removeprefix("http://localhost"), look)
    assert most == 1


@pytest.mark.parametrize("kept", [0, 10_000])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_file_that_is_moved_while_the_archive_is_sent_is_found_where_it_is(
    app: Any, client: FlaskClient, filled: Bucket, tmp_path: Path, kind: str, kept: int, monkeypatch: Any
):
    """To move a file is to make another row, and to remove the bytes of the first one."""
    monkeypatch.setattr("invenio_files_rest.archives.layout.KEPT", kept)
    whole = fetch(client, filled, kind)
    address = stamped(client, filled, kind)
    db.session.add(Location(name="other", uri=str(tmp_path / "other")))
    db.session.commit()
    layout = lay_out(FORMATS[kind], BucketState.latest(filled.id, "", EPOCH), Permitted())
    with ArchiveStream(app, layout, lambda: None) as stream:
        came = stream.read(10)
        for file_id in list(db.session.scalars(select(FileInstance.id))):
            assert migrate_file(str(file_id), "other")
            assert remove_file_data(file_id, force=True)
        db.session.commit()
        assert came + stream.read() == whole
    assert client.get(address).data == whole


def test_times_of_entries_are_exact_on_every_database(bucket: Bucket):
    store(bucket)
    for number in (0, 1, 1_785_000_000_999_999, 1_785_000_000_000_001, 4_200_000_000_123_457):
        moment = EPOCH + number * timedelta.resolution
        db.session.execute(update(ObjectVersion).values(created=moment))
        assert [entry.created for entry in BucketState(bucket.id, moment).page(None, 10).entries] == [number]


def test_headers_of_a_tar_are_those_of_pythons_tarfile():
    form = FORMATS["tar"]
    for name in ("a", "n" * 100, "n" * 101, "ü", "folder/ü" * 30):
        for size in (0, 1, 8**11 - 1, 8**11):
            for modified in (0, 1_785_000_000, 8**11 - 1, 8**11):
                info = tarfile.TarInfo(name)
                info.size, info.mtime = size, modified
                member = Member(name.encode(), size, modified, 0)
                assert form.header(member, 0) == info.tobuf(tarfile.PAX_FORMAT)
                assert form.header_size(member) == len(info.tobuf(tarfile.PAX_FORMAT))
