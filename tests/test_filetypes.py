"""MIME types of names, on this Python and on each other that there is: they read names in different ways."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from invenio_files_rest import filetypes
from invenio_files_rest.filetypes import guess_mimetype

NAMES = {
    "a.txt": "text/plain",
    "A.PDF": "application/pdf",
    "folder/a.png": "image/png",
    "a b & é.html": "text/html",
    "a.json": "application/json",
    "folder.png/a": None,
    "README": None,
    ".txt": None,
    "folder/.txt": None,
    "a.no-such-type": None,
    "a.png.no-such-type": None,
    "a.": None,
    "": None,
    "/": None,
    # A compressed file is what compresses it.
    "a.tar.gz": "application/gzip",
    "a.tgz": "application/gzip",
    "a.txt.gz": "application/gzip",
    "a.svgz": "application/gzip",
    "a.tar.bz2": "application/x-bzip2",
    "a.tar.xz": "application/x-xz",
    "a.tar.Z": "application/x-compress",
    "a.html.br": "application/x-brotli",
    "a.zip": "application/zip",
    # What looks like a URL is a path.
    "ftp://a[b.pdf": "application/pdf",
    "//[.png": "image/png",
    "http://[::1.txt": "text/plain",
    "http://host/a.png?b.html": "text/html",
    "http://host.pdf": "application/pdf",
    "data:image/png,evil.html": "text/html",
    "data:,a.png": "image/png",
    "data:text/html;base64,a": None,
    "data:image/png": None,
    "note: my file #2.pdf": "application/pdf",
    "a.pdf#b": None,
    "a.pdf?b": None,
    "a.html;b.png": "image/png",
    "c:\\a.png": "image/png",
    "javascript:a.png": "image/png",
    # No name is an error.
    "a\nb.txt": "text/plain",
    "a\0.txt": "text/plain",
    "half \ud83d.png": "image/png",
    "%2e.png": "image/png",
    "\u2100//a.pdf": "application/pdf",
    "." * 300: None,
    "a.gz" * 200: "application/gzip",
}
"""Names, and what they tell; ``None`` for nothing."""

PROGRAM = """
import json, runpy, sys
guess = runpy.run_path(sys.argv[1])["guess_mimetype"]
print(json.dumps([guess(name) for name in json.load(sys.stdin)]))
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_last_extension_tells_the_type(name: str) -> None:
    assert guess_mimetype(name) == (NAMES[name] or "application/octet-stream")


@cache
def python(version: str) -> str | None:
    """Return the path of another Python: one of the path, or of pyenv, which hides those that are not chosen."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(f"python{version}"), *sorted(map(str, root.glob(f"versions/{version}.*/bin/python")))]
    for program in filter(None, found):
        result = subprocess.run(
            [program, "-c", "import sys; print(*sys.version_info[:2], sep='.')"], capture_output=True
        )
        if result.stdout.decode().strip() == version:
            return program
    return None


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_every_python_tells_the_same(version: str) -> None:
    program = python(version)
    if program is None:
        pytest.skip(f"There is no Python {version}: what it makes of names is not tested.")
    arguments = [program, "-I", "-c", PROGRAM, filetypes.__file__]
    told = subprocess.check_output(arguments, input=json.dumps(list(NAMES)).encode())
    assert dict(zip(NAMES, json.loads(told), strict=True)) == {
        name: mimetype or "application/octet-stream" for name, mimetype in NAMES.items()
    }
