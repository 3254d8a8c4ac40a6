"""Asking what somebody may do who is not the one who sends the request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import current_app, g, has_request_context, session
from flask_principal import Identity, identity_loaded

_MISSING = object()


@contextmanager
def acting_as(user: Any) -> Iterator[None]:
    """Have permissions be those of a user, with whatever the application gives an identity: needs, roles, groups.

    :param user: The user, as the database has it now.
    """
    with _without_session(), _identity_of(user):
        yield


@contextmanager
def _without_session() -> Iterator[None]:
    """Put the session of who sends the request aside.

    Packages keep groups there that a login came with: they would be given to the user, or the user's to the visitor.
    """
    if not has_request_context():
        yield
        return
    kept, modified = dict(session), session.modified
    # One that is empty may be of an application that has none, and take no change.
    if kept:
        session.clear()
    try:
        yield
    finally:
        if kept or session:
            session.clear()
            session.update(kept)
            session.modified = modified


@contextmanager
def _identity_of(user: Any) -> Iterator[None]:
    # What Flask-Login and Flask-Principal keep for a request.
    before = {name: g.get(name, _MISSING) for name in ("_login_user", "identity")}
    try:
        g._login_user = user
        g.identity = identity = Identity(user.id)
        identity_loaded.send(current_app._get_current_object(), identity=identity)  # type: ignore[attr-defined]
        yield
    finally:
        for name, value in before.items():
            if value is _MISSING:
                g.pop(name, None)
            else:
                setattr(g, name, value)
