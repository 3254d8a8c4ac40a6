"""Tell where the time of a small ``PUT`` and of a small ``GET`` goes inside the application.

Served, it tells with each answer what that took, and what of it was waiting for the database and for the file system.
Run as a program, it calls the application under cProfile, which slows all down, so that it only tells how what is left,
Python, is shared out among the packages; it prints that as JSON.
"""

from __future__ import annotations

import builtins
import cProfile
import io
import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from application import application as served
from invenio_db import db
from werkzeug.test import EnvironBuilder

REQUESTS = 300

PACKAGES = (
    ("SQLAlchemy, psycopg2", r"/(flask_)?sqlalchemy/|/invenio_db/|/psycopg2/"),
    ("this package", r"/invenio_files_rest/"),
    ("marshmallow, webargs", r"/(marshmallow|webargs)/"),
    ("Flask, Werkzeug, Invenio-REST", r"/(flask|werkzeug|invenio_rest|blinker|itsdangerous|flask_login|flask_cors)/"),
)
"""Packages, by what is in the paths of their modules. The standard library counts for who calls it."""

FILE_SYSTEM = ("mkdir", "open", "rename", "fsync")
"""Functions of :mod:`os` that wait for the file system, as the built-in ``open`` does."""

WAITING = re.compile(rf"^<.*\b(io\.open|posix\.({'|'.join(FILE_SYSTEM)})|execute|commit|rollback)\b.*>$")
"""Built-in functions that wait for the file system or the database."""

_request = threading.local()
"""The request that a thread answers: ``waits``, the seconds that it has waited, by what for."""


def timed(clock: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that adds the time it takes to a clock of the request."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            if hasattr(_request, "waits"):
                _request.waits[clock] += time.perf_counter() - begun

    return inner


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with ``Server-Timing`` (W3C): ``app``, all that the application took, and of that ``db`` and ``fs``."""
    _request.waits = Counter()
    told: list[Any] = []
    begun = time.perf_counter()
    answer = served(environ, lambda *args: told.append(args))
    waits = {"app": time.perf_counter() - begun, "db": 0.0, "fs": 0.0} | _request.waits
    status, headers, *error = told[-1]
    timing = ", ".join(f"{name};dur={seconds * 1000:.4f}" for name, seconds in waits.items())
    start_response(status, [*headers, ("Server-Timing", timing)], *error)
    return answer


def request(method: str, path: str, body: bytes) -> None:
    """Call the application as a server does."""
    environ = EnvironBuilder(path, method=method, input_stream=io.BytesIO(body), content_length=len(body)).get_environ()
    environ["wsgi.multithread"] = environ["wsgi.multiprocess"] = True
    statuses = []
    answer = served(environ, lambda status, headers, error=None: statuses.append(status))
    try:
        for _ in answer:
            pass
    finally:
        if hasattr(answer, "close"):
            answer.close()
    assert statuses == ["200 OK"], statuses


def package(path: str) -> str | None:
    """Return whom a module belongs to; ``None`` where it is the standard library's."""
    return next((name for name, pattern in PACKAGES if re.search(pattern, path)), None)


def shares(profile: cProfile.Profile) -> dict[str, float]:
    """Return how the time of Python is shared out among the packages."""
    profile.create_stats()
    seconds: Counter[str] = Counter()
    for (path, _, function), (_, _, own, _, callers) in profile.stats.items():  # type: ignore[attr-defined]
        owner = package(path)
        if owner is not None:
            seconds[owner] += own
            continue
        if WAITING.search(function):
            continue
        for (caller, _, _), (_, _, own_of_caller, _) in callers.items():
            seconds[package(caller) or "the standard library"] += own_of_caller
    total = sum(seconds.values())
    return {name: value / total for name, value in seconds.items()}


def shares_of(method: str, path: Callable[[int], str], body: bytes) -> dict[str, float]:
    """Return how the time of Python in a request is shared out among the packages."""
    for number in range(100):
        request(method, path(number), body)
    with cProfile.Profile() as profile:
        for number in range(100, 100 + REQUESTS):
            request(method, path(number), body)
    return shares(profile)


def main() -> dict[str, Any]:
    """Measure both."""
    bucket = served.test_client().post("/files").get_json()["id"]
    body = os.urandom(1024)
    return {
        "PUT": shares_of("PUT", lambda number: f"/files/{bucket}/{number}", body),
        "GET": shares_of("GET", lambda number: f"/files/{bucket}/0", b""),
    }


with served.app_context():
    if __name__ == "__main__":
        print(json.dumps(main()))
    else:
        for name in ("do_execute", "do_commit", "do_rollback"):
            setattr(db.engine.dialect, name, timed("db", getattr(db.engine.dialect, name)))
        for name in FILE_SYSTEM:
            setattr(os, name, timed("fs", getattr(os, name)))
        builtins.open = timed("fs", open)
