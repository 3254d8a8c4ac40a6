"""Metrics: who may have them, what they count, and alerts that can be made of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers.rest import CONTENT, error, put, statements, url
from helpers.stored import ago, store
from helpers.waiting import wait_until
from invenio_db import db as database
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.middleware.proxy_fix import ProxyFix

from invenio_files_rest.models import Bucket, UploadExtent
from invenio_files_rest.services.fixity import verify_checksum
from invenio_files_rest.services.sweep import sweep
from invenio_files_rest.services.transactions import POOL_ATTEMPTS, in_transaction
from invenio_files_rest.services.uploads.leases import Lease
from invenio_files_rest.services.uploads.plans import APPENDED
from invenio_files_rest.services.uploads.runs import RUN
from invenio_files_rest.telemetry import identifiers
from invenio_files_rest.telemetry.events import EVENTS, FIELDS
from invenio_files_rest.telemetry.metrics import instruments

RULES = Path(__file__).parents[1] / "deploy" / "prometheus"
TOKEN = {"Authorization": "Bearer for tests of metrics"}

Scrape = Callable[[], dict[str, float]]


@pytest.fixture
def scrape(app: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> Scrape:
    """Return a function that returns the samples, by name and labels, without what another test's database knew."""
    app.config["FILES_REST_METRICS_CACHE_SECONDS"] = 0
    # Databases of other tests had other locations with the same identifiers.
    monkeypatch.setattr(identifiers, "_names", {})

    def samples() -> dict[str, float]:
        app.extensions.pop("invenio-files-rest-metrics", None)
        response = client.get("/files/metrics", headers=TOKEN)
        assert response.status_code == 200
        assert response.mimetype == "text/plain"
        found = {}
        for family in text_string_to_metric_families(response.text):
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found

    return samples


@pytest.fixture
def more(scrape: Scrape) -> Scrape:
    """Return a function that returns by how much samples have grown since it was called last."""
    before = scrape()

    def difference() -> dict[str, float]:
        nonlocal before
        earlier, before = before, scrape()
        return {name: value - earlier.get(name, 0) for name, value in before.items() if value != earlier.get(name, 0)}

    return difference


def hidden(client: Any, **kwargs: Any) -> str:
    return str(error(client.get("/files/metrics", **kwargs), 404)["message"])


def test_who_has_neither_token_nor_address_is_told_of_no_bucket(app: Any, client: Any):
    nowhere = error(client.get("/files/nowhere"), 404)["message"]
    for given in ("", "Bearer", "Bearer wrong", "Basic for tests of metrics", "Bearer for tests of metrics x"):
        assert hidden(client, headers={"Authorization": given}) == nowhere
    app.config["FILES_REST_METRICS_TOKEN"] = None
    assert hidden(client, headers=TOKEN) == hidden(client, headers={"Authorization": "Bearer None"}) == nowhere


def test_an_address_that_may_has_them_and_nobody_behind_a_proxy_that_is_not_known(app: Any, client: Any):
    app.config["FILES_REST_METRICS_TOKEN"] = None
    app.config["FILES_REST_METRICS_ADDRESSES"] = ["10.0.0.0/8", "::1"]

    def status(address: str, **kwargs: Any) -> int:
        return int(client.get("/files/metrics", environ_overrides={"REMOTE_ADDR": address}, **kwargs).status_code)

    assert [status(each) for each in ("10.1.2.3", "::1")] == [200, 200]
    assert [status(each) for each in ("127.0.0.1", "11.0.0.1", "::2", "", "unix:")] == [404] * 5
    assert status("10.1.2.3", headers={"X-Forwarded-For": "203.0.113.1"}) == 404
    assert status("10.1.2.3", headers={"Forwarded": "for=203.0.113.1"}) == 404
    assert status("10.1.2.3", headers={"X-Real-IP": "203.0.113.1"}) == 404


@pytest.mark.parametrize(("trusted", "expected"), [(0, 404), (1, 200)])
def test_nobody_has_them_behind_a_proxy_whose_addresses_are_not_taken(
    app: Any, client: Any, monkeypatch: pytest.MonkeyPatch, trusted: int, expected: int
):
    app.config["FILES_REST_METRICS_ADDRESSES"] = ["10.0.0.0/8"]
    monkeypatch.setattr(app, "wsgi_app", ProxyFix(app.wsgi_app, x_for=trusted, x_proto=1))
    headers = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https"}
    answer = client.get("/files/metrics", environ_overrides={"REMOTE_ADDR": "10.1.2.3"}, headers=headers)
    assert answer.status_code == expected


def test_other_methods_are_those_of_a_bucket_that_is_not_there(client: Any):
    for method in ("POST", "DELETE", "PATCH"):
        assert client.open("/files/metrics", method=method, headers=TOKEN).status_code in (404, 405)


@pytest.mark.usefixtures("allow_all")
def test_requests_and_bytes_are_counted_by_view_status_and_location(client: Any, bucket: Bucket, more: Scrape):
    put(client, bucket, "a")
    client.get(url(bucket, "a"))
    client.get(url(bucket, "no"))
    client.open(url(bucket), method="PROPFIND")
    grown = more()
    route = "route=invenio_files_rest.object_api"
    assert grown[f"files_rest_requests_total{{method=PUT,{route},status=200}}"] == 1
    assert grown[f"files_rest_requests_total{{method=GET,{route},status=200}}"] == 1
    assert grown[f"files_rest_requests_total{{method=GET,{route},status=404}}"] == 1
    assert grown["files_rest_requests_total{method=other,route=invenio_files_rest.bucket_api,status=405}"] == 1
    assert grown[f"files_rest_request_duration_seconds_count{{method=GET,{route}}}"] == 2
    assert grown["files_rest_received_bytes_total{location=testloc}"] == len(CONTENT)
    assert grown["files_rest_sent_bytes_total{by=files_rest,location=testloc}"] == len(CONTENT)
    assert grown["files_rest_versions_total{event=stored}"] == 1
    assert grown["files_rest_refusals_total{reason=NotFound}"] == 1


@pytest.mark.usefixtures("allow_all")
@pytest.mark.parametrize("protocol", ["rest", "tus"])
def test_a_refusal_for_a_quota_is_counted_whatever_the_protocol(
    client: Any, bucket: Bucket, more: Scrape, protocol: str
):
    bucket.quota_size = 1
    if protocol == "rest":
        client.put(url(bucket, "a"), data=b"12")
    else:
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "2", "Upload-Metadata": "key YQ=="}
        assert client.post(url(bucket, tus=True), headers=headers).status_code == 413
    assert more()["files_rest_quota_refusals_total"] == 1


@pytest.mark.usefixtures("allow_all")
def test_what_the_database_knows_is_there(client: Any, bucket: Bucket, scrape: Scrape, begin_uploads: Any):
    checked, damaged, unreadable, _ = (store(bucket, key).file for key in "abcd")
    checked.last_check_at = damaged.last_check_at = unreadable.last_check_at = ago(days=3)
    damaged.last_check, unreadable.last_check = False, None
    begin_uploads(bucket, ["x", "y"])
    database.session.commit()
    found = scrape()
    assert found["files_rest_status_up"] == 1
    assert found["files_rest_location_up{location=testloc}"] == 1
    assert found["files_rest_location_free_bytes{location=testloc}"] > 0
    names = ("files", "files_bytes", "files_unchecked", "files_damaged", "files_unreadable", "uploads", "uploads_bytes")
    assert [found[f"files_rest_{name}"] for name in names] == [4, 28, 1, 1, 1, 2, 20]
    oldest = found["files_rest_oldest_check_timestamp_seconds"]
    assert oldest == pytest.approx(checked.last_check_at.timestamp(), abs=1)


def test_a_scrape_has_a_few_statements_and_the_next_one_none(app: Any, client: Any, bucket: Bucket, scrape: Scrape):
    with statements() as few:
        scrape()
    bucket.location.name = "renamed"
    for key in "abc":
        store(Bucket.create(bucket.location), key)
    database.session.commit()
    with statements() as many:
        scrape()
    assert len(many) == len(few) <= 8
    app.config["FILES_REST_METRICS_CACHE_SECONDS"] = 60
    scrape()
    with statements() as none:
        client.get("/files/metrics", headers=TOKEN)
    assert none == []


def test_checks_and_sweeps_are_counted(app: Any, bucket: Bucket, more: Scrape):
    fine, changed, gone = (store(bucket, key).file for key in "abc")
    database.session.commit()
    Path(changed.uri).write_bytes(b"changed")
    Path(gone.uri).unlink()
    for file in (fine, changed, gone):
        verify_checksum(file.id, throws=False)
    (Path(bucket.location.uri) / "ab" / "cd").mkdir(parents=True)
    list(sweep(timedelta(0), delete=False))
    grown = more()
    assert {
        name.partition("=")[2]: value
        for name, value in grown.items()
        if name.startswith("files_rest_fixity_checks_total")
    } == {"fine}": 1, "damaged}": 1, "unreadable}": 1}
    assert "files_rest_sweep_timestamp_seconds" in grown
    assert grown["files_rest_sweep_findings_total{kind=folder}"] >= 1
    assert instruments().left.labels("folder")._value.get() >= 1


def test_a_pool_without_a_free_connection_is_counted(app: Any, db: Any, more: Scrape):
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError

    def work() -> None:
        raise PoolTimeoutError

    with pytest.raises(PoolTimeoutError):
        in_transaction(work)
    assert more()["files_rest_pool_timeouts_total"] == POOL_ATTEMPTS


def test_labels_have_neither_keys_nor_identifiers(client: Any, bucket: Bucket, scrape: Scrape, allow_all: None):
    put(client, bucket, "a-key-of-its-own")
    client.get(url(bucket, "another-key"))
    client.get("/files/no-identifier/and-a-key")
    text = "\n".join(scrape())
    for word in (str(bucket.id), "a-key", "another-key", "no-identifier"):
        assert word not in text


def names_of_alerts() -> set[str]:
    return set(re.findall(r"files_rest_\w+", (RULES / "invenio-files-rest.rules.yml").read_text()))


def exposed() -> set[str]:
    """Return the names of all metrics, with the endings that counters and histograms have."""
    source = "".join(
        (Path(instruments.__wrapped__.__code__.co_filename).parent / f"{name}.py").read_text()
        for name in ("metrics", "exposition")
    )
    counters = re.findall(r'= counter\(\s*"(\w+)"', source)
    histograms = re.findall(r'= histogram\(\s*"(\w+)"', source)
    gauges = re.findall(r'(?:gauge\("|PREFIX \+ "|\{prefix\})(\w+)"', source)
    return {f"files_rest_{name}" for name in [*(f"{name}_total" for name in counters), *histograms, *gauges]}


def test_every_metric_of_an_alert_is_there():
    assert len(exposed()) > 25
    assert names_of_alerts() - exposed() == set()


def test_the_documentation_lists_every_metric():
    page = (RULES.parents[1] / "docs" / "reference" / "telemetry.rst").read_text()
    assert set(re.findall(r"^``(files_rest_\w+)``", page, re.M)) == exposed()


@pytest.mark.parametrize(("words", "header"), [(EVENTS, "Event "), (FIELDS, "Field ")], ids=["events", "fields"])
def test_the_documentation_lists_every_event_and_every_field(words: dict[str, str], header: str):
    page = (RULES.parents[1] / "docs" / "reference" / "telemetry.rst").read_text()
    rows = page.split(f"\n{header}")[1].split("\n\n")[0]
    listed = re.split(r"^``(\w+)`` +", rows, flags=re.M)[1:]
    found = {name: " ".join(text.rstrip("= \n").split()) for name, text in zip(listed[::2], listed[1::2], strict=True)}
    assert found == words


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed; ./run-tests.sh installs it")
@pytest.mark.parametrize(("command", "file"), [("check", "rules"), ("test", "tests")])
def test_alerts_are_what_promtool_takes_and_fire_when_they_should(command: str, file: str):
    done = subprocess.run(
        ["promtool", command, "rules", f"invenio-files-rest.{file}.yml"],
        cwd=RULES,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_in_a_test_of_promtool():
    alerts = set(re.findall(r"alert: (\w+)", (RULES / "invenio-files-rest.rules.yml").read_text()))
    tests = (RULES / "invenio-files-rest.tests.yml").read_text()
    assert set(re.findall(r"alertname: (\w+)\n +exp_alerts", tests)) == alerts


def test_a_request_that_is_stopped_for_another_is_counted(app: Any, bucket: Bucket, more: Scrape):
    upload_id = APPENDED.begin(bucket, "a", 10, protocol="tus")

    def take() -> int:
        epoch: int = in_transaction(lambda: UploadExtent.take(upload_id, RUN)).epoch
        return epoch

    with Lease(upload_id, RUN, take(), None) as lease:
        take()
        wait_until(lambda: lease.lost)
        wait_until(lambda: instruments().taken_over._value.get() > 0)
    assert more()["files_rest_uploads_taken_over_total"] == 1


def test_neither_is_there_unless_it_is_asked_for():
    """The settings are off, and so nothing listens, no package is loaded for it, and no request is observed."""
    code = """
import sys
from flask import Flask, request
from invenio_files_rest import InvenioFilesREST, instrumentation, signals
from invenio_files_rest.http.observation import OBSERVER
from invenio_files_rest.views import blueprint
app = Flask("off")
InvenioFilesREST(app)
app.register_blueprint(blueprint)
with app.test_request_context("/files/x"):
    app.preprocess_request()
    assert OBSERVER not in request.environ
assert not any("telemetry" in after.__module__ for after in app.after_request_funcs[None])
for module in (instrumentation, signals):
    assert not any(signal.receivers for signal in module._signals.values())
assert not {"structlog", "prometheus_client"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
