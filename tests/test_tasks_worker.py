"""Every task with a real worker over a real broker, which redelivers what a killed worker had begun."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from crash.invariants import Witness
from crash.machine import DurablePostgreSQL, Machine
from crash.zygote import VISIBILITY_SECONDS
from helpers.waiting import wait_until

from invenio_files_rest.tasks.redelivery import RUNS

CONTENT = b"content"

BROKERS = [
    pytest.param(
        variable,
        id=name,
        marks=pytest.mark.skipif(not os.environ.get(variable), reason=f"{variable} is not set."),
    )
    for name, variable in (("redis", "TEST_REDIS_URL"), ("rabbitmq", "TEST_RABBITMQ_URL"))
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DurablePostgreSQL.installed(), reason="PostgreSQL is not installed."),
]


def always(file: Any) -> bool:
    """Be a check that an import path can name."""
    return True


def kill_worker() -> None:
    """Be a query that an import path can name, and that no worker survives."""
    with Path(os.environ["CRASH_FOLDER"], "begun").open("a") as begun:
        begun.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module", params=BROKERS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Start a server and a worker."""
    with tempfile.TemporaryDirectory(prefix="worker-") as folder:
        # Other users, whom the database runs as, have to pass through.
        Path(folder).chmod(0o711)
        with Machine(Path(folder), os.environ[request.param]).running() as machine:
            machine.start()
            yield machine


@pytest.fixture
def address(machine: Machine) -> str:
    """Return the URL of an object in a new bucket."""
    machine.start()
    return f"{machine.url}/{machine.ask('bucket')}/key"


@pytest.fixture
def witness(machine: Machine) -> Witness:
    """Ask the database and the disk."""
    return Witness(machine.database.folder, machine.files)


def store(address: str, witness: Witness) -> tuple[str, Path]:
    """Store an object, and return identifier and path of its file."""
    version = requests.put(address, data=CONTENT, timeout=60).json()["version_id"]
    query = "SELECT f.id, f.uri FROM files_files f JOIN files_object o ON o.file_id = f.id WHERE version_id = %s"
    ((file_id, uri),) = witness.ask(query, version)
    return str(file_id), Path(uri)


def checked(witness: Witness, file_id: str) -> list[Any]:
    return witness.ask("SELECT last_check FROM files_files WHERE id = %s AND last_check_at IS NOT NULL", file_id)


def test_a_checksum_is_verified(machine: Machine, witness: Witness, address: str):
    file_id, path = store(address, witness)
    machine.send("verify_checksum", file_id=file_id, pessimistic=True, checksum_kwargs={})
    wait_until(lambda: checked(witness, file_id) == [(True,)])
    path.write_bytes(b"changed")
    machine.send("verify_checksum", file_id=file_id)
    wait_until(lambda: checked(witness, file_id) == [(False,)])
    path.write_bytes(CONTENT)


def test_verifications_are_scheduled(machine: Machine, witness: Witness, address: str):
    file_id, _ = store(address, witness)
    machine.send("schedule_checksum_verification", batch_interval={"hours": 1}, max_count=100, frequency={"days": 30})
    wait_until(lambda: checked(witness, file_id) == [(True,)])


def test_a_file_is_migrated_and_its_copy_verified(machine: Machine, witness: Witness, address: str):
    file_id, _ = store(address, witness)
    machine.send("migrate_file", src_id=file_id, location_name="second", post_fixity_check=True)
    query = "SELECT 1 FROM files_files WHERE uri LIKE '%/second/%' AND last_check AND last_check_at IS NOT NULL"
    wait_until(lambda: witness.ask(query))
    assert requests.get(address, timeout=60).content == CONTENT


def test_a_version_that_is_removed_takes_its_file_along(machine: Machine, witness: Witness, address: str):
    _, path = store(address, witness)
    bucket = address.rsplit("/", 1)[0]
    version = requests.get(bucket, timeout=60).json()["contents"][0]["version_id"]
    assert requests.delete(address, params={"versionId": version}, timeout=60).status_code == 204
    wait_until(lambda: not path.exists())


def test_orphans_are_cleared_with_a_check_that_is_an_import_path(machine: Machine, witness: Witness, address: str):
    file_id, path = store(address, witness)
    machine.send("migrate_file", src_id=file_id, location_name="second")
    wait_until(
        lambda: witness.ask("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM files_object WHERE file_id = %s)", file_id)
    )
    machine.send("clear_orphaned_files", force_delete_check="test_tasks_worker:always", limit=0)
    wait_until(lambda: not path.exists())
    assert requests.get(address, timeout=60).content == CONTENT


def test_an_upload_is_merged_and_the_expired_are_removed(machine: Machine, witness: Witness, address: str):
    def begin() -> dict[str, str]:
        query = {"size": "7", "partSize": "4"}
        return {"uploadId": requests.post(f"{address}?uploads", params=query, timeout=60).json()["id"]}

    upload = begin()
    for number, part in enumerate((CONTENT[:4], CONTENT[4:])):
        answer = requests.put(address, params={**upload, "partNumber": str(number)}, data=part, timeout=60)
        assert answer.ok, answer.text
    assert "links" in requests.post(address, params=upload, timeout=60).json()
    assert requests.get(address, timeout=60).content == CONTENT
    begin()
    change = """
        UPDATE files_multipartobject SET created = created - interval '9 days', updated = updated - interval '9 days'
        RETURNING upload_id
    """
    witness.ask(change)
    machine.send("remove_expired_multipartobjects")
    wait_until(lambda: witness.ask("SELECT 1 FROM files_multipartobject") == [])


def test_a_task_whose_worker_was_killed_is_run_by_another(machine: Machine, witness: Witness, address: str):
    file_id, path = store(address, witness)
    path.unlink()
    # Whoever opens it waits for a writer who never comes.
    os.mkfifo(path)
    machine.send("verify_checksum", file_id=file_id, pessimistic=True, throws=False)
    wait_until(lambda: checked(witness, file_id) == [(None,)])
    machine.kill("worker")
    path.unlink()
    path.write_bytes(CONTENT)
    # A worker that starts looks for what a dead one had from Redis, and then every 100 s.
    time.sleep(VISIBILITY_SECONDS + 0.5)
    machine.start()
    wait_until(lambda: checked(witness, file_id) == [(True,)])


def given_up(machine: Machine) -> int:
    """Return how often the log says of a task that it is given up."""
    return machine.log.read_text().count("raised unexpected: GivenUpError")


def settled(machine: Machine) -> bool:
    """Tell whether no task is given up for as long as a message takes to come back, and to be given up."""
    before = given_up(machine)
    time.sleep(3 * VISIBILITY_SECONDS)
    return given_up(machine) == before


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_task_that_its_workers_die_of_is_given_up(machine: Machine, witness: Witness, address: str, pool: str):
    begun, before = machine.folder / "begun", given_up(machine)
    begun.unlink(missing_ok=True)
    machine.kill("worker")
    machine.pool = pool
    machine.start()
    # A file before and one after are verified, for they have killed nobody.
    files = [store(address, witness)[0] for _ in range(2)]
    machine.send("verify_checksum", file_id=files[0])
    machine.send("schedule_checksum_verification", files_query="test_tasks_worker:kill_worker")
    machine.send("verify_checksum", file_id=files[1])
    deadline = time.monotonic() + 100
    while given_up(machine) == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        if not machine.runs("worker"):
            time.sleep(VISIBILITY_SECONDS + 0.5)
            machine.kill("worker")
            machine.start()
    machine.kill("worker")
    machine.pool = "solo"
    time.sleep(VISIBILITY_SECONDS + 0.5)
    machine.start()
    wait_until(lambda: all(checked(witness, file_id) == [(True,)] for file_id in files))
    assert begun.read_text() == RUNS * "x"
    # Again where the worker was killed, or was slow, before it had told the broker; but not for ever.
    wait_until(lambda: settled(machine))
    # What it looks like to the broker, where a task outlasts it.
    assert "it takes longer than the broker's visibility_timeout" in machine.log.read_text()


def test_a_function_that_is_not_registered_is_refused_and_the_worker_goes_on(
    machine: Machine, witness: Witness, address: str
):
    machine.send("schedule_checksum_verification", files_query="os:abort")
    machine.send("clear_orphaned_files", force_delete_check="os:abort", limit=0)
    refused = "The function 'os:abort' is not registered"
    wait_until(lambda: machine.log.read_text().count(f"ValueError: {refused}") == 2)
    file_id, _ = store(address, witness)
    machine.send("verify_checksum", file_id=file_id)
    wait_until(lambda: checked(witness, file_id) == [(True,)])


def test_a_task_of_what_is_gone_ends_and_the_worker_goes_on(machine: Machine, witness: Witness, address: str):
    gone = "00000000-0000-4000-8000-000000000000"
    machine.send("verify_checksum", file_id=gone)
    machine.send("migrate_file", src_id=gone, location_name="second")
    machine.send("remove_file_data", file_id=gone)
    machine.send("merge_multipartobject", upload_id=gone)
    file_id, _ = store(address, witness)
    machine.send("verify_checksum", file_id=file_id)
    wait_until(lambda: checked(witness, file_id) == [(True,)])
