"""Writing an object in one pass: in one request if it is small, otherwise in parts, several at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from ...errors import FileSizeError
from ...messages import lazy_gettext as _
from .bodies import Buffer
from .locations import LARGEST_BUFFER, MIB, SMALLEST_PART, S3Location
from .objects import S3Object

MOST_PARTS = 10_000
"""Largest number of parts of an S3 upload."""

PARTS_OF_A_SIZE = 1000
"""Number of parts after which parts are twice as large, if the size of the whole is not known."""


def part_size_of(location: S3Location, number: int, size: int | None, most_parts: int = MOST_PARTS) -> int:
    """Return the size of a part in bytes, such that the whole has no more parts than a store takes.

    :param location: The location.
    :param number: Number of the part, from 1.
    :param size: Size of the whole in bytes, if it is known.
    :param most_parts: Number of parts that have to suffice for it.
    """
    if size is None:
        return int(min(location.part_size << (number // PARTS_OF_A_SIZE), LARGEST_BUFFER))
    needed = -(-size // most_parts)
    return min(max(location.part_size, -(-needed // MIB) * MIB), LARGEST_BUFFER)


def part_buffer(target: S3Object, number: int, part_size: int, left: int | None, spare: int = 1) -> Buffer:
    """Return a buffer for a part, which may be sent before it is full if memory is scarce and enough numbers are left.

    :param target: The object that the part goes to.
    :param number: Number of the part, from 1.
    :param part_size: Its size in bytes.
    :param left: Number of bytes that are left for this part and the following, if it is known.
    :param spare: Out of how many of the numbers that follow one has to be enough.
    """
    may_be_short = left is None or (MOST_PARTS - number) // spare * part_size >= left
    return Buffer(target, part_size, SMALLEST_PART if may_be_short else part_size)


class PartSender:
    """Parts of an S3 upload that are sent at the same time.

    :param target: The object that it becomes.
    :param upload_id: The store's identifier of the upload.
    """

    def __init__(self, target: S3Object, upload_id: str) -> None:
        """Begin with no parts."""
        self._target = target
        self._upload_id = upload_id
        self._pool = ThreadPoolExecutor(target.location.parallel_parts, "files-rest-s3")
        self._sent: list[tuple[Future[None], Buffer]] = []
        self._error: Exception | None = None
        self.parts: dict[int, tuple[int, str]] = {}
        """Sizes and entity tags of the parts that are there, by their numbers."""

    def send(self, number: int, body: Buffer) -> None:
        """Send a part, which is closed afterwards; wait while too many are on their way.

        :param number: Its number.
        :param body: Its bytes.
        :raises StorageError: If an earlier one has failed.
        """
        if len(self._sent) == self._target.location.parallel_parts:
            self._await_one()
        self._sent.append((self._pool.submit(self._send, number, body), body))

    def _send(self, number: int, body: Buffer) -> None:
        with body:
            size = len(body)
            tag = self._target.send("upload_part", body, size, UploadId=self._upload_id, PartNumber=number)
        self.parts[number] = size, tag

    def wait(self) -> None:
        """Wait until all parts are there.

        :raises StorageError: If one has failed.
        """
        while self._sent:
            self._await_one()
        if self._error is not None:
            raise self._error

    def _await_one(self) -> None:
        try:
            self._sent.pop(0)[0].result()
        except Exception as error:
            # What follows it is of no use without it.
            self._error = error
            raise

    def close(self) -> None:
        """Wait until none is on its way; forget those that have not begun."""
        self._pool.shutdown(cancel_futures=True)
        for _part, body in self._sent:
            body.close()


def complete(target: S3Object, upload_id: str, parts: dict[int, str]) -> None:
    """Make an object of the parts of an S3 upload.

    :param target: The object.
    :param upload_id: The store's identifier of the upload.
    :param parts: Entity tags of the parts, by their numbers.
    :raises FileNotFoundError: If the upload was completed or aborted.
    """
    named = [{"PartNumber": number, "ETag": parts[number]} for number in sorted(parts)]
    target.call("complete_multipart_upload", UploadId=upload_id, MultipartUpload={"Parts": named})


def abort(target: S3Object, upload_id: str) -> None:
    """Abort an S3 upload, unless it was aborted or completed.

    :param target: The object that it would have become.
    :param upload_id: The store's identifier of the upload.
    """
    with suppress(FileNotFoundError):
        target.call("abort_multipart_upload", UploadId=upload_id)


class ObjectWriter:
    """An object that is written from its beginning to its end, and exists when the block has ended without an error.

    :param target: The object.
    :param size: Its size in bytes, if it is known.
    :param check: Called before the object comes into existence; what it raises is passed on, and nothing is left.
    """

    def __init__(self, target: S3Object, size: int | None = None, check: Callable[[], Any] | None = None) -> None:
        """Begin with no bytes."""
        self._target = target
        self._size = size
        self._check = check
        self._number = 1
        self._left = size
        self._buffer = self._new_buffer()
        self._sender: PartSender | None = None
        self._upload_id = ""

    def _new_buffer(self) -> Buffer:
        location, number, left = self._target.location, self._number, self._left
        part_size = part_size_of(location, number, left, max(MOST_PARTS + 1 - number, 1))
        return part_buffer(self._target, number, part_size if left is None else min(part_size, left), left)

    def adopt(self, buffer: Buffer) -> None:
        """Begin with what a buffer has, which is closed when it has been sent.

        :param buffer: The buffer.
        """
        self._buffer = buffer

    def write(self, block: bytes, /) -> int:
        """Write bytes.

        :raises FileSizeError: If the object would have too many parts.
        :raises StorageError: If the store fails.
        """
        written = len(block)
        while block:
            if room := self._buffer.make_room(len(block)):
                self._buffer.append(block[:room])
                block = block[room:]
            else:
                self._flush()
        return written

    def _flush(self) -> None:
        if self._number > MOST_PARTS:
            raise FileSizeError(description=_("The file is too large to be stored in one request. Upload it in parts."))
        if self._sender is None:
            self._upload_id = self._target.call("create_multipart_upload")["UploadId"]
            self._sender = PartSender(self._target, self._upload_id)
        size = self._buffer.size
        self._sender.send(self._number, self._buffer)
        self._number += 1
        if self._left is not None:
            self._left -= size
        self._buffer = self._new_buffer()

    def __enter__(self) -> ObjectWriter:
        """Begin to write."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        """Make the object, or leave nothing."""
        try:
            if kind is None:
                self._finish()
        except BaseException:
            kind = BaseException
            raise
        finally:
            if self._sender is not None:
                self._sender.close()
                if kind is not None:
                    # What cannot be aborted now the sweep finds.
                    with suppress(Exception):
                        abort(self._target, self._upload_id)
            self._buffer.close()

    def _finish(self) -> None:
        if self._sender is None:
            if self._check is not None:
                self._check()
            self._target.send("put_object", self._buffer, self._buffer.size)
            return
        if self._buffer.size:
            self._flush()
        self._sender.wait()
        if self._check is not None:
            self._check()
        parts = self._sender.parts
        try:
            complete(self._target, self._upload_id, {number: tag for number, (_, tag) in parts.items()})
        except FileNotFoundError:
            # The answer to the first try may have been lost.
            if self._target.size() != sum(size for size, _ in parts.values()):
                raise
