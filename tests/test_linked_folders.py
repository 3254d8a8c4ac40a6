"""Folders of a location that whoever runs the machine has moved to another disk, with links in their places."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import Result
from helpers.rest import put, rows, url
from helpers.stored import CONTENT, ago, findings, kinds, orphan, store

from invenio_files_rest.models import Bucket, FileInstance, Location
from invenio_files_rest.paths import lies_within, make_path
from invenio_files_rest.tasks import remove_file_data

Run = Callable[..., Result]


def age_all(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, 2 * (ago(days=2).timestamp(),))


def place(location: Any, file_id: UUID | None = None, name: str = "data") -> Path:
    """Put a file where storage would put one, without a row."""
    path = Path(make_path(location.uri, str(file_id or uuid4()), name, 2, 2))
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


def move(folder: Path, disk: Path) -> Path:
    """Move a folder to another disk, and put a link in its place."""
    disk.parent.mkdir(exist_ok=True)
    folder.rename(disk)
    folder.symlink_to(disk)
    return disk


@pytest.fixture(params=[1, 2], ids=["first", "second"])
def depth(request: pytest.FixtureRequest) -> int:
    """Tell which of the two folders that an identifier is split into has been moved."""
    return int(request.param)


def folder_of(file: Path, depth: int) -> Path:
    return file.parents[3 - depth]


def test_a_file_in_a_linked_folder_is_stored_read_and_removed_with_its_version(
    client: Any, bucket: Bucket, allow_all: None, depth: int, tmp_path: Path
) -> None:
    version = put(client, bucket, "key", CONTENT)["version_id"]
    file = Path(FileInstance.query.one().uri)
    disk = move(folder_of(file, depth), tmp_path / "disk" / "moved")
    assert client.get(url(bucket, "key")).data == CONTENT
    assert client.delete(url(bucket, "key", versionId=version)).status_code == 204
    assert rows()["files_files"] == 0
    assert list(disk.rglob("*")) == []
    assert folder_of(file, depth).is_symlink()


def test_removal_and_sweep_find_an_unused_file_in_a_linked_folder(
    run: Run, bucket: Bucket, depth: int, tmp_path: Path
) -> None:
    files = [orphan(bucket, updated=ago(days=2)) for _ in range(2)]
    disks = [
        move(folder_of(Path(file.uri), depth), tmp_path / "disk" / str(number)) for number, file in enumerate(files)
    ]
    assert remove_file_data(files[0].id, force=True) is True
    assert list(disks[0].rglob("*")) == []
    result = run("files", "sweep", "--delete", "--json")
    assert (result.exit_code, kinds(result)[0]) == (0, "orphan")
    assert FileInstance.query.count() == 0
    assert list(disks[1].rglob("*")) == []


def test_the_sweep_looks_into_linked_folders_for_what_no_row_names(
    run: Run, bucket: Bucket, depth: int, tmp_path: Path
) -> None:
    kept = Path(store(bucket).file.uri)
    move(folder_of(kept, depth), tmp_path / "disk" / "kept")
    unnamed, temporary = place(bucket.location), place(bucket.location, name=".incoming-0")
    disks = [move(folder_of(path, depth), tmp_path / "disk" / path.name) for path in (unnamed, temporary)]
    strange = disks[0] / "data"
    strange.write_bytes(CONTENT)
    age_all(tmp_path / "disk")
    age_all(Path(bucket.location.uri))
    result = run("files", "sweep", "--delete", "--json")
    assert result.exit_code == 0, result.output
    assert {"file", "temporary"} <= set(kinds(result))
    assert not unnamed.exists()
    assert not temporary.exists()
    assert kept.read_bytes() == strange.read_bytes() == CONTENT
    assert all(folder_of(path, depth).is_symlink() for path in (kept, unnamed, temporary))
    assert run("files", "sweep", "--grace", "0", "--json").exit_code == 0


def test_a_file_that_was_linked_by_the_name_that_it_has_on_the_other_disk_stays(
    run: Run, bucket: Bucket, db: Any, tmp_path: Path
) -> None:
    file = place(bucket.location)
    disk = move(folder_of(file, 1), tmp_path / "disk" / "moved")
    (moved,) = disk.rglob("data")
    from invenio_files_rest.models import ObjectVersion

    ObjectVersion.create(bucket, "key").set_location(str(moved), len(CONTENT), "md5:x")
    db.session.commit()
    age_all(disk)
    assert run("files", "sweep", "--delete").exit_code == 0
    assert moved.read_bytes() == CONTENT


def prefix(bucket: Bucket, name: str) -> Path:
    """Return a folder of the location that is for several files, as it could be moved."""
    return Path(bucket.location.uri, name)


def to_own_folder(bucket: Bucket, file: Path, tmp_path: Path) -> list[Path]:
    other = prefix(bucket, "00" if folder_of(file, 1).name != "00" else "01")
    other.symlink_to(folder_of(file, 1))
    return [other]


def to_itself(bucket: Bucket, file: Path, tmp_path: Path) -> list[Path]:
    (link := prefix(bucket, "a")).symlink_to(bucket.location.uri)
    return [link]


def to_what_holds_the_location(bucket: Bucket, file: Path, tmp_path: Path) -> list[Path]:
    (link := prefix(bucket, "abc")).symlink_to(tmp_path)
    return [link]


def to_one_folder_twice(bucket: Bucket, file: Path, tmp_path: Path) -> list[Path]:
    disk = move(folder_of(file, 1), tmp_path / "disk" / "moved")
    other = prefix(bucket, "00" if folder_of(file, 1).name != "00" else "01")
    other.symlink_to(disk)
    return [folder_of(file, 1), other]


def to_a_folder_in_another(bucket: Bucket, file: Path, tmp_path: Path) -> list[Path]:
    disk = move(folder_of(file, 1), tmp_path / "disk" / "moved")
    other = prefix(bucket, "abc")
    other.symlink_to(next(disk.iterdir()))
    return [folder_of(file, 1), other]


def to_another_location(bucket: Bucket, file: Path, tmp_path: Path) -> list[Path]:
    from invenio_db import db

    inner = folder_of(file, 1)
    db.session.add(Location(name="other", uri=str(tmp_path / "other")))
    db.session.commit()
    move(inner, tmp_path / "disk")
    (tmp_path / "other").symlink_to(tmp_path / "disk")
    return [inner]


@pytest.mark.parametrize(
    "make",
    [
        to_own_folder,
        to_itself,
        to_what_holds_the_location,
        to_one_folder_twice,
        to_a_folder_in_another,
        to_another_location,
    ],
)
def test_a_link_to_where_another_way_leads_is_told_and_not_followed(
    run: Run, bucket: Bucket, make: Any, tmp_path: Path
) -> None:
    """By the other way its files have other identifiers, which no row has."""
    file = Path(store(bucket).file.uri)
    links = make(bucket, file, tmp_path)
    age_all(tmp_path)
    result = run("files", "sweep", "--delete", "--json")
    assert result.exit_code == 0, result.output
    told = [finding for finding in findings(result) if finding["kind"] == "link"]
    assert sorted(finding["name"] for finding in told) == sorted(map(str, links))
    assert all("was left" in finding["text"] for finding in told)
    assert file.read_bytes() == CONTENT
    assert run("files", "sweep", "--json").exit_code == 1


@pytest.fixture
def unnamed(bucket: Bucket, tmp_path: Path) -> Path:
    """Put a file that no row names behind a link."""
    unnamed = place(bucket.location)
    age_all(move(folder_of(unnamed, 1), tmp_path / "disk" / "moved"))
    return unnamed


def test_where_a_location_is_away_no_link_is_followed(run: Run, unnamed: Path, db: Any, tmp_path: Path) -> None:
    """One of its links could lead to the same folder."""
    db.session.add(away := Location(name="away", uri=str(tmp_path / "away")))
    store(Bucket.create(away))
    (tmp_path / "away").rename(tmp_path / "unmounted")
    result = run("files", "sweep", "--delete", "--json")
    assert sorted(kinds(result)) == ["link", "location", "summary"]
    [link] = [finding for finding in findings(result) if finding["kind"] == "link"]
    assert link["text"] == "No link is followed while a location is away: away. What is behind it was left."
    assert unnamed.exists()
    (tmp_path / "unmounted").rename(tmp_path / "away")
    assert run("files", "sweep", "--delete").exit_code == 0
    assert not unnamed.exists()


def test_a_location_that_has_no_folder_yet_keeps_no_link_from_being_followed(
    run: Run, unnamed: Path, db: Any, tmp_path: Path
) -> None:
    db.session.add(Location(name="new", uri=str(tmp_path / "new")))
    result = run("files", "sweep", "--delete", "--json")
    assert sorted(kinds(result)) == ["file", "location", "summary"]
    assert not unnamed.exists()


def test_a_location_that_cannot_be_looked_at_is_named_as_the_reason(
    run: Run, unnamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("invenio_files_rest.services.links.followed_links", fail)
    result = run("files", "sweep", "--delete", "--json")
    [link] = [finding for finding in findings(result) if finding["kind"] == "link"]
    assert link["text"].startswith("No link is followed, since a location cannot be looked at: [Errno 5] Input/output")


def test_folders_are_looked_at_once_where_there_is_no_link(
    run: Run, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(bucket)
    looked_at = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: looked_at.append(folder) or scandir(folder))
    assert run("files", "sweep").exit_code == 0
    assert len(looked_at) == len(set(looked_at)) > 1


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_is_a_link_itself_or_whose_own_folder_is_one_is_not_ours(
    run: Run, bucket: Bucket, what: str, tmp_path: Path
) -> None:
    file = Path(orphan(bucket, updated=ago(days=2)).uri)
    target = move(file if what == "file" else file.parent, tmp_path / "disk" / "moved")
    age_all(tmp_path)
    assert not lies_within(str(file), bucket.location.uri)
    assert run("files", "sweep", "--delete").exit_code == 0
    assert FileInstance.query.count() == 0
    assert (target if what == "file" else target / "data").read_bytes() == CONTENT


ID = "2a4f3950-33af-4c42-8b1d-000102030405"


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        (f"{ID[:2]}/{ID[2:4]}/{ID[4:]}/data", True),
        (f"{ID[:2]}/{ID[2:]}/data", True),
        (f"./{ID[:2]}//{ID[2:]}/data", True),
        (f"{ID[:2]}/passwd", False),
        (f"{ID[:2]}/{ID[2:]}", False),
        (f"{ID[:2]}/{ID[2:]}/below/data", False),
        (f"{ID[:2]}/../{ID[:2]}/{ID[2:]}/data", False),
        (f"sub/{ID[:2]}/{ID[2:]}/data", True),
        (f"link/{ID[:2]}/{ID[2:]}/data", False),
    ],
)
def test_a_link_leads_out_of_a_location_unless_it_stands_for_a_folder_of_our_making(
    tmp_path: Path, below: str, expected: bool
) -> None:
    location, outside = tmp_path / "location", tmp_path / "outside"
    location.mkdir()
    (outside / ID[2:]).mkdir(parents=True)
    (location / ID[:2]).symlink_to(outside)
    (location / "sub").mkdir()
    (location / "link").symlink_to(outside)
    for spelling in ("{}", "file://{}", "osfs://{}"):
        assert lies_within(f"{spelling.format(location)}/{below}", str(location)) is expected
    (tmp_path / "moved").symlink_to(location)
    assert lies_within(f"{location}/{below}", str(tmp_path / "moved")) is expected
    assert lies_within(f"{tmp_path}/moved/{below}", str(location)) is expected
