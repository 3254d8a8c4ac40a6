"""Parsing of forms, with the limit on a body's length that is for forms alone."""

from __future__ import annotations

from typing import IO, Any, cast

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser as _FormDataParser
from werkzeug.wsgi import LimitedStream

_FORMS = frozenset({"multipart/form-data", "application/x-www-form-urlencoded"})


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
        :raises werkzeug.exceptions.RequestEntityTooLarge: Where a form is longer than ``MAX_CONTENT_LENGTH``.
        """
        limit = self.max_content_length
        if limit is not None and mimetype in _FORMS:
            if content_length is None:
                # A limited stream fails when it is read at its limit, which is where the largest form ends.
                stream = cast("IO[bytes]", LimitedStream(stream, limit + 1, is_max=True))
            elif content_length > limit:
                raise RequestEntityTooLarge()
        return super().parse(stream, mimetype, content_length, options)
