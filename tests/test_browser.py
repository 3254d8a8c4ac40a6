"""What somebody has uploaded does nothing in a page of the same origin: in a real browser, behind a real nginx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.browser import Browser, browsing, needs_browser
from servers import free_port
from servers.nginx import Redirecting, documented, needs_nginx, redirecting, running_nginx

pytestmark = [pytest.mark.slow, needs_nginx, needs_browser]

UPLOADED = {
    "script.js": "self.ran?.push('script'); self.postMessage?.call(self, 'worker', ...(self.document ? ['*'] : []));",
    "module.js": "ran.push('module');",
    "style.css": ":root { --ran: yes; }",
    "page.html": "<title>no</title><script>top.ran?.push('frame'); document.title = 'ran';</script>",
    "page.xhtml": "<html xmlns='http://www.w3.org/1999/xhtml'><script>top.ran?.push('xhtml')</script></html>",
    "image.svg": "<svg xmlns='http://www.w3.org/2000/svg'><script>top.ran?.push('svg')</script></svg>",
}
"""Files that run where they are taken for what they are."""

PAGE = """<!doctype html><title>A page of the site</title>
<script>var ran = [];</script>
<link rel="stylesheet" href="FILES/style.css">
<script src="FILES/script.js"></script>
<script type="module" src="FILES/module.js"></script>
<iframe src="FILES/page.html"></iframe>
<iframe src="FILES/page.xhtml"></iframe>
<object data="FILES/image.svg" type="image/svg+xml"></object>
<script>
  const loaded = new Promise(resolve => addEventListener("load", resolve));
  const worker = new Promise(resolve => {
    const worker = new Worker("FILES/script.js");
    worker.onmessage = event => resolve(ran.push(event.data));
    worker.onerror = resolve;
  });
  const service = navigator.serviceWorker.register("FILES/script.js").then(() => ran.push("service"), () => {});
  var settled = Promise.all([loaded, worker, service]).then(() => {
    if (getComputedStyle(document.documentElement).getPropertyValue("--ran")) ran.push("style");
    return [...new Set(ran)].sort();
  });
</script>
"""
"""A page that takes each of them for what it is."""

STATIC = """
    location /static/ {
        alias FOLDER/static/;
        types {
            application/xhtml+xml xhtml;
            image/svg+xml svg;
            text/css css;
            text/html html;
            text/javascript js;
        }
    }
}
"""
"""Pages of the site itself."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def files(folder: Path) -> Iterator[Redirecting]:
    with redirecting(folder) as files:
        yield files


@pytest.fixture(scope="module")
def site(folder: Path, files: Redirecting) -> Iterator[str]:
    """Give the URL of a site that has pages of its own and, in two buckets, what somebody has uploaded."""
    static = folder / "static"
    static.mkdir()
    for name, content in UPLOADED.items():
        (static / name).write_text(content)
    for name, location in {"accelerated": "plain", "direct": "unmapped"}.items():
        for key, content in UPLOADED.items():
            files.store(key, content.encode(), location)
        (static / f"{name}.html").write_text(PAGE.replace("FILES", files.path("", location).rstrip("/")))
    (static / "own.html").write_text(PAGE.replace("FILES", "/static"))
    port = free_port()
    configuration = documented(folder, port, files.url).rstrip().removesuffix("}")
    with running_nginx(folder, port, configuration + STATIC.replace("FOLDER", str(folder))) as url:
        yield url


def what_ran(browser: Browser, page: str) -> list[str]:
    browser.open(page)
    return list(browser.run("return settled"))


def test_a_page_runs_the_files_of_its_own_site(browser: Browser, site: str) -> None:
    expected = ["frame", "module", "script", "service", "style", "svg", "worker", "xhtml"]
    assert what_ran(browser, f"{site}/static/own.html") == expected


@pytest.mark.parametrize("page", ["accelerated", "direct"])
def test_what_is_uploaded_does_not_run_in_a_page_of_the_same_origin(browser: Browser, site: str, page: str) -> None:
    assert what_ran(browser, f"{site}/static/{page}.html") == []


@pytest.mark.parametrize("location", ["plain", "unmapped"])
@pytest.mark.parametrize("key", ["page.html", "page.xhtml", "image.svg"])
def test_what_is_uploaded_is_shown_as_text(
    browser: Browser, site: str, files: Redirecting, key: str, location: str
) -> None:
    browser.open(site + files.path(key, location))
    assert browser.run("return document.title") == ""
    assert browser.run("return document.contentType") == "text/plain"
    assert browser.run("return document.body.innerText") == UPLOADED[key]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a%20b.txt", "a%20b.txt"),
        ("folder/数据.pdf", "数据.pdf"),
        ("žluť.txt", "žluť.txt"),
        # No file has a backslash in its name on every system.
        ("a\\b.txt", "a_b.txt"),
    ],
    ids=json.dumps,
)
def test_a_download_is_saved_under_its_name(
    browser: Browser, site: str, files: Redirecting, key: str, name: str
) -> None:
    assert browser.save(f"{site}{files.store(key, b'content')}?download") == name
