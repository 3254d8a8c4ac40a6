"""Styles and scripts of the pages, under URLs that change with them, so that browsers need not ask for them again."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from flask import Response, request, send_from_directory

FOLDER = Path(__file__).parent / "static"

PATH = "/files-pages"
"""Path of their URLs, followed by a digest of all of them: scripts import each other by relative URLs."""

YEAR = 31536000
"""For how many seconds they are kept."""

State = tuple[int, int]
"""When a file was last changed, in nanoseconds since the epoch, and its size in bytes."""


def _state(path: Path) -> State:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@cache
def _installed() -> tuple[str, dict[str, State]]:
    """Return the digest of the names and contents of the files, and the state that each was in."""
    digest, states = sha256(), {}
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        name = path.relative_to(FOLDER).as_posix()
        states[name] = _state(path)
        digest.update(f"{name}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16], states


def current_path() -> str:
    """Return the path of the URLs of the files that were there when the process first asked."""
    return f"{PATH}/{_installed()[0]}"


def keep_for_long(response: Response) -> None:
    """Have browsers keep a file that is the one that its URL means, and not what an upgrade has put there since.

    What people share keeps none, as the application may set the cookie of a session with any answer.

    :param response: The answer to a request for a URL below :func:`current_path`.
    """
    name = (request.view_args or {})["filename"]
    if _installed()[1].get(name) == _state(FOLDER / name):
        caching = response.cache_control
        caching.no_cache, caching.private, caching.max_age, caching.immutable = None, True, YEAR, True


def send_of_another_release(release: str, filename: str) -> Response:
    """Send the file of a page that another release has made, before or during an upgrade. It is as it is here.

    :param release: The digest that the page has.
    :param filename: Its name.
    """
    # For as long as the servers differ: nobody keeps it under a URL that means another one.
    return send_from_directory(FOLDER, filename, max_age=0)
