"""What `populate_from_path` takes from a folder, and what it makes of it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy
from helpers.rest import statements, stored
from sqlalchemy import delete

from invenio_files_rest.errors import BucketDeletedError, BucketLockedError, FileSizeError, InvalidKeyError
from invenio_files_rest.helpers import populate_from_path
from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.services import folder_import, source_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


def keys(bucket: Bucket, source: Path | str, **kwargs: object) -> list[str]:
    return [obj.key for obj in populate_from_path(bucket, source, **kwargs)]


def test_each_file_is_a_version_with_its_bytes_and_checksum(bucket: Bucket, folder: Path):
    (folder / "a.txt").write_bytes(b"hello")
    (obj,) = populate_from_path(bucket, str(folder))
    assert isinstance(obj, ObjectVersion)
    assert (obj.key, obj.is_head, obj.mimetype) == ("a.txt", True, "text/plain")
    assert (obj.file.size, obj.file.checksum) == (5, "md5:5d41402abc4b2a76b9719d911017c592")
    with obj.file.storage().open() as file:
        assert file.read() == b"hello"


def test_a_file_alone_is_named_after_itself(bucket: Bucket, folder: Path):
    (folder / "a.txt").write_bytes(b"1")
    assert keys(bucket, str(folder / "a.txt"), key_prefix="x/") == ["x/a.txt"]


def test_keys_are_paths_with_slashes_in_order(bucket: Bucket, folder: Path):
    for name in ("z", "b/2", "b/1", "a/deep/er/f"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    assert keys(bucket, str(folder)) == ["z", "a/deep/er/f", "b/1", "b/2"]


def test_a_trailing_slash_and_a_relative_path_make_no_difference(
    bucket: Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "a").write_bytes(b"1")
    monkeypatch.chdir(folder)
    for source in (f"{folder}/", ".", "./", "../folder", folder):
        assert keys(bucket, source) == ["a"]


def test_a_bucket_may_be_given_by_its_identifier(bucket: Bucket, folder: Path):
    (folder / "a").write_bytes(b"1")
    for identifier in (bucket.id, str(bucket.id)):
        (obj,) = populate_from_path(identifier, str(folder))
        assert obj.bucket_id == bucket.id


def test_without_checksum_a_file_has_none(bucket: Bucket, folder: Path):
    (folder / "a").write_bytes(b"1")
    (obj,) = populate_from_path(bucket, str(folder), checksum=False)
    assert obj.file.checksum is None


def test_empty_files_are_taken(bucket: Bucket, folder: Path):
    (folder / "empty").touch()
    (obj,) = populate_from_path(bucket, str(folder))
    assert obj.file.size == 0


def test_a_file_of_many_chunks_is_whole(bucket: Bucket, folder: Path):
    data = os.urandom(10_001)
    (folder / "a").write_bytes(data)
    (obj,) = populate_from_path(bucket, str(folder), chunk_size=1000)
    with obj.file.storage().open() as file:
        assert file.read() == data


@pytest.mark.parametrize("name", ["naïve café.txt", "日本語", "emoji 🎉", "e\u0301", "a\nb", "100%&?#.txt"])
def test_names_are_kept_to_the_letter(bucket: Bucket, folder: Path, name: str):
    (folder / name).write_bytes(b"1")
    assert keys(bucket, str(folder)) == [name]


def test_a_name_that_is_no_text_is_refused(bucket: Bucket, folder: Path):
    with open(os.fsencode(folder) + b"/caf\xe9", "wb"):
        pass
    with pytest.raises(InvalidKeyError):
        keys(bucket, str(folder))


def test_a_path_too_long_for_a_key_is_refused(bucket: Bucket, folder: Path):
    (folder / "a").write_bytes(b"1")
    with pytest.raises(InvalidKeyError):
        keys(bucket, str(folder), key_prefix="p" * 255)


def test_a_link_to_a_file_of_the_folder_is_taken_as_the_file(bucket: Bucket, folder: Path):
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_bytes(b"linked")
    (folder / "absolute").symlink_to(folder / "sub" / "file")
    (folder / "relative").symlink_to("absolute")
    found = {obj.key: obj.file.size for obj in populate_from_path(bucket, str(folder))}
    assert found == {"absolute": 6, "relative": 6, "sub/file": 6}


@pytest.mark.parametrize("spelling", ["{0}/secret", "../secret", "sub/../../secret", "hop", "{0}/folder-2/secret"])
def test_a_link_that_leads_out_of_the_folder_is_followed_only_where_that_is_asked_for(
    bucket: Bucket, folder: Path, tmp_path: Path, spelling: str, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "folder-2").mkdir()
    (tmp_path / "folder-2" / "secret").write_bytes(b"secret")
    (folder / "sub").mkdir()
    (folder / "file").write_bytes(b"1")
    (folder / "link").symlink_to(spelling.format(tmp_path))
    if spelling == "hop":
        (folder / "hop").symlink_to(tmp_path / "secret")
    assert keys(bucket, folder) == ["file"]
    assert f"{folder}/link is a link that leads out of the folder." in caplog.text
    told: list[str] = []
    assert keys(bucket, folder, passed_over=told.append) == ["file"]
    assert f"{folder}/link is a link that leads out of the folder." in told
    assert "link" in keys(bucket, folder, follow_links=True)
    assert ObjectVersion.get(bucket, "link").file.size == 6


def test_the_folder_itself_may_be_a_link_and_so_may_a_file_alone(bucket: Bucket, folder: Path, tmp_path: Path):
    (folder / "file").write_bytes(b"1")
    (tmp_path / "way").symlink_to(folder)
    (tmp_path / "alias").symlink_to(folder / "file")
    assert keys(bucket, tmp_path / "way") == ["file"]
    assert keys(bucket, tmp_path / "alias") == ["alias"]


@pytest.mark.parametrize("replaced", ["file", "sub"])
def test_what_becomes_a_link_while_the_folder_is_read_is_not_followed(
    bucket: Bucket, folder: Path, tmp_path: Path, replaced: str, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "file").write_bytes(b"secret")
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_bytes(b"1")
    before = os.lstat

    def lstat(path: Any, **kwargs: Any) -> os.stat_result:
        """Let somebody be faster than the open that follows."""
        found = before(path, **kwargs)
        if str(path).endswith("sub/file"):
            target = folder / "sub" / "file" if replaced == "file" else folder / "sub"
            target.rename(tmp_path / "away")
            target.symlink_to(tmp_path / "secrets" / ("file" if replaced == "file" else ""))
        return found

    monkeypatch.setattr(source_folder.os, "lstat", lstat)
    with pytest.raises(OSError):  # noqa: PT011 (which one depends on what it was)
        keys(bucket, folder)
    assert ObjectVersion.query.count() == 0


def test_links_to_folders_broken_links_and_pipes_are_passed_over(bucket: Bucket, folder: Path, tmp_path: Path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"1")
    (folder / "outside").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")
    (folder / "file").write_bytes(b"1")
    assert keys(bucket, str(folder)) == ["file"]


def test_what_is_not_there_is_an_error(bucket: Bucket, folder: Path):
    with pytest.raises(FileNotFoundError):
        keys(bucket, str(folder / "missing"))


@pytest.mark.parametrize("inside", ["", "store"], ids=["itself", "parent"])
def test_a_folder_with_the_location_in_it_gives_what_it_held_before(db: SQLAlchemy, folder: Path, inside: str):
    (folder / inside).mkdir(exist_ok=True)
    location = Location(name="inside", uri=str(folder / inside), default=True)
    db.session.add(location)
    bucket = Bucket.create(location)
    (folder / "zzzz" / "deep").mkdir(parents=True)
    (folder / "zzzz" / "deep" / "file").write_bytes(b"1")
    for name in range(20):
        # Not a name that the location may give to a folder of its own.
        (folder / f"file-{name}").write_bytes(b"1")
    assert len(keys(bucket, str(folder))) == 21


def test_versions_are_added_in_batches_between_which_a_caller_may_commit(
    db: SQLAlchemy, bucket: Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(folder_import, "BATCH_FILES", 2)
    for name in "abcd":
        (folder / name).write_bytes(b"1")
    objects = populate_from_path(bucket, str(folder))
    assert [next(objects).key for _ in range(2)] == ["a", "b"]
    db.session.commit()
    assert next(objects).key == "c"
    db.session.rollback()
    assert [obj.key for obj in ObjectVersion.get_by_bucket(bucket)] == ["a", "b"]
    assert bucket.size == 2


def test_a_batch_ends_where_it_has_many_bytes(
    db: SQLAlchemy, bucket: Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(folder_import, "BATCH_BYTES", 10)
    for name in "abc":
        (folder / name).write_bytes(b"12345")
    objects = populate_from_path(bucket, str(folder))
    next(objects)
    assert ObjectVersion.query.count() == 2


def test_a_thousand_files_take_as_many_statements_as_ten(db: SQLAlchemy, bucket: Bucket, folder: Path):
    counts = []
    for number in (10, 1000):
        (folder / str(number)).mkdir()
        for name in range(number):
            (folder / str(number) / f"{name}").touch()
        with statements() as sent:
            assert len(keys(bucket, folder / str(number))) == number
        counts.append(len(sent))
    assert counts[0] == counts[1]


def test_a_version_takes_the_place_of_the_head(db: SQLAlchemy, bucket: Bucket, folder: Path):
    before = ObjectVersion.create(bucket, "a", stream=io.BytesIO(b"before"))
    (folder / "a").write_bytes(b"now")
    (obj,) = populate_from_path(bucket, folder)
    assert (before.is_head, obj.is_head) == (False, True)
    assert bucket.size == 9


@pytest.mark.parametrize("limit", ["quota_size", "max_file_size"])
def test_what_comes_before_a_file_that_is_too_large_is_added_and_nothing_stays_of_that(
    db: SQLAlchemy, bucket: Bucket, folder: Path, limit: str
):
    setattr(bucket, limit, 6)
    for name, size in (("a", 2), ("b", 3), ("c", 7), ("d", 1)):
        (folder / name).write_bytes(b"x" * size)
    added: list[str] = []
    with pytest.raises(FileSizeError):
        added.extend(obj.key for obj in populate_from_path(bucket, str(folder)))
    assert added == ["a", "b"]
    assert bucket.size == 5
    assert len(stored(bucket.location)) == 2


def test_a_quota_that_others_have_filled_meanwhile_holds(
    db: SQLAlchemy, bucket: Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.quota_size = 6
    for name in "abc":
        (folder / name).write_bytes(b"12")
    add_files = folder_import.add_files

    def late(*args: object) -> object:
        ObjectVersion.create(bucket, "other", stream=io.BytesIO(b"123"))
        return add_files(*args)

    monkeypatch.setattr(folder_import, "add_files", late)
    added: list[str] = []
    with pytest.raises(FileSizeError):
        added.extend(obj.key for obj in populate_from_path(bucket, str(folder)))
    assert added == ["a"]
    assert bucket.size == 5
    assert len(stored(bucket.location)) == 2


def test_the_limits_of_the_bucket_hold(bucket: Bucket, folder: Path):
    bucket.quota_size = 3
    for name in "ab":
        (folder / name).write_bytes(b"12")
    objects = populate_from_path(bucket, str(folder))
    next(objects)
    with pytest.raises(FileSizeError):
        next(objects)
    assert bucket.size == 2


def test_a_locked_bucket_and_a_deleted_one_take_nothing(bucket: Bucket, folder: Path):
    (folder / "a").write_bytes(b"1")
    bucket.locked = True
    with pytest.raises(BucketLockedError):
        keys(bucket, str(folder))
    bucket.locked, bucket.deleted = False, True
    with pytest.raises(BucketDeletedError):
        keys(bucket, str(folder))


# Files that are stored already


def files_of(bucket: Bucket) -> dict[str, Any]:
    return {obj.key: obj.file_id for obj in ObjectVersion.get_by_bucket(bucket)}


@pytest.fixture
def stored_one(db: SQLAlchemy, bucket: Bucket, folder: Path) -> FileInstance:
    """Store a file whose bytes the folder has, too."""
    file = ObjectVersion.create(bucket, "before", stream=io.BytesIO(b"equal")).file
    db.session.commit()
    (folder / "a").write_bytes(b"equal")
    return file


def test_a_file_that_is_stored_already_is_not_kept_twice(bucket: Bucket, folder: Path, stored_one: FileInstance):
    (folder / "b").write_bytes(b"other")
    (folder / "c").write_bytes(b"equal")
    assert keys(bucket, folder) == ["a", "b", "c"]
    found = files_of(bucket)
    assert found["a"] == found["c"] == found["before"] != found["b"]
    assert stored(bucket.location) == [b"equal", b"other"]
    assert bucket.size == 20
    assert keys(bucket, folder) == ["a", "b", "c"]
    assert stored(bucket.location) == [b"equal", b"other"]


def test_equal_files_of_one_folder_are_kept_once(bucket: Bucket, folder: Path):
    for name in "abc":
        (folder / name).write_bytes(b"equal")
    assert keys(bucket, folder) == ["a", "b", "c"]
    assert len(set(files_of(bucket).values())) == 1
    assert stored(bucket.location) == [b"equal"]


def test_a_file_of_another_bucket_and_location_is_taken_too(
    db: SQLAlchemy, bucket: Bucket, folder: Path, stored_one: FileInstance, tmp_path: Path
):
    location = Location(name="other", uri=str(tmp_path / "other"))
    db.session.add(location)
    other = Bucket.create(location)
    (obj,) = populate_from_path(other, folder)
    assert obj.file_id == stored_one.id
    assert stored(location) == []


def forge(file: FileInstance, tmp_path: Path) -> None:
    Path(file.uri).write_bytes(b"forge")


def lose(file: FileInstance, tmp_path: Path) -> None:
    Path(file.uri).unlink()


def damage(file: FileInstance, tmp_path: Path) -> None:
    file.last_check = False


def hide(file: FileInstance, tmp_path: Path) -> None:
    file.readable = False


def open_again(file: FileInstance, tmp_path: Path) -> None:
    file.writable = True


def grow(file: FileInstance, tmp_path: Path) -> None:
    file.size = 6


def link(file: FileInstance, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"equal")
    file.uri = str(tmp_path / "elsewhere")


@pytest.mark.parametrize("change", [forge, lose, damage, hide, open_again, grow, link])
def test_a_file_that_cannot_stand_for_the_new_one_is_not_taken(
    db: SQLAlchemy, bucket: Bucket, folder: Path, stored_one: FileInstance, change: Any, tmp_path: Path
):
    change(stored_one, tmp_path)
    db.session.commit()
    (obj,) = populate_from_path(bucket, folder)
    assert obj.file_id != stored_one.id
    with obj.file.storage().open() as stream:
        assert stream.read() == b"equal"


def test_without_checksum_every_file_is_stored(bucket: Bucket, folder: Path, stored_one: FileInstance):
    (obj,) = populate_from_path(bucket, folder, checksum=False)
    assert obj.file_id != stored_one.id
    assert stored(bucket.location) == [b"equal", b"equal"]


def test_a_file_that_is_removed_meanwhile_is_not_taken(
    db: SQLAlchemy, bucket: Bucket, folder: Path, stored_one: FileInstance, monkeypatch: pytest.MonkeyPatch
):
    ObjectVersion.get(bucket, "before").remove()
    db.session.commit()
    file_id, before = stored_one.id, folder_import.stored_before

    def late(files: Any) -> Any:
        found = before(files)
        assert [file.id for file in found.values()] == [file_id]
        with db.engine.begin() as connection:
            connection.execute(delete(FileInstance).where(FileInstance.id == file_id))
        return found

    monkeypatch.setattr(folder_import, "stored_before", late)
    (obj,) = populate_from_path(bucket, folder)
    db.session.commit()
    assert obj.file_id != file_id
    assert FileInstance.query.count() == 1
    with obj.file.storage().open() as stream:
        assert stream.read() == b"equal"


def test_a_file_that_a_limit_refuses_leaves_nothing_where_it_is_stored_already(
    db: SQLAlchemy, bucket: Bucket, folder: Path, stored_one: FileInstance
):
    (folder / "b").write_bytes(b"equal")
    bucket.quota_size = 12
    db.session.commit()
    objects = populate_from_path(bucket, folder)
    next(objects)
    with pytest.raises(FileSizeError):
        next(objects)
    assert stored(bucket.location) == [b"equal"]
    assert bucket.size == 10
