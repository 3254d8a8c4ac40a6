"""The interim response ``104 (Upload Resumption Supported)``, for servers that do not send any by themselves."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from flask import current_app, request

VERSIONS = range(3, 9)
"""Versions of the draft that have it, as clients name them in ``Upload-Draft-Interop-Version``."""


def _connection() -> Any:
    return request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")


def is_wanted(version: int | None) -> bool:
    """Tell whether the client of the request wants it, and can have it.

    :param version: Version of the draft that the client speaks.
    """
    return (
        bool(current_app.config["FILES_REST_UPLOAD_104"])
        and version in VERSIONS
        and request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        and _connection() is not None
    )


def send(version: int | None, headers: dict[str, str]) -> None:
    """Send it. A client that has gone shows when the body is read.

    :param version: Version of the draft that the client speaks.
    :param headers: Its headers.
    """
    named = {**headers, "Upload-Draft-Interop-Version": str(version)}
    lines = ["HTTP/1.1 104 Upload Resumption Supported", *(f"{name}: {value}" for name, value in named.items())]
    with suppress(OSError):
        _connection().sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))
