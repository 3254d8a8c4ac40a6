"""The result of maintenance operations: what they found, and what they did about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Finding:
    """Something that is not as it should be, or that an operation has changed."""

    kind: str
    """Kind of the finding, one word that scripts can rely on."""

    name: str
    """Path or identifier of the thing."""

    text: str
    """Description for humans."""

    size: int | None = None
    """Size of the thing in bytes, if it has one."""

    done: bool = False
    """Whether the operation has resolved it."""

    error: str | None = None
    """Why resolving it failed, if it was tried."""


@dataclass
class Fine:
    """Something that is as it should be."""

    size: int | None = None
    """Size of the thing in bytes, if it has one."""
