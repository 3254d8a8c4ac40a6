"""What the documentation shows works: its Python runs, and its requests are answered as it says."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from flask_principal import AnonymousIdentity
from flask_sqlalchemy import SQLAlchemy
from helpers.browser import browsing, needs_browser
from helpers.pages import DOCS, PAGES, blocks
from helpers.rest import url
from invenio_access.models import ActionUsers
from invenio_access.utils import get_identity
from invenio_accounts.proxies import current_datastore
from invenio_accounts.testutils import create_test_user, login_user_via_session
from invenio_db import db

from invenio_files_rest.models import Bucket, BucketTag, Location, ObjectVersion
from invenio_files_rest.permissions import BucketRead, permission_factory
from invenio_files_rest.signals import file_downloaded

DATA = Path(__file__).parent / "data"


def run_python(code: str, folder: Path) -> None:
    """Run code in a process and a folder of its own."""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_the_getting_started_guide_runs(tmp_path: Path):
    run_python("".join(blocks("tutorial/python", "python")), tmp_path)
    assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()] == ["data", "data"]


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "box by box"])
def test_the_getting_started_guide_can_be_pasted_into_a_python_shell(tmp_path: Path, at_once: bool):
    """A statement of several lines has to end in an empty line there, and none of its lines is empty."""
    boxes = blocks("tutorial/python", "python")
    # Whoever pastes a box by itself presses Enter after it.
    pasted = ("" if at_once else "\n").join(boxes)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSTARTUP"}
    result = subprocess.run(
        [sys.executable, "-i", "-q"],
        input=pasted + "\nprint('the end')\n",
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert "Error" not in result.stderr, result.stderr
    assert result.stdout.endswith("the end\n")
    assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()] == ["data", "data"]


@pytest.mark.slow
def test_the_getting_started_guide_of_earlier_versions_runs(tmp_path: Path):
    pytest.importorskip("invenio_admin", reason="the extra admin is not installed")
    run_python((DATA / "getting_started.txt").read_text(), tmp_path)
    (stored,) = (path for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert stored.read_bytes() == b"my file contents"


@pytest.mark.parametrize("page", PAGES)
def test_all_python_in_the_documentation_is_python(page: str):
    for block in blocks(page, "python"):
        compile(block, page, "exec")


def test_users_and_roles_are_made_before_something_is_granted_to_them():
    granted = 0
    for page in sorted(DOCS.rglob("*.rst")):
        made: set[str] = set()
        for line in page.read_text().splitlines():
            if found := re.search(r"invenio (user|role)s create (\S+)", line):
                made.add(f"{found[1]} {found[2]}")
            if found := re.search(r"invenio access allow .*\b((?:user|role) \S+)", line):
                assert found[1] in made, f"{page.name}: {line}"
                granted += 1
    assert granted > 3


def documented(page: str, kind: str | None = None) -> dict[str, Any]:
    """Return what the Python of a page defines."""
    namespace: dict[str, Any] = {}
    exec("".join(blocks(page, "python", kind)), namespace)
    return namespace


# The suites that the page subclasses run here as they do in the tests of who follows the page.
TestDictStorage = documented("reference/storage")["TestDictStorage"]
TestFolder = documented("reference/storage")["TestFolder"]
BACKEND = documented("howto/storage-backend", "backend")
TestSQLiteStorage = BACKEND["TestSQLiteStorage"]


def test_the_documented_storage_holds_objects(app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    names = documented("reference/storage")
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", names["dict_storage_factory"])
    obj = ObjectVersion.create(bucket, "a", stream=io.BytesIO(b"content"))
    assert names["FILES"] == {obj.file.uri: b"content"}
    assert obj.file.verify_checksum()


def test_the_documented_permission_factory_lets_everyone_read(app: Flask, bucket: Bucket):
    factory = documented("reference/access")["public_reading"]
    assert factory(bucket, "bucket-read").can()
    assert factory(bucket, "bucket-update").needs == permission_factory(bucket, "bucket-update").needs


def test_the_documented_factory_lets_members_work_and_everyone_read_what_is_published(
    app: Flask, db: SQLAlchemy, location: Location, monkeypatch: pytest.MonkeyPatch
):
    factory = documented("howto/permission-factory", "factory")["project_permissions"]
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", factory)
    clients = {"nobody": app.test_client()}
    for project in ("mars", "venus"):
        user = create_test_user(f"{project}@example.org")
        current_datastore.add_role_to_user(user, current_datastore.find_or_create_role(project))
        clients[project] = app.test_client()
        login_user_via_session(clients[project], user)
    bucket = Bucket.create()
    BucketTag.create(bucket, "project", "mars")
    version = ObjectVersion.create(bucket, "a", stream=io.BytesIO(b"content"))
    ObjectVersion.create(bucket, "a", stream=io.BytesIO(b"content 2"))
    db.session.commit()

    def answers(method: str, address: str) -> list[int]:
        asked = (clients[name].open(address, method=method, data=b"new") for name in ("nobody", "venus", "mars"))
        return [answer.status_code for answer in asked]

    one = url(bucket, "a", versionId=version.version_id)
    assert answers("GET", url(bucket, "a")) == answers("GET", url(bucket)) == [404, 404, 200]
    assert answers("PUT", url(bucket, "b")) == [404, 404, 200]
    assert answers("GET", one) == [404, 404, 200]
    assert answers("DELETE", one)[2] == 403
    assert answers("POST", "/files") == [401, 403, 403]
    BucketTag.create(bucket, "published", "yes")
    db.session.commit()
    assert answers("GET", url(bucket, "a")) == [200, 200, 200]
    assert answers("PUT", url(bucket, "b")) == [404, 404, 200]
    assert answers("DELETE", url(bucket, "a")) == [401, 403, 204]


def test_the_documented_question_about_many_buckets_is_answered(app: Flask, bucket: Bucket):
    readable_buckets = documented("reference/access")["readable_buckets"]
    reader = create_test_user("reader@example.org")
    db.session.add(ActionUsers.allow(BucketRead(str(bucket.id)), user_id=reader.id))
    db.session.commit()
    with app.test_request_context():
        g.identity = AnonymousIdentity()
        assert readable_buckets() == []
        g.identity = get_identity(reader)
        assert readable_buckets() == [bucket]


def test_the_documented_receiver_is_told_of_downloads(
    client: FlaskClient, bucket: Bucket, allow_all: None, caplog: pytest.LogCaptureFixture
):
    receiver = documented("reference/events")["count_download"]
    try:
        client.put(url(bucket, "a.txt"), data=b"content")
        with caplog.at_level("INFO"):
            client.get(url(bucket, "a.txt")).close()
        assert "a.txt was downloaded" in caplog.text
    finally:
        file_downloaded.disconnect(receiver)


def test_the_documented_task_moves_a_file(app: Flask, bucket: Bucket, tmp_path: Path):
    (tmp_path / "new").mkdir()
    db.session.add(Location(name="new", uri=str(tmp_path / "new")))
    obj = ObjectVersion.create(bucket, "a", stream=io.BytesIO(b"content"))
    db.session.commit()
    (code,) = blocks("howto/moving", "python")
    exec(code, {"file": obj.file})
    db.session.expire_all()
    assert obj.file.uri.startswith(str(tmp_path / "new"))


def test_the_python_of_the_readme_runs(app: Flask, location: Location):
    (code,) = blocks("../README", "python")
    exec(code, {})
    assert [version.key for version in ObjectVersion.query.all()] == ["thesis.pdf"]


def test_the_documented_limit_is_added_to_the_others(app: Flask, bucket: Bucket):
    limiters = documented("explanation/concepts")["limiters"]
    assert [limit.limit for limit in limiters(bucket)] == [None, None, 10 * 1024**3]


def test_the_documented_part_factory_counts_from_one(app: Flask):
    factory = documented("howto/uploads")["resumable_partfactory"]
    with app.test_request_context("/?resumableChunkNumber=1", method="PUT", data=b"12"):
        length, number, stream, *_ = factory()
        assert (length, number, stream.read()) == (2, 0, b"12")
    with app.test_request_context("/", method="PUT", data=b"12"):
        assert not any(factory())


@pytest.fixture(scope="module")
def html() -> Path:
    """Build the pages, of which those that have not changed since the last time may be there."""
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    built = DOCS / "_build" / "html"
    arguments = ["-q", "-b", "html", DOCS, built]
    subprocess.run([sys.executable, "-m", "sphinx", *arguments], check=True, capture_output=True, timeout=100)
    return built


@pytest.mark.slow
def test_every_name_of_the_documented_api_is_in_the_reference(html: Path):
    """The names are those of the reference of version 1.5, which promise what code may import."""
    with (html / "objects.inv").open("rb") as file:
        described = {name for name, *_ in read_inventory(file)}
    documented_names = set((DATA / "documented_names.txt").read_text().split())
    assert len(documented_names) > 300
    assert documented_names - described == set()


@pytest.mark.slow
def test_every_public_name_of_a_module_in_the_reference_is_in_it(html: Path):
    with (html / "objects.inv").open("rb") as file:
        described = {name.rpartition(".")[2] for name, *_ in read_inventory(file)}
    modules = re.findall(r"automodule:: (\S+)", (DOCS / "reference" / "api.rst").read_text())
    loaded = [import_module(module) for module in modules]
    public = {name for module in loaded for name in getattr(module, "__all__", ()) if callable(getattr(module, name))}
    assert len(public) > 80
    assert public - described == set()


@pytest.mark.slow
def test_every_page_has_a_title(html: Path):
    for page in html.rglob("*.html"):
        assert "&lt;no title&gt;" not in page.read_text(), page.name
    assert "<h1>Invenio-Files-REST" in (html / "index.html").read_text()


def test_no_two_pages_have_the_same_title():
    titles = [
        title for page in PAGES if not (title := (DOCS / f"{page}.rst").read_text().split("\n")[0]).startswith("..")
    ]
    assert len(titles) > 40
    assert len(titles) == len(set(titles))


@pytest.mark.slow
@needs_browser
def test_a_search_for_what_callers_look_for_finds_the_page_on_authentication(html: Path, tmp_path: Path):
    with browsing(tmp_path) as browser:
        for words in ("Bearer", "CORS", "X-CSRFToken"):
            browser.open(f"{html.as_uri()}/search.html?q={words}")
            found = browser.run("""
                const links = () => [...document.querySelectorAll("#search-results li a")].map((link) => link.pathname);
                return new Promise((resolve) => {
                    const look = () => Search.status && /found|find/.test(document.body.innerText) && links().length
                        ? resolve(links()) : setTimeout(look, 50);
                    look();
                });
            """)
            assert "authentication.html" in {path.rpartition("/")[2] for path in found}, words


@pytest.mark.slow
@needs_browser
def test_pages_fit_a_phone_and_are_dark_where_one_likes_that(html: Path, tmp_path: Path):
    body = "return getComputedStyle(document.body).backgroundColor"
    wide = ("explanation/durability", "reference/rest", "reference/openapi", "explanation/performance", "index")
    with browsing(tmp_path) as browser:
        for name in wide:
            for dark in (False, True):
                browser.look(390, 844, dark)
                browser.open((html / f"{name}.html").as_uri())
                assert browser.run("return document.documentElement.scrollWidth") <= 390, name
                colour = [int(part) for part in re.findall(r"\d+", browser.run(body))][:3]
                assert (sum(colour) < 3 * 64) is dark, f"{name}: {colour}"


def read_inventory(file: BinaryIO) -> Iterator[list[str]]:
    """Return what an inventory of Sphinx lists: name, role and so on of each object."""
    header = [file.readline() for _ in range(4)]
    assert b"zlib" in header[-1]
    for line in zlib.decompress(file.read()).decode().splitlines():
        yield line.split()
