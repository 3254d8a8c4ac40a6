"""Permissions of some, for ``FILES_REST_PERMISSION_FACTORY``."""

from __future__ import annotations

from typing import Any

from flask import request

OWNER = {"Authorization": "Bearer owner"}


class Owner:
    """The permission of who says that he is the owner."""

    def can(self) -> bool:
        return request.headers.get("Authorization") == OWNER["Authorization"]


class Nobody:
    """The permission that nobody has."""

    def can(self) -> bool:
        return False


def all_but_reading(obj: Any, action: str) -> Nobody | None:
    """Let everybody do everything, but read no file."""
    return Nobody() if action == "object-read" else None


def permission_factory(obj: Any, action: str) -> Owner:
    """Let the owner do everything."""
    return Owner()
