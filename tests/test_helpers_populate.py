"""What `populate_from_path` takes from a folder, and what it makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from flask_sqlalchemy import SQLAlchemy

from invenio_files_rest.errors import BucketDeletedError, BucketLockedError, FileSizeError, InvalidKeyError
from invenio_files_rest.helpers import populate_from_path
from invenio_files_rest.models import Bucket, Location, ObjectVersion


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


def test_a_link_to_a_file_is_taken_as_the_file(bucket: Bucket, folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").write_bytes(b"linked")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (obj,) = populate_from_path(bucket, str(folder))
    assert (obj.key, obj.file.size) == ("link", 6)


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


def test_versions_are_added_one_by_one_so_that_a_caller_may_commit_each(db: SQLAlchemy, bucket: Bucket, folder: Path):
    for name in "ab":
        (folder / name).write_bytes(b"1")
    objects = populate_from_path(bucket, str(folder))
    assert next(objects).key == "a"
    db.session.commit()
    assert [obj.key for obj in ObjectVersion.get_by_bucket(bucket)] == ["a"]
    assert next(objects).key == "b"
    db.session.rollback()
    assert [obj.key for obj in ObjectVersion.get_by_bucket(bucket)] == ["a"]


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
