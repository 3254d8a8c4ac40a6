"""The page of a bucket, in a real Chromium and a real Firefox, on the server that run-server.sh starts.

As whoever owns the bucket, may only read it, is a stranger, or has a link.
"""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from helpers.browser import Browser, browsing, needs_browser
from helpers.firefox import browsing_firefox
from helpers.waiting import wait_until
from servers.instance import EMAIL, Instance, environment, running_instance

pytest.importorskip("invenio_app")
AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.slow,
    needs_browser,
    pytest.mark.skipif(not AXE.exists(), reason="the packages of tests/node are not installed; ./run-tests.sh does it"),
    pytest.mark.timeout(400),
]

IMAGES = os.environ.get("SCREENSHOTS")
"""Folder that gets pictures of the pages, as the documentation has them."""

KEYS = 300
"""Number of keys of a folder of several pages."""

WIDTH = "return document.documentElement.scrollWidth"
"""Script that tells how wide a page is. On a phone ``innerWidth`` follows it: the browser shows all of it, smaller."""

READER, STRANGER, PASSWORD = "reader@example.org", "stranger@example.org", "a long password"

EVIL = "window.top.ran = true; document.title = 'ran';"
UPLOADED = {
    "evil.html": f'<title>no</title><script>{EVIL}</script><img src=x onerror="{EVIL}">',
    "evil.svg": f"<svg xmlns='http://www.w3.org/2000/svg' onload=\"{EVIL}\"><script>{EVIL}</script></svg>",
    "evil.js": EVIL,
    "</pre><script>top.ran = true</script>.txt": "</pre><script>top.ran = true</script>",
    "evil.png": f"GIF89a/*<script>{EVIL}</script>*/",
}
"""Files that somebody uploads to have them run."""


def png(width: int, height: int) -> bytes:
    """Return an image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = lambda y: b"\0" + bytes(v for x in range(width) for v in (255 * x // width, 255 * y // height, 140))  # noqa: E731
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(b"".join(map(row, range(height)))))
        + chunk(b"IEND", b"")
    )


ACCOUNTS = """
import sys
from datetime import datetime, timezone
from flask_security.utils import hash_password
from invenio_app.factory import create_api
from invenio_db import db

app = create_api()
with app.app_context():
    for email in sys.argv[2:]:
        app.extensions["security"].datastore.create_user(
            email=email, password=hash_password(sys.argv[1]), active=True, confirmed_at=datetime.now(timezone.utc)
        )
    db.session.commit()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Give a server with three accounts."""
    with running_instance(tmp_path_factory.mktemp("site")) as site:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", ACCOUNTS, PASSWORD, READER, STRANGER],
            env=environment(INVENIO_INSTANCE_PATH=str(site.folder)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield site


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing_firefox(tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


@pytest.fixture
def log_in(site: Instance) -> Callable[[Browser, str], None]:
    """Return a function that logs somebody in."""

    def log_in(browser: Browser, email: str) -> None:
        browser.become(site.url, email, site.password if email == EMAIL else PASSWORD)

    return log_in


@pytest.fixture
def owner(chromium: Browser, log_in: Callable[[Browser, str], None]) -> Browser:
    """Give a Chromium whose user may do everything."""
    chromium.look()
    log_in(chromium, EMAIL)
    chromium.complaints()
    return chromium


@pytest.fixture
def api(site: Instance) -> Callable[..., Any]:
    """Return a function that sends a request to the REST API, as the owner."""

    def send(method: str, path: str, **kwargs: Any) -> requests.Response:
        headers = {**site.authorization, **kwargs.pop("headers", {})}
        answer = requests.request(method, f"{site.url}/api/files{path}", headers=headers, timeout=60, **kwargs)
        assert answer.ok, answer.text
        return answer

    return send


@pytest.fixture
def make_bucket(api: Callable[..., Any]) -> Callable[..., str]:
    """Return a function that makes a bucket with files, and returns its identifier."""

    def make(**files: bytes) -> str:
        bucket = api("POST", "").json()["id"]
        for key, content in files.items():
            api("PUT", f"/{bucket}/{requests.utils.quote(key)}", data=content)
        return str(bucket)

    return make


def names(browser: Browser, part: str = "#listing") -> list[str]:
    return browser.texts(f"{part} tbody th")


def choose(browser: Browser, *keys: str) -> None:
    """Choose rows of the list, as a person does."""
    for key in keys:
        browser.click(f"input[value={json.dumps(key)}]")


def press(browser: Browser, text: str, within: str = "main") -> None:
    """Click on the button of a text."""
    buttons = f"[...document.querySelectorAll('{within} button')]"
    found = browser.run(
        "document.querySelectorAll('[data-found]').forEach(one => one.removeAttribute('data-found'));"
        f"const one = {buttons}.find(b => b.innerText.trim() == {json.dumps(text)} && b.offsetParent);"
        "one?.setAttribute('data-found', ''); return Boolean(one)"
    )
    assert found, browser.texts(f"{within} button")
    browser.click("[data-found]")


def notice(browser: Browser, text: str) -> None:
    """Wait until the page tells something."""
    wait_until(lambda: any(text in one for one in browser.texts(".notice")), lambda: browser.texts(".notice"))


def audit(browser: Browser) -> list[Any]:
    """Return what axe finds wrong with the page that is open."""
    # Evaluated by the driver, so that the policy of the page does not matter.
    browser.run(AXE.read_text() + "; window.axe = axe")
    browser.run(
        "axe.run({runOnly: {type: 'tag', values: "
        "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}})"
        ".then(found => { window.audited = found.violations.map(one => [one.id, one.nodes.map(node => node.html)]); })"
    )
    wait_until(lambda: browser.run("return Boolean(window.audited)"))
    return list(browser.run("return window.audited"))


def test_an_owner_chooses_downloads_deletes_restores_and_moves_files(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], api: Callable[..., Any]
) -> None:
    files = {"a.txt": b"first", "b.txt": b"second", "data/1.csv": b"1,2", "data/2.csv": b"3,4"}
    bucket = make_bucket(**files)
    owner.open(f"{site.url}/buckets/{bucket}")
    assert names(owner) == ["data/", "a.txt", "b.txt"]
    choose(owner, "a.txt", "data/")
    assert owner.texts("[data-count]") == ["Selected: 2"]
    for old in owner.downloads.iterdir():
        old.unlink()
    press(owner, "Download as ZIP")
    wait_until(lambda: [path.suffix for path in owner.downloads.iterdir()] == [".zip"])
    with zipfile.ZipFile(next(owner.downloads.iterdir())) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            key: content for key, content in files.items() if key != "b.txt"
        }
    choose(owner, "data/")
    press(owner, "Delete")
    notice(owner, "a.txt was deleted.")
    assert names(owner) == ["data/", "b.txt"]
    press(owner, "Undo", ".notice")
    wait_until(lambda: names(owner) == ["data/", "a.txt", "b.txt"])
    choose(owner, "data/", "b.txt")
    press(owner, "Delete")
    wait_until(lambda: owner.texts("dialog h2") == ["Delete all that is in these folders?"])
    assert "Files in them: 3." in owner.texts("dialog p")[0]
    press(owner, "Delete", "dialog")
    notice(owner, "Deleted: 3")
    assert names(owner) == ["a.txt"]
    owner.submit("a[href*=deleted]")
    assert names(owner) == ["b.txt", "data/1.csv", "data/2.csv"]
    owner.click("[data-name='data/1.csv']")
    notice(owner, "data/1.csv is there again.")
    assert names(owner) == ["b.txt", "data/2.csv"]
    owner.open(f"{site.url}/buckets/{bucket}")
    choose(owner, "a.txt", "data/")
    press(owner, "Move")
    owner.write("dialog input", "papers/2026")
    press(owner, "Move", "dialog")
    notice(owner, "Moved: 2")
    assert names(owner) == ["papers/"]
    keys = [one["key"] for one in api("GET", f"/{bucket}").json()["contents"]]
    assert keys == ["papers/2026/a.txt", "papers/2026/data/1.csv"]
    assert owner.complaints() == []


def test_an_owner_renames_a_file_restores_and_removes_versions_and_changes_tags(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], api: Callable[..., Any]
) -> None:
    bucket = make_bucket(**{"a.txt": b"first", "b.txt": b"other"})
    api("PUT", f"/{bucket}/a.txt", data=b"the second one")
    owner.open(f"{site.url}/buckets/{bucket}")
    owner.submit("[data-key='a.txt'] .more a")
    assert owner.texts("h1") == ["a.txt"]
    assert owner.texts(".preview pre") == ["the second one"]
    owner.run("window.isLeft = true")
    press(owner, "Restore")
    owner.arrive()
    assert owner.texts(".preview pre") == ["first"]
    assert len(names(owner, "#versions")) == 3
    owner.run("document.querySelectorAll('[data-do=remove-version]')[2].id = 'oldest'")
    owner.click("#oldest")
    wait_until(lambda: owner.texts("dialog h2") == ["Remove this version for good?"])
    # What is dangerous is not a key away.
    assert owner.run("return document.activeElement.innerText") == "Cancel"
    press(owner, "Remove", "dialog")
    notice(owner, "The version was removed.")
    assert len(names(owner, "#versions")) == 2
    press(owner, "Change tags")
    wait_until(lambda: owner.run("return document.querySelectorAll('.tag-row').length") == 1)
    owner.write(".tag-row input", "language")
    owner.write(".tag-row input + input", "en")
    press(owner, "Save", "dialog")
    wait_until(lambda: owner.texts(".tag-list div") == ["language\nen"])
    assert api("GET", f"/{bucket}/a.txt?tags").json() == {"tags": {"language": "en"}}
    press(owner, "Rename or move")
    owner.write("dialog input", "b.txt")
    press(owner, "Rename or move", "dialog")
    wait_until(lambda: owner.texts("dialog .bad") == ["There is a file of this name already. Choose another name."])
    for wrong in ("x/../c.txt", "./c.txt", ".."):
        owner.write("dialog input", wrong)
        press(owner, "Rename or move", "dialog")
        wait_until(lambda: "a dot or two alone" in owner.texts("dialog .bad")[0])
    owner.write("dialog input", "folder/ž & 1.txt")
    owner.run("window.isLeft = true")
    press(owner, "Rename or move", "dialog")
    owner.arrive()
    assert owner.texts("h1") == ["ž & 1.txt"]
    assert owner.texts(".path a") == ["All", "folder"]
    # The browser notes an answer of 412 itself.
    assert [text for text in owner.complaints() if "412" not in text] == []


def test_a_link_is_made_copied_listed_used_and_revoked(
    owner: Browser, firefox: Browser, site: Instance, make_bucket: Callable[..., str]
) -> None:
    bucket = make_bucket(**{"data/1.csv": b"1,2", "secret.txt": b"no"})
    owner.open(f"{site.url}/buckets/{bucket}?prefix=data/")
    owner.click("#links summary")
    owner.write("#link-note", "for Ann")
    press(owner, "Make a link")
    wait_until(lambda: owner.run("return document.querySelector('#new-link')?.value"))
    link = owner.run("return document.querySelector('#new-link').value")
    wait_until(lambda: names(owner, "#links") == ["All in data/"])
    assert owner.texts("#links .note") == ["for Ann"]
    firefox.open(link)
    assert "1.csv" in firefox.texts("body")[0]
    assert "secret" not in firefox.texts("body")[0]
    press(owner, "Revoke")
    notice(owner, "The link gives nothing any more.")
    assert owner.texts(".link-list") == ["No link has been made."]
    assert requests.get(link, timeout=60).status_code == 404
    assert owner.complaints() == []


def test_links_beyond_the_page_are_shown_where_those_on_it_are_revoked(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], api: Callable[..., Any]
) -> None:
    bucket = make_bucket(**{"a.txt": b"1", "b.txt": b"2"})
    # A page has a hundred links of all objects.
    for key in ("a.txt", *["b.txt"] * 100, "a.txt"):
        assert api("POST", f"/{bucket}?links", json={"key": key}).status_code == 201
    owner.open(f"{site.url}/details/{bucket}/a.txt")
    wait_until(lambda: names(owner, "#links") == ["The file a.txt"])
    press(owner, "Revoke", "#links")
    notice(owner, "The link gives nothing any more.")
    assert names(owner, "#links") == []
    press(owner, "Show more", "#links")
    wait_until(lambda: names(owner, "#links") == ["The file a.txt"])
    assert owner.texts("#links .link-list p") == []
    assert owner.complaints() == []


def test_a_name_has_the_width_of_the_phone_in_the_page_of_a_link(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], api: Callable[..., Any]
) -> None:
    bucket = make_bucket(**{"Notes of the meeting, with all that was decided.txt": b"1"})
    link = api("POST", f"/{bucket}?links", json={"prefix": ""}).json()["url"]
    owner.look(375, 812)
    owner.open(link)
    assert owner.run(WIDTH) <= 375
    assert owner.run("return document.querySelector('td').offsetWidth") > 300
    owner.look()


@pytest.mark.parametrize("hours", [1, 47])
def test_a_link_can_be_made_where_none_may_last_for_two_days(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], api: Callable[..., Any], hours: int
) -> None:
    """With the field that the page has then (test_pages)."""
    bucket = make_bucket(**{"a.txt": b"1"})
    owner.open(f"{site.url}/buckets/{bucket}")
    owner.run(
        "const section = document.querySelector('#links'); const copy = section.cloneNode(true);"
        f"Object.assign(copy.dataset, {{seconds: 30 * 86400, mostSeconds: {hours} * 3600}});"
        "copy.querySelector('#link-expires').type = 'datetime-local'; section.replaceWith(copy);"
        "const [{name}] = performance.getEntriesByType('resource').filter(({name}) => /links\\.js/.test(name));"
        "import(name).then(({mountLinks}) => { mountLinks(copy); window.mounted = true; })"
    )
    wait_until(lambda: owner.run("return window.mounted"))
    owner.click("#links summary")
    before = datetime.now(timezone.utc)
    press(owner, "Make a link")
    wait_until(lambda: names(owner, "#links") == ["All in the bucket"], lambda: owner.texts(".notice"))
    (link,) = api("GET", f"/{bucket}?links").json()["contents"]
    lasts = datetime.fromisoformat(link["expires"]) - before
    assert timedelta(hours=hours, minutes=-5) < lasts <= timedelta(hours=hours)


def test_whoever_may_only_upload_makes_no_link_while_the_bucket_is_locked_and_revokes_those_there_are(
    chromium: Browser,
    log_in: Callable[[Browser, str], None],
    site: Instance,
    make_bucket: Callable[..., str],
    api: Callable[..., Any],
) -> None:
    bucket = make_bucket()
    allow(site, bucket, "bucket-update")
    log_in(chromium, READER)
    chromium.open(f"{site.url}/buckets/{bucket}")
    chromium.complaints()
    chromium.click("#links summary")
    press(chromium, "Make a link")
    wait_until(lambda: names(chromium, "#links") == ["Uploads into the bucket"], lambda: chromium.texts(".notice"))
    api("PATCH", f"/{bucket}", json={"locked": True})
    chromium.open(f"{site.url}/buckets/{bucket}")
    wait_until(lambda: names(chromium, "#links") == ["Uploads into the bucket"], lambda: chromium.texts(".notice"))
    chromium.click("#links summary")
    assert chromium.texts("#links details p") == ["The bucket is locked: nothing can be uploaded."]
    press(chromium, "Revoke", "#links")
    notice(chromium, "The link gives nothing any more.")
    assert chromium.complaints() == []


def test_a_page_asks_for_its_styles_and_scripts_once(
    owner: Browser, site: Instance, make_bucket: Callable[..., str]
) -> None:
    sent = (
        "return performance.getEntriesByType('resource').filter(({name}) => name.includes('/files-pages/'))"
        ".map(({transferSize}) => transferSize)"
    )
    owner.open(f"{site.url}/buckets/{make_bucket()}")
    owner.open(f"{site.url}/buckets/{make_bucket()}")
    sizes = owner.run(sent)
    assert (len(sizes) > 30, sum(sizes)) == (True, 0)
    assert owner.complaints() == []


def test_a_reader_in_firefox_sees_and_gets_files_and_is_offered_no_change(
    firefox: Browser, log_in: Callable[[Browser, str], None], site: Instance, make_bucket: Callable[..., str]
) -> None:
    bucket = make_bucket(**{"a.txt": b"hello", "image.png": png(40, 30), "data/1.csv": b"1,2"})
    allow(site, bucket, "bucket-read", "object-read")
    log_in(firefox, READER)
    firefox.open(f"{site.url}/buckets/{bucket}")
    wait_until(lambda: firefox.texts("[data-zip]") == ["Download all as ZIP"])
    assert names(firefox) == ["data/", "a.txt", "image.png"]
    assert firefox.texts("[data-do]") == []
    assert firefox.run("return [...document.querySelectorAll('#uploads, #links')]") == []
    choose(firefox, "a.txt")
    assert firefox.texts("[data-count]") == ["Selected: 1"]
    assert audit(firefox) == []
    assert firefox.complaints() == []
    firefox.submit("[data-key='image.png'] .more a")
    wait_until(lambda: firefox.run("return document.querySelector('.preview img').naturalWidth") == 40)
    assert firefox.texts("[data-do]") == []
    assert firefox.save(f"{site.url}/buckets/{bucket}/a.txt") == "a.txt"


def test_an_owner_in_firefox_deletes_and_has_it_back(
    firefox: Browser, log_in: Callable[[Browser, str], None], site: Instance, make_bucket: Callable[..., str]
) -> None:
    bucket = make_bucket(**{"a.txt": b"1", "b.txt": b"2"})
    log_in(firefox, EMAIL)
    firefox.open(f"{site.url}/buckets/{bucket}")
    choose(firefox, "a.txt")
    press(firefox, "Delete")
    notice(firefox, "a.txt was deleted.")
    assert names(firefox) == ["b.txt"]
    press(firefox, "Undo", ".notice")
    wait_until(lambda: names(firefox) == ["a.txt", "b.txt"])


def test_without_scripts_files_are_found_sorted_chosen_and_uploaded(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], tmp_path: Path
) -> None:
    bucket = make_bucket(**{"a.txt": b"1", "b.txt": b"22", "data/1.csv": b"3"})
    (tmp_path / "new.txt").write_text("new")
    with owner.without_scripts():
        owner.open(f"{site.url}/buckets/{bucket}")
        shown = "return [...document.querySelectorAll('.scripted')].map(one => one.checkVisibility())"
        assert set(owner.run(shown)) == {False}
        assert owner.texts("th.time") == ["Stored (UTC)"]
        owner.submit("th.size a")
        assert names(owner) == ["data/", "b.txt", "a.txt"]
        owner.write("#file", str(tmp_path / "new.txt"))
        owner.submit("#uploads form button")
        assert owner.texts(".message") == ["new.txt is stored."]
        choose(owner, "b.txt")
        for old in owner.downloads.iterdir():
            old.unlink()
        owner.click("[data-zip]")
        wait_until(lambda: [path.suffix for path in owner.downloads.iterdir()] == [".zip"])
        owner.submit("[data-key='a.txt'] .more a")
        assert owner.texts(".preview pre") == ["1"]
    owner.complaints()


def allow(site: Instance, bucket: str, *actions: str) -> None:
    """Allow the reader something."""
    with closing(sqlite3.connect(site.folder / "files.db")) as database:
        database.executemany(
            "INSERT INTO access_actionsusers (action, exclude, argument, user_id) "
            "SELECT ?, 0, ?, id FROM accounts_user WHERE email = ?",
            [(f"files-rest-{action}", bucket, READER) for action in actions],
        )
        database.commit()


def upload(browser: Browser, page: str, *paths: Path) -> None:
    """Choose files on the page of a bucket."""
    browser.open(page)
    wait_until(lambda: browser.texts(".uploads"))
    browser.write(".uploads-drop input[multiple]", "\n".join(map(str, paths)))


def test_who_may_not_list_files_is_asked_before_one_is_replaced(
    chromium: Browser,
    log_in: Callable[[Browser, str], None],
    site: Instance,
    make_bucket: Callable[..., str],
    api: Callable[..., Any],
    tmp_path: Path,
) -> None:
    large, keys = 5 * 1024**2, ("a.txt", "b.txt", "c.txt", "large.bin")
    bucket = make_bucket(**dict.fromkeys(keys, b"old"))
    allow(site, bucket, "bucket-update", "object-read")
    for key in (*keys, "new.txt"):
        (tmp_path / key).write_bytes(b"new" if key != "large.bin" else b"n" * large)
    log_in(chromium, READER)
    upload(chromium, f"{site.url}/buckets/{bucket}", *(tmp_path / key for key in (*keys, "new.txt")))
    asked = ".uploads-question:not([hidden])"
    others = f"{asked} .uploads-for-all"
    wait_until(lambda: "(3)" in "".join(chromium.texts(others)), lambda: chromium.texts(".uploads"))
    assert chromium.texts(f"{asked} h3") == ["There is a file of this name already"]
    assert "There now" not in chromium.texts(asked)[0]
    assert {key: api("GET", f"/{bucket}/{key}").text for key in keys} == dict.fromkeys(keys, "old")
    for answer in ("Skip", "Keep both", "Replace it"):
        (left,) = chromium.texts(f"{asked} .uploads-name")
        press(chromium, answer, asked)
        wait_until(lambda: chromium.texts(f"{asked} .uploads-name") != [left])  # noqa: B023
    press(chromium, "Replace it", asked)
    wait_until(lambda: chromium.texts(".uploads-total") == ["Uploaded: 4 of 4"], lambda: chromium.texts(".uploads"))
    stored = api("GET", f"/{bucket}").json()["contents"]
    assert len(stored) == 6
    assert sum(one["size"] for one in stored) == large + 3 * 5
    assert [text for text in chromium.complaints() if "412" not in text and "404" not in text] == []


@pytest.mark.parametrize("listed", [False, True])
def test_who_may_not_read_files_replaces_them_knowingly(
    chromium: Browser,
    log_in: Callable[[Browser, str], None],
    site: Instance,
    make_bucket: Callable[..., str],
    api: Callable[..., Any],
    tmp_path: Path,
    listed: bool,
) -> None:
    """The server takes no condition from them, which would tell what there is."""
    bucket = make_bucket(**{"a.txt": b"old"})
    allow(site, bucket, "bucket-update", *["bucket-read"] * listed)
    (tmp_path / "a.txt").write_bytes(b"new")
    log_in(chromium, READER)
    upload(chromium, f"{site.url}/buckets/{bucket}", tmp_path / "a.txt")
    assert any("One of the same name is replaced" in text for text in chromium.texts("#uploads p")) != listed
    if listed:
        wait_until(lambda: "already" in "".join(chromium.texts(".uploads-question:not([hidden]) h3")))
        assert "Keep both" not in chromium.texts(".uploads-question")[0]
        press(chromium, "Replace it", ".uploads-question")
    wait_until(lambda: chromium.texts(".uploads-total") == ["Uploaded: 1 of 1"], lambda: chromium.texts(".uploads"))
    versions = api("GET", f"/{bucket}?versions").json()["contents"]
    assert [(one["key"], one["is_head"]) for one in versions] == [("a.txt", True), ("a.txt", False)]
    assert api("GET", f"/{bucket}/a.txt").text == "new"
    chromium.complaints()


def test_of_many_refusals_one_asks_whether_one_is_logged_in(
    owner: Browser, site: Instance, make_bucket: Callable[..., str]
) -> None:
    bucket = make_bucket(**{"a.txt": b"1"})
    owner.open(f"{site.url}/buckets/{bucket}")
    owner.run(
        "const [api] = performance.getEntriesByType('resource').filter(({name}) => /api\\.js/.test(name));"
        "import(api.name).then(({request}) => Promise.all(Array.from({length: 20}, (_, number) =>"
        f"request('GET', `/api/files/{bucket}/gone-${{number}}`).catch(error => error.status))))"
        ".then(all => { window.refused = all; })"
    )
    wait_until(lambda: owner.run("return window.refused") == [404] * 20)
    # More only where the server takes seconds for 20 answers.
    assert owner.run("return performance.getEntriesByName(location.href, 'resource').length") in (1, 2, 3)
    owner.complaints()


def test_a_stranger_finds_nothing(
    chromium: Browser, log_in: Callable[[Browser, str], None], site: Instance, make_bucket: Callable[..., str]
) -> None:
    bucket = make_bucket(**{"secret.txt": b"no"})
    log_in(chromium, STRANGER)
    for page in (f"/buckets/{bucket}", f"/details/{bucket}/secret.txt", f"/buckets/{bucket}?deleted="):
        chromium.open(site.url + page)
        assert chromium.texts("h1") == ["Not Found"]
        assert "secret" not in chromium.texts("main")[0]
    chromium.complaints()


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_what_is_uploaded_runs_nowhere_and_no_script_does_that_is_put_into_a_page(
    request: pytest.FixtureRequest,
    log_in: Callable[[Browser, str], None],
    site: Instance,
    api: Callable[..., Any],
    kind: str,
) -> None:
    browser: Browser = request.getfixturevalue(kind)
    bucket = api("POST", "").json()["id"]
    quoted = {key: requests.utils.quote(key, safe="") for key in UPLOADED}
    for key, content in UPLOADED.items():
        api("PUT", f"/{bucket}/{quoted[key]}", data=content.encode())
    log_in(browser, EMAIL)
    for path in (f"/buckets/{bucket}", *(f"/details/{bucket}/{name}" for name in quoted.values())):
        browser.open(site.url + path)
        assert browser.run("return [window.ran, document.title == 'ran']") == [None, False]
    browser.open(f"{site.url}/details/{bucket}/evil.svg")
    assert browser.texts(".preview pre") == [UPLOADED["evil.svg"]]
    assert browser.run("return document.querySelectorAll('main :is(iframe, object, embed, svg, script)').length") == 0
    for script in (
        f"one.textContent = {json.dumps(EVIL)}",
        f"one.src = '/api/files/{bucket}/evil.js'",
        f"one.type = 'module'; one.src = '/buckets/{bucket}/evil.js'",
    ):
        browser.run(
            "window.blocked = false;"
            "document.addEventListener('securitypolicyviolation', () => { window.blocked = true });"
            f"const one = document.createElement('script'); {script}; document.body.append(one)"
        )
        wait_until(lambda: browser.run("return window.blocked"))
        assert browser.run("return window.ran ?? null") is None
    browser.complaints()


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (375, False), (375, True)])
def test_axe_finds_nothing_wrong(owner: Browser, site: Instance, sample: str, width: int, dark: bool) -> None:
    for name, path in (
        ("bucket", f"/buckets/{sample}"),
        ("file", f"/details/{sample}/README.md"),
        ("deleted", f"/buckets/{sample}?deleted="),
        ("empty", f"/buckets/{sample}?prefix=nothing/"),
    ):
        owner.look(width, 1000 if width > 400 else 812, dark)
        owner.open(site.url + path)
        wait_until(lambda: owner.run("return !document.querySelector('time')?.textContent.startsWith('2026-')"))
        assert owner.run(WIDTH) <= width, path
        if name == "bucket":
            choose(owner, "README.md", "data/")
        assert audit(owner) == [], path
        if IMAGES and (name in ("bucket", "file")):
            if width < 400:
                owner.run("document.querySelector('#listing, .preview').scrollIntoView()")
            looks = "-".join(filter(None, ["phone" * (width < 400), "dark" * dark]))
            owner.screenshot(Path(IMAGES) / f"{'-'.join(filter(None, [name, looks]))}.png")
        if name == "bucket":
            owner.run("document.querySelector('#links details').open = true")
            assert owner.run(WIDTH) <= width, "the form of links"
            press(owner, "Delete")
            wait_until(lambda: owner.texts("dialog h2"))
            assert audit(owner) == [], "dialog"
    owner.look()
    assert owner.complaints() == []


def test_a_page_and_its_scripts_speak_one_language(
    owner: Browser, site: Instance, make_bucket: Callable[..., str]
) -> None:
    bucket = make_bucket(**{"a.txt": b"1"})
    with owner.speaking("de-AT,de;q=0.9"):
        owner.open(f"{site.url}/buckets/{bucket}")
        wait_until(lambda: owner.texts(".link-list") == ["Es gibt noch keinen Link."])
        assert owner.texts(".uploads-drop button") == ["Dateien auswählen", "Ordner auswählen"]
        assert re.fullmatch(r"\d\d\.\d\d\.\d{4}, \d\d:\d\d", owner.texts("td.time")[0]), owner.texts("td.time")
    owner.open(f"{site.url}/buckets/{bucket}")
    wait_until(lambda: owner.texts(".link-list") == ["No link has been made."])
    assert owner.complaints() == []


def test_a_browser_may_name_a_language_that_is_none(
    owner: Browser, site: Instance, make_bucket: Callable[..., str]
) -> None:
    """As Chromium does where the system has the locale "C"."""
    bucket = make_bucket(**{"a.txt": b"1"})
    with owner.speaking("en-US@posix"):
        owner.open(f"{site.url}/buckets/{bucket}")
        assert owner.run("return navigator.languages") == ["en-US@posix"]
        wait_until(lambda: owner.texts(".link-list") == ["No link has been made."])
    assert owner.complaints() == []


@pytest.fixture(scope="module")
def sample(site: Instance) -> str:
    """Return a bucket such as people have."""
    send = partial(requests.request, headers=site.authorization, timeout=60)
    bucket = str(send("POST", f"{site.url}/api/files").json()["id"])
    url = f"{site.url}/api/files/{bucket}"
    text = b"# Measurements of 2026\n\nEach folder holds one campaign.\n\n- data: raw values\n- figures: plots\n"
    for key, content in {
        "README.md": text * 2,
        "spectrum.csv": b"nm,counts\n" * 60_000,
        "overview.png": png(320, 180),
        "report.pdf": b"%PDF-1.7\n" + bytes(2_400_000),
        "archive.tar.gz": bytes(3_700_000),
        "Notes of the meeting in Geneva, with all that was decided there.txt": text,
        "data/2026/01.csv": b"1,2",
        "figures/01.png": png(20, 20),
        "old.txt": b"old",
    }.items():
        assert send("PUT", f"{url}/{requests.utils.quote(key)}", data=content).ok
    tagged = {**site.authorization, "X-Invenio-File-Tags": "language=en&state=draft"}
    assert requests.put(f"{url}/README.md", data=text, headers=tagged, timeout=60).ok
    assert send("DELETE", f"{url}/old.txt").ok
    assert send("PUT", f"{url}?tags", json={"tags": {"project": "Solar spectra"}}).ok
    assert send("PATCH", url, json={"quota_size": 50_000_000}).ok
    return bucket


def test_the_list_is_used_by_keyboard_and_keeps_the_focus(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], api: Callable[..., Any]
) -> None:
    bucket = make_bucket(**{"a.txt": b"1", "b.txt": b"2", "c.txt": b"3"})
    owner.open(f"{site.url}/buckets/{bucket}")
    owner.run("document.querySelector('input[value=\"b.txt\"]').focus()")
    owner.press(" ")
    assert owner.texts("[data-count]") == ["Selected: 1"]
    owner.run("document.querySelector('.toolbar [data-do=delete]').focus()")
    owner.press("\ue007")
    notice(owner, "b.txt was deleted.")
    # The button is hidden as nothing is chosen any more: the heading of the list has the focus.
    assert owner.run("return document.activeElement.id") == "files"
    owner.run("document.querySelector('input[value=\"c.txt\"]').focus()")
    owner.press(" ")
    api("PUT", f"/{bucket}/d.txt", data=b"4")
    # As uploads do when they have ended.
    owner.run("document.getElementById('uploads').dispatchEvent(new CustomEvent('files:changed', {bubbles: true}))")
    wait_until(lambda: names(owner) == ["a.txt", "c.txt", "d.txt"])
    assert owner.run("return [document.activeElement.value, document.activeElement.checked]") == ["c.txt", True]
    owner.look(1200, 500)
    owner.run(
        "const row = document.querySelector('input[value=\"a.txt\"]');"
        "scrollTo(0, row.getBoundingClientRect().top - 10); row.focus()"
    )
    # What stays at the top of the screen does not lie over what has the focus (WCAG 2.2, 2.4.11).
    top, bottom = owner.run(
        "const box = element => element.getBoundingClientRect();"
        "return [box(document.activeElement).top, box(document.querySelector('.toolbar')).bottom]"
    )
    assert top >= bottom > 0
    owner.look()
    choose(owner, "c.txt", "a.txt")
    press(owner, "Move")
    wait_until(lambda: owner.run("return document.activeElement.tagName") == "INPUT")
    owner.press("\ue00c")
    wait_until(lambda: owner.run("return !document.querySelector('dialog')"))
    assert owner.run("return document.activeElement.innerText") == "Move"
    assert owner.complaints() == []


def test_what_is_refused_is_told_and_nothing_is_lost(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], api: Callable[..., Any]
) -> None:
    bucket = make_bucket(**{"a.txt": b"1", "b.txt": b"2", "c.txt": b"3", "d.txt": b"4"})
    owner.open(f"{site.url}/buckets/{bucket}")
    api("DELETE", f"/{bucket}/a.txt")
    choose(owner, "a.txt")
    press(owner, "Delete")
    notice(owner, "It is not there any more")
    assert names(owner) == ["b.txt", "c.txt", "d.txt"]
    api("PUT", f"/{bucket}/b.txt", data=b"by somebody else")
    choose(owner, "b.txt")
    press(owner, "Delete")
    notice(owner, "Somebody has changed it meanwhile.")
    api("PATCH", f"/{bucket}", json={"locked": True})
    press(owner, "Delete")
    notice(owner, "Bucket is locked for modifications.")
    assert "It is locked: nothing can be stored." in owner.texts("#usage")[0]
    assert owner.texts("#listing [data-do]") == []
    api("PATCH", f"/{bucket}", json={"locked": False})
    owner.open(f"{site.url}/buckets/{bucket}")
    choose(owner, "c.txt")
    owner.run("window.send = fetch; window.fetch = () => Promise.reject(new TypeError('away'))")
    press(owner, "Delete")
    notice(owner, "The server cannot be reached.")
    owner.run("window.fetch = window.send")
    assert owner.texts("[data-count]") == ["Selected: 1"]
    owner.forget()
    press(owner, "Delete")
    notice(owner, "You are not logged in any more.")
    assert owner.texts("[data-count]") == ["Selected: 1"]
    assert owner.run("return document.querySelector('.notice a').href").startswith(f"{site.url}/login/?next=")
    assert [one["key"] for one in api("GET", f"/{bucket}").json()["contents"]] == ["b.txt", "c.txt", "d.txt"]
    owner.complaints()


def test_what_a_dialog_has_begun_goes_on_and_is_told_of_though_it_is_closed(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], api: Callable[..., Any]
) -> None:
    bucket = make_bucket(**{"a.txt": b"1", "b.txt": b"2", "taken/b.txt": b"3"})
    owner.open(f"{site.url}/buckets/{bucket}")
    owner.run("const send = fetch; window.fetch = async (...all) => { await window.gate; return send(...all); }")
    for key, folder, told in (("a.txt", "new", "Moved: 1"), ("b.txt", "taken", "There is a file of this name")):
        owner.run("window.gate = new Promise(go => { window.go = go; })")
        choose(owner, key)
        press(owner, "Move")
        owner.write("dialog input", folder)
        press(owner, "Move", "dialog")
        owner.press("\ue00c")
        wait_until(lambda: owner.run("return !document.querySelector('dialog')"))
        owner.run("window.go()")
        notice(owner, told)
    assert names(owner) == ["new/", "taken/", "b.txt"]
    press(owner, "Change tags")
    wait_until(lambda: owner.run("return document.querySelector('.tag-row input') !== null"))
    owner.write(".tag-row input", "__proto__")
    owner.write(".tag-row input + input", "kept")
    press(owner, "Save", "dialog")
    wait_until(lambda: owner.texts(".tag-list div") == ["__proto__\nkept"])
    assert api("GET", f"/{bucket}?tags").json() == {"tags": {"__proto__": "kept"}}
    assert [text for text in owner.complaints() if "412" not in text] == []


@pytest.mark.parametrize("key", ["", "/a.txt"])
def test_tags_of_somebody_else_are_told_and_kept(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], api: Callable[..., Any], key: str
) -> None:
    bucket = make_bucket(**{"a.txt": b"1"})
    tags = f"/{bucket}{key}?tags"
    api("PUT", tags, json={"tags": {"a": "1", "b": "1", "c": "1", "d": "1"}})
    owner.open(f"{site.url}/{f'details/{bucket}{key}' if key else f'buckets/{bucket}'}")
    press(owner, "Change tags")
    wait_until(lambda: owner.run("return document.querySelectorAll('.tag-row').length") == 4)
    owner.write(".tag-row:nth-child(1) input + input", "mine")
    owner.write(".tag-row:nth-child(2) input + input", "mine")
    owner.click(".tag-row:nth-child(4) button")
    api("PUT", tags, json={"tags": {"a": "1", "b": "theirs", "c": "theirs", "d": "1", "e": "theirs"}})
    press(owner, "Save", "dialog")
    wait_until(lambda: "Somebody has changed the tags" in "".join(owner.texts("dialog .bad")))
    fields = (
        "return [...document.querySelectorAll('.tag-row')]"
        ".map(row => [...row.querySelectorAll('input')].map(field => field.value))"
    )
    assert sorted(owner.run(fields)) == [["a", "mine"], ["b", "mine"], ["c", "theirs"], ["e", "theirs"]]
    assert owner.texts(".tag-row small") == ["There now: theirs"]
    assert api("GET", tags).json()["tags"]["b"] == "theirs"
    assert audit(owner) == []
    press(owner, "Save", "dialog")
    wait_until(lambda: owner.texts(".tag-list div") == ["a\nmine", "b\nmine", "c\ntheirs", "e\ntheirs"])
    assert api("GET", tags).json() == {"tags": {"a": "mine", "b": "mine", "c": "theirs", "e": "theirs"}}
    assert [text for text in owner.complaints() if "412" not in text] == []


def test_nothing_is_restored_over_what_somebody_has_stored_meanwhile(
    owner: Browser, site: Instance, make_bucket: Callable[..., str], api: Callable[..., Any]
) -> None:
    bucket = make_bucket(**{"a.txt": b"1", "b.txt": b"2", "c.txt": b"3"})
    api("PUT", f"/{bucket}/c.txt", data=b"second")

    def stored(key: str) -> None:
        api("PUT", f"/{bucket}/{key}", data=b"by somebody else")

    owner.open(f"{site.url}/buckets/{bucket}")
    choose(owner, "a.txt")
    press(owner, "Delete")
    notice(owner, "a.txt was deleted.")
    stored("a.txt")
    press(owner, "Undo", ".notice")
    notice(owner, "Somebody has changed it meanwhile.")
    api("DELETE", f"/{bucket}/b.txt")
    owner.open(f"{site.url}/buckets/{bucket}?deleted=")
    stored("b.txt")
    owner.click("[data-name='b.txt']")
    notice(owner, "Somebody has changed it meanwhile.")
    owner.open(f"{site.url}/details/{bucket}/c.txt")
    stored("c.txt")
    press(owner, "Restore")
    notice(owner, "Somebody has changed it meanwhile.")
    assert {api("GET", f"/{bucket}/{key}").text for key in ("a.txt", "b.txt", "c.txt")} == {"by somebody else"}
    assert [text for text in owner.complaints() if "412" not in text] == []


def test_a_folder_of_several_pages_is_sorted_and_paged(owner: Browser, site: Instance, api: Callable[..., Any]) -> None:
    bucket = api("POST", "").json()["id"]
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        for number in range(KEYS):
            member = tarfile.TarInfo(f"{number:06}.{'csv' if number % 3 else 'txt'}")
            member.size = 1 + number * 7919 % KEYS
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    api("POST", f"/{bucket}?extract", data=body.getvalue())
    owner.open(f"{site.url}/buckets/{bucket}")
    assert len(names(owner)) == 100
    owner.submit("th.size a")
    sizes = "return [...document.querySelectorAll('td.size data')].map(one => Number(one.value))"
    assert owner.run(sizes) == list(range(KEYS, KEYS - 100, -1))
    assert owner.run("return document.querySelector('th.size').ariaSort") == "descending"
    owner.submit("a[rel=next]")
    assert owner.run(sizes) == list(range(KEYS - 100, KEYS - 200, -1))
    owner.submit("th.type a")
    assert set(owner.texts("td.type")) == {"CSV"}
    owner.submit("th.type a")
    assert set(owner.texts("td.type")) == {"TXT"}
    assert owner.complaints() == []
