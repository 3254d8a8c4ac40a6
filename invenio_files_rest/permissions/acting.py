"""Asking what somebody may do who is not the one who sends the request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import current_app, g
from flask_principal import Identity, identity_loaded

_MISSING = object()


@contextmanager
def acting_as(user: Any) -> Iterator[None]:
    """Have permissions be those of a user, with whatever the application gives an identity: needs, roles, groups.

    :param user: The user, as the database has it now.
    """
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
