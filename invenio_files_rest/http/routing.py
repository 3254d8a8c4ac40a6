"""Which view a request is for."""

from __future__ import annotations

from contextlib import suppress

from flask import current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed


def requested_endpoint() -> str | None:
    """Return the endpoint of the URL, even if it does not have the method; ``None`` if there is none."""
    endpoint, error = request.endpoint, request.routing_exception
    if isinstance(error, MethodNotAllowed) and (adapter := current_app.create_url_adapter(request)):
        with suppress(HTTPException):
            endpoint, _ = adapter.match(method=next(iter(error.valid_methods or ["GET"])))
    return endpoint
