"""Who and where: identifiers of requests, which go with the tasks that they send, of users, and names of locations."""

from __future__ import annotations

import re
import threading
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flask import g
from sqlalchemy.exc import SQLAlchemyError

from ..models import Location
from ..models.base import known_identity

if TYPE_CHECKING:
    from flask import Request

_VALID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")

TASK_HEADER = "files_rest_request_id"
"""Header of a task's message that has the identifier of the request that sent it."""


def request_id(request: Request, header: str | None) -> str:
    """Return the identifier that the proxy in front has given a request, or a new one.

    A client may send anything: only up to 128 letters, digits and ``._:+/=@-`` are taken for one.

    :param request: The request.
    :param header: Name of the header; ``None`` to take none.
    """
    given = request.headers.get(header, "") if header else ""
    return given if _VALID.fullmatch(given) else uuid.uuid4().hex


def user_id() -> str | None:
    """Return the identifier of the user of the request, where somebody has looked for the user; else ``None``.

    The database is not asked.
    """
    user = g.get("_login_user")
    identity: Any = None if user is None else known_identity(user)
    return None if identity is None else str(identity)


_names: dict[int, str] = {}
_names_lock = threading.Lock()


def location_name(location_id: int) -> str | None:
    """Return the name of a location; ``None`` if the database does not tell.

    The database is asked once by each process, and again for a location that is new.

    :param location_id: Identifier of the location.
    """
    if location_id not in _names:
        with _names_lock, suppress(SQLAlchemyError):
            _names.update((row.id, row.name) for row in Location.rows())
    return _names.get(location_id)
