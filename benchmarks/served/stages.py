"""Tell where the time of a small ``PUT`` and of a small ``GET`` goes inside the application, and print it as JSON.

Some requests are timed, and the waiting for the database and for the disk in them. Others run under cProfile, which
slows all down, so that it only tells how what is left, Python, is shared out among the packages.
"""

from __future__ import annotations

import cProfile
import io
import json
import os
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from application import application
from invenio_db import db
from werkzeug.test import EnvironBuilder

REQUESTS = 1000

PACKAGES = (
    ("SQLAlchemy, psycopg2", r"/(flask_)?sqlalchemy/|/invenio_db/|/psycopg2/"),
    ("this package", r"/invenio_files_rest/"),
    ("marshmallow, webargs", r"/(marshmallow|webargs)/"),
    ("Flask, Werkzeug, Invenio-REST", r"/(flask|werkzeug|invenio_rest|blinker|itsdangerous|flask_login|flask_cors)/"),
)
"""Packages, by what is in the paths of their modules. The standard library counts for who calls it."""

WAITING = re.compile(r"^<.*\b(fsync|execute|commit|rollback)\b.*>$")
"""Built-in functions that wait for the disk or the database."""

_clocks: Counter[str] = Counter()


def timed(clock: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that adds the time it takes to a clock, where the request waits for it."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return function(*args, **kwargs)
        begun = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            _clocks[clock] += time.perf_counter() - begun

    return inner


@contextmanager
def clocks() -> Iterator[Counter[str]]:
    """Measure the time that the block waits for the database and for the disk."""
    dialect = db.engine.dialect
    waits = [(dialect, name, "PostgreSQL") for name in ("do_execute", "do_commit", "do_rollback")]
    waits += [(os, "fsync", "the disk")]
    usual = [getattr(owner, name) for owner, name, _ in waits]
    for owner, name, clock in waits:
        setattr(owner, name, timed(clock, getattr(owner, name)))
    _clocks.clear()
    try:
        yield _clocks
    finally:
        for (owner, name, _), function in zip(waits, usual, strict=True):
            setattr(owner, name, function)


def request(method: str, path: str, body: bytes) -> float:
    """Call the application as a server does, and return the seconds that it takes."""
    environ = EnvironBuilder(path, method=method, input_stream=io.BytesIO(body), content_length=len(body)).get_environ()
    environ["wsgi.multithread"] = environ["wsgi.multiprocess"] = True
    statuses = []
    begun = time.perf_counter()
    answer = application(environ, lambda status, headers, error=None: statuses.append(status))
    try:
        for _ in answer:
            pass
    finally:
        if hasattr(answer, "close"):
            answer.close()
    seconds = time.perf_counter() - begun
    assert statuses == ["200 OK"], statuses
    return seconds


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


def stages(method: str, path: Callable[[int], str], body: bytes) -> dict[str, Any]:
    """Return the seconds of a request, of its waiting, and the shares of the packages in the rest."""
    for number in range(100):
        request(method, path(number), body)
    with clocks() as waited:
        times = [request(method, path(number), body) for number in range(100, REQUESTS)]
        waits = {name: seconds / len(times) for name, seconds in waited.items()}
    with cProfile.Profile() as profile:
        for number in range(REQUESTS, REQUESTS + 300):
            request(method, path(number), body)
    return {"seconds": statistics.fmean(times), "waits": waits, "shares": shares(profile)}


def main() -> dict[str, Any]:
    """Measure both."""
    bucket = application.test_client().post("/files").get_json()["id"]
    body = os.urandom(1024)
    return {
        "PUT": stages("PUT", lambda number: f"/files/{bucket}/{number}", body),
        "GET": stages("GET", lambda number: f"/files/{bucket}/0", b""),
    }


if __name__ == "__main__":
    with application.app_context():
        print(json.dumps(main()))
