"""Whether anybody is told of new objects, or when the unit of work of SQLAlchemy adds rows, so that it has to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from flask import current_app
from flask_sqlalchemy import track_modifications
from invenio_db import db
from sqlalchemy import inspect
from sqlalchemy_utils.aggregates import manager as aggregation

_OF_FLUSHES = ("before_flush", "after_flush", "after_flush_postexec")
_OF_ROWS = ("before_insert", "after_insert")
_OWN = ("sqlalchemy.orm.mapper", "sqlalchemy.orm.util")
"""The modules of SQLAlchemy that listen themselves."""


def anybody_listens(*models: Any) -> bool:
    """Return whether anybody listens to the flushes of the session, or to new rows of models.

    It takes microseconds, and is asked each time: listeners come and go. What SQLAlchemy-Utils, Flask-SQLAlchemy and,
    through Invenio-DB, SQLAlchemy-Continuum let listen to all models is not counted where it has nothing to do with
    these, or tells nobody of them.

    :param models: The models.
    """
    idle = list(_idle_listeners(models))
    session = db.session()
    told = [getattr(session.dispatch, name) for name in _OF_FLUSHES]
    for mapper in map(inspect, models):
        told += [getattr(mapper.dispatch, name) for name in _OF_ROWS]
        told.append(mapper.class_manager.dispatch.refresh_flush)
    return not all(_is_idle(listener, idle) for listeners in told for listener in listeners)


def anybody_watches(model: Any) -> bool:
    """Return whether anybody is told when objects of a model are made, or values of their columns are set.

    It is asked each time, as :func:`anybody_listens` is. What SQLAlchemy itself lets listen is not counted: that of
    each mapper, and that which calls validators.

    :param model: The model.
    """
    mapper = inspect(model)
    told = [*mapper.class_manager.dispatch.init]
    for attribute in mapper.column_attrs:
        told += mapper.class_manager[attribute.key].dispatch.set
    return not all(any(_is_own(each) for each in _unwrapped(one)) for one in told)


def _is_own(listener: Any) -> bool:
    # A mapper that a listener has in its closure is of those modules, too.
    return isinstance(listener, FunctionType) and listener.__module__ in _OWN


def _is_idle(listener: Any, idle: list[Callable[..., Any]]) -> bool:
    return any(each in idle or _tracks_for_nobody(each) for each in _unwrapped(listener))


def _unwrapped(listener: Any) -> Iterator[Any]:
    yield listener
    # SQLAlchemy wraps what listens to mappers and attributes, or asks for arguments by name.
    for cell in getattr(listener, "__closure__", None) or ():
        yield cell.cell_contents


def _tracks_for_nobody(listener: Any) -> bool:
    """Return whether a listener is Flask-SQLAlchemy's, which collects what is committed for receivers of its signals.

    It is there for all applications of a process once one has ``SQLALCHEMY_TRACK_MODIFICATIONS``, as Invenio-DB has it
    where nobody says otherwise.
    """
    if getattr(listener, "__module__", None) != track_modifications.__name__:
        return False
    signals = track_modifications.before_models_committed, track_modifications.models_committed
    return not current_app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] or not any(each.receivers for each in signals)


def _idle_listeners(models: Any) -> Iterator[Callable[..., Any]]:
    if not any(issubclass(model, aggregated) for aggregated in aggregation.generator_registry for model in models):
        yield aggregation.construct_aggregate_queries
    versioning = getattr(current_app.extensions.get("invenio-db"), "versioning_manager", None)
    if versioning is not None and not any(hasattr(model, "__versioned__") for model in models):
        yield from (versioning.before_flush, versioning.after_flush, versioning.track_inserts)
