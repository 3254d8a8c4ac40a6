"""Scopes of OAuth tokens: what whoever acts for a user may do with files (RFC 6749, section 3.3)."""

from __future__ import annotations

from collections.abc import Collection

from flask import current_app, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden

from ..messages import lazy_gettext as _

READ = "files:read"
"""Scope of a token that may read: list buckets, get objects."""

WRITE = "files:write"
"""Scope of a token that may write: create buckets, store objects, delete them."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def check_scope(needed: str | None = None) -> None:
    """Refuse a request whose token has not a scope.

    A token that has one of the scopes of files is held to those it has. One that has none, which users have from before
    there were any, is refused where ``FILES_REST_REQUIRE_SCOPES`` says so alone. Whoever comes without a token, with a
    session say, has no scopes.

    :param needed: The scope; by default that for the method of the request.
    :raises werkzeug.exceptions.Forbidden: If it has not (RFC 6750, section 3.1).
    """
    scopes = _scopes_of_token()
    if scopes is None or not (current_app.config["FILES_REST_REQUIRE_SCOPES"] or {READ, WRITE} & set(scopes)):
        return
    needed = needed or (READ if request.method in _READING else WRITE)
    if needed not in scopes:
        challenge = WWWAuthenticate("bearer", {"error": "insufficient_scope", "scope": needed})
        raise _InsufficientScope(_("The token has not the scope %(scope)s.", scope=needed), challenge)


def _scopes_of_token() -> Collection[str] | None:
    """Return the scopes of the token that Invenio-OAuth2Server has found in the request; ``None`` where it has none."""
    token = getattr(getattr(request, "oauth", None), "access_token", None)
    return None if token is None else token.scopes


class _InsufficientScope(Forbidden):
    def __init__(self, description: str, challenge: WWWAuthenticate) -> None:
        super().__init__(description)
        self.challenge = challenge

    def get_headers(self, *args: object, **kwargs: object) -> list[tuple[str, str]]:
        return [*super().get_headers(), ("WWW-Authenticate", self.challenge.to_header())]
