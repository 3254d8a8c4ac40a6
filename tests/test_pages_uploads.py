"""Uploads from the page of a bucket: folders, many files, what breaks and goes on, what exists, what is refused.

In a real browser, on the server that run-server.sh starts. ``UPLOAD_FILES`` is the number of files that are dropped at
once.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from helpers.browser import Browser, browsing, needs_browser
from helpers.firefox import browsing_firefox
from helpers.waiting import wait_until
from servers import free_port
from servers.cutting import Cutting, cutting
from servers.instance import EMAIL, Instance, serving
from test_pages_bucket_browser import AXE, audit

pytest.importorskip("invenio_app")
pytestmark = [pytest.mark.slow, needs_browser, pytest.mark.timeout(400)]

FILES = int(os.environ.get("UPLOAD_FILES", "200"))
IMAGES = os.environ.get("SCREENSHOTS")
"""Folder that gets pictures of the panel."""

MIB = 1024**2
PACE = 12 * MIB
"""Bytes a second that get from the browser to the server, on each connection."""

TOTAL, STATUS = ".uploads-total", ".uploads-list [data-state] .uploads-status"
UNFINISHED, QUESTION, AWAY = (
    f".uploads-{name}:not([hidden])" for name in ("unfinished", "question", "overall .message")
)


class Site:
    """The server, which can be killed and started again, and the network before it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._stack = ExitStack()
        self.start()
        self.instance = Instance(f"http://127.0.0.1:{self.port}", folder / "instance")

    def start(self) -> None:
        """Start it, with what it had."""
        options = "--instance", str(self.folder / "instance")
        self._server = self._stack.enter_context(serving(self.folder / "server.log", *options, port=self.port))

    def kill(self) -> None:
        """Kill all its processes."""
        os.killpg(self._server.process.pid, signal.SIGKILL)
        self._server.process.wait()

    def close(self) -> None:
        """Stop it."""
        self._stack.close()

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request to the REST API, as the administrator."""
        url = f"{self.instance.url}/api/files{path}"
        headers = self.instance.authorization | options.pop("headers", {})
        return requests.request(method, url, headers=headers, timeout=60, **options)

    def bucket(self, **changes: Any) -> str:
        """Create a bucket."""
        made = self.api("POST", "").json()["id"]
        if changes:
            assert self.api("PATCH", f"/{made}", json=changes).ok
        return str(made)

    def keys(self, bucket: str) -> dict[str, str]:
        """Return the checksums of the heads of a bucket."""
        return {each["key"]: each["checksum"] for each in self.api("GET", f"/{bucket}").json()["contents"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


@pytest.fixture(scope="module")
def between(site: Site) -> Iterator[Cutting]:
    with cutting(site.port, [], PACE) as between:
        yield between


@pytest.fixture(scope="module")
def anybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(anybody: Browser, site: Site, between: Cutting) -> Iterator[Browser]:
    """Give a browser whose user has logged in as the administrator."""
    anybody.look()
    anybody.become(f"http://127.0.0.1:{between.port}", EMAIL, site.instance.password)
    anybody.complaints()
    yield anybody
    # What a test has left unfinished does not ask whether to leave the page.
    anybody.run("addEventListener('beforeunload', event => event.stopImmediatePropagation(), true)")


@pytest.fixture
def show(browser: Browser, between: Cutting) -> Callable[..., None]:
    """Return a function that opens the page of a bucket."""

    def show(bucket: str, prefix: str = "") -> None:
        browser.open(f"http://127.0.0.1:{between.port}/buckets/{bucket}" + (f"?prefix={prefix}" if prefix else ""))
        wait_until(lambda: browser.texts(".uploads"))

    return show


def picture(browser: Browser, name: str) -> None:
    """Keep pictures of the page: on a desk in light and dark, and on a phone."""
    if IMAGES:
        for kind, width, dark in (("light", 900, False), ("dark", 900, True), ("phone", 375, False)):
            browser.look(width, 900, dark)
            browser.run("document.querySelector('#uploads').scrollIntoView()")
            browser.screenshot(Path(IMAGES) / f"uploads-{name}-{kind}.png")
        browser.look()


def md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data).hexdigest()}"


def write_files(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    """Write files, and return their checksums."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return {name: md5(data) for name, data in files.items()}


def choose(browser: Browser, *paths: Path) -> None:
    """Choose files with the button."""
    browser.write(".uploads-drop input[multiple]", "\n".join(map(str, paths)))


def button(browser: Browser, text: str, within: str = ".uploads") -> None:
    """Click on the first button with a text that one sees."""
    script = (
        f"const found = [...document.querySelectorAll({json.dumps(within + ' button')})].find("
        f"button => button.offsetParent && button.innerText == {json.dumps(text)});"
        "document.getElementById('to-click')?.removeAttribute('id');"
        "if (found) found.id = 'to-click'; return Boolean(found)"
    )
    wait_until(lambda: browser.run(script), lambda: browser.texts(".uploads"))
    browser.click("#to-click")


def ended(browser: Browser, done: int, failed: int = 0) -> Callable[[], bool]:
    """Return a function that tells whether so many uploads have ended."""
    states = "return [...document.querySelectorAll('.uploads-list [data-state]')].map(row => row.dataset.state)"

    def is_ended() -> bool:
        total = " ".join(browser.texts(TOTAL))
        known = not {"sending", "waiting", "checking", "asking", "paused"} & set(browser.run(states))
        return known and total.startswith(f"Uploaded: {done:,} of ") and (f"Failed: {failed}" in total) == (failed > 0)

    return is_ended


def test_a_folder_that_is_dropped_is_uploaded_with_its_folders_and_odd_names(
    browser: Browser, show: Callable[..., None], site: Site, tmp_path: Path
) -> None:
    odd = [".hidden", "deep/žluť 数据 😀.csv", "a\\b.txt", "50%.txt", "q?x=1#y&z.txt", "<b>.html"]
    decomposed = "deep/e\u0301.txt"
    folder = tmp_path / "data set"
    checksums = write_files(folder, {name: name.encode() for name in ["a.txt", "deep/er/b.bin", *odd, decomposed]})
    checksums["deep/\u00e9.txt"] = checksums.pop(decomposed)
    bucket = site.bucket()
    show(bucket, "papers/")
    browser.drop(".uploads-drop", folder, before=lambda: picture(browser, "over"))
    wait_until(ended(browser, len(checksums)), lambda: browser.texts(".uploads"))
    assert site.keys(bucket) == {f"papers/data set/{name}": checksum for name, checksum in checksums.items()}
    assert browser.complaints() == []


def test_many_files_at_once_take_few_rows_and_few_questions_to_the_server(
    browser: Browser, show: Callable[..., None], site: Site, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    checksums = write_files(folder, {f"{number % 7}/{number:05}.txt": b"%d" % number for number in range(FILES)})
    bucket = site.bucket()
    there = list(checksums)[5]
    assert site.api("PUT", f"/{bucket}/many/{there}", data=b"old").ok
    show(bucket)
    browser.run("performance.setResourceTimingBufferSize(100000); window.most = 0; window.changed = 0")
    browser.run("addEventListener('files:changed', () => changed += 1)")
    browser.run(
        "new MutationObserver(() => most = Math.max(most, document.querySelectorAll('.uploads *').length))"
        ".observe(document.querySelector('.uploads'), {childList: true, subtree: true})"
    )
    started = time.monotonic()
    browser.drop(".uploads-drop", folder)
    button(browser, "Skip")
    wait_until(ended(browser, FILES - 1), lambda: browser.texts(".uploads"), 60 + FILES // 20)
    seconds = time.monotonic() - started
    expected = {f"many/{name}": checksum for name, checksum in checksums.items()} | {f"many/{there}": md5(b"old")}
    assert site.keys(bucket) == expected
    assert browser.run("return most") < 600
    assert 1 <= browser.run("return changed") <= seconds
    asked = browser.run(
        "return performance.getEntriesByType('resource').filter(entry => entry.initiatorType == 'fetch').length"
    )
    assert asked <= 10 + FILES // 100


def large(folder: Path, name: str = "large.bin", mib: int = 24) -> tuple[Path, str]:
    """Write a file that goes in pieces, and return its checksum with it."""
    path, data = folder / name, os.urandom(mib * MIB)
    path.write_bytes(data)
    return path, md5(data)


def progress(browser: Browser) -> float:
    """Return which share of the first file has been sent."""
    return float(browser.run("return document.querySelector('.uploads-list progress')?.value ?? 0"))


class Begun(NamedTuple):
    """A large file that is on its way."""

    bucket: str
    path: Path
    checksum: str
    passed: int
    """Bytes that had got to the server before."""


@pytest.fixture
def begin(
    browser: Browser, show: Callable[..., None], site: Site, between: Cutting, tmp_path: Path
) -> Callable[[float], Begun]:
    """Return a function that uploads a large file to a new bucket, and returns when that share of it has been sent."""

    def begin(share: float) -> Begun:
        path, checksum = large(tmp_path)
        begun = Begun(site.bucket(), path, checksum, between.passed)
        show(begun.bucket)
        choose(browser, path)
        wait_until(lambda: progress(browser) > share, lambda: browser.texts(".uploads"))
        return begun

    return begin


def remembered(browser: Browser) -> list[str]:
    """Return what the browser remembers of uploads in the bucket that is open."""
    names = browser.run(
        "return Object.keys(localStorage).filter(name => name.includes(location.pathname.split('/')[2]))"
    )
    return list(names)


def test_an_upload_goes_on_by_itself_where_the_server_is_killed_and_started_again(
    browser: Browser, begin: Callable[[float], Begun], site: Site, between: Cutting, tmp_path: Path
) -> None:
    small = write_files(tmp_path, {f"{number}.txt": b"%d" % number for number in range(3)})
    bucket, path, checksum, passed = begin(0.3)
    site.kill()
    choose(browser, *(tmp_path / name for name in small))
    wait_until(lambda: "cannot be reached" in "".join(browser.texts(AWAY)))
    wait_until(lambda: "cannot be reached" in browser.texts(".uploads-said")[0])
    picture(browser, "away")
    site.start()
    wait_until(ended(browser, 4), lambda: browser.texts(".uploads"), 60)
    assert site.keys(bucket) == {path.name: checksum, **small}
    assert between.passed - passed < 1.7 * path.stat().st_size
    browser.complaints()


def test_after_a_reload_the_same_file_goes_on_where_it_stopped_and_another_one_is_noticed(
    browser: Browser,
    begin: Callable[[float], Begun],
    show: Callable[..., None],
    site: Site,
    between: Cutting,
    tmp_path: Path,
) -> None:
    bucket, path, checksum, passed = begin(0.3)
    leave = "const event = new Event('beforeunload', {cancelable: true}); dispatchEvent(event); return event"
    assert browser.run(f"{leave}.defaultPrevented")
    show(bucket)
    wait_until(lambda: browser.texts(UNFINISHED))
    assert not browser.run(f"{leave}.defaultPrevented")
    (tmp_path / "other").mkdir()
    other, _ = large(tmp_path / "other", mib=5)
    field = ".uploads-unfinished input"
    browser.write(field, str(other))
    picture(browser, "unfinished")
    assert not AXE.exists() or audit(browser) == []
    wait_until(lambda: "is another file" in " ".join(browser.texts(".uploads-unfinished .uploads-status")))
    choose(browser, other)
    wait_until(lambda: "in part" in " ".join(browser.texts(QUESTION)))
    button(browser, "Skip")
    browser.write(field, str(path))
    wait_until(ended(browser, 1), lambda: browser.texts(".uploads"), 60)
    assert site.keys(bucket) == {path.name: checksum}
    assert between.passed - passed < 1.5 * path.stat().st_size
    assert not browser.texts(UNFINISHED)
    assert not remembered(browser)


def test_what_the_server_has_forgotten_is_not_offered_any_more(
    browser: Browser, show: Callable[..., None], site: Site, tmp_path: Path
) -> None:
    bucket = site.bucket()
    show(bucket)
    gone = {"url": f"/api/files/{bucket}?uploadId=00000000-0000-4000-8000-000000000000", "key": "a", "name": "a"}
    kept = "files-upload " + EMAIL + f" /api/files/{bucket} "
    for item in (gone | {"expires": 4e12}, gone | {"url": "expired", "expires": 1}):
        browser.run(f"localStorage[{json.dumps(kept + str(item['url']))}] = {json.dumps(json.dumps(item))}")
    assert len(remembered(browser)) == 2
    show(bucket)
    wait_until(lambda: not remembered(browser))
    assert not browser.texts(UNFINISHED)


def test_an_upload_that_is_paused_sends_nothing_until_it_goes_on_and_one_that_is_cancelled_is_gone(
    browser: Browser, show: Callable[..., None], site: Site, between: Cutting, tmp_path: Path
) -> None:
    # For a picture it has to last until the rate is told.
    mib = 96 if IMAGES else 24
    path, checksum = large(tmp_path, mib=mib)
    given_up, _ = large(tmp_path, "other.bin", mib)
    bucket = site.bucket()
    show(bucket)
    choose(browser, path, given_up)
    wait_until(lambda: progress(browser) > 0.2, lambda: browser.texts(".uploads"))
    if IMAGES:
        wait_until(lambda: all("left" in text for text in browser.texts(STATUS)))
    picture(browser, "running")
    assert not AXE.exists() or audit(browser) == []
    button(browser, "Pause all")
    wait_until(lambda: all("Paused" in text for text in browser.texts(STATUS)))
    wait_until(lambda: between.passed == (time.sleep(0.5), between.passed)[1])
    button(browser, "Cancel", ".uploads-list li:nth-child(2)")
    wait_until(lambda: site.api("GET", f"/{bucket}").json()["size"] == path.stat().st_size)
    button(browser, "Go on")
    wait_until(ended(browser, 1), lambda: browser.texts(".uploads"), 60)
    assert site.keys(bucket) == {path.name: checksum}
    assert browser.texts(TOTAL) == ["Uploaded: 1 of 1"]


@pytest.mark.parametrize("decision", ["Cancel", "Pause all"])
def test_an_upload_whose_beginning_has_not_been_answered_yet_takes_no_room_for_good(
    browser: Browser, show: Callable[..., None], site: Site, tmp_path: Path, decision: str
) -> None:
    path, checksum = large(tmp_path, mib=5)
    bucket = site.bucket()
    show(bucket)
    browser.run(
        """
        const asked = fetch;
        window.fetch = async (url, options = {}) => {
          const answer = await asked(url, options);
          if (options.method === "POST") await new Promise((resolve) => setTimeout(resolve, 3000));
          options.signal?.throwIfAborted();
          return answer;
        };
        """
    )

    def size() -> int:
        return int(site.api("GET", f"/{bucket}").json()["size"])

    choose(browser, path)
    wait_until(lambda: size() == path.stat().st_size)
    if decision == "Cancel":
        button(browser, "Cancel", ".uploads-list")
        wait_until(lambda: size() == 0)
        return
    button(browser, "Pause all")
    wait_until(lambda: all("Paused" in text for text in browser.texts(STATUS)))
    button(browser, "Go on")
    wait_until(ended(browser, 1), lambda: browser.texts(".uploads"), 60)
    assert site.keys(bucket) == {path.name: checksum}
    assert size() == path.stat().st_size


def question(browser: Browser) -> str:
    """Return the question that is open."""
    return " ".join(browser.texts(QUESTION))


def test_a_file_that_exists_is_replaced_kept_beside_or_skipped_as_the_person_says(
    browser: Browser, show: Callable[..., None], site: Site, tmp_path: Path
) -> None:
    bucket = site.bucket()
    names = [*"abcdefg", "z.tar.gz"]
    for name in [*names, "a (2)"]:
        assert site.api("PUT", f"/{bucket}/{name}", data=b"old").ok
    write_files(tmp_path, dict.fromkeys([*names, "h"], b"new"))
    show(bucket)
    choose(browser, *(tmp_path / name for name in [*names, "h"]))
    # Others go on while one is asked about.
    wait_until(lambda: "h" in site.keys(bucket))
    wait_until(lambda: "already" in question(browser) and "(7)" in question(browser), lambda: question(browser))
    picture(browser, "question")
    assert not AXE.exists() or audit(browser) == []
    for answer, following in (("Keep both", "b"), ("Replace it", "c"), ("Skip", "d")):
        button(browser, answer, ".uploads-question")
        wait_until(lambda: f"\n{following}\n" in question(browser), lambda: question(browser))  # noqa: B023
    browser.click("#uploads-all")
    button(browser, "Replace it", ".uploads-question")
    wait_until(ended(browser, 8), lambda: browser.texts(".uploads"))
    old, new = md5(b"old"), md5(b"new")
    replaced = dict.fromkeys([*"bdefg", "z.tar.gz", "h"], new)
    assert site.keys(bucket) == {"a": old, "a (2)": old, "a (3)": new, "c": old, **replaced}


def test_nothing_is_replaced_that_the_person_has_not_seen(
    browser: Browser, show: Callable[..., None], site: Site, tmp_path: Path
) -> None:
    bucket = site.bucket()
    assert site.api("PUT", f"/{bucket}/a", data=b"old").ok
    write_files(tmp_path, {"a": b"new"})
    path, checksum = large(tmp_path, "b.bin")
    show(bucket)
    choose(browser, tmp_path / "a", path)
    wait_until(lambda: progress(browser) > 0.1 and "already" in question(browser), lambda: question(browser))
    for name in ("a", "b.bin"):
        assert site.api("PUT", f"/{bucket}/{name}", data=b"of somebody else").ok
    button(browser, "Replace it", ".uploads-question")
    for name in ("a", "b.bin"):
        wait_until(lambda: f"meanwhile\n{name}" in question(browser).replace("\n\n", "\n"), lambda: question(browser))  # noqa: B023
        assert site.keys(bucket)[name] == md5(b"of somebody else")
        button(browser, "Replace it", ".uploads-question")
    wait_until(ended(browser, 2), lambda: browser.texts(".uploads"), 60)
    assert site.keys(bucket) == {"a": md5(b"new"), "b.bin": checksum}


def test_what_is_refused_is_said_of_each_file_and_the_others_go_on(
    browser: Browser, show: Callable[..., None], site: Site, tmp_path: Path
) -> None:
    bucket = site.bucket(quota_size=6 * MIB)
    long = "x" * 200
    write_files(tmp_path, {"empty": b"", f"{long}/{long}": b"x", "good": b"good", "full": bytes(4 * MIB)})
    path, _ = large(tmp_path)
    assert site.api("PUT", f"/{bucket}/there", data=bytes(3 * MIB)).ok
    show(bucket)
    browser.drop(".uploads-drop", *(tmp_path / name for name in ("empty", long, "good", path.name, "full")))
    wait_until(ended(browser, 1, failed=4), lambda: browser.texts(".uploads"))
    picture(browser, "refused")
    assert not AXE.exists() or audit(browser) == []
    said = " ".join(browser.texts(STATUS))
    for words in ("is empty", "longer than 255 characters", "24.0 MiB, and there is room for 3.0 MiB"):
        assert words in said
    assert set(site.keys(bucket)) == {"there", "good"}


def test_a_file_that_changes_while_it_is_uploaded_is_not_stored(
    browser: Browser, begin: Callable[[float], Begun], site: Site
) -> None:
    bucket, path, *_ = begin(0.1)
    with path.open("r+b") as file:
        file.write(b"other")
    wait_until(ended(browser, 0, failed=1), lambda: browser.texts(".uploads"), 60)
    assert "has changed since it was chosen" in browser.texts(STATUS)[0]
    assert site.keys(bucket) == {}
    browser.complaints()


def test_who_is_logged_out_meanwhile_logs_in_and_goes_on(
    browser: Browser, begin: Callable[[float], Begun], site: Site
) -> None:
    bucket, path, checksum, _ = begin(0.1)
    cookies = browser.cookies()
    browser.forget()
    wait_until(lambda: "not logged in any more" in " ".join(browser.texts(STATUS)), lambda: browser.texts(".uploads"))
    browser.remember(cookies)
    button(browser, "Go on with all")
    wait_until(ended(browser, 1), lambda: browser.texts(".uploads"), 60)
    assert site.keys(bucket) == {path.name: checksum}


def test_a_bucket_that_is_locked_meanwhile_says_so_and_nothing_is_lost(
    browser: Browser, begin: Callable[[float], Begun], site: Site, between: Cutting
) -> None:
    bucket, path, checksum, passed = begin(0.3)
    assert site.api("PATCH", f"/{bucket}", json={"locked": True}).ok
    # A connection that is cut in peace is given up when nothing has moved for half a minute.
    wait_until(ended(browser, 0, failed=1), lambda: browser.texts(".uploads"), 120)
    assert "locked" in browser.texts(STATUS)[0]
    assert site.api("PATCH", f"/{bucket}", json={"locked": False}).ok
    button(browser, "Try again")
    wait_until(ended(browser, 1), lambda: browser.texts(".uploads"), 60)
    assert site.keys(bucket) == {path.name: checksum}
    assert between.passed - passed < 1.5 * path.stat().st_size


def test_firefox_uploads_pauses_and_goes_on_too(
    site: Site, between: Cutting, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, checksum = large(tmp_path)
    small = write_files(tmp_path, {"žluť.txt": b"small", "there": b"new"})
    bucket = site.bucket()
    assert site.api("PUT", f"/{bucket}/there", data=b"old").ok
    url = f"http://127.0.0.1:{between.port}"
    with browsing_firefox(tmp_path_factory.mktemp("firefox")) as browser:
        browser.become(url, EMAIL, site.instance.password)
        browser.open(f"{url}/buckets/{bucket}")
        choose(browser, path, *(tmp_path / name for name in small))
        wait_until(lambda: progress(browser) > 0.2, lambda: browser.texts(".uploads"))
        button(browser, "Pause all")
        wait_until(lambda: "Paused" in browser.texts(STATUS)[0], lambda: browser.texts(".uploads"))
        button(browser, "Replace it")
        browser.open(f"{url}/buckets/{bucket}")
        wait_until(lambda: browser.texts(UNFINISHED), lambda: browser.texts(".uploads"))
        browser.write(".uploads-unfinished input", str(path))
        wait_until(ended(browser, 1), lambda: browser.texts(".uploads"))
    assert site.keys(bucket) == {path.name: checksum, **small}
