"""``/files/openapi.json``: the description of this API."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from flask import Response, current_app, request

if TYPE_CHECKING:
    from ..http.openapi.document import Described

_MAX_AGE = 3600
"""Seconds for which the description may be kept without asking again."""


def openapi() -> Response:
    """Describe this API, in OpenAPI 3.1."""
    # A relative address: a proxy in front may have changed scheme and host.
    servers = json.dumps([{"url": request.script_root or "/"}])
    text = f'{{"servers":{servers},{_document()[1:]}'
    response = current_app.response_class(text, mimetype="application/json")
    response.set_etag(hashlib.sha256(text.encode()).hexdigest())
    response.cache_control.public = True
    response.cache_control.max_age = _MAX_AGE
    return response.make_conditional(request)  # type: ignore[return-value]


def described() -> Described:
    """Return the uses of every view, by its class or function."""
    # Most processes are never asked for it.
    from ..http.openapi.uses import Answer, Use
    from .described import DESCRIBED

    use = Use(
        view=openapi,
        answers={
            200: Answer("The document.", {"type": "object"}, headers=("ETag",)),
            304: Answer("The client has it already.", types=(), headers=("ETag",)),
        },
        headers=("If-None-Match",),
    )
    return {**DESCRIBED, openapi: {"GET": (use,), "HEAD": (use,)}}


def _document() -> str:
    """Return the document, without the address of its server; routes do not change while the application runs."""
    from ..http.openapi.document import make_document

    name = "invenio-files-rest-openapi"
    if name not in current_app.extensions:
        document = make_document(current_app._get_current_object(), described())  # type: ignore[attr-defined]
        current_app.extensions[name] = json.dumps(document, separators=(",", ":"))
    text: str = current_app.extensions[name]
    return text
