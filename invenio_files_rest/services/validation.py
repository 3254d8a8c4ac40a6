"""What every new object has to be: not too small, and with tags that are neither empty nor too long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import current_app

from ..errors import FileSizeError, InvalidTagError
from ..messages import lazy_gettext as _
from ..messages import lazy_ngettext

TAG_MAX_LEN = 255
"""Largest length of a tag's key and of its value, in characters."""

MOST_TAGS = 1000
"""Largest number of tags that a request gives a bucket or a version."""


def minsize_validator(value: int) -> None:
    """Check a length against ``FILES_REST_MIN_FILE_SIZE``.

    :param value: The length, in bytes.
    :raises FileSizeError: If it is smaller.
    """
    smallest = current_app.config["FILES_REST_MIN_FILE_SIZE"]
    if value < smallest:
        raise FileSizeError(
            description=lazy_ngettext(
                "The file is smaller than the minimum of %(num)s byte.",
                "The file is smaller than the minimum of %(num)s bytes.",
                smallest,
            )
        )


class NonEmptyStream:
    """A stream of unknown length that fails at its end where that is shorter than ``FILES_REST_MIN_FILE_SIZE``."""

    def __init__(self, stream: Any) -> None:
        """Begin with nothing read."""
        self._stream = stream
        self._length = 0

    def read(self, size: int = -1) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; negative for all.
        :raises FileSizeError: At the end, if there were fewer bytes.
        """
        block: bytes = self._stream.read(size)
        self._length += len(block)
        if not block:
            minsize_validator(self._length)
        return block


def validate_tag(key: str, value: str) -> bool:
    """Check a tag: its key and its value have 1 to 255 characters.

    :param key: Key of the tag.
    :param value: Value of the tag.
    :returns: True.
    :raises InvalidTagError: If it is not so.
    """
    for text in (key, value):
        if not 0 < len(text) <= TAG_MAX_LEN or "\0" in text:
            raise InvalidTagError()
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidTagError(description=_("A tag has characters that cannot be stored."))
    return True


def validate_tags(tags: Mapping[str, str]) -> None:
    """Check the tags that something shall have: each one, and how many there are.

    :param tags: The tags.
    :raises InvalidTagError: If one is not valid, or there are more than :data:`MOST_TAGS`.
    """
    if len(tags) > MOST_TAGS:
        raise InvalidTagError(
            description=lazy_ngettext(
                "There can be %(num)s tag, not %(given)s.",
                "There can be %(num)s tags, not %(given)s.",
                MOST_TAGS,
                given=len(tags),
            )
        )
    for key, value in tags.items():
        validate_tag(key, value)
