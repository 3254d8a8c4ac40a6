"""JSON of many things, item by item: in memory while it is small, and in a temporary file beyond that."""

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

_SPOOLED_IN_MEMORY = 1024**2
"""Bytes of a listing that are kept in memory."""

_ITEMS_AT_A_TIME = 100
"""Items of a listing that are made JSON at once."""

_BLOCK = 64 * 1024
"""Bytes of a listing that are sent at once."""

_compact = json.JSONEncoder(separators=(",", ":")).encode


def dumps(data: Any) -> str:
    """Return data as JSON, indented where the request asks for ``prettyprint``."""
    if request.args.get("prettyprint"):
        return json.dumps(data, indent=2) + "\n"
    return _compact(data)


def contents_response(items: Iterable[dict[str, Any]], describe: Callable[[], dict[str, Any]]) -> Response:
    """Make the response that shows a container with its contents.

    :param items: What is shown of each object.
    :param describe: Called when the items have been read; returns what is shown of the container.
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
    """Make the response that shows several objects by themselves.

    :param items: What is shown of each object.
    """
    spool = _new_spool()
    pretty = bool(request.args.get("prettyprint"))
    spool.write(b"[")
    _write_items(spool, items, "" if pretty else None)
    spool.write((b"\n]\n" if spool.tell() > 1 else b"]\n") if pretty else b"]")
    return _spooled(spool)


def _new_spool() -> SpooledTemporaryFile[bytes]:
    """Make a file for a listing, which stays in memory while it is small.

    It is sent from there, so that neither the memory grows with the listing nor a client that reads slowly holds a
    database connection.
    """
    return SpooledTemporaryFile(_SPOOLED_IN_MEMORY, mode="w+b")


def _write_items(spool: SpooledTemporaryFile[bytes], items: Iterable[dict[str, Any]], margin: str | None) -> None:
    """Write the items of an array.

    :param spool: Where to write them.
    :param items: The items.
    :param margin: What an indented array has in front of its lines; ``None`` for one that is not indented.
    """
    remaining, separator = iter(items), ""
    while batch := list(islice(remaining, _ITEMS_AT_A_TIME)):
        text = _compact(batch)[1:-1] if margin is None else indent(json.dumps(batch, indent=2)[1:-2], margin)
        spool.write((separator + text).encode())
        separator = ","


def _spooled(spool: SpooledTemporaryFile[bytes]) -> Response:
    """Make the response that sends what is in a file, and closes it.

    A web server would ask for the descriptor of a file, and so have it written to the disk: what is in memory is sent
    by itself.
    """
    size = spool.tell()
    spool.seek(0)
    body = paced_file(spool)
    in_memory = size <= _SPOOLED_IN_MEMORY
    sent = spool.read() if in_memory else wrap_file(request.environ, body, _BLOCK)
    response = current_app.response_class(sent, mimetype="application/json")
    response.content_length = size
    if in_memory:
        response.call_on_close(body.close)
    return response
