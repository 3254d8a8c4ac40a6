"""Three servers, two workers and all behind them lose nothing, whichever process is killed, and end when told to.

``DEPLOYED_ROUNDS`` is the number of kills, without which nothing is started: some twenty processes want a machine of
their own for minutes. ``DEPLOYED_SEED`` makes the clients choose as they did before.
"""

from __future__ import annotations

import os
import random
import runpy
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

psycopg2 = pytest.importorskip("psycopg2")
pytest.importorskip("yaml")
pytest.importorskip("invenio_app", reason="the extra server is not installed")

from servers.nginx import NGINX  # noqa: E402

from deployed.client import DeployedClient  # noqa: E402
from deployed.described import DEPLOY  # noqa: E402
from deployed.installation import OURS, SERVERS, WORKERS, Installation  # noqa: E402
from deployed.services import Broker, Database, KeptRedis  # noqa: E402
from deployed.witness import InstallationWitness  # noqa: E402

ROUNDS = int(os.environ.get("DEPLOYED_ROUNDS", "0"))
SEED = int(os.environ.get("DEPLOYED_SEED", random.SystemRandom().getrandbits(32)))
ROUNDS_UNTIL_SWEEP = 10
SETTLED_SECONDS = 30
GUNICORN = runpy.run_path(str(DEPLOY / "gunicorn.conf.py"))
CLIENTS = 2
"""In each location."""

needed = all(service.installed() for service in (Database, Broker, KeptRedis)) and NGINX is not None
pytestmark = [
    pytest.mark.skipif(not ROUNDS, reason="takes minutes of a whole machine: DEPLOYED_ROUNDS=4 runs it."),
    pytest.mark.skipif(not needed, reason="PostgreSQL, RabbitMQ, Redis or nginx is not installed."),
    pytest.mark.timeout(300 + ROUNDS * 60),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="deployed-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with Installation(Path(folder)).running() as installation:
            yield installation


def settled(check: Callable[[], Any]) -> None:
    """Check something that is true when tasks that run are done."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        try:
            return check()
        except (AssertionError, OSError, psycopg2.Error):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.3)


class Rounds:
    """Rounds of clients and kills, and what was promised in them."""

    def __init__(self, installation: Installation, choice: random.Random) -> None:
        self.installation, self.choice = installation, choice
        self.witness = InstallationWitness(installation)
        self.locations = ["folder", *(["store"] if installation.ceph else [])]
        self.promised: dict[str, list[Any]] = {}
        self.done = 0

    def begin(self, **headers: str) -> dict[str, list[DeployedClient]]:
        """Have clients begin to work in new buckets, with headers in each of their requests."""
        crowd = {}
        for location in self.locations:
            bucket = self.installation.bucket(location)
            clients = []
            for number in range(CLIENTS):
                url, token = f"{self.installation.url}/{bucket}", self.installation.token
                clients.append(DeployedClient(url, f"client{number}", self.choice.getrandbits(32), token))
                clients[-1].joins = location == "folder"
                clients[-1].http.headers.update(headers)
            crowd[bucket] = clients
        for clients in crowd.values():
            for client in clients:
                client.start()
        return crowd

    def end(self, crowd: dict[str, list[DeployedClient]]) -> None:
        """Have them end, and look at what they were promised."""
        everyone = [client for clients in crowd.values() for client in clients]
        for client in everyone:
            client.stopping.set()
        for client in everyone:
            client.join()
            if client.failure is not None:
                raise client.failure
        for client in everyone:
            settled(client.go_on)
        self.done += sum(client.done for client in everyone)
        for bucket, clients in crowd.items():
            ledgers = self.promised[bucket] = [client.ledger for client in clients]
            settled(lambda bucket=bucket, ledgers=ledgers: self.witness.look(bucket, ledgers))
            settled(lambda ledgers=ledgers: self.witness.look_at_uploads(ledgers))

    def kill_one(self) -> str:
        """Kill a process, or one of those that it has started."""
        supervisor = self.installation.supervisor
        victim = self.choice.choice(list(supervisor.pids))
        if self.choice.random() < 0.4:
            supervisor.kill_child(victim, self.choice.choice)
            return f"a child of {victim}"
        supervisor.kill(victim)
        return victim

    def sweep(self) -> None:
        """Sweep while ours do not run, and look whether anything is left, or lost."""
        self.installation.supervisor.stop("web", *OURS)
        self.witness.look_at_files()
        assert self.installation.clerk.ask("sweep", "yes") == []
        for bucket, ledgers in self.promised.items():
            self.witness.look(bucket, ledgers)
            self.witness.look_after_sweep(bucket, ledgers)
        self.promised = {}


@pytest.fixture(scope="module")
def choice() -> random.Random:
    return random.Random(SEED)


def test_an_upgrade_one_after_the_other_refuses_nobody_and_each_ends_soon(
    installation: Installation, choice: random.Random
):
    """Nginx is told before; some keep connections open to the server itself, as nginx does."""
    rounds = Rounds(installation, choice)
    crowd = rounds.begin(Connection="close")
    upgraded = (*SERVERS, *WORKERS) if ROUNDS > ROUNDS_UNTIL_SWEEP else (SERVERS[0], WORKERS[0])
    for name in upgraded:
        idle = requests.Session()
        if name in SERVERS:
            assert idle.get(f"http://127.0.0.1:{installation.ports[name]}/ping", timeout=60).ok
        installation.reload_nginx(name)
        took = installation.supervisor.stop(name)
        print(f"{name} ended after {took:.1f} s")  # noqa: T201
        assert took < GUNICORN["graceful_timeout"] / 2
        installation.supervisor.start(name)
        installation.wait(*(server for server in SERVERS if server == name))
        installation.reload_nginx()
    rounds.end(crowd)
    everyone = [client for clients in crowd.values() for client in clients]
    assert all(client.done for client in everyone)
    assert [client.unanswered for client in everyone] == [0] * len(everyone), installation.log("web")


def test_nothing_acknowledged_is_lost_whichever_process_is_killed(installation: Installation, choice: random.Random):
    rounds, begun, victim = Rounds(installation, choice), time.monotonic(), ""
    for number in range(1, ROUNDS + 1):
        try:
            crowd = rounds.begin()
            time.sleep(choice.uniform(0.3, 2))
            victim = rounds.kill_one()
            killed = time.monotonic()
            time.sleep(choice.uniform(0.2, 1))
            installation.wait()
            print(f"Round {number}: {victim}, served after {time.monotonic() - killed:.1f} s", flush=True)  # noqa: T201
            time.sleep(choice.uniform(0.2, 1))
            rounds.end(crowd)
            if number % ROUNDS_UNTIL_SWEEP == 0 or number == ROUNDS:
                rounds.sweep()
                if number < ROUNDS:
                    installation.supervisor.start("web", *OURS)
                    installation.wait()
        except BaseException:
            logs = "\n".join(f"--- {name}\n{installation.log(name)}" for name in (*OURS, "web"))
            print(f"Round {number}: {victim}, DEPLOYED_SEED={SEED}\n{logs}")  # noqa: T201
            raise
    print(f"{number} kills, {rounds.done} requests, {time.monotonic() - begun:.0f} s, seed {SEED}")  # noqa: T201
    assert rounds.done > 5 * ROUNDS
