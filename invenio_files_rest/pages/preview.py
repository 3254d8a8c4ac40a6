"""The beginning of a file, to look at: raster images, and text as text. Nothing else is shown, and nothing runs."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from ..errors import FilesException, StorageError
from ..models import ObjectVersion
from ..views.base import log_failure

TEXT_BYTES = 64 * 1024
"""Number of bytes of a text that are shown."""

IMAGE_BYTES = 20 * 1024 * 1024
"""Size in bytes of the largest image that is shown."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF87a", 0, "image/gif"),
    (b"GIF89a", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"ftypavif", 4, "image/avif"),
)
"""What images begin with, and where. Formats that can hold scripts, such as SVG, are none of them."""


@dataclass(frozen=True)
class Preview:
    """What is shown of a file: an image, a text, or neither."""

    image: str | None = None
    """Type of the image."""

    text: str | None = None
    is_cut: bool = False
    """Whether the text goes on."""

    is_broken: bool = False
    """Whether the file cannot be read."""


def preview_of(version: ObjectVersion) -> Preview:
    """Return what is shown of a version, for which its first bytes are read.

    :param version: The version, which has a file.
    """
    try:
        head = beginning_of(version, TEXT_BYTES)
    except FilesException as error:
        log_failure(error)
        return Preview(is_broken=True)
    size = version.file.size or 0
    if image := image_type(head):
        return Preview(image=image if size <= IMAGE_BYTES else None)
    text = _text(head, size > len(head))
    return Preview(text=text, is_cut=text is not None and size > len(head))


def beginning_of(version: ObjectVersion, size: int) -> bytes:
    """Read the first bytes of a version.

    :param version: The version, which has a file.
    :param size: Number of bytes; there are less where the file is shorter.
    :raises StorageError: If it cannot be read. Storages of others raise what they like.
    """
    try:
        with version.file.storage().open() as file:
            return _read(file, size)
    except FilesException:
        raise
    except Exception as error:
        raise StorageError(f"Cannot read the file: {error}") from error


def image_type(head: bytes) -> str | None:
    """Return the type of a raster image, whatever its name says; ``None`` where it is none.

    :param head: Its first bytes.
    """
    for signature, place, mimetype in _SIGNATURES:
        if head[place : place + len(signature)] == signature:
            return mimetype
    return None


def _read(file: object, size: int) -> bytes:
    found = b""
    while len(found) < size and (block := file.read(size - len(found))):  # type: ignore[attr-defined]
        found += block
    return found


def _text(head: bytes, goes_on: bool) -> str | None:
    """Return bytes as text; ``None`` where they are none."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        # A character may be cut in two at the end.
        text = decoder.decode(head, final=not goes_on)
    except UnicodeDecodeError:
        return None
    controls = sum(character < " " and character not in "\t\n\r\f\x1b" for character in text)
    return None if controls else text
