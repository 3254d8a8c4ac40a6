"""What can be done with a resource: by which function, and with which answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

JSON = ("application/json",)


@dataclass(frozen=True)
class Answer:
    """An answer to a request that succeeds."""

    description: str
    """What it is, in Markdown."""

    schema: Mapping[str, Any] | None = None
    """Schema of its body; ``None`` where the body is none, or bytes."""

    types: tuple[str, ...] = JSON
    """Media types of its body; none without a body."""

    headers: tuple[str, ...] = ()
    """Names of its headers, of those in :data:`~.headers.ANSWERED`."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """One thing that a method of a resource does."""

    view: Callable[..., Any]
    """The function that does it. The first line of its docstring says what it does."""

    answers: Mapping[int, Answer]
    """Answers where it succeeds, by status."""

    when: str = ""
    """Name of the query argument that chooses this use; empty for what is done without one."""

    flags: tuple[str, ...] = ()
    """Names of further arguments without a value, of those in :data:`~.headers.FLAGS`."""

    also: tuple[Callable[..., Any], ...] = ()
    """Other functions that take arguments of the request."""

    headers: tuple[str, ...] = ()
    """Names of request headers, of those in :data:`~.headers.ASKED`."""

    body: tuple[str, ...] = ()
    """Media types of a body that is taken as it comes."""

    refuses: frozenset[int] = frozenset()
    """Statuses of its refusals, other than those that every use has."""

    problems: frozenset[int] = frozenset()
    """Those statuses of which some refusals have a problem type (RFC 9457)."""
