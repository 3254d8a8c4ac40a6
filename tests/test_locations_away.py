"""A location whose folder is away: nothing is made in its place, and everyone is told the same."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from helpers.rest import CONTENT, error, nothing_stays, put, rows, statements, tree, url
from helpers.stored import ago, findings, kinds, orphan, received, store

from invenio_files_rest.errors import LocationAwayError
from invenio_files_rest.helpers import populate_from_path
from invenio_files_rest.models import Bucket, FileInstance, Location, LocationMark, MultipartObject, ObjectVersion
from invenio_files_rest.services.locations import create_location, mark_location
from invenio_files_rest.signals import file_integrity_failed
from invenio_files_rest.storage import FileStorage, PyFSFileStorage, pyfs_storage_factory
from invenio_files_rest.storage._pyfilesystem import OSFS
from invenio_files_rest.storage.marks import MARK_NAME
from invenio_files_rest.storage.pyfs import FS
from invenio_files_rest.tasks import migrate_file, remove_file_data, schedule_checksum_verification, verify_checksum

pytestmark = pytest.mark.usefixtures("allow_all", "small_parts")

Run = Callable[..., Result]
OFFLINE = "File storage is offline."


@pytest.fixture(params=["marked", "mark gone", "folder empty", "another disk", "unmarked"])
def away(request: pytest.FixtureRequest, location: Location, bucket: Bucket, db: Any) -> Iterator[Callable[[], None]]:
    """Return a function that takes the location's folder away, as that of a disk that is not mounted."""
    folder = Path(location.uri)
    elsewhere = folder.with_name("disk")
    if request.param != "unmarked":
        mark_location(location)
    mark = (folder / MARK_NAME).read_text() if request.param != "unmarked" else ""

    def leave() -> None:
        if request.param == "mark gone":
            (folder / MARK_NAME).unlink()
            return
        folder.rename(elsewhere)
        if request.param in ("folder empty", "another disk"):
            folder.mkdir()
        if request.param == "another disk":
            (folder / MARK_NAME).write_text("other 0b4f1d8e-0000-4000-8000-000000000000\n")

    yield leave
    if request.param == "mark gone":
        (folder / MARK_NAME).write_text(mark)


def told_once(caplog: pytest.LogCaptureFixture, location: Location) -> None:
    """Check that the log has the cause, in one line."""
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert f"of the location {location.name}" in record.getMessage()
    assert "may not be mounted" in record.getMessage()
    assert record.exc_info is None
    assert "\n" not in record.getMessage()


@pytest.fixture
def upload(bucket: Bucket, db: Any) -> MultipartObject:
    """Begin an upload of two parts."""
    upload = MultipartObject.create(bucket, "parts", 8, 4)
    db.session.commit()
    return upload


@pytest.mark.parametrize("how", ["put", "form", "begin", "part"])
def test_uploads_are_answered_503_and_nothing_is_made(
    client: Any,
    bucket: Bucket,
    location: Location,
    upload: MultipartObject,
    away: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    store(bucket)
    away()
    requests = {
        "put": lambda: client.put(url(bucket, "new"), data=CONTENT),
        "form": lambda: client.put(url(bucket, "new"), data={"file": (io.BytesIO(b"1234"), "f"), "_totalSize": "4"}),
        "begin": lambda: client.post(url(bucket, "new", uploads=True, size=8, partSize=4)),
        "part": lambda: client.put(url(bucket, "parts", uploadId=upload.upload_id, partNumber=0), data=b"1234"),
    }
    if how == "part" and Path(upload.file.uri).exists():
        pytest.skip("The file of the upload is there.")
    parent = Path(location.uri).parent
    before = rows(), tree(parent)
    assert error(requests[how](), 503)["message"] == OFFLINE
    assert (rows(), tree(parent)) == before
    told_once(caplog, location)


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=1-"}])
def test_a_download_is_answered_503_where_the_file_is_not_there(
    client: Any,
    bucket: Bucket,
    location: Location,
    away: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
    app: Any,
    monkeypatch: pytest.MonkeyPatch,
    redirected: bool,
    headers: dict[str, str],
) -> None:
    """Also where a web server in front, which would find no file, would send it."""
    monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_ENABLED", redirected)
    file = store(bucket).file
    away()
    if Path(file.uri).exists():
        assert client.get(url(bucket, "key"), headers=headers).status_code in (200, 206)
        return
    assert error(client.get(url(bucket, "key"), headers=headers), 503)["message"] == OFFLINE
    told_once(caplog, location)


@pytest.mark.parametrize("propagates", [False, True])
def test_an_upload_is_completed_once_the_disk_is_back(
    app: Any,
    client: Any,
    bucket: Bucket,
    location: Location,
    upload: MultipartObject,
    celery_app: Any,
    caplog: pytest.LogCaptureFixture,
    propagates: bool,
) -> None:
    """With a task that runs at once, be its error raised or kept."""
    celery_app.conf.update(task_always_eager=True, task_eager_propagates=propagates)
    mark_location(location)
    path = url(bucket, "parts", uploadId=upload.upload_id)
    for number in (0, 1):
        assert client.put(f"{path}&partNumber={number}", data=b"1234").status_code == 200
    folder = Path(location.uri)
    folder.rename(folder.with_name("disk"))
    answer = client.post(path).json
    assert answer["status"] == 503
    assert OFFLINE in answer["message"]
    assert "may not be mounted" in caplog.text
    folder.with_name("disk").rename(folder)
    assert client.post(path).json["completed"]
    assert client.get(url(bucket, "parts")).data == b"12341234"
    celery_app.conf.task_eager_propagates = True


def test_a_file_that_is_missing_in_a_location_that_is_there_stays_a_500(
    client: Any, bucket: Bucket, location: Location
) -> None:
    mark_location(location)
    Path(store(bucket).file.uri).unlink()
    error(client.get(url(bucket, "key")), 500)


def test_once_the_disk_is_back_so_is_everything(client: Any, bucket: Bucket, location: Location, db: Any) -> None:
    mark_location(location)
    put(client, bucket, "before")
    folder = Path(location.uri)
    folder.rename(folder.with_name("disk"))
    error(client.put(url(bucket, "lost"), data=CONTENT), 503)
    error(client.get(url(bucket, "before")), 503)
    folder.with_name("disk").rename(folder)
    put(client, bucket, "after")
    assert client.get(url(bucket, "before")).data == CONTENT


def test_every_other_way_in_is_refused(
    bucket: Bucket, location: Location, away: Callable[[], None], tmp_path: Path, db: Any
) -> None:
    version = store(bucket)
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_bytes(b"a")
    other = Location(name="other", uri=str(tmp_path / "other"))
    db.session.add(other)
    elsewhere = store(Bucket.create(other))
    empty = ObjectVersion.create(bucket, "empty")
    db.session.commit()
    uri = location.uri
    away()
    ways: list[Callable[[], Any]] = [
        lambda: ObjectVersion.create(bucket, "new", stream=io.BytesIO(b"x")),
        lambda: empty.set_contents(io.BytesIO(b"x")),
        lambda: MultipartObject.create(bucket, "new", 8, 4),
        lambda: list(populate_from_path(bucket, source)),
        lambda: migrate_file(str(elsewhere.file_id), "testloc"),
        lambda: FileInstance.new().set_contents(io.BytesIO(b"x"), default_location=uri),
        lambda: FileInstance.new().init_contents(4, default_location=uri),
        lambda: FileInstance.new().copy_contents(elsewhere.file, default_location=uri),
    ]
    for way in ways:
        with nothing_stays(other), pytest.raises(LocationAwayError):
            way()
        db.session.rollback()
    assert version.file_id


def test_commands_say_so_in_one_line(
    run: Run, bucket: Bucket, location: Location, away: Callable[[], None], tmp_path: Path, db: Any
) -> None:
    store(bucket)
    other = Location(name="other", uri=str(tmp_path / "other"))
    db.session.add(other)
    store(Bucket.create(other))
    (tmp_path / "a.txt").write_bytes(b"a")
    away()
    copy = ["bucket", "cp", str(tmp_path / "a.txt"), str(bucket.id)]
    for arguments in (["migrate", "--location", "other", "testloc"], copy):
        with nothing_stays(other):
            result = run("files", *arguments)
            assert result.exit_code == 1
            assert result.stderr.startswith(f"Error: {OFFLINE} The folder {location.uri} of the location testloc")
            assert result.stderr.count("\n") == 1


def test_the_check_tells_of_the_location_and_not_of_each_file(
    run: Run, bucket: Bucket, location: Location, away: Callable[[], None], tmp_path: Path, db: Any
) -> None:
    for key in "abc":
        store(bucket, key)
    inner = Location(name="inner", uri=str(tmp_path / "location2"))
    db.session.add(inner)
    missing = store(Bucket.create(inner)).file
    Path(missing.uri).unlink()
    away()
    before = tree(tmp_path)
    result = run("files", "check", "--checksum", "--json")
    assert result.exit_code == 1
    assert kinds(result) == ["location", "missing", "summary"]
    found = findings(result)
    assert found[0]["name"] == location.uri
    assert "may not be mounted" in found[0]["text"]
    assert found[1]["name"] == str(missing.id)
    assert tree(tmp_path) == before


@pytest.fixture
def checked(bucket: Bucket, db: Any) -> list[FileInstance]:
    """Store three files that were checked some time ago."""
    files = [store(bucket, key).file for key in "abc"]
    for days, file in enumerate(files):
        file.last_check, file.last_check_at = True, ago(days=40 + days)
    db.session.commit()
    return files


def last_checks(files: list[FileInstance], db: Any) -> list[Any]:
    db.session.expire_all()
    return [(file.last_check, file.last_check_at) for file in files]


def test_of_files_in_it_nobody_notes_or_tells_that_they_are_missing(
    run: Run, checked: list[FileInstance], away: Callable[[], None], db: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = last_checks(checked, db)
    away()
    if Path(checked[0].uri).exists():
        pytest.skip("The files can be read.")
    with received(file_integrity_failed) as failed:
        for pessimistic in (False, True):
            with pytest.raises(LocationAwayError):
                verify_checksum(str(checked[0].id), pessimistic=pessimistic)
            caplog.clear()
            assert verify_checksum(str(checked[0].id), pessimistic=pessimistic, throws=False) is None
            assert caplog.records[-1].exc_info is None
            assert "may not be mounted" in caplog.records[-1].getMessage()
        caplog.clear()
        assert schedule_checksum_verification(max_count=2) == 0
        assert len([record for record in caplog.records if "may not be mounted" in record.getMessage()]) == 1
    assert failed == []
    assert last_checks(checked, db) == before


def test_files_elsewhere_are_verified_in_their_stead(
    run: Run, checked: list[FileInstance], away: Callable[[], None], tmp_path: Path, db: Any
) -> None:
    inner = Location(name="inner", uri=str(tmp_path / "location2"))
    db.session.add(inner)
    elsewhere = store(Bucket.create(inner)).file
    elsewhere.last_check_at = ago(days=1)
    db.session.commit()
    before = last_checks(checked, db)
    away()
    result = run("files", "verify", "--json", "--limit", "1")
    assert (result.exit_code, kinds(result)) == (1, ["location", "summary"])
    assert (findings(result)[0]["name"], findings(result)[-1]["fine"]) == (str(tmp_path / "location"), 1)
    assert last_checks(checked, db) == before
    assert last_checks([elsewhere], db)[0][1] > ago(hours=1)
    assert run("files", "verify", "--bucket", str(elsewhere.objects[0].bucket_id)).exit_code == 0


def test_a_disk_that_goes_while_files_are_verified_is_no_loss(
    run: Run, checked: list[FileInstance], location: Location, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_location(location)
    before = last_checks(checked, db)
    folder = Path(location.uri)
    original = FileStorage.checksum

    def checksum(self: Any, **kwargs: Any) -> Any:
        if folder.exists():
            folder.rename(folder.with_name("disk"))
        return original(self, **kwargs)

    monkeypatch.setattr(FileStorage, "checksum", checksum)
    with received(file_integrity_failed) as failed:
        result = run("files", "verify", "--json")
    assert set(kinds(result)) == {"location", "summary"}
    assert failed == []
    assert last_checks(checked, db) == before


def test_the_sweep_says_that_it_is_not_there_and_removes_nothing(
    run: Run, bucket: Bucket, location: Location, away: Callable[[], None], tmp_path: Path, db: Any
) -> None:
    store(bucket)
    away()
    stray = Path(location.uri) / "2a" / "4f" / "39bc-0000-4000-8000-000000000000" / "data"
    if Path(location.uri).exists():
        # A file of whoever else's disk that is.
        stray.parent.mkdir(parents=True)
        stray.write_bytes(b"of another")
    before = rows(), tree(tmp_path)
    result = run("files", "sweep", "--delete", "--grace", "0", "--json")
    assert result.exit_code == 1
    assert kinds(result) == ["location", "summary"]
    assert (rows(), tree(tmp_path)) == before


def test_the_row_of_an_unused_file_stays_until_its_bytes_are_back(
    run: Run, bucket: Bucket, location: Location, db: Any
) -> None:
    mark_location(location)
    file = orphan(bucket)
    path = Path(file.uri)
    folder = Path(location.uri)
    folder.rename(folder.with_name("disk"))
    with pytest.raises(LocationAwayError):
        remove_file_data(str(file.id), force=True)
    assert kinds(run("files", "sweep", "--delete", "--grace", "0", "--json")) == ["location", "summary"]
    assert FileInstance.query.count() == 1
    folder.with_name("disk").rename(folder)
    run("files", "sweep", "--delete", "--grace", "0")
    assert FileInstance.query.count() == 0
    assert not path.exists()
    assert tree(folder) == [MARK_NAME]


def test_an_unmarked_location_without_files_is_made_by_its_first_upload(client: Any, db: Any, tmp_path: Path) -> None:
    location = Location(name="new", uri=str(tmp_path / "deep" / "new"), default=True)
    db.session.add(location)
    bucket = Bucket.create()
    put(client, bucket, "a")
    assert client.get(url(bucket, "a")).data == CONTENT
    assert location.mark is None


def test_files_of_another_location_with_a_longer_name_do_not_count(client: Any, db: Any, tmp_path: Path) -> None:
    for name in ("new2", "new.old", "New"):
        location = Location(name=name.lower().replace(".", "-"), uri=str(tmp_path / name))
        db.session.add(location)
        store(Bucket.create(location))
    first = Location(name="first", uri=str(tmp_path / "new"))
    db.session.add(first)
    put(client, Bucket.create(first), "a")


@pytest.mark.parametrize("spelling", ["file://", "osfs://", ""])
def test_files_count_in_whatever_spelling_they_are_known(
    client: Any, bucket: Bucket, location: Location, db: Any, spelling: str
) -> None:
    store(bucket)
    location.uri = spelling + location.uri + "/"
    db.session.commit()
    folder = Path(location.uri.removeprefix(spelling))
    folder.rename(folder.with_name("disk"))
    error(client.put(url(bucket, "lost"), data=CONTENT), 503)
    assert not folder.exists()


def test_a_location_that_is_a_link_or_below_one_is_there(client: Any, db: Any, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "linked").symlink_to("disk")
    for number, uri in enumerate(("linked", "linked/below")):
        location = create_location(f"l{number}", str(tmp_path / uri))
        put(client, Bucket.create(location), "a")
    (tmp_path / "linked").unlink()
    for bucket in Bucket.query:
        error(client.put(url(bucket, "b"), data=CONTENT), 503)
    assert not (tmp_path / "linked").exists()


def test_a_mark_is_of_the_uri_that_it_was_left_under(client: Any, bucket: Bucket, location: Location, db: Any) -> None:
    """6.1, which knows nothing of marks, may change the URI, or delete the row and give its number to another."""
    mark_location(location)
    location.uri += "-restored"
    db.session.commit()
    assert location.mark is None
    put(client, bucket, "a")
    mark_location(location)
    assert location.mark == LocationMark.query.one().mark


class BytesStorage(FileStorage):
    """Storage in memory, of the methods that a download and an upload need."""

    files: dict[str, bytes] = {}

    def __init__(self, uri: str, size: int | None = None) -> None:
        super().__init__(size=size)
        self.uri = uri

    def open(self, mode: str | None = None) -> io.BytesIO:
        return io.BytesIO(self.files[self.uri])

    def save(self, incoming_stream: Any, **kwargs: Any) -> tuple[str, int, str | None]:
        self.files[self.uri] = incoming_stream.read()
        return self.uri, len(self.files[self.uri]), None

    def delete(self) -> bool:
        return self.files.pop(self.uri, None) is not None


def test_storage_that_is_no_folder_is_asked_nothing(
    app: Any, client: Any, bucket: Bucket, location: Location, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A factory may read a bucket of an object storage, say, out of what looks like a path."""

    def factory(fileinstance: Any = None, default_location: str | None = None, **kwargs: Any) -> BytesStorage:
        return BytesStorage(fileinstance.uri or f"{default_location}/{fileinstance.id}", size=fileinstance.size)

    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    location.uri = "some-bucket"
    db.session.commit()
    for key in "ab":
        put(client, bucket, key)
    marked = create_location("marked", "other-bucket")
    assert marked.mark is None
    with pytest.raises(ValueError, match="is no folder of this machine"):
        mark_location(marked)
    assert client.get(url(bucket, "a")).data == CONTENT


@pytest.mark.parametrize("marked", [False, True])
def test_looking_takes_no_statement(client: Any, bucket: Bucket, location: Location, db: Any, marked: bool) -> None:
    if marked:
        mark_location(location)
    put(client, bucket, "first")
    path = url(bucket, "second")
    with statements() as sent:
        assert client.put(path, data=CONTENT).status_code == 200
    # Without UPDATE ... RETURNING the limits take one more.
    assert len(sent) <= (5 if db.engine.dialect.update_returning else 6), "\n".join(sent)
    assert not [statement for statement in sent[1:] if "files_location_mark" in statement]
    with statements() as sent:
        assert client.get(path).status_code == 200
    assert len(sent) == 1, "\n".join(sent)


class OpenedAtTheFolder(PyFSFileStorage):
    """Storage that is made as for 6.1: its file system is the folder of the file."""

    filesystem: Callable[..., Any] = OSFS

    def _get_fs(self, create_dir: bool = True) -> tuple[Any, str]:
        folder, name = os.path.split(self.fileurl)
        return self.filesystem(folder, create=create_dir), name


class OpenedAsFS(OpenedAtTheFolder):
    filesystem = FS


def by_storage_class(
    fileinstance: Any, default_storage_class: str | None = None, classes: Any = ("S",), **kwargs: Any
) -> PyFSFileStorage:
    """Make a storage that depends on the storage class of the file."""
    dict.fromkeys(classes, PyFSFileStorage)[fileinstance.storage_class or default_storage_class]
    return pyfs_storage_factory(fileinstance, **kwargs)


@pytest.fixture(params=["OSFS", "FS", "by storage class"])
def customised(request: pytest.FixtureRequest, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give files a storage of somebody else's making."""
    factory = {
        "OSFS": partial(pyfs_storage_factory, filestorage_class=OpenedAtTheFolder),
        "FS": partial(pyfs_storage_factory, filestorage_class=OpenedAsFS),
        "by storage class": by_storage_class,
    }[request.param]
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)


def test_locations_are_created_marked_checked_and_swept_with_storage_of_others(
    run: Run, client: Any, bucket: Bucket, location: Location, customised: None, tmp_path: Path
) -> None:
    put(client, bucket, "key")
    for arguments in (["location", "create", "new", str(tmp_path / "new")], ["location", "mark", location.name]):
        result = run("files", *arguments)
        assert (result.exit_code, result.stderr) == (0, "")
    assert all(location.mark is not None for location in Location.all())
    for command in ("check", "sweep"):
        assert run("files", command, "--json").exit_code == 0


@pytest.mark.parametrize("marked", [False, True])
def test_a_location_that_is_away_is_told_with_storage_of_others(
    run: Run, client: Any, bucket: Bucket, location: Location, customised: None, marked: bool, tmp_path: Path
) -> None:
    put(client, bucket, "key")
    if marked:
        mark_location(location)
    folder = Path(location.uri)
    folder.rename(folder.with_name("disk"))
    before = tree(tmp_path)
    assert error(client.put(url(bucket, "new"), data=CONTENT), 503)["message"] == OFFLINE
    assert error(client.get(url(bucket, "key")), 503)["message"] == OFFLINE
    for command in (["check"], ["sweep", "--delete"]):
        assert kinds(run("files", *command, "--json")) == ["location", "summary"]
    assert tree(tmp_path) == before


def test_a_factory_that_knows_no_storage_for_new_files_is_told_in_one_line(
    run: Run, app: Any, client: Any, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, bucket, "key")
    factory = partial(by_storage_class, classes=("A",))
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    result = run("files", "location", "create", "new", str(tmp_path / "new"))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    result = run("files", "check", "--json")
    assert "location" in kinds(result)
