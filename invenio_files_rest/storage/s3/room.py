"""Files of a given size whose parts are written in any order: what ``initialize`` and ``update`` make.

An object cannot be written in place. So each part goes to the store as it comes: as a part of an S3 upload, whose
number follows from where it begins, or as an object of its own if it is too small. The store makes the file of them
when all are there and the file is read. The metadata of an empty object beside the file tell that there is room.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import closing
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from ...errors import MultipartPartsDiffer, StorageError
from ..local import TEMPORARY_PREFIX
from ..pump import pump
from ..uploads import ExtentWrite
from .links import part_link
from .locations import SMALLEST_PART
from .objects import S3Object, has_md5, unquoted
from .pieces import OBJECT, PART, S3Piece, receipt_of
from .positions import Positioned
from .reading import S3File
from .runs import parts_there
from .uploads import BLOCK, S3Uploads, remove_temporary
from .writing import MOST_PARTS, ObjectWriter, abort

if TYPE_CHECKING:
    from _typeshed import SupportsRead

    from ...checksums import MessageDigest

_MARK = f"{TEMPORARY_PREFIX}room"
_AT = f"{TEMPORARY_PREFIX}at-"
_KEPT = 1000


class Room(NamedTuple):
    """A file of which parts are written."""

    upload_id: str
    """The store's identifier of the S3 upload; empty if there is a complete file, of which parts are replaced."""

    size: int
    """Size of the file in bytes."""

    has_md5: bool = True
    """Whether the entity tag of a part is its MD5, as it is not if the store encrypts with keys of its own."""


class _Rooms:
    """The rooms that this process has used last."""

    def __init__(self) -> None:
        self._rooms: OrderedDict[str, Room] = OrderedDict()
        self._lock = Lock()

    def put(self, uri: str, room: Room | None) -> None:
        with self._lock:
            self._rooms.pop(uri, None)
            if room is not None:
                self._rooms[uri] = room
            while len(self._rooms) > _KEPT:
                self._rooms.popitem(last=False)

    def get(self, uri: str) -> Room | None:
        with self._lock:
            return self._rooms.get(uri)


_rooms = _Rooms()


class PartsOfRoom:
    """The parts of one file.

    :param target: The file.
    :param uploads: What puts them together.
    """

    def __init__(self, target: S3Object, uploads: S3Uploads) -> None:
        """Ask the store for nothing yet."""
        self._target = target
        self._uploads = uploads

    def make(self, size: int) -> None:
        """Make room for a file, which reads as zeros.

        :param size: Its size in bytes.
        """
        self.remove()
        if not size:
            self._target.call("put_object", Body=b"")
            return
        begun = self._target.call("create_multipart_upload")
        self._mark(Room(begun["UploadId"], size, has_md5(begun)))

    def _mark(self, room: Room) -> Room:
        metadata = {"upload": room.upload_id, "size": str(room.size), "md5": str(int(room.has_md5))}
        self._target.beside(_MARK).call("put_object", Body=b"", Metadata=metadata)
        _rooms.put(self._target.uri, room)
        return room

    def remove(self) -> None:
        """Remove all parts, and the file."""
        _rooms.put(self._target.uri, None)
        self._target.call("delete_object")
        key = self._target.address["Key"]
        for upload in self._target.uploads(key):
            if upload.key == key:
                abort(self._target, upload.upload_id)
        remove_temporary(self._target)

    def _find(self) -> Room | None:
        """Ask the store for the room."""
        try:
            metadata = self._target.beside(_MARK).call("head_object")["Metadata"]
        except FileNotFoundError:
            return None
        return Room(metadata.get("upload", ""), int(metadata["size"]), metadata.get("md5") != "0")

    def write(self, stream: SupportsRead[bytes], start: int, size: int | None, digest: MessageDigest | None) -> int:
        """Write a part.

        :param stream: Its bytes.
        :param start: Where it begins, in bytes.
        :param size: Number of bytes that it must have, if known.
        :param digest: Digest to feed with them.
        :returns: Number of bytes.
        :raises FileNotFoundError: If no room was made for the file.
        :raises UnexpectedFileSizeError: If the stream is not of the size.
        """
        room = _rooms.get(self._target.uri) or self._find()
        if room is None:
            there = self._target.size()
            if there is None:
                raise FileNotFoundError("There is no such file.")
            room = self._mark(Room("", there))
        _rooms.put(self._target.uri, room)
        try:
            if size is not None and size >= SMALLEST_PART and room.upload_id:
                extent = ExtentWrite(self._slot(start, room.size) - 1, size=size, digest=digest)
                return int(self._uploads.write(self._state(room), extent, stream)["size"])
            with ObjectWriter(self._target.beside(f"{_AT}{start}"), size) as writer:
                return pump(stream, writer, digest, size=size, chunk_size=BLOCK)
        except FileNotFoundError:
            _rooms.put(self._target.uri, None)
            raise

    def _state(self, room: Room) -> dict[str, str]:
        return {"uri": self._target.uri, "upload": room.upload_id}

    @staticmethod
    def _slot(start: int, total: int) -> int:
        """Return the number of the part that begins somewhere, another one for each part.

        Parts of equal size are at most 10,000, so they begin at least a ten-thousandth of the whole apart.
        """
        return 1 + start * MOST_PARTS // total

    def settle(self, expected: Mapping[int, str] | None = None) -> io.RawIOBase | None:
        """Put the file together if all parts are there.

        :param expected: The MD5 that parts must have, by where they begin.
        :returns: The file as it is now if some are not, which has zeros, or the old bytes, in their places; ``None`` if
            it is complete, or there is no room for one.
        :raises MultipartPartsDiffer: If one has another.
        :raises StorageError: If some are missing, and the others cannot be read yet.
        """
        room = self._find()
        if room is None:
            return None
        objects = {
            int(item.name.removeprefix(_AT)): S3Piece(OBJECT, 0, item.size, item.name)
            for item in self._target.temporary()
            if item.name.startswith(_AT)
        }
        if not room.upload_id:
            self._replace(room, objects)
            return None
        total = room.size
        if self._target.size() == total:
            # Whoever put it together could not remove the rest.
            self._uploads.forget(self._state(room))
            return None
        parts = {part.number: part for part in parts_there(self._target, room.upload_id)}
        pieces, at = [], 0
        while at < total:
            piece = objects.get(at) or parts.get(self._slot(at, total))
            if piece is None or not piece.size:
                break
            pieces.append(piece._replace(number=self._slot(at, total)))
            at += piece.size
        if expected and room.has_md5:
            begins = accumulate((piece.size for piece in pieces), initial=0)
            for begin, piece in zip(begins, pieces, strict=False):
                if piece.kind == PART and expected.get(begin, unquoted(piece.where)) != unquoted(piece.where):
                    raise MultipartPartsDiffer()
        if at == total:
            # Its checksum is computed by whoever asked for it.
            self._uploads.finish(self._state(room), [receipt_of(pieces)], checksum="")
            _rooms.put(self._target.uri, None)
            return None
        if parts:
            raise StorageError("Parts of the file are missing.")
        return Layers(self._target, None, objects, total)

    def link(self, start: int, size: int, seconds: int) -> str | None:
        """Return a link to send a part with; see :class:`~invenio_files_rest.storage.capabilities.DirectParts`."""
        room = _rooms.get(self._target.uri) or self._find()
        is_part = size >= SMALLEST_PART or (room is not None and start + size == room.size)
        if room is None or not (room.upload_id and room.has_md5 and is_part):
            return None
        _rooms.put(self._target.uri, room)
        return part_link(self._target, room.upload_id, self._slot(start, room.size), size, seconds)

    def there(self, sizes: Mapping[int, int]) -> dict[int, str]:
        """Return the parts that the store has; see :class:`~invenio_files_rest.storage.capabilities.DirectParts`."""
        room = self._find()
        if room is None or not (room.upload_id and room.has_md5):
            return {}
        parts = {part.number: part for part in parts_there(self._target, room.upload_id)}
        found = {start: parts.get(self._slot(start, room.size)) for start in sizes}
        return {start: unquoted(part.where) for start, part in found.items() if part and part.size == sizes[start]}

    def _replace(self, room: Room, objects: dict[int, S3Piece]) -> None:
        """Write a complete file anew with the parts that replace some of its bytes."""
        if objects:
            total = max(room.size, *(start + piece.size for start, piece in objects.items()))
            layers = Layers(self._target, room.size, objects, total)
            with closing(layers), ObjectWriter(self._target, total) as writer:
                pump(layers, writer, size=total, chunk_size=BLOCK)
        remove_temporary(self._target)
        _rooms.put(self._target.uri, None)


class Layers(Positioned):
    """A file some of whose bytes are in other objects.

    :param base: The file.
    :param base_size: Its size in bytes; ``None`` if it does not exist, and reads as zeros.
    :param objects: The other objects, by where they begin.
    :param size: Size of the whole in bytes.
    """

    def __init__(self, base: S3Object, base_size: int | None, objects: dict[int, S3Piece], size: int) -> None:
        """Begin at the first byte."""
        super().__init__()
        self._base = base
        self._base_size = base_size or 0
        self._objects = objects
        self.size = size
        self._file: S3File | None = None
        self._until = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position."""
        position = super().seek(offset, whence)
        self._leave()
        return position

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._until = None, self._position

    def _enter(self) -> None:
        """Open what has the bytes at the position."""
        self._leave()
        at = self._position
        for start, piece in self._objects.items():
            if start <= at < start + piece.size:
                self._file, self._until = S3File(self._base.beside(piece.where)), start + piece.size
                self._file.prepare(at - start, start + piece.size - at)
                return
        following = min((start for start in self._objects if start > at), default=self.size)
        if at < self._base_size:
            self._until = min(following, self._base_size)
            self._file = S3File(self._base)
            self._file.prepare(at, self._until - at)
        else:
            self._until = following

    def fill(self, view: memoryview) -> int:
        """Read bytes of one object, or zeros."""
        if self._position >= self.size or not len(view):
            return 0
        if self._position >= self._until:
            self._enter()
        wanted = min(len(view), self._until - self._position)
        data = bytes(wanted) if self._file is None else self._file.read(wanted) or b""
        if not data:
            raise StorageError("A part of the file has fewer bytes than the store has said.")
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Close what is open."""
        if not self.closed:
            self._leave()
        super().close()
