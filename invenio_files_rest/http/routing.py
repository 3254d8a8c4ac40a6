"""Which view a request is for, and what of its path may be told."""

from __future__ import annotations

import re
from contextlib import suppress

from flask import current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

_SHARE = re.compile(r"(/files/+links/+)(?!\[hidden\])[^/?#\s\"'<>]+")


def without_token(text: str) -> str:
    """Return a path, or a text that may have one, without the token of a link for others.

    :param text: The text.
    """
    return _SHARE.sub(r"\1[hidden]", text)


def requested_endpoint() -> str | None:
    """Return the endpoint of the URL, even if it does not have the method; ``None`` if there is none."""
    endpoint, error = request.endpoint, request.routing_exception
    if isinstance(error, MethodNotAllowed) and (adapter := current_app.create_url_adapter(request)):
        with suppress(HTTPException):
            endpoint, _ = adapter.match(method=next(iter(error.valid_methods or ["GET"])))
    return endpoint
