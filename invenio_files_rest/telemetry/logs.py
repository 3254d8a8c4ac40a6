"""The log: a line for each event, and the lines that others write beside them, in one format.

Lines are records of :mod:`logging`, of the loggers ``invenio_files_rest.requests``, ``.events`` and ``.tasks``, with
the fields as attributes. So whatever takes records, Sentry say, takes these, and an application that has handlers of
its own formats them as it likes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from datetime import datetime, timezone
from typing import Any

from celery.signals import after_setup_logger, after_setup_task_logger
from celery.utils.log import LoggingProxy
from flask import Flask, has_request_context, request
from flask.logging import default_handler

from .events import EVENTS, FIELDS, Event
from .observer import context
from .redaction import redact, secrets_of

STYLES = ("auto", "json", "text")
"""Formats: ``auto`` is ``text`` on a terminal, ``json`` elsewhere."""

ROOT = "invenio_files_rest"
"""Name of the logger above ours."""

_LOGGERS = {
    **{name: logging.getLogger(f"{ROOT}.events") for name in EVENTS},
    "request": logging.getLogger(f"{ROOT}.requests"),
    "task_done": logging.getLogger(f"{ROOT}.tasks"),
}

_Line = MutableMapping[str, Any]


def write(event: Event) -> None:
    """Write the line of an event, if it has one.

    :param event: The event.
    """
    logger = _LOGGERS.get(event.name)
    if logger is not None and logger.isEnabledFor(logging.INFO):
        fields = {name: value for name, value in event.fields.items() if value is not None and name in FIELDS}
        # What calls this is always the same.
        record = logger.makeRecord(
            logger.name, logging.INFO, "", 0, event.name, (), None, extra={"event": event.name, **fields}
        )
        logger.handle(record)


class _StandardError:
    """Standard error as it is now, but not what Celery puts in its place, which would log each line once more."""

    @property
    def _stream(self) -> Any:
        return sys.__stderr__ if isinstance(sys.stderr, LoggingProxy) else sys.stderr

    def write(self, text: str) -> None:
        self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


def set_up(app: Flask) -> None:
    """Have the lines written to standard error, and in the same format what the application writes there.

    Flask's own handler, which Invenio-Logging uses too, gets the format, and those of Celery's workers; handlers that
    the application has made stay as they are.

    :param app: The application.
    """
    formatter = make_formatter(app.config["FILES_REST_LOG_FORMAT"])
    logger = logging.getLogger(ROOT)
    handler = own_handler()
    if handler is None:
        handler = logging.StreamHandler(_StandardError())
        after_setup_logger.connect(_set_up_worker, weak=False)
        after_setup_task_logger.connect(_set_up_worker, weak=False)
        handler.name = ROOT
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # Otherwise handlers of the root would write each line once more.
    logger.propagate = False
    for each in (handler, default_handler):
        each.setFormatter(formatter)


def _set_up_worker(logger: logging.Logger, **kwargs: Any) -> None:
    if (ours := own_handler()) is not None:
        for handler in logger.handlers:
            handler.setFormatter(ours.formatter)


def own_handler() -> logging.Handler | None:
    """Return the handler that writes the lines; ``None`` if they are not written."""
    return next((handler for handler in logging.getLogger(ROOT).handlers if handler.name == ROOT), None)


def for_people(style: str) -> bool:
    """Return whether a format is one for people, rather than JSON.

    :param style: One of :data:`STYLES`.
    """
    return style == "text" or (style == "auto" and sys.stderr.isatty())


def make_formatter(style: str) -> logging.Formatter:
    """Return what makes a line of a record.

    :param style: One of :data:`STYLES`.
    :raises ValueError: If it is none of them.
    """
    import structlog

    if style not in STYLES:
        raise ValueError(f"FILES_REST_LOG_FORMAT is {style!r}; it has to be one of {', '.join(STYLES)}.")
    renderer: Any = (
        # Values are written as Python has them, with control and bidirectional characters escaped.
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), repr_native_str=True, timestamp_key="time")
        if (is_text := for_people(style))
        else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.ExtraAdder(allow=FIELDS),
            _add_origin,
            structlog.stdlib.add_log_level,
            _add_context,
            structlog.processors.format_exc_info,
            _hide_secrets,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([_keep_to_its_lines] if is_text else []),
            renderer,
        ],
    )


def _add_origin(logger: Any, method: str, line: _Line) -> _Line:
    """Add time and logger, and the message where the line is not that of an event."""
    record: logging.LogRecord = line["_record"]
    event = getattr(record, "event", None)
    if event is not None:
        if event != line["event"]:
            line["message"] = line["event"]
        line["event"] = event
    line["time"] = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
    line["logger"] = record.name
    for name in FIELDS:
        if name in line and not isinstance(line[name], (str, int, float, dict)):
            line[name] = str(line[name])
    return line


def _is_ours(line: _Line) -> bool:
    return str(line["logger"]).startswith(f"{ROOT}.") and line["event"] in EVENTS


def _add_context(logger: Any, method: str, line: _Line) -> _Line:
    """Add what others' lines do not know: the request, the user, bucket and key."""
    if not _is_ours(line):
        for name, value in context().items():
            if name != "ms" and value is not None:
                line.setdefault(name, str(value))
    return line


def _hide_secrets(logger: Any, method: str, line: _Line) -> _Line:
    """Hide secrets in what others wrote: errors of a database, for example, have the values of their statements."""
    if not _is_ours(line):
        secrets = secrets_of(request) if has_request_context() else ()
        for name in ("event", "message", "exception"):
            if name in line:
                line[name] = redact(line[name], secrets)
    return line


def _keep_to_its_lines(logger: Any, method: str, line: _Line) -> _Line:
    """Let no text begin a line that might be taken for one of the log."""
    for name in ("event", "message"):
        if name in line:
            line[name] = _printable(line[name])
    if "exception" in line:
        line["exception"] = "\n".join(f"    {_printable(part)}" for part in line["exception"].splitlines())
    return line


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
