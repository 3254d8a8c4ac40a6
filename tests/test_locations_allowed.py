"""Where a location may be, by `FILES_REST_LOCATION_URIS`: in the model, so that no way in goes round it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import insert

from invenio_files_rest.models import Location


@pytest.fixture(autouse=True)
def root(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Allow one folder, one bucket, one host and one scheme, and work in that folder."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "inside").symlink_to("data")
    (root / "outside").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "entrance").symlink_to("root")
    (tmp_path / "rootless").mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(root))
    places = [str(root), "s3://bucket", "ftp://host/files/", "mem://"]
    monkeypatch.setitem(app.config, "FILES_REST_LOCATION_URIS", places)
    return root


@pytest.mark.parametrize(
    "uri",
    [
        "@/root",
        "@/root/",
        "@/root/data",
        "@/root//a/./b",
        "file://@/root/data",
        "OSFS://@/root/data",
        "@/root/inside",
        "@/entrance/data",
        "@/root/with%20what?is literal!",
        "s3://bucket",
        "s3://bucket/",
        "S3://bucket/a/b",
        "ftp://host/files",
        "ftp://host/files/a",
        "mem://",
        "mem://files",
    ],
)
def test_a_location_in_a_place_that_is_named_is_allowed(tmp_path: Path, uri: str) -> None:
    uri = uri.replace("@", str(tmp_path))
    assert Location(name="a", uri=uri).uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "/",
        "/etc",
        "//etc",
        "@",
        "@/rootless",
        "@/root/../elsewhere",
        "@/root/../root",
        "@/root/outside",
        "@/root/outside/a",
        "@/entrance/outside",
        "file:///etc",
        "file://@/root/outside",
        "osfs:///",
        "osfs://@/root/..",
        "FILE:///etc",
        "@/root/a\0b",
        # Another folder in a process that runs elsewhere, or as somebody else.
        "data",
        ".",
        "./data",
        "../root",
        "~",
        "~/data",
        "file://data",
        "osfs://~/data",
        "file:///etc/../@/root/data",
        "file:@/root/data",
        "s3://",
        "s3://bucket2",
        "s3://bucket/../other",
        "s3://other@bucket",
        "s3://bucket/a@other/b",
        "s3://bucket?endpoint_url=http://other",
        "s3://bucket/%2e%2e/other",
        "ftp://host/files/%2e%2e/%2e%2e/etc",
        "ftp://host/files!/../etc",
        "ftp://host/filesystem",
        "ftp://host",
        "ftp://other/files",
        "zip://@/root/a.zip",
        "tar:///etc/a.tar",
        "temp://",
        "http://host/",
    ],
)
def test_a_location_anywhere_else_is_refused(tmp_path: Path, uri: str) -> None:
    uri = uri.replace("@", str(tmp_path)) if "@/" in uri or uri == "@" else uri
    with pytest.raises(ValueError, match="is not in one of FILES_REST_LOCATION_URIS, or is relative"):
        Location(name="a", uri=uri)


@pytest.mark.parametrize("places", ["@/root", ("@/root",), {"@/root"}, ["", "file://@/root"], ["@/entrance/"]])
def test_the_setting_is_one_place_or_several(app: Flask, tmp_path: Path, monkeypatch: Any, places: Any) -> None:
    def filled(value: str) -> str:
        return value.replace("@", str(tmp_path))

    places = filled(places) if isinstance(places, str) else type(places)(map(filled, places))
    monkeypatch.setitem(app.config, "FILES_REST_LOCATION_URIS", places)
    assert Location(name="a", uri=filled("@/root/a"))
    for uri in (filled("@/elsewhere"), "/", "s3://bucket"):
        with pytest.raises(ValueError, match="FILES_REST_LOCATION_URIS"):
            Location(name="a", uri=uri)


@pytest.mark.parametrize("places", [["/"], ["file://"], ["osfs://"]])
def test_all_folders_can_be_allowed(app: Flask, monkeypatch: Any, places: list[str]) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_LOCATION_URIS", places)
    assert Location(name="a", uri="/etc")
    with pytest.raises(ValueError, match="FILES_REST_LOCATION_URIS"):
        Location(name="a", uri="s3://bucket")


@pytest.mark.parametrize("places", [[], (), None])
def test_without_the_setting_a_location_may_be_anywhere(app: Flask, monkeypatch: Any, places: Any) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_LOCATION_URIS", places)
    for uri in ("/etc", "data", "~", "s3://other", "zip:///a.zip"):
        assert Location(name="a", uri=uri).uri == uri


def test_a_row_that_is_older_than_the_setting_is_loaded_and_changed(db: Any) -> None:
    db.session.execute(insert(Location), [{"name": "old", "uri": "/srv/old", "default": False}])
    location = Location.get_by_name("old")
    location.uri, location.name, location.default = location.uri, "renamed", True
    db.session.commit()
    assert (location.name, location.uri) == ("renamed", "/srv/old")
    with pytest.raises(ValueError, match="FILES_REST_LOCATION_URIS"):
        location.uri = "/srv/other"


def test_the_command_line_says_so(run: Callable[..., Result], tmp_path: Path, root: Path) -> None:
    result = run("files", "location", "create", "a", str(root / "outside" / "a"))
    assert (result.exit_code, Location.query.count()) == (1, 0)
    assert result.stderr == (
        f"Error: The URI {root}/outside/a is not in one of FILES_REST_LOCATION_URIS, or is relative.\n"
    )
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert run("files", "location", "create", "a", str(root / "data")).exit_code == 0
