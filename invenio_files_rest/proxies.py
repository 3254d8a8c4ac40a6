"""Proxies for the state of the extension in the current application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from flask import current_app
from werkzeug.local import LocalProxy

if TYPE_CHECKING:
    from .ext import FilesRESTState

current_files_rest = cast("FilesRESTState", LocalProxy(lambda: current_app.extensions["invenio-files-rest"]))
"""State of the extension in the current application."""

current_permission_factory = cast("Any", LocalProxy(lambda: current_files_rest.permission_factory))
"""The permission factory that ``FILES_REST_PERMISSION_FACTORY`` names."""
