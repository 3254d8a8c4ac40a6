"""Answers that several uses have in common, and the headers of what they are asked with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...http.file_response import SECURITY_HEADERS
from ...http.openapi.headers import EVERY_REFUSAL
from ...http.openapi.schemas import ref
from ...http.openapi.uses import Answer, Use

DIGESTS = ("Content-Digest", "Content-MD5", "Repr-Digest")
"""Headers with digests of a body."""

READING = ("If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range")
"""Headers of who wants a file."""

TUS = ("Tus-Resumable",)
"""Headers of every request of tus."""

DRAFT = ("Upload-Complete", "Upload-Draft-Interop-Version", "Upload-Incomplete", "Upload-Length")
"""Headers of a request of the IETF draft that has bytes."""

ANSWERED_BY_TUS = ("Location", "Tus-Resumable", "Upload-Expires", "Upload-Offset")
ANSWERED_BY_DRAFT = ("Location", "Upload-Complete", "Upload-Incomplete", "Upload-Limit", "Upload-Offset")

_OF_A_FILE = (
    *("Accept-Ranges", "Content-Disposition", "ETag", "Expires", "Last-Modified", "Repr-Digest"),
    *SECURITY_HEADERS,
)

DONE = {204: Answer("It is done.", types=())}
TAGS = {200: Answer("The tags.", ref("Tags"), headers=("ETag",))}
SHOWN_TAGS = {**TAGS, 304: Answer("The client has them already.", types=(), headers=("ETag",))}
STORED = {200: Answer("The version.", ref("ObjectVersion"), headers=("ETag",))}
OPTIONS = {
    200: Answer(
        "The methods, and what uploads there can be.",
        types=(),
        headers=(
            *("Allow", "Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size", "Tus-Resumable", "Tus-Version"),
            "Upload-Limit",
        ),
    )
}


def shows(description: str, schema: dict[str, Any], *headers: str) -> dict[int, Answer]:
    """Return the answer that shows something in JSON.

    :param description: What it shows.
    :param schema: Schema of that.
    :param headers: Names of headers that it may have.
    """
    return {200: Answer(description, schema, headers=headers)}


def sends(types: tuple[str, ...], description: str) -> dict[int, Answer]:
    """Return the answers to who wants a file.

    :param types: Media types that it may have.
    :param description: What it is.
    """
    return {
        200: Answer(description, types=types, headers=(*_OF_A_FILE, "Content-MD5")),
        206: Answer("The range of bytes.", types=types, headers=(*_OF_A_FILE, "Content-Range")),
        302: Answer(
            "A link to the storage itself, which is valid for a while.",
            types=("text/html",),
            headers=("Location", *_OF_A_FILE),
        ),
        304: Answer("The client has it already.", types=(), headers=_OF_A_FILE),
    }


def use(
    view: Callable[..., Any],
    answers: Mapping[int, Answer],
    *refuses: int,
    when: str = "",
    **about: Any,
) -> Use:
    """Return a use that can be refused as everything can.

    :param view: See :class:`~invenio_files_rest.http.openapi.uses.Use`.
    :param answers: See there.
    :param refuses: Further statuses of refusals.
    :param when: See there.
    :param about: Its other attributes.
    """
    return Use(view=view, answers=answers, refuses=EVERY_REFUSAL.union(refuses), when=when, **about)
