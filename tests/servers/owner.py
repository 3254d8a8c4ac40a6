"""The permission of the owner alone, for ``FILES_REST_PERMISSION_FACTORY``."""

from __future__ import annotations

from typing import Any

from flask import request

OWNER = {"Authorization": "Bearer owner"}


class Owner:
    """The permission of who says that he is the owner."""

    def can(self) -> bool:
        return request.headers.get("Authorization") == OWNER["Authorization"]


def permission_factory(obj: Any, action: str) -> Owner:
    """Let the owner do everything."""
    return Owner()
