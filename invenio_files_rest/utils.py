"""Utilities: loading objects by their import paths, e.g. from settings, and guessing MIME types."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app
from werkzeug.utils import import_string

from .filetypes import guess_mimetype

__all__ = ("guess_mimetype", "load_or_import_from_config", "obj_or_import_string")


def obj_or_import_string(value: Any, default: Any = None) -> Any:
    """Return an object, given itself or its import path.

    :param value: The object, or its import path, e.g. ``"package.module:name"``.
    :param default: What to return if ``value`` is empty.
    :raises ImportError: If the path cannot be imported.
    """
    if isinstance(value, str):
        return import_string(value)
    return value or default


def load_or_import_from_config(key: str, app: Flask | None = None, default: Any = None) -> Any:
    """Return the object that a setting contains or names.

    :param key: Name of the setting, whose value is the object or its import path.
    :param app: The application; by default the current one.
    :param default: What to return if the setting is missing or empty.
    :raises ImportError: If the path cannot be imported.
    """
    return obj_or_import_string((app or current_app).config.get(key), default=default)
