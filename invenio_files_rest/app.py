"""A Flask application that accepts files of any length, and forms up to ``MAX_CONTENT_LENGTH``."""

from __future__ import annotations

from flask import Flask as _Flask
from werkzeug.datastructures import ImmutableDict

from .config import MAX_CONTENT_LENGTH
from .http.request import Request


class Flask(_Flask):
    """Flask application whose requests are :class:`~invenio_files_rest.wrappers.Request`.

    ``MAX_CONTENT_LENGTH`` has our default; ``None`` in the configuration removes the limit.
    """

    request_class = Request

    default_config = ImmutableDict({**_Flask.default_config, "MAX_CONTENT_LENGTH": MAX_CONTENT_LENGTH})
