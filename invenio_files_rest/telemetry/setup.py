"""Turning telemetry on, where the settings ask for it."""

from __future__ import annotations

from flask import Flask

from . import tasks
from .events import Sink
from .exposition import are_wanted
from .observer import Telemetry


def init_app(app: Flask) -> None:
    """Turn on what the settings of an application ask for.

    :param app: The application.
    :raises ValueError: If ``FILES_REST_LOG_FORMAT`` is not known.
    :raises ModuleNotFoundError: If there shall be metrics, and the extra ``metrics`` is not installed.
    """
    sinks: list[Sink] = []
    has_log = app.config["FILES_REST_LOG_FORMAT"] is not None
    if has_log:
        from . import logs

        logs.set_up(app)
        sinks.append(logs.write)
    if are_wanted(app.config):
        from . import metrics

        sinks.append(metrics.count)
    if sinks:
        telemetry = app.extensions[tasks.EXTENSION] = Telemetry(app, sinks, logs=has_log)
        telemetry.listen(app)
        tasks.listen()
