"""The scripts of uploads that need no page: names as the server takes them, and which keys exist, in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from invenio_files_rest import pages
from invenio_files_rest.errors import InvalidKeyError
from invenio_files_rest.keys import paths_of, validate_new_key

MODULES = Path(pages.__file__).parent / "static" / "uploads"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed; ./run-tests.sh installs it on Debian")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the modules under names by which Node takes them for what they are."""
    for name in ("names", "existing"):
        text = (MODULES / f"{name}.js").read_text().replace('.js"', '.mjs"')
        (tmp_path / f"{name}.mjs").write_text(text)
    return tmp_path


def run(folder: Path, script: str, argument: Any) -> Any:
    """Run a script that has an argument as ``given``, and return what it prints as JSON."""
    (folder / "script.mjs").write_text(f"const given = {json.dumps(argument)};\n{script}")
    return json.loads(subprocess.check_output([str(NODE), "script.mjs"], cwd=folder))


NAMES = [
    *(
        "a",
        "a/b",
        ".hidden",
        "..x",
        "a/..b",
        ".",
        "..",
        "a/./b",
        "../a",
        "a/..",
        "a\\b",
        "a//b",
        "%2E",
        "ž 数据 😀?#[]@:'",
    ),
    *("x" * 255, "x" * 256, "😀" * 255, "😀" * 256, "a\0b", "\ud800", "(*)!~;,=+$&"),
]


def test_the_page_refuses_the_names_that_the_server_refuses(app: Flask, folder: Path) -> None:
    def takes(key: str) -> bool:
        try:
            return bool(validate_new_key(key))
        except InvalidKeyError:
            return False

    script = """import { refusalOfName } from "./names.mjs";
        console.log(JSON.stringify(given.map((key) => refusalOfName(key, 255) === null)));"""
    assert dict(zip(NAMES, run(folder, script, NAMES), strict=True)) == {key: takes(key) for key in NAMES}


def test_the_page_names_keys_in_urls_as_the_server_reads_them(folder: Path) -> None:
    names = [name for name in NAMES if "\ud800" not in name and paths_of(name)[0] == paths_of(name)[1]]
    script = """import { pathOf } from "./names.mjs";
        console.log(JSON.stringify(given.map((key) => new URL("http://h/" + pathOf(key)).pathname.slice(1))
            .map(decodeURIComponent)));"""
    assert run(folder, script, names) == names


def test_a_name_beside_another_one_has_a_number_before_its_type(folder: Path) -> None:
    script = """import { keyBeside } from "./names.mjs";
        console.log(JSON.stringify(given.map(([key, taken]) => keyBeside(key, (one) => taken.includes(one), 20))));"""
    expected = {
        "a.txt": "a (2).txt",
        "d.e/a": "d.e/a (2)",
        "a.tar.gz": "a (2).tar.gz",
        ".hidden": ".hidden (2)",
        "folder/" + "x" * 11 + ".c": "folder/xxxxxxx (2).c",
        "b.txt": "b (4).txt",
    }
    given = [[key, ["b (2).txt", "b (3).txt"]] for key in expected]
    assert dict(zip(expected, run(folder, script, given), strict=True)) == expected


def test_keys_that_exist_are_found_with_few_requests(folder: Path) -> None:
    there = [f"data/{number:06}.txt" for number in range(20_000)] + ["data/\uffff", "data/😀", "e"]
    dense = [f"data/{number:06}.{kind}" for number in range(2000) for kind in ("txt", "new")]
    sparse = ["a", "data/000000.txt", "data/009999.txt", "data/019999.tx", "data/\uffff", "data/😀", "data/😀x", "z"]
    script = """import { findExisting } from "./existing.mjs";
        import { compareKeys } from "./names.mjs";
        const there = given.there.sort(compareKeys);
        const answers = [];
        for (const wanted of given.wanted) {
            let requests = 0;
            const list = async (query) => {
                requests += 1;
                const follows = (key) => compareKeys(key, query["start-after"]) > 0;
                const found = there.filter((key) => key.startsWith(query.prefix) && follows(key));
                const contents = found.slice(0, Number(query["max-keys"])).map((key) => ({ key }));
                return { contents, links: found.length > contents.length ? { next: "more" } : {} };
            };
            answers.push([[...(await findExisting(list, wanted)).keys()], requests]);
        }
        console.log(JSON.stringify(answers));"""
    answers = run(folder, script, {"there": there, "wanted": [dense, sparse, ["nothing"]]})
    for (found, requests), wanted, most in zip(answers, (dense, sparse, ["nothing"]), (5, 9, 1), strict=True):
        assert set(found) == set(there) & set(wanted)
        assert requests <= most
