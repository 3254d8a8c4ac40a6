"""What `files bucket` does, says and exits with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result
from flask_sqlalchemy import SQLAlchemy

from invenio_files_rest.models import Bucket, Location, ObjectVersion

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of two files."""
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "one.txt").write_bytes(b"1")
    (folder / "sub" / "two.txt").write_bytes(b"22")
    return folder


def contents(bucket: Bucket) -> dict[str, bytes]:
    found = {}
    for obj in ObjectVersion.get_by_bucket(bucket.id):
        with obj.file.storage().open() as file:
            found[obj.key] = file.read()
    return found


def stored_files(location: Location) -> int:
    return sum(path.is_file() for path in Path(location.uri).rglob("*"))


def test_touch_makes_a_bucket_and_prints_its_identifier(run: Run, location: Location):
    result = run("files", "bucket", "touch")
    assert result.exit_code == 0
    bucket = Bucket.query.one()
    assert result.stdout == f"{bucket.id}\n"
    assert (bucket.location.name, bucket.default_storage_class) == ("testloc", "S")


def test_touch_takes_location_and_storage_class(run: Run, db: SQLAlchemy, location: Location):
    db.session.add(Location(name="archive", uri="/archive"))
    assert run("files", "bucket", "touch", "-l", "archive", "-s", "A").exit_code == 0
    bucket = Bucket.query.one()
    assert (bucket.location.name, bucket.default_storage_class) == ("archive", "A")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["-l", "nowhere"], "Unknown location: nowhere"), (["-s", "X"], "Invalid storage class.")],
)
def test_touch_refuses_what_is_not_known(run: Run, location: Location, arguments: list[str], reason: str):
    result = run("files", "bucket", "touch", *arguments)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {reason}\n"
    assert Bucket.query.count() == 0


def test_touch_without_a_default_location_says_so(run: Run, db: SQLAlchemy):
    result = run("files", "bucket", "touch")
    assert result.exit_code == 1
    assert result.stderr == "Error: No default location is set up.\n"


def test_cp_copies_a_file_under_its_name(run: Run, bucket: Bucket, folder: Path):
    result = run("files", "bucket", "cp", str(folder / "one.txt"), str(bucket.id))
    assert result.exit_code == 0
    obj = ObjectVersion.get(bucket, "one.txt")
    assert result.stdout == f"{bucket.id}:{obj.version_id}:one.txt\n"
    assert contents(bucket) == {"one.txt": b"1"}
    assert obj.file.checksum == "md5:c4ca4238a0b923820dcc509a6f75849b"
    assert bucket.size == 1


def test_cp_copies_a_folder_with_the_paths_in_it(run: Run, bucket: Bucket, folder: Path):
    result = run("files", "bucket", "cp", str(folder), str(bucket.id))
    assert result.exit_code == 0
    assert [line.rpartition(":")[2] for line in result.stdout.splitlines()] == ["one.txt", "sub/two.txt"]
    assert contents(bucket) == {"one.txt": b"1", "sub/two.txt": b"22"}


def test_cp_puts_a_prefix_before_the_keys(run: Run, bucket: Bucket, folder: Path):
    assert run("files", "bucket", "cp", str(folder), str(bucket.id), "--key-prefix", "a/b-").exit_code == 0
    assert set(contents(bucket)) == {"a/b-one.txt", "a/b-sub/two.txt"}


def test_cp_without_checksum_keeps_none(run: Run, bucket: Bucket, folder: Path):
    assert run("files", "bucket", "cp", str(folder), str(bucket.id), "--no-checksum").exit_code == 0
    assert {obj.file.checksum for obj in ObjectVersion.get_by_bucket(bucket)} == {None}


def test_cp_of_files_that_are_stored_already_keeps_none_twice_unless_without_checksum(
    run: Run, bucket: Bucket, location: Location, folder: Path
):
    for arguments, files in (([], 2), (["--checksum"], 2), (["--no-checksum"], 4)):
        assert run("files", "bucket", "cp", str(folder), str(bucket.id), *arguments).exit_code == 0
        assert stored_files(location) == files


def test_cp_tells_of_the_links_that_it_passes_over(run: Run, bucket: Bucket, folder: Path, tmp_path: Path):
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "way").symlink_to(tmp_path)
    result = run("files", "bucket", "cp", str(folder), str(bucket.id))
    assert result.exit_code == 0
    assert sorted(result.stderr.splitlines()) == [
        f"Passed over: {folder}/link is a link that leads out of the folder.",
        f"Passed over: {folder}/way is a link to a folder.",
    ]
    assert set(contents(bucket)) == {"one.txt", "sub/two.txt"}
    result = run("files", "bucket", "cp", "--follow-links", str(folder), str(bucket.id))
    assert result.stderr == f"Passed over: {folder}/way is a link to a folder.\n"
    assert contents(bucket)["link"] == b"secret"


def test_cp_over_the_quota_keeps_what_it_printed_and_nothing_else(
    run: Run, db: SQLAlchemy, bucket: Bucket, location: Location, folder: Path
):
    bucket.quota_size = 2
    db.session.commit()
    result = run("files", "bucket", "cp", str(folder), str(bucket.id))
    assert result.exit_code == 1
    assert result.stdout.endswith(":one.txt\n")
    assert result.stderr == "Error: Bucket quota exceeded.\n"
    assert contents(bucket) == {"one.txt": b"1"}
    assert bucket.size == 1
    assert stored_files(location) == 1


def test_cp_into_a_locked_bucket_stores_nothing(
    run: Run, db: SQLAlchemy, bucket: Bucket, location: Location, folder: Path
):
    bucket.locked = True
    db.session.commit()
    result = run("files", "bucket", "cp", str(folder), str(bucket.id))
    assert result.exit_code == 1
    assert result.stderr == "Error: Bucket is locked for modifications.\n"
    assert stored_files(location) == 0


def test_cp_into_an_unknown_or_deleted_bucket_says_so(run: Run, db: SQLAlchemy, bucket: Bucket, folder: Path):
    Bucket.delete(bucket.id)
    for identifier in (bucket.id, uuid4()):
        result = run("files", "bucket", "cp", str(folder), str(identifier))
        assert result.exit_code == 1
        assert result.stderr == "Error: Bucket does not exist.\n"


def test_cp_tells_why_the_storage_fails_and_shows_no_traceback(
    run: Run, bucket: Bucket, location: Location, folder: Path
):
    Path(location.uri).rmdir()
    Path(location.uri).write_bytes(b"a file where the folder was")
    result = run("files", "bucket", "cp", str(folder), str(bucket.id))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert contents(bucket) == {}


def test_cp_of_a_name_that_is_no_text_says_so(run: Run, bucket: Bucket, folder: Path):
    (folder / b"caf\xe9".decode("utf-8", "surrogateescape")).write_bytes(b"3")
    result = run("files", "bucket", "cp", str(folder), str(bucket.id))
    assert result.exit_code == 1
    assert result.stderr == "Error: Filename has characters that cannot be stored.\n"


@pytest.mark.parametrize("arguments", [[], ["{folder}"], ["{folder}", "no-uuid"], ["{folder}/missing", "{bucket}"]])
def test_wrong_arguments_exit_with_2(run: Run, bucket: Bucket, folder: Path, arguments: list[str]):
    result = run("files", "bucket", "cp", *(text.format(folder=folder, bucket=bucket.id) for text in arguments))
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
