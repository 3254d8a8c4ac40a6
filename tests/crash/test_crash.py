"""Nothing that was acknowledged is lost, whatever is killed and whenever.

``CRASH_ROUNDS`` is the number of crashes, ``CRASH_SEED`` makes the clients choose as they did before.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

psycopg2 = pytest.importorskip("psycopg2")

from crash.client import Client  # noqa: E402
from crash.invariants import Witness  # noqa: E402
from crash.machine import DurablePostgreSQL, Machine  # noqa: E402

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "20"))
SECONDS_FOR_A_ROUND = 60
CLIENTS = 4
VICTIMS = [["server"], ["worker"], ["database"], ["server", "worker"], ["server", "worker", "database"]]

pytestmark = [
    pytest.mark.skipif(not DurablePostgreSQL.installed(), reason="PostgreSQL is not installed."),
    pytest.mark.timeout(60 + ROUNDS * SECONDS_FOR_A_ROUND),
    pytest.mark.slow,
]


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Start a machine, with a worker where there is a broker."""
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        # Other users, whom the database runs as, have to pass through.
        Path(folder).chmod(0o711)
        with Machine(Path(folder), os.environ.get("TEST_REDIS_URL")).running() as machine:
            yield machine


def migrate_something(machine: Machine, witness: Witness, choice: random.Random) -> None:
    """Have a file migrated that is in use, or has just been."""
    with suppress(psycopg2.Error):
        files = witness.ask("SELECT id FROM files_files WHERE readable ORDER BY random() LIMIT 1")
        for (file_id,) in files:
            machine.send("migrate_file", src_id=str(file_id), location_name=choice.choice(["first", "second"]))


def crash(machine: Machine, witness: Witness, choice: random.Random) -> int:
    """Let clients work, kill something, and look at what is left.

    :returns: How many requests were answered.
    """
    machine.start()
    bucket = machine.ask("bucket")
    url = f"{machine.url}/{bucket}"
    clients = [Client(url, f"client{number}", choice.getrandbits(32)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    victims = choice.choice(VICTIMS)
    end = time.monotonic() + choice.uniform(0.3, 1.8)
    if choice.random() < 0.5:
        migrate_something(machine, witness, choice)
    time.sleep(max(0, end - time.monotonic()))
    for victim in victims:
        machine.kill(victim)
    if choice.random() < 0.3:
        # Heal what is left without help: the others go on while one is started again.
        machine.start()
        time.sleep(choice.uniform(0, 0.3))
    for client in clients:
        client.stopping.set()
    for name in ("server", "worker"):
        machine.kill(name)
    for client in clients:
        client.join()
        if client.failure is not None:
            raise client.failure
    if machine.database.process is None:
        machine.database.serve()
    ledgers = [client.ledger for client in clients]
    witness.look_at_files()
    witness.look(bucket, ledgers)
    witness.look_at_uploads(ledgers)
    with_uploads = choice.choice(["yes", "no"])
    assert machine.ask("sweep", with_uploads) == []
    witness.look_at_files()
    witness.look(bucket, ledgers)
    if with_uploads == "no":
        witness.look_at_uploads(ledgers)
    witness.look_after_sweep(bucket, ledgers)
    return sum(client.done for client in clients)


def test_nothing_acknowledged_is_lost_and_nothing_half_done_stays(machine: Machine, record_property: object):
    seed = int(os.environ.get("CRASH_SEED", random.SystemRandom().getrandbits(32)))
    choice = random.Random(seed)
    witness = Witness(machine.database.folder, machine.files)
    done, begun = 0, time.monotonic()
    for number in range(1, ROUNDS + 1):
        try:
            done += crash(machine, witness, choice)
        except BaseException:
            print(f"Round {number}, CRASH_SEED={seed}\n{machine.log.read_text()[-5000:]}")  # noqa: T201
            raise
    print(f"{number} crashes, {done} requests, {time.monotonic() - begun:.0f} s")  # noqa: T201
    assert done > 5 * ROUNDS
