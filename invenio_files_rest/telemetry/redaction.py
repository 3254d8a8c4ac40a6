"""Keeping secrets out of the log: by their names, by their forms, and those of the request by their values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ..http.routing import without_token

if TYPE_CHECKING:
    from flask import Request

HIDDEN = "[hidden]"
"""What stands in the place of a secret."""

_SHORTEST = 6
"""Length from which a value is looked for: a shorter one would be found in many words."""

_NAMED = re.compile(
    r"""((?<![\w-])[\w-]{0,64}(?:authorization|cookie|credential|passw(?:or)?d|secret(?:_access)?(?:_key)?|session|
        signature|token)[\\"']{0,2}\s?[=:]\s?[\\"']{0,2})
        (?!\[hidden\])[^\s&"'<>,;()\]}\\]+""",
    re.IGNORECASE | re.VERBOSE,
)
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/-]{6,}=*", re.IGNORECASE)
_USER_INFORMATION = re.compile(r"(?<=://)(?:[^\s/:@]{0,100}:(?!\d+/)[^\s@]{0,200}|[^\s/@]{0,200})(?:@[^\s/@]{1,200})?@")
"""Names and passwords of URLs, also where a password has a slash or an at sign that is not escaped.

Texts may be long and from anybody, so that only so much is looked at from each place.
"""

_ARGUMENTS = re.compile(r"access_token|token|x-amz-(credential|security-token|signature)", re.IGNORECASE)
"""Arguments of a query that are secret."""


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """Return a text without secrets.

    :param text: The text.
    :param secrets: Values to hide wherever they are.
    """
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    text = without_token(text)
    text = _CREDENTIALS.sub(rf"\1 {HIDDEN}", text)
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    return _USER_INFORMATION.sub(f"{HIDDEN}@", text)


def secrets_of(request: Request) -> set[str]:
    """Return what a request has of secrets: in its cookies, its query, and its ``Authorization``.

    :param request: The request. Its body is not touched.
    """
    return {value for value in _secrets(request) if len(value) >= _SHORTEST}


def _secrets(request: Request) -> Iterator[str]:
    yield from request.cookies.values()
    yield request.headers.get("Authorization", "").partition(" ")[2].strip()
    yield request.headers.get("X-CSRFToken", "")
    authorization = request.authorization
    if authorization is not None and authorization.password:
        yield authorization.password
    # A query need not be in UTF-8.
    for name, value in parse_qsl(request.query_string.decode("latin-1")):
        if _ARGUMENTS.fullmatch(name):
            yield value
