"""What an operation has found, and what it did about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Finding:
    """One thing that is not as it should be, or that an operation has changed."""

    kind: str
    """What it is, in one word that scripts can rely on."""

    name: str
    """The thing: a path, or an identifier."""

    text: str
    """What is to say of it, for a human."""

    size: int | None = None
    """Its size in bytes, where it has one."""

    done: bool = False
    """Whether the operation has dealt with it, so that it is no problem any more."""

    error: str | None = None
    """Why that could not be done, where it was tried."""


@dataclass
class Fine:
    """One thing that is as it should be."""

    size: int | None = None
    """Its size in bytes, where it has one."""
