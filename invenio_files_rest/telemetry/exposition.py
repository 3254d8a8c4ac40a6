"""``/files/metrics``: the metrics, for who has the token or comes from an address that may.

What the database knows is asked for on the scrape, by the statements of ``files status``, and kept for some seconds.
"""

from __future__ import annotations

import hmac
import os
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from flask import Response, abort, current_app, request
from sqlalchemy.exc import SQLAlchemyError

from ..http.arguments import NOT_FOUND
from ..services.status import Status, current_status

_SET_BY_PROXIES = ("Forwarded", "Via", "X-Forwarded-For", "X-Real-IP")
"""Headers that tell of a proxy. A client that sets them by itself only keeps itself out."""


def are_wanted(config: Any) -> bool:
    """Return whether the settings let anybody have the metrics.

    :param config: The application's configuration.
    """
    return bool(config["FILES_REST_METRICS_TOKEN"] or config["FILES_REST_METRICS_ADDRESSES"])


def metrics() -> Response:
    """Answer with the metrics.

    :raises werkzeug.exceptions.NotFound: If the caller may not have them.
    """
    if not _may():
        abort(404, description=NOT_FOUND)
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    from .metrics import instruments

    of_the_database = CollectorRegistry()
    of_the_database.register(_Gauges())
    of_processes = instruments().registry
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        of_processes = CollectorRegistry()
        MultiProcessCollector(of_processes)
    text = generate_latest(of_processes) + generate_latest(of_the_database)
    return Response(text, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


# Invenio-App has everything else asked over HTTPS where a service is, which ends before the server that is asked here.
metrics.talisman_view_options = {"force_https": False}  # type: ignore[attr-defined]


def _may() -> bool:
    token = current_app.config["FILES_REST_METRICS_TOKEN"]
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if token and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return True
    return _comes_from(current_app.config["FILES_REST_METRICS_ADDRESSES"])


def _comes_from(networks: list[str]) -> bool:
    """Return whether the client is in one of some networks.

    Behind a proxy that the application does not know of, or does not take addresses from, everybody has the proxy's
    address.
    """
    of_connection = request.environ.get("werkzeug.proxy_fix.orig", request.environ).get("REMOTE_ADDR")
    if request.remote_addr == of_connection and any(name in request.headers for name in _SET_BY_PROXIES):
        return False
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return False
    return any(address in ip_network(network, strict=False) for network in networks)


class _Kept:
    """What the database knew, for some seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._status: Status | None = None

    def get(self) -> Status | None:
        """Return the state of the installation; ``None`` if the database does not tell."""
        # Who comes meanwhile waits, rather than to ask the same.
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    self._status = current_status()
                except SQLAlchemyError:
                    current_app.logger.exception("The database does not tell what the metrics show of it.")
                    self._status = None
                self._until = time.monotonic() + current_app.config["FILES_REST_METRICS_CACHE_SECONDS"]
            return self._status


def _kept() -> _Kept:
    kept: _Kept = current_app.extensions.setdefault("invenio-files-rest-metrics", _Kept())
    return kept


class _Gauges:
    """Collects what the database knows."""

    def collect(self) -> Iterator[Any]:
        """Return the metrics."""
        from prometheus_client.core import GaugeMetricFamily

        from .metrics import PREFIX

        def gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
            return GaugeMetricFamily(PREFIX + name, text, value=value)

        status = _kept().get()
        yield gauge("status_up", "Whether the database tells what follows.", float(status is not None))
        if status is None:
            return
        yield from _of_locations(status, PREFIX)
        files, uploads, (orphans, orphaned) = status.files, status.uploads, status.orphans
        yield gauge("files", "Readable files.", files.files)
        yield gauge("files_bytes", "Sum of their sizes.", files.size)
        yield gauge("files_unchecked", "Files that have never been checked.", files.unchecked)
        yield gauge("files_damaged", "Files that had other bytes at their last check.", files.failed)
        yield gauge("files_unreadable", "Files that could not be compared at their last check.", files.unreadable)
        if files.oldest_check is not None:
            oldest = files.oldest_check.timestamp()
            yield gauge("oldest_check_timestamp_seconds", "When the file was checked that waits longest.", oldest)
        yield gauge("orphans", "Files that nothing refers to.", orphans)
        yield gauge("orphans_bytes", "Sum of their sizes.", orphaned)
        yield gauge("uploads", "Uploads in progress.", uploads.uploads)
        yield gauge("uploads_bytes", "What they have claimed of their buckets.", uploads.size)
        if uploads.oldest is not None:
            oldest = uploads.oldest.timestamp()
            yield gauge("oldest_upload_timestamp_seconds", "When the oldest upload was begun.", oldest)


def _of_locations(status: Status, prefix: str) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    up = GaugeMetricFamily(f"{prefix}location_up", "Whether the location is there.", labels=["location"])
    used = GaugeMetricFamily(f"{prefix}location_bytes", "Sizes of the buckets in a location.", labels=["location"])
    buckets = GaugeMetricFamily(f"{prefix}location_buckets", "Buckets in a location.", labels=["location"])
    free = GaugeMetricFamily(f"{prefix}location_free_bytes", "Free bytes of its disk.", labels=["location"])
    for place in status.locations:
        up.add_metric([place.name], float(place.away is None))
        used.add_metric([place.name], place.buckets.size)
        buckets.add_metric([place.name], place.buckets.buckets)
        if place.free is not None:
            free.add_metric([place.name], place.free)
    yield from (up, used, buckets, free)
