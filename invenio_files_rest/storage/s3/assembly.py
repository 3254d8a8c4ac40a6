"""Putting a file together that the store cannot make of its parts alone.

Parts of an S3 upload can be read once they are an object. So the store makes one of all parts that it has, in the place
of the file, and the file is written anew out of it. Where each part lies in it is kept in an object beside it, which
also tells that it is not the file yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from typing import Any, NamedTuple

from ...errors import StorageError
from ..local import TEMPORARY_PREFIX
from ..pump import check_size
from .objects import S3Object
from .pieces import OBJECT, PART, S3Piece
from .reading import S3File
from .runs import parts_there
from .writing import complete

LAYOUT = f"{TEMPORARY_PREFIX}layout"
"""Name of the object that tells where the parts lie."""


class Source(NamedTuple):
    """Bytes of an object."""

    object: S3Object
    start: int
    size: int


class Assembly:
    """The parts of an S3 upload, which become a file or an object to read them from.

    :param target: The file.
    :param upload_id: The store's identifier of the upload.
    """

    def __init__(self, target: S3Object, upload_id: str) -> None:
        """Ask for nothing yet."""
        self._target = target
        self._upload_id = upload_id
        self._layout = target.beside(LAYOUT)

    def is_finished(self, total: int) -> bool:
        """Return whether the file is there.

        :param total: Its size in bytes.
        """
        try:
            found = self._target.call("head_object")
        except FileNotFoundError:
            return False
        if found["ContentLength"] != total:
            return False
        layout = self._read_layout()
        return layout is None or bool(layout["tag"] and layout["tag"] != found["ETag"])

    def has_no_other(self, pieces: Iterable[S3Piece]) -> bool:
        """Return whether the store has no parts but those which the file is made of; some stores want all to be named.

        :param pieces: The pieces of the file, with their numbers.
        :raises FileNotFoundError: If the upload was completed or aborted.
        :raises StorageError: If a part is not there, or is another one.
        """
        there = {part.number: part for part in parts_there(self._target, self._upload_id)}
        _ensure_same(there, pieces)
        return there.keys() <= {piece.number for piece in pieces}

    def sources(self, pieces: list[S3Piece]) -> list[Source]:
        """Make an object of all parts, and return where the bytes of the pieces are.

        :param pieces: The pieces of the file.
        :raises FileNotFoundError: If the upload was aborted.
        :raises StorageError: If a part is not there, or is another one.
        """
        starts = self._read_parts(pieces)
        return [
            Source(self._target.beside(piece.where), 0, piece.size)
            if piece.kind == OBJECT
            else Source(self._target, starts[piece.number], piece.size)
            for piece in pieces
        ]

    def _read_parts(self, pieces: list[S3Piece]) -> dict[int, int]:
        """Return where parts begin in the object that they have become, by their numbers."""
        layout = self._read_layout()
        if layout is None or not layout["tag"]:
            try:
                there = list(parts_there(self._target, self._upload_id))
            except FileNotFoundError:
                if layout is None:
                    raise
            else:
                _ensure_same({part.number: part for part in there}, pieces)
                layout = {"parts": [[part.number, part.size] for part in there], "tag": ""}
                if not there:
                    return {}
                self._write_layout(layout)
                complete(self._target, self._upload_id, {part.number: part.where for part in there})
            # The object has another tag once it is the file.
            layout["tag"] = self._target.call("head_object")["ETag"]
            self._write_layout(layout)
        starts, at = {}, 0
        for number, size in layout["parts"]:
            starts[number] = at
            at += size
        return starts

    def _read_layout(self) -> dict[str, Any] | None:
        try:
            with closing(S3File(self._layout)) as file:
                file.prepare(0, None)
                layout: dict[str, Any] = json.loads(file.read() or b"")
        except FileNotFoundError:
            return None
        return layout

    def _write_layout(self, layout: dict[str, Any]) -> None:
        self._layout.call("put_object", Body=json.dumps(layout).encode())


def _ensure_same(there: dict[int, S3Piece], pieces: Iterable[S3Piece]) -> None:
    for piece in pieces:
        if piece.kind == PART and there.get(piece.number) != piece:
            raise StorageError(f"Part {piece.number} of the upload is not in the store, or is another one.")


class PiecesStream:
    """Bytes of objects as one stream.

    :param sources: Where they are, in order.
    """

    def __init__(self, sources: list[Source]) -> None:
        """Open none of them yet."""
        self._sources = iter(sources)
        self._file: S3File | None = None
        self._left = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes of one object.

        :param size: Largest number of bytes; negative for all that the object has.
        :raises FileNotFoundError: If the object is not there.
        :raises StorageError: If it has too few bytes.
        """
        while not self._left:
            if self._file is not None:
                self._file.close()
            source = next(self._sources, None)
            if source is None:
                return b""
            self._file, self._left = S3File(source.object), source.size
            self._file.prepare(source.start, source.size)
        assert self._file is not None
        data = self._file.read(self._left if size < 0 else min(size, self._left)) or b""
        if not data:
            check_size(0, self._left)
        self._left -= len(data)
        return data
