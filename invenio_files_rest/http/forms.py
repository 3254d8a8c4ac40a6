"""Parsing of forms, with the limit on a body's length that is for forms alone."""

from __future__ import annotations

import io
from typing import IO, Any, cast

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser as _FormDataParser

_FORMS = frozenset({"multipart/form-data", "application/x-www-form-urlencoded"})


class _AtMost(io.RawIOBase):
    """A stream that fails once it has more bytes than allowed.

    Werkzeug's own limited stream ends there without a word where it is read at once.
    """

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise RequestEntityTooLarge()
        buffer[: len(data)] = data
        return len(data)


def at_most(stream: IO[bytes], content_length: int | None, limit: int) -> IO[bytes]:
    """Return the body of a request that must not be longer than a limit.

    :param stream: The body.
    :param content_length: Its length in bytes; ``None`` where the request does not tell it.
    :param limit: Largest length, in bytes.
    :returns: The body, which fails as the function does where it turns out to be longer.
    :raises werkzeug.exceptions.RequestEntityTooLarge: If its length is over the limit.
    """
    if content_length is None:
        return cast("IO[bytes]", _AtMost(stream, limit))
    if content_length > limit:
        raise RequestEntityTooLarge()
    return stream


class FormDataParser(_FormDataParser):
    """Parser that limits the length of what it parses, and leaves alone a body that is no form."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> tuple[IO[bytes], Any, Any]:
        """Parse a form.

        :param stream: Body of the request.
        :param mimetype: Its MIME type.
        :param content_length: Its length in bytes; ``None`` where the request does not tell it.
        :param options: Parameters of the MIME type, e.g. the boundary.
        :returns: The stream, the form's fields, and its files.
        :raises werkzeug.exceptions.RequestEntityTooLarge: If a form is longer than ``MAX_CONTENT_LENGTH``.
        """
        limit = self.max_content_length
        if limit is not None and mimetype in _FORMS:
            stream = at_most(stream, content_length, limit)
        return super().parse(stream, mimetype, content_length, options)
