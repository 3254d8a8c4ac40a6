"""Small tools without a room of their own: MIME types and import paths in settings."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app
from werkzeug.utils import import_string

from .filetypes import guess_mimetype

__all__ = ("guess_mimetype", "load_or_import_from_config", "obj_or_import_string")


def obj_or_import_string(value: Any, default: Any = None) -> Any:
    """Return an object that is given as itself or as its import path.

    :param value: The object, or its import path, e.g. ``"package.module:name"``.
    :param default: What to return where ``value`` is empty.
    :raises ImportError: If the path leads nowhere.
    """
    if isinstance(value, str):
        return import_string(value)
    return value or default


def load_or_import_from_config(key: str, app: Flask | None = None, default: Any = None) -> Any:
    """Return the object that a setting holds, as itself or as its import path.

    :param key: Name of the setting.
    :param app: Application to ask; the current one by default.
    :param default: What to return where the setting is missing or empty.
    :raises ImportError: If the path leads nowhere.
    """
    return obj_or_import_string((app or current_app).config.get(key), default=default)
