"""The first hour of a person: the start page, uploads, the administration, and what other sites cannot do to them.

In a real browser, on the server that run-server.sh starts.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from helpers.browser import Browser, browsing, needs_browser
from helpers.waiting import wait_until
from servers.instance import EMAIL, Instance, running_instance

pytest.importorskip("invenio_app")
pytest.importorskip("invenio_admin")
pytestmark = [
    pytest.mark.slow,
    needs_browser,
    pytest.mark.timeout(400),
]

IMAGES = os.environ.get("SCREENSHOTS")
"""Folder that gets pictures of the pages, as the documentation has them."""

VIEWS = ("location", "bucket", "objectversion", "fileinstance", "multipartobject")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with running_instance(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def anybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(anybody: Browser, site: Instance) -> Browser:
    """Give a browser whose user has logged in as the administrator."""
    anybody.look()
    anybody.become(site.url, EMAIL, site.password)
    anybody.complaints()
    return anybody


@pytest.fixture
def picture(browser: Browser) -> Callable[..., None]:
    """Return a function that keeps a picture of a page, where somebody wants it."""

    def picture(name: str, width: int = 1200, height: int = 640, dark: bool = False) -> None:
        if IMAGES:
            browser.look(width, height, dark)
            browser.screenshot(Path(IMAGES) / f"{name}.png")
            browser.look()

    return picture


@pytest.fixture(scope="module")
def bucket(site: Instance) -> str:
    """Return the identifier of a bucket that has files, versions, a deleted file and an upload in progress."""
    api = partial(requests.request, headers=site.authorization, timeout=60)
    made = api("POST", f"{site.url}/api/files").json()
    url = made["links"]["self"]
    for key, size in (("report.pdf", 2_400_000), ("report.pdf", 2_600_000), ("data/2026/žluť.csv", 512), ("old", 9)):
        assert api("PUT", f"{url}/{key}", data=b"x" * size).ok
    assert api("DELETE", f"{url}/old").ok
    assert api("POST", f"{url}/large.iso?uploads&size=20000000&partSize=5242880").ok
    return str(made["id"])


def path_of(browser: Browser) -> str:
    return str(browser.run("return location.pathname"))


def choose(browser: Browser, menu: str, entry: str) -> None:
    """Choose an entry of a menu of the administration, as a person does."""
    script = "return [...document.querySelectorAll('.dropdown-toggle')].findIndex(e => e.innerText.trim() == %s)"
    number = browser.run(script % json.dumps(menu))
    browser.run(f"document.querySelectorAll('.dropdown-toggle')[{number}].id = 'menu-to-open'")
    browser.click("#menu-to-open")
    entries = ".dropdown.open .dropdown-menu a"
    number = browser.texts(entries).index(entry)
    browser.run(f"document.querySelectorAll({json.dumps(entries)})[{number}].id = 'entry-to-choose'")
    browser.click("#entry-to-choose")


def act(browser: Browser, action: str) -> None:
    """Have the administration do something with the rows that are chosen, and wait for its answer."""
    browser.run("window.isLeft = true")
    choose(browser, "With selected", action)
    browser.arrive()


def test_a_person_creates_a_bucket_uploads_a_file_and_downloads_it(
    browser: Browser, picture: Callable[..., None], site: Instance, tmp_path: Path
) -> None:
    assert browser.texts("header nav a") == ["Documentation", "Administration", "Tokens", "Log out"]
    # Who has scripts is shown another way to upload.
    with browser.without_scripts():
        browser.submit("main form button")
        page = str(browser.run("return location.href"))
        for name in ("a & b.txt", "<img src=x onerror=alert(1)>.html", "žluť.txt"):
            (tmp_path / name).write_text(f"This is {name}.")
            browser.write("#file", str(tmp_path / name))
            browser.submit("section form button")
            assert browser.texts(".message") == [f"{name} is stored."]
        assert browser.texts("tbody th") == ["<img src=x onerror=alert(1)>.html", "a & b.txt", "žluť.txt"]
        browser.write("#key", "papers/2026/draft.txt")
        browser.write("#file", str(tmp_path / "a & b.txt"))
        browser.submit("section form button")
        assert browser.texts(".path a") == ["All", "papers", "2026"]
    browser.open(page)
    assert browser.texts("tbody th")[0] == "papers/"
    links = browser.run("return [...document.querySelectorAll('tbody th a')].map(a => a.href)")
    assert browser.save(links[2]) == "a & b.txt"
    assert (browser.downloads / "a & b.txt").read_text() == "This is a & b.txt."
    assert browser.complaints() == []


def test_an_upload_that_is_refused_says_why_and_the_rest_of_it_is_not_stored(
    browser: Browser, site: Instance, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    with browser.without_scripts():
        browser.open(f"{site.url}/buckets/{bucket}")
        browser.write("#file", str(tmp_path / "empty"))
        browser.submit("section form button")
        assert browser.texts("h1") == ["Bad Request"]
        assert "smaller than the minimum" in browser.texts("main")[0]
    browser.complaints()


def test_pages_of_other_modules_that_look_the_same_lead_on(browser: Browser, site: Instance) -> None:
    browser.open(f"{site.url}/account/settings/applications/")
    assert browser.texts(".user") == [EMAIL]
    links = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('header nav a')]"
        ".map(link => [link.innerText, link.getAttribute('href')]))"
    )
    # Whose own variable of that name is a list.
    assert links["Tokens"] == "/account/settings/applications/"
    assert {"Documentation", "Administration", "Log out"} <= set(links)
    browser.open(f"{site.url}/account/settings/applications/tokens/new/")
    assert browser.run("return document.querySelector('[type=checkbox]').offsetWidth") < 30
    browser.forget()
    browser.log_in(f"{site.url}/login/", EMAIL, "wrong")
    assert "is wrong" in "".join(browser.texts("[role=alert]"))
    shown = "return [...document.querySelectorAll('[role=alert] button')].filter(button => button.offsetParent)"
    assert browser.run(shown) == []
    assert "Log in" not in browser.texts("header nav a")


def test_the_home_page_of_the_administration_leads_to_its_views_and_out_of_it(
    browser: Browser, picture: Callable[..., None], site: Instance
) -> None:
    browser.open(f"{site.url}/admin/")
    picture("admin-home")
    assert {"Bucket", "Location", "Object Version"} <= set(browser.texts(".list-group-item h3"))
    assert "Where files are stored." in browser.texts(".list-group-item-text")
    assert browser.complaints() == []
    browser.click(".list-group-item[href$='/location/']")
    browser.arrive()
    assert path_of(browser) == "/admin/location/"
    assert browser.texts(".navbar-right li") == ["Start page", "Documentation", EMAIL, "Log out"]
    browser.click(".navbar-right a")
    browser.arrive()
    assert path_of(browser) == "/"
    browser.open(f"{site.url}/admin/")
    browser.click(".navbar-right a[href*=logout]")
    browser.arrive()
    assert "Log in" in browser.texts("header nav a")


def test_the_documentation_of_this_version_is_there_to_read(browser: Browser, site: Instance) -> None:
    browser.click("header nav a")
    browser.arrive()
    assert path_of(browser) == "/documentation/"
    assert {"REST API", "From nothing to a shared file"} <= set(browser.texts("li a"))
    browser.open(f"{site.url}/documentation/howto/resumable")
    assert browser.texts("pre")[0].startswith("Uploads that go on where they broke")
    assert "in parts" in browser.texts("pre a")
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    browser.look(390, 780)
    # Its lines are broken: who reads prose does not scroll sideways.
    assert browser.run("return document.querySelector('pre').scrollWidth") <= 390
    browser.look()
    assert browser.complaints() == []
    for name in ("nothing", "../README", "%2e%2e/README"):
        assert requests.get(f"{site.url}/documentation/{name}", timeout=60).status_code == 404


def test_pages_do_not_tell_other_sites_where_they_are_and_have_an_icon(site: Instance) -> None:
    for path in ("/", "/buckets/none", "/admin/location/"):
        answer = requests.get(f"{site.url}{path}", headers=site.authorization, allow_redirects=False, timeout=60)
        assert answer.headers["Referrer-Policy"] == "same-origin", path
    icon = requests.get(f"{site.url}/favicon.ico", timeout=60)
    assert (icon.status_code, icon.headers["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")
    assert icon.headers["Cache-Control"] == "max-age=86400, private"


def test_pages_fit_a_phone_and_are_dark_where_one_likes_that(
    browser: Browser, picture: Callable[..., None], site: Instance, bucket: str
) -> None:
    def ground() -> int:
        colour = browser.run("return getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour.strip("rgb()").split(",")))

    for url in (site.url, f"{site.url}/buckets/{bucket}"):
        browser.open(url)
        light = ground()
        if url == site.url:
            picture("start", 820, 460)
        browser.look(390, 780, dark=True)
        assert ground() < light / 4
        assert browser.run("return document.documentElement.scrollWidth") <= 390
        browser.look()


def test_pages_can_be_used_by_keyboard_and_be_read_aloud(browser: Browser, site: Instance, bucket: str) -> None:
    for url in (site.url, f"{site.url}/buckets/{bucket}"):
        browser.open(url)
        assert browser.run("return document.documentElement.lang") == "en"
        assert browser.texts("h1")
        unnamed = "input:not([type=hidden])"
        assert browser.run(f"return [...document.querySelectorAll('{unnamed}')].every(field => field.labels.length)")
        assert browser.run("return [...document.querySelectorAll('nav')].every(nav => nav.ariaLabel)")
        browser.press("\ue004")
        assert browser.run("return document.activeElement.className") == "skip"


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[str]:
    """Give the URL of a page of another origin: on the same machine, so that the browser does send its cookies."""
    (tmp_path / "page.html").write_text("<!doctype html><title>Another site</title>")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/page.html"
        server.shutdown()


def counts(site: Instance) -> tuple[int, int]:
    """Return how many buckets and versions there are."""
    with closing(sqlite3.connect(site.folder / "files.db")) as database:
        count = partial("SELECT count(*) FROM {}".format)
        buckets, objects = (database.execute(count(t)).fetchone()[0] for t in ("files_bucket", "files_object"))
    return buckets, objects


REQUEST = """return fetch(%s, {method: %s, mode: %s, credentials: "include", headers: %s, body: %s})
    .then(answer => answer.status, error => "no answer")"""


def request(browser: Browser, method: str, url: str, mode: str = "cors", headers: Any = None, body: Any = None) -> Any:
    """Send a request from the page that is open, with the cookies that there are for the URL, and return its status."""
    return browser.run(REQUEST % tuple(map(json.dumps, (url, method, mode, headers or {}, body))))


def test_a_session_counts_under_api_in_pages_of_this_site_with_the_token_of_its_cookie(
    browser: Browser, site: Instance, bucket: str
) -> None:
    api = f"{site.url}/api/files/{bucket}"
    browser.open(f"{site.url}/admin/")
    assert request(browser, "GET", api) == 200
    assert request(browser, "PUT", f"{api}/by-session", body="x") == 400
    token = browser.run("return document.cookie.match(/csrftoken=([^;]+)/)[1]")
    assert request(browser, "PUT", f"{api}/by-session", headers={"X-CSRFToken": token}, body="x") == 200
    assert request(browser, "GET", f"{api}/by-session") == 200
    assert request(browser, "PUT", f"{api}/by-session", headers={"X-CSRFToken": token + "x"}, body="x") == 400
    assert request(browser, "DELETE", f"{api}/by-session", headers={"X-CSRFToken": token}) == 204


def test_a_page_of_another_origin_changes_and_reads_nothing_with_the_session(
    browser: Browser, site: Instance, bucket: str, foreign: str
) -> None:
    api, page = f"{site.url}/api/files", f"{site.url}/buckets/{bucket}"
    before = counts(site)
    browser.open(foreign)
    assert "csrftoken" in browser.run("return document.cookie")
    token = browser.run("return document.cookie.match(/csrftoken=([^;]+)/)[1]")
    assert request(browser, "GET", f"{api}/{bucket}") == "no answer"
    for headers in ({}, {"X-CSRFToken": token}):
        for method, url in (("POST", api), ("PUT", f"{api}/{bucket}/evil"), ("DELETE", f"{api}/{bucket}/report.pdf")):
            assert request(browser, method, url, headers=headers, body="x" if method == "PUT" else None) == "no answer"
    # What needs no permission from us is sent, and refused.
    for url in (api, f"{api}/{bucket}/evil?uploads&size=10&partSize=10", f"{site.url}/", page):
        assert request(browser, "POST", url, mode="no-cors") == 0
    for action, fields in ((f"{site.url}/", ""), (api, ""), (page, "<input name=key value=evil>")):
        browser.open(foreign)
        form = f"<form method=post enctype=multipart/form-data action='{action}'>{fields}<input type=file name=file>"
        browser.run(f"document.body.innerHTML = {json.dumps(form)}; window.isLeft = true")
        browser.run(
            "const file = new DataTransfer(); file.items.add(new File(['x'], 'evil.txt'));"
            "document.querySelector('[type=file]').files = file.files; document.forms[0].submit()"
        )
        browser.arrive()
        said = browser.run("return document.body.innerText")
        assert any(word in said for word in ("by a page of another site", "CSRF")), said
    assert counts(site) == before
    browser.complaints()


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_the_administration_lists_fits_sorts_filters_and_shows_details(
    browser: Browser, picture: Callable[..., None], site: Instance, bucket: str, view: str
) -> None:
    browser.open(f"{site.url}/admin/{view}/")
    assert len(browser.texts(".model-list tbody tr, .model-list > tr")) >= 1
    assert browser.run(
        "const box = document.querySelector('.table-responsive'); return box.scrollWidth <= box.clientWidth"
    )
    assert browser.run("return getComputedStyle(document.querySelector('.navbar')).borderColor") != "rgb(0, 0, 0)"
    picture(f"admin-{view}")
    browser.submit("th.column-header a")
    assert "sort=" in browser.run("return location.search")
    choose(browser, "Add Filter", browser.run("return document.querySelector('.field-filters a').textContent"))
    assert browser.run("return document.querySelectorAll('.filters .filter-val').length") == 1
    browser.write(".filters input.filter-val", "00000000-0000-4000-8000-000000000000")
    browser.submit("#filter_form button[type=submit]")
    assert "flt" in browser.run("return location.search")
    assert browser.texts("#filter_form .remove-filter")
    browser.open(f"{site.url}/admin/{view}/")
    browser.submit(".list-buttons-column a")
    assert path_of(browser) == f"/admin/{view}/details/"
    assert len(browser.texts(".searchable tr")) >= 5
    assert browser.complaints() == []


def test_a_bucket_leads_to_its_objects_and_these_to_their_file_versions_and_download(
    browser: Browser, site: Instance, bucket: str
) -> None:
    browser.open(f"{site.url}/admin/bucket/details/?id={bucket}")
    browser.submit(".searchable a")
    assert path_of(browser) == "/admin/objectversion/"
    assert browser.texts(".filters .remove-filter") == ["\u00d7\u00a0Bucket"]
    keys = browser.texts("td.col-key")
    assert {"report.pdf", "data/2026/žluť.csv", "old"} <= set(keys)
    assert {"2.5 MiB", "2.3 MiB"} <= set(browser.texts("td .size"))
    assert set(browser.texts("td.col-is_head")) == {"yes", "no"}
    row = keys.index("data/2026/žluť.csv")
    links = browser.run(
        f"return [...document.querySelectorAll('td.col-links')[{row}].querySelectorAll('a')].map(a => a.href)"
    )
    file = browser.run(f"return document.querySelectorAll('td[class*=\"col-file.id\"]')[{row}].querySelector('a').href")
    browser.open(links[0])
    assert browser.texts("td.col-key") == ["data/2026/žluť.csv"]
    assert browser.save(links[1]) == "žluť.csv"
    browser.open(file)
    assert path_of(browser) == "/admin/fileinstance/details/"
    browser.submit(".searchable a")
    assert browser.texts("td.col-key") == ["data/2026/žluť.csv"]
    assert browser.complaints() == []


def test_limits_and_lock_of_a_bucket_are_changed_by_its_form(
    browser: Browser, picture: Callable[..., None], site: Instance, bucket: str
) -> None:
    browser.open(f"{site.url}/admin/bucket/edit/?id={bucket}")
    picture("admin-bucket-edit")
    browser.write("#quota_size", "10737418240")
    browser.click("#locked")
    browser.submit("form.admin-form [type=submit]")
    assert "10.0 GiB" in browser.texts("td.col-quota_size")
    assert "yes" in browser.texts("td.col-locked")
    browser.open(f"{site.url}/admin/bucket/edit/?id={bucket}")
    browser.click("#locked")
    browser.submit("form.admin-form [type=submit]")
    assert set(browser.texts("td.col-locked")) == {"no"}
    assert browser.complaints() == []


def test_a_location_is_created_made_the_default_and_deleted_after_a_question(
    browser: Browser, site: Instance, bucket: str
) -> None:
    browser.open(f"{site.url}/admin/location/new/")
    browser.write("#name", "second")
    browser.write("#uri", str(site.folder / "data" / "second"))
    browser.submit("form.admin-form [type=submit]")
    names = browser.texts("td.col-name")
    assert sorted(names) == ["local", "second"]
    for name in ("second", "local"):
        row = browser.texts("td.col-name").index(name)
        browser.run(f"document.querySelectorAll('.action-checkbox')[{row}].click()")
        act(browser, "Make default")
        assert dict(zip(browser.texts("td.col-name"), browser.texts("td.col-default"), strict=True))[name] == "yes"
    row = browser.texts("td.col-name").index("second")
    browser.run(f"document.querySelectorAll('form.icon button')[{row}].id = 'delete'")
    browser.click("#delete")
    assert browser.accept() == "Are you sure you want to delete this record?"
    wait_until(lambda: browser.texts("td.col-name") == ["local"])
    assert browser.complaints() == []


def test_a_verification_goes_to_the_background_and_its_outcome_is_seen(
    browser: Browser, picture: Callable[..., None], site: Instance, bucket: str
) -> None:
    [damaged] = [path for path in (site.folder / "data").rglob("data") if path.stat().st_size == 512]
    damaged.chmod(0o600)
    damaged.write_bytes(b"y" * 512)
    page = f"{site.url}/admin/fileinstance/"
    browser.open(page)
    browser.click(".action-rowtoggle")
    act(browser, "Verify checksum")
    assert any("on its way" in text for text in browser.texts(".alert"))

    def outcome() -> str:
        browser.open(page)
        return browser.texts("#verification")[0]

    wait_until(lambda: "so far" not in outcome())
    checked = browser.texts("td.col-last_check")
    assert (checked.count("damaged"), set(checked)) == (1, {"good", "damaged", "not complete"})
    assert "The bytes of the file have changed." in browser.texts("#verification")[0]
    picture("admin-verification")
    browser.submit("#verification a")
    assert "damaged" in browser.texts(".searchable .label")
    assert browser.complaints() == []
