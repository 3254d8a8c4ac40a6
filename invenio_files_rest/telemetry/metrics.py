"""Metrics of Prometheus that count events. Their labels have few values: neither keys nor identifiers.

Where ``PROMETHEUS_MULTIPROC_DIR`` is set, all processes that have it count together, workers among them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ..errors import FileSizeError
from .events import Event

PREFIX = "files_rest_"
"""How the names of all metrics begin."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_FIXITY = {True: "fine", False: "damaged", None: "unreadable"}


class Instruments:
    """The metrics of this process.

    :param registry: What keeps them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make them."""

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(PREFIX + name, text, labels, buckets=_SECONDS, registry=registry)

        self.registry = registry
        self.requests = counter("requests", "Requests, by view, method and status.", "route", "method", "status")
        self.durations = histogram(
            "request_duration_seconds", "Time from a request's beginning to its last byte.", "route", "method"
        )
        self.received = counter("received_bytes", "Bytes of bodies, by location.", "location")
        self.sent = counter(
            "sent_bytes", "Bytes of files, by location and by who sends them: this package or nginx.", "location", "by"
        )
        self.versions = counter("versions", "Versions that were stored or deleted.", "event")
        self.refusals = counter("refusals", "Requests answered with 4xx, by error.", "reason")
        self.quota = counter("quota_refusals", "Requests refused for a quota or a maximum file size.")
        self.storage_failures = counter("storage_failures", "Requests that storage failed, by status.", "status")
        self.taken_over = counter("uploads_taken_over", "Requests stopped since another goes on with their upload.")
        self.verified = counter("fixity_checks", "Files compared with their checksums, by result.", "result")
        self.findings = counter("sweep_findings", "What sweeps have found, by kind.", "kind")
        self.left = Gauge(
            PREFIX + "sweep_left",
            "What the last sweep has left, by kind.",
            ["kind"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.swept = Gauge(
            PREFIX + "sweep_timestamp_seconds",
            "When a sweep came to its end.",
            registry=registry,
            multiprocess_mode="max",
        )
        self.tasks = counter("tasks", "Runs of tasks, by state; SENT counts those sent to workers.", "task", "state")
        self.task_durations = histogram("task_duration_seconds", "Time that a run of a task took.", "task")
        self.pool_timeouts = counter("pool_timeouts", "Times that no database connection became free in time.")


@cache
def instruments() -> Instruments:
    """Return the metrics of this process, which all its applications share."""
    return Instruments(CollectorRegistry())


def count(event: Event) -> None:
    """Count an event.

    :param event: The event.
    """
    if (each := _COUNTED.get(event.name)) is not None:
        each(instruments(), event.fields)


def _request(to: Instruments, fields: dict[str, Any]) -> None:
    method = fields["method"] if fields["method"] in _METHODS else "other"
    to.requests.labels(fields["route"], method, fields["status"]).inc()
    to.durations.labels(fields["route"], method).observe(fields["ms"] / 1000)
    if fields["received"]:
        to.received.labels(fields["location"] or "unknown").inc(fields["received"])


def _read(to: Instruments, fields: dict[str, Any]) -> None:
    # What nginx sends it has announced at most; uWSGI sends whole files.
    size = fields["bytes"] if fields["bytes"] is not None else fields["size"]
    to.sent.labels(fields["location"] or "unknown", fields["by"] or "files_rest").inc(size or 0)


def _refused(to: Instruments, fields: dict[str, Any]) -> None:
    to.refusals.labels(fields["reason"] or "other").inc()
    error = fields["error"]
    if isinstance(error, FileSizeError) or isinstance(getattr(error, "__cause__", None), FileSizeError):
        to.quota.inc()


def _failed(to: Instruments, fields: dict[str, Any]) -> None:
    to.storage_failures.labels(fields["status"]).inc()


def _swept(to: Instruments, fields: dict[str, Any]) -> None:
    for kind, number in fields["found"].items():
        to.findings.labels(kind).inc(number)
        to.left.labels(kind).set(fields["left"].get(kind, 0))
    to.swept.set_to_current_time()


def _task(to: Instruments, fields: dict[str, Any]) -> None:
    to.tasks.labels(fields["task"], fields["state"]).inc()
    if fields.get("ms") is not None:
        to.task_durations.labels(fields["task"]).observe(fields["ms"] / 1000)


_COUNTED: dict[str, Callable[[Instruments, dict[str, Any]], None]] = {
    "request": _request,
    "read": _read,
    "stored": lambda to, fields: to.versions.labels("stored").inc(),
    "deleted": lambda to, fields: to.versions.labels("deleted").inc(),
    "refused": _refused,
    "failed": _failed,
    "upload_taken_over": lambda to, fields: to.taken_over.inc(),
    "verified": lambda to, fields: to.verified.labels(_FIXITY[fields["result"]]).inc(),
    "swept": _swept,
    "task_sent": lambda to, fields: to.tasks.labels(fields["task"], "SENT").inc(),
    "task_done": _task,
    "pool_exhausted": lambda to, fields: to.pool_timeouts.inc(),
}
