"""Paths below a location, and what a URI may say."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from invenio_files_rest.errors import StorageError
from invenio_files_rest.paths import folders_of, is_folder_for, lies_within, local_path, make_path

ID = "2a4f3950-33af-4c42-8b1d-000102030405"


@pytest.mark.parametrize(
    ("base", "dimensions", "length", "expected"),
    [
        ("/base", 2, 2, "/base/2a/4f/3950-33af-4c42-8b1d-000102030405/data"),
        ("/base/", 2, 2, "/base/2a/4f/3950-33af-4c42-8b1d-000102030405/data"),
        ("/base", 3, 1, "/base/2/a/4/f3950-33af-4c42-8b1d-000102030405/data"),
        ("/base", 0, 2, f"/base/{ID}/data"),
        ("", 1, 2, "2a/4f3950-33af-4c42-8b1d-000102030405/data"),
        ("mem://", 1, 2, "mem://2a/4f3950-33af-4c42-8b1d-000102030405/data"),
        ("root://host//eos/x", 1, 2, "root://host//eos/x/2a/4f3950-33af-4c42-8b1d-000102030405/data"),
    ],
)
def test_an_identifier_is_split_into_folders(base: str, dimensions: int, length: int, expected: str) -> None:
    assert make_path(base, ID, "data", dimensions, length) == expected


@pytest.mark.parametrize(("dimensions", "length"), [(2, 2), (5, 1), (-1, 2), (1, -2)])
def test_an_identifier_that_is_too_short_is_refused(dimensions: int, length: int) -> None:
    with pytest.raises(AssertionError):
        make_path("/base", "abcd", "data", dimensions, length)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/data/file", "/data/file"),
        ("data/file", "data/file"),
        ("../data/file", "../data/file"),
        ("/a!b/#c%20?d&e f/file", "/a!b/#c%20?d&e f/file"),
        ("/a://b/file", "/a://b/file"),
        ("osfs:///data/file", "/data/file"),
        ("file:///data/file", "/data/file"),
        ("mem://data/file", None),
        ("s3://bucket/file", None),
    ],
)
def test_a_uri_says_whether_it_is_a_path_of_this_machine(url: str, path: str | None) -> None:
    assert local_path(url) == path


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "..",
        "/data/../etc/passwd",
        "data/../../etc/passwd",
        "/../etc/passwd",
        "osfs:///data/../etc/passwd",
        "file:///data/..",
        "mem://../data",
        "mem://a/../../data",
        "/data/file\0.txt",
        "/data/\ud800",
    ],
)
def test_a_uri_that_leads_elsewhere_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(StorageError) as error:
        local_path(url)
    assert error.value.description == StorageError.description


@pytest.mark.parametrize("dimensions", [0, 1, 2, 5])
@pytest.mark.parametrize("base", ["/srv/base", "mem://", "", f"/srv/{uuid.UUID(int=1)}"])
def test_a_folder_is_for_the_file_whose_identifier_it_has(base: str, dimensions: int) -> None:
    url = make_path(base, ID, "data", dimensions, 2)
    assert is_folder_for(url, ID)
    assert not is_folder_for(url, str(uuid.UUID(int=1)))
    assert not is_folder_for(f"{base}/data", ID)


@pytest.mark.parametrize("dimensions", [0, 1, 2, 5])
def test_the_folders_of_a_file_are_those_that_its_identifier_was_split_into(dimensions: int) -> None:
    path = make_path("/srv/base", ID, "data", dimensions, 2)
    folders = list(folders_of(path))
    assert len(folders) == dimensions + 1
    assert folders[0] == path.removesuffix("/data")
    assert folders[-1].rpartition("/")[0] == "/srv/base"


@pytest.mark.parametrize(
    ("path", "folders"),
    [
        ("/srv/base/2a/other/data", ["/srv/base/2a/other"]),
        ("/srv/data", ["/srv"]),
        ("/data", []),
        ("data", []),
        ("2a/data", ["2a"]),
        (f"{ID[:2]}/{ID[2:]}/data", [f"{ID[:2]}/{ID[2:]}", ID[:2]]),
        (f"/{ID}/{uuid.UUID(int=1)}/data", [f"/{ID}/{uuid.UUID(int=1)}"]),
    ],
)
def test_only_its_own_folder_is_that_of_a_file_with_another_path(path: str, folders: list[str]) -> None:
    assert list(folders_of(path)) == folders


@pytest.mark.parametrize(
    ("url", "base", "expected"),
    [
        ("{}/loc/ab/data", "{}/loc", True),
        ("{}/loc/ab/data", "{}/loc/", True),
        ("osfs://{}/loc/ab/data", "{}/loc", True),
        ("{}/loc/ab/data", "file://{}/loc", True),
        ("{}/location/ab/data", "{}/loc", False),
        ("{}/loc/../secret", "{}/loc", False),
        ("{}/loc/link/data", "{}/loc", False),
        ("mem://ab/data", "{}/loc", False),
        ("mem://a/b/data", "mem://a", True),
        ("mem://ab/data", "mem://a", False),
        ("mem://ab/data", "mem://", True),
        ("temp://ab/data", "mem://", False),
        ("mem://a/../b/data", "mem://", False),
        ("s3://a/data", "s3://a", True),
        ("s3://ab/data", "s3://a", False),
        ("", "mem://", False),
    ],
)
def test_a_file_lies_within_a_location_or_not(tmp_path: Path, url: str, base: str, expected: bool) -> None:
    (tmp_path / "loc").mkdir()
    (tmp_path / "loc" / "link").symlink_to(tmp_path)
    assert lies_within(url.format(tmp_path), base.format(tmp_path)) is expected
