"""The pieces of an upload in progress: parts of an S3 upload, and objects beside the file that it becomes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from ..uploads import Receipt
from .locations import SMALLEST_PART

PART, OBJECT = "part", "object"


class S3Piece(NamedTuple):
    """A run of bytes in the store."""

    kind: str
    """``part`` for a part of the S3 upload, ``object`` for an object of its own."""

    number: int
    """Number of the part that it is, or that it may become; 0 if there is none for it."""

    size: int

    where: str
    """Entity tag of the part, or name of the object."""


def pieces_of(*receipts: Receipt | None) -> list[S3Piece]:
    """Return the pieces that make up some extents, in order.

    :param receipts: Their receipts.
    """
    return [S3Piece(*piece) for receipt in receipts if receipt for piece in receipt["pieces"]]


def receipt_of(pieces: Iterable[S3Piece], **more: int | str) -> Receipt:
    """Return a receipt.

    :param pieces: The pieces that make up the extent, in order.
    :param more: What else it has to say.
    """
    pieces = list(pieces)
    return {"size": sum(piece.size for piece in pieces), "pieces": [list(piece) for piece in pieces], **more}


def numbered(pieces: list[S3Piece]) -> list[S3Piece] | None:
    """Give each piece the number of the part that it is or becomes, so that nothing but its last bytes is copied.

    :param pieces: The pieces of the file, in order.
    :returns: The same pieces; ``None`` if there are no such numbers, or one in the middle is too small for a part.
    """
    found: list[S3Piece] = []
    for piece in pieces:
        last = found[-1].number if found else 0
        found.append(piece if piece.number else piece._replace(number=last + 1))
    ascending = all(before.number < after.number for before, after in pairwise(found))
    large = all(piece.size >= SMALLEST_PART for piece in found[:-1])
    has_parts = any(piece.kind == PART for piece in found)
    return found if has_parts and ascending and large and found[-1].number <= 10_000 else None
