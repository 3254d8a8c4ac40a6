"""Measure small requests in an Invenio application as people run it: ``python -m benchmarks.instance``.

Invenio-App serves accounts, tokens of Invenio-OAuth2Server, grants of Invenio-Access and files, on PostgreSQL, under
uWSGI with two processes of four threads. A user who has been granted what he does with the bucket, and is no superuser,
comes with a token and a new connection for each request. The published 6.1.0 serves the same application, in turns; it
is installed into an environment of its own, ``.venv-benchmark``, unless ``--peer`` names an interpreter that has it.

Beside ours and 6.1.0 two floors take turns in ``PUT`` and ``GET``, served by the same processes as ours: an empty
answer after the token has been checked, and the bare statements besides. What they are of 6.1.0 is the most that any
module could be.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from invenio_files_rest import __version__

from . import ROOT, history, report
from .contestants import Contestant, counted, instance
from .cpu import taken
from .machine import describe
from .measures import Measure, at_once, run, say
from .services import with_postgresql

PUBLISHED = (
    "invenio-files-rest==6.1.0",
    "invenio-access",
    "invenio-app",
    "invenio-db[postgresql]",
    "invenio-oauth2server",
    "pyuwsgi",
)

REQUESTS = ("PUT", "GET", "HEAD, 304", "DELETE", "page of 100")

CLIENTS = (1, 4)

AIMS = {"PUT": 2.0, "GET": 1.7}
"""How many times what 6.1.0 does is aimed at, of a request."""

TOKEN_ALONE, BARE = "token alone", "token, bare statements"

BODY = os.urandom(1024)

_READY = """
INSERT INTO files_object (created, updated, version_id, key, bucket_id, file_id, is_head)
SELECT now(), now(), gen_random_uuid(), :prefix || number, bucket_id, file_id, true
FROM files_object, generate_series(0, :objects - 1) AS number
WHERE bucket_id = :bucket AND key = 'small' AND is_head
"""

_numbers = itertools.count()

CPU_PARTS = ("server", "PostgreSQL", "client")

Used = dict[str, list[dict[str, float]]]
"""For each server, of each turn, the rate of requests, and how much each takes of a core."""

Work = Callable[[int, int], Any]
"""Sends a request: called with the number of the client, and with how many it has sent."""


def published() -> str:
    """Install the published version beside the packages of this environment, and return its interpreter."""
    folder = ROOT / ".venv-benchmark"
    python, stamp = folder / "bin" / "python", folder / "installed"
    ours = sorted(f"{one.name}=={one.version}" for one in distributions() if "files" not in one.name)
    wanted = "\n".join((*PUBLISHED, *ours))
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"installing {PUBLISHED[0]} into {folder.name}")
        venv.create(folder, with_pip=True)
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(ours))
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--constraint", constraints, *PUBLISHED], check=True)
        stamp.write_text(wanted)
    return str(python)


def requests_to(server: Contestant, clients: int, ready: int) -> dict[str, Work]:
    """Return the requests that are measured, each with a key of its own where it changes something.

    :param server: The server.
    :param clients: Number of clients.
    :param ready: How many objects there are to be deleted by each client.
    """
    turn = next(_numbers)
    with server.client() as client:
        client.expect(200, "PUT", f"{server.path}/small", BODY)
        client.expect(200, "GET", f"{server.path}/small")
        known = {"If-None-Match": client.headers.get("ETag", "*")}
    if ready:
        _make_ready(server, [f"delete-{turn}-{number}-" for number in range(clients)], ready)

    def send(status: int, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
        with server.client() as client:
            client.sent |= headers
            client.expect(status, method, path, body)

    return {
        "PUT": lambda client, done: send(200, "PUT", f"{server.path}/put-{turn}-{client}-{done}", BODY),
        "GET": lambda client, done: send(200, "GET", f"{server.path}/small"),
        "HEAD, 304": lambda client, done: send(304, "HEAD", f"{server.path}/small", **known),
        "DELETE": lambda client, done: send(204, "DELETE", f"{server.path}/delete-{turn}-{client}-{done}"),
        "page of 100": lambda client, done: send(200, "GET", f"/files/{server.setup['listed']}"),
    }


def _make_ready(server: Contestant, prefixes: list[str], objects: int) -> None:
    engine = create_engine(server.environment["BENCHMARK_DATABASE"])
    with engine.begin() as connection:
        for prefix in prefixes:
            values = {"prefix": prefix, "objects": objects, "bucket": server.setup["bucket"]}
            connection.execute(text(_READY), values)
    engine.dispose()


def rates(name: str, clients: int, seconds: float, used: Used) -> Callable[[Contestant], float]:
    """Return the measure of a request.

    :param name: Its name.
    :param clients: Number of clients at once.
    :param seconds: How long they send it.
    :param used: Gets what it takes of the processors, by name of the server.
    """

    def take(server: Contestant) -> float:
        # No server deletes more than a thousand in a second.
        ready = int(1000 * seconds) if name == "DELETE" else 0
        work = requests_to(server, clients, ready)[name]
        begun = time.perf_counter()
        with taken(server.pid) as cpu:
            rate = at_once(clients, seconds, work)
        passed = time.perf_counter() - begun
        shares = {who: part / passed for who, part in cpu.items()}
        used.setdefault(server.name, []).append({"rate": rate, **shares})
        return rate

    return take


def processors(used: Used) -> dict[str, dict[str, float]]:
    """Return, for each server, the milliseconds of CPU of a request by who takes them, and how many cores are busy.

    :param used: What :func:`rates` has noted.
    """
    found = {}
    for name, turns in used.items():
        mean = {key: statistics.fmean(turn.get(key, 0.0) for turn in turns) for key in ("rate", *CPU_PARTS)}
        parts = {part: 1000 * mean[part] / mean["rate"] for part in CPU_PARTS}
        found[name] = parts | {"cores busy": sum(mean[part] for part in CPU_PARTS)}
    return found


def processors_table(results: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of what requests take of the processors."""
    rows = [["Milliseconds of CPU", "Who", *CPU_PARTS, "Cores busy"]]
    for measure, by_server in results["processors"].items():
        for name, found in sorted(by_server.items(), key=lambda item: item[0] != "ours"):
            parts = (f"{found[part]:.1f}" for part in CPU_PARTS)
            rows.append([measure, name, *parts, f"{found['cores busy']:.2f}"])
    return rows


def counts(folder: Path, server: Contestant, names: Sequence[str] = REQUESTS) -> dict[str, dict[str, int]]:
    """Return how many statements and round trips requests take, the second time that they are sent.

    :param folder: Folder of all files.
    :param server: The server.
    :param names: Names of the requests.
    """
    found = {}
    with counted(folder, server) as (again, wire):
        work = requests_to(again, 1, 2 if "DELETE" in names else 0)
        for name in names:
            for done in range(2):
                wire.taken()
                work[name](0, done)
            found[name] = wire.taken()
    return found


def floors(server: Contestant) -> list[Contestant]:
    """Return the floors that the processes of a server have.

    :param server: The server.
    """
    return [
        replace(server, name=TOKEN_ALONE, path="/nothing"),
        replace(server, name=BARE, path=f"/bare/{server.setup['bucket']}"),
    ]


def ceilings_table(results: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of what any module could reach: each in times of 6.1.0, round by round."""
    rows = [["Times 6.1.0", "Aim", "ours", BARE, TOKEN_ALONE]]
    for measure in results["side by side"]:
        values = measure["values"]
        if BARE not in values:
            continue
        published = next(name for name in values if name not in ("ours", BARE, TOKEN_ALONE))
        row = [measure["name"], f"{AIMS[measure['name'].partition(',')[0]]:g}"]
        for name in ("ours", BARE, TOKEN_ALONE):
            compared = [one / other for one, other in zip(values[name], values[published], strict=True)]
            row.append(f"{statistics.median(compared):.2f}")
        rows.append(row)
    return rows


def measure(folder: Path, python: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Measure both.

    :param folder: An empty folder for all files.
    :param python: Interpreter that has the published version.
    :param rounds: Number of rounds.
    :param seconds: Seconds of a measurement.
    """
    with ExitStack() as stack:
        say("starting the servers")
        servers = [stack.enter_context(instance(folder, one)) for one in (sys.executable, python)]
        assert servers[0].setup["path"] != servers[1].setup["path"]
        machine = describe(folder)
        used: dict[str, Used] = {}
        measures = []
        for name, clients in itertools.product(REQUESTS, CLIENTS):
            title = f"{name}, {clients} client{'s' * (clients > 1)}"
            take = rates(name, clients, seconds, used.setdefault(title, {}))
            aims = {servers[1].name: AIMS[name]} if name in AIMS else {}
            asked = [*servers, *floors(servers[0])] if name in AIMS else servers
            measures.append(Measure(title, "op/s", take, asked, aims))
        run(measures, rounds)
        say("statements")
        return {
            "date": date.today().isoformat(),
            "machine": machine,
            "side by side": [report.results_of(one) for one in measures],
            "processors": {title: processors(one) for title, one in used.items()},
            "sent to the database": {server.name: counts(folder, server) for server in servers}
            | {server.name: counts(folder, server, list(AIMS)) for server in floors(servers[0])},
        }


def counts_table(results: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of statements and round trips."""
    by_server = results["sent to the database"]
    rows = [["Statements, and round trips", *by_server]]
    for name in by_server["ours"]:
        found = [one.get(name) for one in by_server.values()]
        rows.append([name, *(f"{one['statements']}, {one['round trips']}" if one else "" for one in found)])
    return rows


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that has the published version")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds, 5 by default")
    parser.add_argument("--seconds", type=float, default=1, help="seconds of a measurement, 1 by default")
    parser.add_argument("--output", metavar="DIR", type=Path, help="where to write instance.json and the tables")
    arguments = parser.parse_args()
    with_postgresql("benchmarks.instance")
    python = arguments.peer or published()
    with tempfile.TemporaryDirectory(prefix="files-rest-benchmarks-") as folder:
        results = measure(Path(folder), python, arguments.rounds, arguments.seconds)
    tables = {
        "instance": report.table(results),
        "instance-processors": processors_table(results),
        "instance-counts": counts_table(results),
        "instance-ceilings": ceilings_table(results),
    }
    report.show("instance", results, tables, arguments.output)
    history.leave(results, "instance", __version__, arguments.output or history.FILE.parent)


if __name__ == "__main__":
    main()
