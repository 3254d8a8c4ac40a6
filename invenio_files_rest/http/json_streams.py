"""Writing JSON of many items one by one: in memory while it is small, otherwise to a temporary file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import islice
from tempfile import SpooledTemporaryFile
from textwrap import indent
from typing import Any

from flask import Response, current_app, request
from werkzeug.wsgi import wrap_file

from .pacing import paced_file

SPOOLED_IN_MEMORY = 1024**2
"""Largest size of a listing that is kept in memory, in bytes."""

_ITEMS_AT_A_TIME = 100
"""Number of items of a listing that are serialized at a time."""

_BLOCK = 64 * 1024
"""Number of bytes of a listing that are sent at a time."""

_compact = json.JSONEncoder(separators=(",", ":")).encode


def dumps(data: Any) -> str:
    """Return data as JSON, indented if the request asks for ``prettyprint``."""
    if request.args.get("prettyprint"):
        return json.dumps(data, indent=2) + "\n"
    return _compact(data)


def contents_response(items: Iterable[dict[str, Any]], describe: Callable[[], dict[str, Any]]) -> Response:
    """Make the response with a container and its contents.

    :param items: The serialized items.
    :param describe: Called after the items have been read; returns the serialized container.
    """
    spool = _new_spool()
    pretty = bool(request.args.get("prettyprint"))
    spool.write(b'{\n  "contents": [' if pretty else b'{"contents":[')
    _write_items(spool, items, "  " if pretty else None)
    spool.write(b"\n  ]" if pretty else b"]")
    rest = describe()
    spool.write(("," + dumps(rest)[1:]).encode() if rest else b"}")
    return _spooled(spool)


def array_response(items: Iterable[dict[str, Any]]) -> Response:
    """Make the response with an array of items.

    :param items: The serialized items.
    """
    spool = _new_spool()
    pretty = bool(request.args.get("prettyprint"))
    spool.write(b"[")
    _write_items(spool, items, "" if pretty else None)
    spool.write((b"\n]\n" if spool.tell() > 1 else b"]\n") if pretty else b"]")
    return _spooled(spool)


def _new_spool() -> SpooledTemporaryFile[bytes]:
    """Return a new file for a listing, which stays in memory while it is small.

    The response is sent from this file, so that memory does not grow with the listing, and a slow client does not hold
    a database connection.
    """
    return SpooledTemporaryFile(SPOOLED_IN_MEMORY, mode="w+b")


def _write_items(spool: SpooledTemporaryFile[bytes], items: Iterable[dict[str, Any]], margin: str | None) -> None:
    """Write the items of an array.

    :param spool: File to write to.
    :param items: The items.
    :param margin: Indentation of the lines; ``None`` to write everything in one line.
    """
    remaining, separator = iter(items), ""
    while batch := list(islice(remaining, _ITEMS_AT_A_TIME)):
        text = _compact(batch)[1:-1] if margin is None else indent(json.dumps(batch, indent=2)[1:-2], margin)
        spool.write((separator + text).encode())
        separator = ","


def _spooled(spool: SpooledTemporaryFile[bytes]) -> Response:
    """Make the response that sends a file and then closes it.

    A WSGI server would ask for the file's descriptor, which would write it to the disk. Therefore a file in memory is
    sent as bytes.
    """
    size = spool.tell()
    spool.seek(0)
    body = paced_file(spool)
    in_memory = size <= SPOOLED_IN_MEMORY
    sent = spool.read() if in_memory else wrap_file(request.environ, body, _BLOCK)
    response = current_app.response_class(sent, mimetype="application/json")
    response.content_length = size
    if in_memory:
        response.call_on_close(body.close)
    return response
