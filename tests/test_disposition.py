"""The names that files get where clients save them."""

# Characters that look like others are what this is about.
# ruff: noqa: RUF001

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from helpers.rest import put, url
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from invenio_files_rest.http.disposition import content_disposition

NAMES = {
    "a b.txt": "a b.txt",
    "a%20b.txt": "a_20b.txt",
    "..%2Fx": ".._2Fx",
    "a\\b.txt": "a_b.txt",
    "..\\b.txt": ".._b.txt",
    "'q' \"r\".txt": "_q_ _r_.txt",
    "数据.pdf": "download.pdf",
    "数据.文件.tar": "download.tar",
    "отчёт v2.pdf": "v2.pdf",
    "\U0001f600": "download",
    "％２Ｆ．txt": "_2F.txt",
    "．．／x": "download._x",
    "．bashrc": "download.bashrc",
    "℀.txt": "a_c.txt",
    "žluť.txt": "zlut.txt",
    ".htaccess": ".htaccess",
    ".数据": "download",
    "x. . ": "x",
}
"""Names, and what they are to a client that knows no ``filename*``."""


def forms(value: str) -> tuple[str, str | None]:
    """Return the plain name, and the other one where it is there."""
    plain, _, extended = value.removeprefix("attachment; filename=").partition("; filename*=")
    name = unquote(extended.removeprefix("UTF-8''"), errors="strict") if extended else None
    return plain.removeprefix('"').removesuffix('"'), name


@pytest.mark.parametrize(("name", "plain"), NAMES.items(), ids=ascii)
def test_a_name_that_clients_read_in_different_ways_comes_in_two_forms(name: str, plain: str) -> None:
    assert forms(content_disposition("attachment", name)) == (plain, None if name == plain else name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "download"),
        (".", "download"),
        ("..", "download"),
        (" . .", "download"),
        ("\0", "download"),
        # A character that is left out leaves nothing hidden behind.
        ("\x01.bashrc", "download.bashrc"),
        # Shown as "annexe.jpg".
        ("ann\u202egpj.exe", "anngpj.exe"),
    ],
    ids=ascii,
)
def test_a_name_that_is_none_or_misleads_is_another(name: str, expected: str) -> None:
    assert content_disposition("attachment", name) == f"attachment; filename={expected}"


def test_joiners_that_words_are_spelled_with_stay() -> None:
    name = "می\u200cخواهم \U0001f468\u200d\U0001f469.txt"
    assert forms(content_disposition("attachment", name)) == ("download.txt", name)


@given(st.text(st.characters() | st.sampled_from("/\\%\"'. ;=aé．／＼％＂‥℀数\u202e\u200b\r\n\0"), max_size=20))
@example("数据.pdf")
def test_the_plain_name_is_always_safe_and_the_whole_name_is_there(name: str) -> None:
    value = content_disposition("attachment", name)
    assert value.isascii()
    assert value.isprintable()
    plain, extended = forms(value)
    assert plain
    assert plain not in (".", "..")
    assert not set(plain) & set("/\\%\"'")
    assert plain == plain.strip(" ").rstrip(". ")
    assert name.startswith(".") or not plain.startswith(".")
    shown = plain if extended is None else extended
    # Werkzeug 3.1.5 takes decoded quotes for those of a quoted string.
    if not (shown.startswith('"') and shown.endswith('"')):
        assert parse_options_header(value) == ("attachment", {"filename": shown})
    assert [char for char in shown if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")] == []
    left_out = set(name) - set(shown)
    assert all(char in ". " or unicodedata.category(char) in ("Cc", "Cs", "Cf", "Zl", "Zp") for char in left_out)


@pytest.mark.usefixtures("allow_all")
def test_a_key_that_ends_with_a_slash_has_the_name_of_its_last_segment(client: Any, bucket: Any) -> None:
    for key, expected in {"a/dir/": "dir", "a/b.bin//": "b.bin", "//": "download"}.items():
        put(client, bucket, key)
        value = client.get(url(bucket, key, download=True)).headers["Content-Disposition"]
        assert value == f"attachment; filename={expected}"


class Names(http.server.BaseHTTPRequestHandler):
    """Files under the names of :data:`NAMES`, by their numbers."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", "0")
        self.send_header("Content-Disposition", content_disposition("attachment", list(NAMES)[int(self.path[1:])]))
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 (http.server's name)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Names) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def saved(command: list[str], folder: Path) -> str:
    """Run a client, and return the only path that it leaves."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed; ./run-tests.sh installs it on Debian")
    folder.mkdir()
    subprocess.run(command, cwd=folder, env=os.environ | {"LC_ALL": "C.UTF-8"}, check=True)
    (path,) = folder.rglob("*")
    return str(path.relative_to(folder))


def test_curl_saves_the_plain_name(server: str, tmp_path: Path) -> None:
    found = {
        name: saved(["curl", "-sSOJ", f"{server}/{number}"], tmp_path / f"{number}")
        for number, name in enumerate(NAMES)
    }
    assert found == NAMES


def test_wget_saves_the_whole_name_in_no_folder(server: str, tmp_path: Path) -> None:
    found = {
        name: saved(["wget", "-q", "--content-disposition", f"{server}/{number}"], tmp_path / f"{number}")
        for number, name in enumerate(NAMES)
    }
    # It takes an escape for one, also where RFC 8187 has none.
    assert found == {name: name for name in NAMES} | {"a%20b.txt": "a b.txt"}
