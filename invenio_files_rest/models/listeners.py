"""Whether anybody is told when the unit of work of SQLAlchemy adds rows, so that it has to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flask import current_app
from invenio_db import db
from sqlalchemy import inspect
from sqlalchemy_utils.aggregates import manager as aggregation

_OF_FLUSHES = ("before_flush", "after_flush", "after_flush_postexec")
_OF_ROWS = ("before_insert", "after_insert")


def anybody_listens(*models: Any) -> bool:
    """Return whether anybody listens to the flushes of the session, or to new rows of models.

    It takes microseconds, and is asked each time: listeners come and go. What SQLAlchemy-Utils and, through Invenio-DB,
    SQLAlchemy-Continuum let listen to all models is not counted where it has nothing to do with these.

    :param models: The models.
    """
    idle = list(_idle_listeners(models))
    session = db.session()
    told = [getattr(session.dispatch, name) for name in _OF_FLUSHES]
    for mapper in map(inspect, models):
        told += [getattr(mapper.dispatch, name) for name in _OF_ROWS]
        told.append(mapper.class_manager.dispatch.refresh_flush)
    return not all(_is_idle(listener, idle) for listeners in told for listener in listeners)


def _is_idle(listener: Any, idle: list[Callable[..., Any]]) -> bool:
    # SQLAlchemy wraps what listens to mappers.
    wrapped = (cell.cell_contents for cell in getattr(listener, "__closure__", None) or ())
    return listener in idle or any(content in idle for content in wrapped)


def _idle_listeners(models: Any) -> Iterator[Callable[..., Any]]:
    if not any(issubclass(model, aggregated) for aggregated in aggregation.generator_registry for model in models):
        yield aggregation.construct_aggregate_queries
    versioning = getattr(current_app.extensions.get("invenio-db"), "versioning_manager", None)
    if versioning is not None and not any(hasattr(model, "__versioned__") for model in models):
        yield from (versioning.before_flush, versioning.after_flush, versioning.track_inserts)
